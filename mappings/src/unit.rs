//! Numbers in FHIR carry their unit. A number in another unit than the layout's is refused: read as if it were in this
//! one it would be wrong, and passed over it would be lost.

use tsunagi_core::document::{Content, Node};
use tsunagi_core::fault::RowCode;

use crate::field_value::ValueFault;
use crate::path::{Found, Path};

/// Where the unit of a row's number stands.
#[derive(Debug, Clone)]
pub(crate) enum UnitPlace {
    /// Beside the number; the layout writes it there.
    Beside(Path),
    /// In a condition on the way to the number: this is the way without it.
    OnTheWay(Path),
}

/// The path without the condition on the unit of its quantity, if it has one.
pub(crate) fn without_condition(path: &str) -> Option<String> {
    let at = path.find(CONDITION)?;
    let (from, to) = (path.get(..at)?.rfind('[')?, at + path.get(at..)?.find(']')?);
    Some(format!("{}{}", path.get(..from)?, path.get(to + 1..)?))
}

/// Where the unit of a number would stand beside it.
pub(crate) fn beside(path: &str) -> Option<String> {
    path.strip_suffix(".value").map(|quantity| format!("{quantity}.code"))
}

impl UnitPlace {
    /// The fault of a number that is in another unit than `unit`.
    pub(crate) fn fault(&self, content: &Content, unit: &str, is_found: bool) -> Option<ValueFault> {
        let (path, is_other): (_, &dyn Fn(Found<'_>) -> bool) = match self {
            Self::Beside(path) if is_found => {
                (path, &|found| matches!(found, Found::Node(Node::Text(code)) if code != unit))
            }
            Self::OnTheWay(path) if !is_found => (path, &|_| true),
            Self::Beside(_) | Self::OnTheWay(_) => return None,
        };
        let mut has_other = false;
        path.visit(content, &mut |found| {
            has_other |= is_other(found);
            has_other
        });
        has_other.then(|| {
            ValueFault::new(
                RowCode::InvalidValue,
                format!("単位が {unit} ではありません。{unit} に換算して送り直してください"),
                format!("the unit is not {unit}; convert the number and send it again"),
            )
        })
    }
}

/// The end of a condition on the unit of a quantity.
const CONDITION: &str = "valueQuantity.code=";
