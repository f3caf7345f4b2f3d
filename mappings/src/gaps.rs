//! Which codes stood in the way, for counting what live traffic could not map (see [`tsunagi_core::coverage`]). Faults
//! never hold a value, so the codes are looked for again, in the few documents that have such a fault.

use jiff::civil::Date;
use tsunagi_core::document::{Content, Document};
use tsunagi_core::fault::{RowCode, RowFault};
use tsunagi_core::id::FieldKey;
use tsunagi_core::record::Record;
use tsunagi_core::value::{Value, ValueType};

use crate::convert::{Carried, Noted};
use crate::field_value;
use crate::layout::{Layout, LayoutRow};
use crate::reading::Places;
use crate::tables::Tables;

/// A code that a layout has no counterpart of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnmappedCode {
    /// The column or path of the layout.
    pub column: String,
    /// The code; `None` where what stands there may be something else than a code.
    pub code: Option<String>,
}

impl Tables {
    /// The codes for which a document was refused. In a row with any other fault, such as one whose cells have slipped by
    /// a column, what stands in the place of a code may be a name: then it is not told.
    pub fn unmapped_codes(
        &self,
        layout: &Layout,
        document: &Document,
        faults: &[RowFault],
        today: Date,
    ) -> Vec<UnmappedCode> {
        let is_certain = faults.iter().all(|fault| fault.code == RowCode::Unmapped);
        let is_faulty = |row: &&LayoutRow| {
            row.field.value_type == ValueType::Code
                && faults.iter().any(|fault| fault.code == RowCode::Unmapped && fault.column == row.column)
        };
        let mut found = Vec::new();
        for row in layout.rows.iter().filter(is_faulty) {
            for place in Places::of(row, &document.content).iter() {
                let text = row.text(place).and_then(|text| row.converted(text, &mut Noted::default()));
                let Ok(Some(Carried::Text(code))) = text else { continue };
                if row.coded(Carried::Text(code.clone()), today).is_err() {
                    let code = Some(code.into_owned()).filter(|code| is_certain && row.speaks_like(code));
                    found.push(UnmappedCode { column: row.column.clone(), code });
                }
            }
        }
        found
    }

    /// The columns or paths of a document at which a code that no table covers is kept as text. What stands there is
    /// not told: such a field takes any text.
    pub fn kept_codes<'a>(&self, layout: &'a Layout, document: &Document, today: Date) -> Vec<&'a str> {
        let is_kept = |row: &&LayoutRow| {
            let Some(table) = row.codes.as_ref().filter(|_| row.keeps_unmapped) else { return false };
            Places::of(row, &document.content).iter().any(|place| {
                let text = row.text(place).and_then(|text| row.converted(text, &mut Noted::default()));
                matches!(text, Ok(Some(Carried::Text(code))) if table.read(&code, today).is_none())
            })
        };
        layout.rows.iter().filter(is_kept).map(|row| row.column.as_str()).collect()
    }

    /// The value of a field with one value in a document of which no record came; `None` where it cannot be read.
    pub fn read_one(&self, layout: &Layout, document: &Document, key: &FieldKey, today: Date) -> Option<Value> {
        let row = layout.rows.iter().find(|row| row.field.key == *key)?;
        let place = Places::of(row, &document.content).first?;
        let text = row.converted(row.text(place).ok()?, &mut Noted::default()).ok()??;
        let (value, _) = field_value::value(&row.field, row.coded(text, today).ok()?).ok()?;
        Some(value)
    }

    /// The hub's codes for which a record could not be written in a layout.
    pub fn unwritable_codes(&self, layout: &Layout, record: &Record, today: Date) -> Vec<UnmappedCode> {
        let mut found = Vec::new();
        for row in &layout.rows {
            let Some(table) = row.codes.as_ref().filter(|_| !row.keeps_unmapped) else { continue };
            let list = row.field.code_system.as_ref().and_then(|name| self.code_list(name));
            let values = record.fields().get(&row.field.key).into_iter().flatten();
            for value in values {
                let Value::Code(code) = value else { continue };
                if table.write(code, today).is_none() {
                    // A code of the hub's own list is nobody's.
                    let code = list.filter(|list| list.code(code).is_some()).map(|_| code.clone());
                    found.push(UnmappedCode { column: row.column.clone(), code });
                }
            }
        }
        found
    }
}

impl Layout {
    /// The positions of the columns that the layout does not know, in a document of a table, and whether the header is
    /// one at all: half of its names are those of the layout. A file without a header has a person's data there.
    pub fn strangers(&self, document: &Document) -> (Vec<usize>, bool) {
        let Content::Row(row) = &document.content else { return (Vec::new(), false) };
        let unknown = self.unknown_columns(document);
        let at = |name: &&str| row.columns.iter().position(|column| column == name);
        let is_header = unknown.len() * 2 <= row.columns.len();
        (unknown.iter().filter_map(at).collect(), is_header)
    }
}

