//! What the fuzz targets need and nobody else does: tables from texts instead of a folder, and converters without a
//! layout around them. Only a build by cargo-fuzz has it.

use tsunagi_core::kind::Field;
use tsunagi_core::value::Value;

use crate::certificate::of_converter;
use crate::convert::{Chain, Noted, Setting};
use crate::fault::{Faults, TableFault};
use crate::field_value;
use crate::load;
use crate::loss::LossKind;
use crate::source::Files;
use crate::tables::Tables;

impl Tables {
    /// Tables of exactly these files, given as path below the folder and text; nothing compiled in is among them.
    pub fn of_files(files: &[(&str, &str)]) -> Result<Self, Vec<TableFault>> {
        load::load(&Files::of(files), Faults::default())
    }
}

/// The converters of one layout row, and the field that they lead to.
#[derive(Debug)]
pub struct Converters {
    chain: Chain,
    field: Field,
    losses: Vec<LossKind>,
}

impl Converters {
    /// Parses what a layout says in `convert`; `None` where a layout that says so is refused.
    pub fn parse(names: &[String], field: Field, is_fhir: bool, is_line: bool) -> Option<Self> {
        let setting = Setting { value_type: field.value_type, unit: field.unit.as_deref(), is_fhir, is_line };
        let chain = Chain::parse(Some(names), setting).ok()?;
        let losses = chain.converters().iter().flat_map(|converter| of_converter(converter, &field)).collect();
        Some(Self { chain, field, losses })
    }

    /// From the participant's spelling to a value; `None` if it is refused or nothing is left of it. The flag says that
    /// the date was written in an era that had ended.
    pub fn read(&self, text: &str) -> Option<(Value, bool)> {
        let mut noted = Noted::default();
        let carried = self.chain.read(text.into(), &mut noted).ok()?;
        let (value, _) = field_value::value(&self.field, carried).ok()?;
        (value.plain().as_deref() != Some("")).then_some((value, noted.era_overlong))
    }

    /// From a value to the participant's spelling; `None` where nothing can be said of it.
    pub fn write(&self, value: &Value) -> Option<String> {
        self.chain.write(field_value::carried(value)?).map(std::borrow::Cow::into_owned)
    }

    /// True if the loss certificate of a layout with these converters lets one value come back as the other.
    pub fn explain(&self, before: &Value, after: Option<&Value>) -> bool {
        let fold = |value: &Value| self.losses.iter().try_fold(value.clone(), |value, loss| loss.fold(value));
        let Some(after) = after else { return fold(before).is_none() };
        before == after
            || self.losses.iter().any(|loss| loss.explains_date(before, after))
            || fold(before) == fold(after)
    }
}
