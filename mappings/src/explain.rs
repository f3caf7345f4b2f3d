//! Row by row: which cell became which field, through which converters and codes. For `tsunagi mappings try`.

use tsunagi_core::document::Document;
use tsunagi_core::fault::RowFault;
use tsunagi_core::id::FieldKey;
use tsunagi_core::record::Record;
use tsunagi_core::value::{Value, ValueType};

use crate::canonicalize::Context;
use crate::convert::{Carried, Noted};
use crate::field_value;
use crate::layout::{Layout, LayoutRow};
use crate::path::Found;
use crate::reading::Places;
use crate::tables::Tables;

/// What one row of the layout made of a document. 個人番号 is shown as `[redacted]`; all else is shown as it is, so
/// this belongs on the screen of whoever holds the document, and nowhere else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Step {
    /// The column or path; empty for what concerns the row as a whole.
    pub path: String,
    /// The field it leads to.
    pub field: Option<FieldKey>,
    /// What stands there; `None` if nothing does.
    pub cell: Option<String>,
    /// After the converters.
    pub converted: Option<String>,
    /// After the code table, where there is one.
    pub code: Option<String>,
    /// The value of the field.
    pub value: Option<String>,
    /// Why the document is refused here.
    pub faults: Vec<RowFault>,
    /// What is accepted with a warning.
    pub warnings: Vec<RowFault>,
}

impl Tables {
    /// Goes through the rows of a layout; then the fields that the gateway computes; then what is wrong as a whole.
    pub fn explain(&self, layout: &Layout, document: &Document, context: &Context) -> Vec<Step> {
        let mut steps = Vec::new();
        for row in layout.rows.iter().filter(|row| row.field.derived.is_none()) {
            let places = Places::of(row, &document.content);
            let before = steps.len();
            steps.extend(places.iter().map(|found| step(row, Some(found), context)));
            if steps.len() == before {
                steps.push(step(row, None, context));
            }
        }
        let (faults, warnings) = match self.canonicalize(layout, document, context) {
            Ok(canonical) => {
                steps.extend(self.derived_steps(layout, &canonical.record));
                (Vec::new(), canonical.warnings)
            }
            Err(faults) => (faults, Vec::new()),
        };
        for fault in faults {
            attach(&mut steps, fault, |step| &mut step.faults);
        }
        for warning in warnings {
            attach(&mut steps, warning, |step| &mut step.warnings);
        }
        steps
    }

    fn derived_steps(&self, layout: &Layout, record: &Record) -> Vec<Step> {
        let Some(kind) = self.kind(&layout.kind) else { return Vec::new() };
        let derived = kind.fields.iter().filter(|field| field.derived.is_some());
        derived
            .map(|field| Step { field: Some(field.key.clone()), value: record.text(&field.key), ..Step::default() })
            .collect()
    }
}

fn step(row: &LayoutRow, found: Option<Found<'_>>, context: &Context) -> Step {
    let mut step = Step { path: row.column.clone(), field: Some(row.field.key.clone()), ..Step::default() };
    let text = match found {
        Some(found) => row.text(found).ok(),
        None => row.default.as_deref().map(Into::into),
    };
    let Some(text) = text else { return step };
    let shown = |text: &str| {
        Some(if row.field.value_type == ValueType::MyNumber { "[redacted]".to_owned() } else { text.to_owned() })
    };
    step.cell = found.and(shown(&text));
    let Ok(Some(carried)) = row.converted(text, &mut Noted::default()) else { return step };
    step.converted = match &carried {
        Carried::Date(date) => shown(&date.to_string()),
        Carried::Text(text) => shown(text),
    };
    let Ok(carried) = row.coded(carried, context.today) else { return step };
    if let (Some(_), Carried::Text(code)) = (&row.codes, &carried) {
        step.code = shown(code);
    }
    step.value = match field_value::value(&row.field, carried) {
        Ok((Value::Date(date), _)) => date.known().and_then(|known| shown(&known)),
        Ok((Value::MyNumber(_), _)) => shown(""),
        Ok((value, _)) => value.plain(),
        Err(_) => None,
    };
    step
}

fn attach(steps: &mut Vec<Step>, fault: RowFault, list: fn(&mut Step) -> &mut Vec<RowFault>) {
    match steps.iter_mut().find(|step| !fault.column.is_empty() && step.path == fault.column) {
        Some(step) => list(step).push(fault),
        None => {
            let mut step = Step { path: fault.column.clone(), ..Step::default() };
            list(&mut step).push(fault);
            steps.push(step);
        }
    }
}

#[cfg(test)]
mod tests;