impl LayoutRow {
    /// True unless the codes of the place are numbers and letters and this is something else: the word in the place of
    /// a number may be anybody's.
    fn speaks_like(&self, code: &str) -> bool {
        let has_words = match (&self.codes, &self.hub_codes) {
            (Some(table), _) => table.pairs().iter().any(|pair| !pair.from.is_ascii()),
            (None, Some(list)) => list.codes().any(|(code, _)| !code.is_ascii()),
            (None, None) => false,
        };
        has_words || code.is_ascii()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn told(cells: &[(&str, &str)]) -> Vec<Option<String>> {
        let tables = sample::tables();
        let layout = sample::layout(&tables, "municipal_csv/visit");
        let good = [
            ("負担者番号", "54016027"),
            ("受給者番号", "1"),
            ("番号", "V-1"),
            ("受診日", "R8.4.20"),
            ("生年月日", "2025-12-20"),
        ];
        let cells: Vec<(&str, &str)> = good
            .into_iter()
            .filter(|(name, _)| !cells.iter().any(|(other, _)| other == name))
            .chain(cells.iter().copied())
            .collect();
        let document = sample::line(&cells);
        let faults = tables.canonicalize(layout, &document, &sample::context()).expect_err("a fault");
        let found = tables.unmapped_codes(layout, &document, &faults, sample::context().today);
        assert!(found.iter().all(|one| one.column == "性別"));
        found.into_iter().map(|one| one.code).collect()
    }

    #[test]
    fn a_code_is_told_only_where_nothing_else_is_wrong() {
        assert_eq!(told(&[("性別", "7")]), [Some("7".to_owned())]);
        assert_eq!(told(&[("性別", "架空花子")]), [None], "the codes of this table are numbers");
        assert_eq!(told(&[("性別", "Hanako"), ("受診日", "1")]), [None], "the cells have slipped");
        assert_eq!(told(&[("受診日", "1")]), [] as [Option<String>; 0]);
    }

    #[test]
    fn a_code_that_is_kept_as_text_is_found_and_not_told() {
        let row = "field = \"finding\"\npath = \"所見1\"";
        let kept = format!("{row}\ncodes = \"town_sex__sex\"\nunmapped = \"keep_as_text\"");
        let tables = sample::load_with(&[("tables/municipal_csv/visit.toml", &sample::CSV.replace(row, &kept))]);
        let tables = tables.expect("no faults");
        let layout = sample::layout(&tables, "municipal_csv/visit");
        let (today, found) = (sample::context().today, |cell| sample::line(&[("所見1", cell), ("所見2", "架空花子")]));
        assert_eq!(tables.kept_codes(layout, &found("架空花子"), today), ["所見1"]);
        assert_eq!(tables.kept_codes(layout, &found("1"), today), [] as [&str; 0]);
        assert_eq!(tables.kept_codes(layout, &found(""), today), [] as [&str; 0]);
    }

    #[test]
    fn one_field_is_read_of_a_document_that_is_refused() {
        let tables = sample::tables();
        let layout = sample::layout(&tables, "municipal_csv/visit");
        let read = |cells: &[(&str, &str)]| {
            let key = FieldKey::parse("municipality_code").expect("a key");
            tables.read_one(layout, &sample::line(cells), &key, sample::context().today)
        };
        assert_eq!(read(&[("性別", "7"), ("団体", "442011")]), Some(Value::Text("442011".to_owned())));
        assert_eq!(read(&[("性別", "7"), ("団体", "44")]), None);
        assert_eq!(read(&[("性別", "7")]), None);
    }

    #[test]
    fn a_header_is_told_from_a_row() {
        let tables = sample::tables();
        let layout = sample::layout(&tables, "municipal_csv/visit");
        let header = sample::line(&[("番号", "1"), ("旧姓", "x"), ("受診日", "2"), ("備考", "3")]);
        assert_eq!(layout.strangers(&header), (vec![1], true));
        let row = sample::line(&[("架空花子", "1"), ("2025-12-20", "2"), ("番号", "3")]);
        assert_eq!(layout.strangers(&row), (vec![0, 1], false));
    }

    #[test]
    fn a_code_without_a_counterpart_is_named() {
        let only = "from,to,relationship,valid_from,valid_until\n1,male,equivalent,,\n2,female,equivalent,,\n";
        let tables = sample::load_with(&[("codes/town_sex__sex.csv", only)]).expect("no faults");
        let layout = sample::layout(&tables, "municipal_csv/visit");
        let kind = tables.kind(layout.kind()).expect("a kind");
        let record = (0..).map(|seed| tables.generate(kind, &mut crate::Tape::seeded(seed), &[]));
        let with =
            |record: &Record| record.fields().values().flatten().any(|v| *v == Value::Code("unknown".to_owned()));
        let record = record.into_iter().find(with).expect("a record");
        let found = tables.unwritable_codes(layout, &record, sample::context().today);
        assert_eq!(found, [UnmappedCode { column: "性別".to_owned(), code: Some("unknown".to_owned()) }]);
    }
}
