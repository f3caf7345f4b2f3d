//! `schemes/*.csv`: what the first digits of a 公費負担者番号 (法別番号) stand for.
//!
//! National schemes have no prefecture. Local ones use the same digits with another meaning in each prefecture, so they
//! are known by both; what a prefecture has said of a number goes before what the nation has.

use jiff::civil::Date;
use serde::Deserialize;
use tsunagi_core::fault::{Bilingual, RowCode, RowFault};
use tsunagi_core::identifier::SchemeKey;
use tsunagi_core::kind::Kind;
use tsunagi_core::record::Record;

use crate::csv_file;
use crate::fault::Faults;
use crate::layout::Layout;
use crate::source::Files;
use crate::tables::Tables;

/// A subsidy scheme (公費負担医療制度).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheme {
    /// 法別番号, two digits.
    pub category: String,
    /// The two digits of the prefecture of a local scheme; none for a national one.
    pub prefecture: Option<String>,
    /// Its name.
    pub label: Bilingual,
    /// The first day on which the number stands for it; none if always.
    pub from: Option<Date>,
    /// The last such day.
    pub until: Option<Date>,
    /// A public source states it.
    pub confirmed: bool,
}

impl Tables {
    /// The scheme that a 公費負担者番号 is of, on a day. `None` for one that no table names, which refuses nothing.
    pub fn scheme(&self, payer_number: &str, on: Date) -> Option<&Scheme> {
        let key = SchemeKey::of(payer_number)?;
        let holds = |scheme: &&Scheme| {
            scheme.category == key.category
                && scheme.from.is_none_or(|from| from <= on)
                && scheme.until.is_none_or(|until| on <= until)
        };
        let local = |scheme: &&Scheme| scheme.prefecture.as_deref() == Some(&*key.prefecture);
        let of_key = || self.schemes.iter().filter(holds);
        of_key().find(local).or_else(|| of_key().find(|scheme| scheme.prefecture.is_none()))
    }
}

impl Tables {
    /// A warning of the row if the kind is a right under a scheme and no table names the scheme.
    pub(crate) fn scheme_warning(
        &self,
        kind: &Kind,
        layout: &Layout,
        row: u64,
        record: &Record,
        today: Date,
    ) -> Option<RowFault> {
        let key = kind.scheme.as_ref()?;
        let payer_number = record.text(key)?;
        if self.scheme(&payer_number, today).is_some() {
            return None;
        }
        let column = layout.rows.iter().find(|row| row.field.key == *key).map(|row| row.column.clone());
        let reason = Bilingual::new(
            "この負担者番号の制度（法別番号と都道府県）は表にありません",
            "no table names the scheme of this payer number (its first digits and prefecture)",
        );
        Some(RowFault { row, column: column.unwrap_or_default(), code: RowCode::SchemeUnknown, reason })
    }
}

/// Reads all files. Two meanings of one number on one day are a fault.
pub(crate) fn read(files: &Files, faults: &mut Faults) -> Vec<Scheme> {
    let mut schemes: Vec<Scheme> = Vec::new();
    for (file, _, text) in files.within("schemes", ".csv") {
        for line in csv_file::lines::<Line>(file, text, &HEADER, faults) {
            let place = line.place(file);
            let scheme = line.value.into_scheme();
            if !are_digits(&scheme.category) || !scheme.prefecture.as_deref().is_none_or(are_digits) {
                faults.say(&place, "法別と都道府県は半角数字2桁です", "category and prefecture are two digits each");
            } else if schemes.iter().any(|known| known.overlaps(&scheme)) {
                let (ja, en) = ("同じ番号の期間が重なっています", "the number has two meanings on one day");
                faults.say(&place.key("category"), ja, en);
            } else {
                schemes.push(scheme);
            }
        }
    }
    schemes
}

impl Scheme {
    fn overlaps(&self, other: &Self) -> bool {
        let starts_before_end = |a: &Self, b: &Self| a.from.unwrap_or(Date::MIN) <= b.until.unwrap_or(Date::MAX);
        (&self.category, &self.prefecture) == (&other.category, &other.prefecture)
            && starts_before_end(self, other)
            && starts_before_end(other, self)
    }
}

impl Line {
    fn into_scheme(self) -> Scheme {
        Scheme {
            category: self.category,
            prefecture: Some(self.prefecture).filter(|digits| !digits.is_empty()),
            label: Bilingual::new(self.ja, self.en),
            from: self.from,
            until: self.until,
            confirmed: self.confirmed,
        }
    }
}

fn are_digits(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit())
}

const HEADER: [&str; 7] = ["category", "prefecture", "ja", "en", "from", "until", "confirmed"];

#[derive(Debug, Deserialize)]
struct Line {
    category: String,
    prefecture: String,
    ja: String,
    en: String,
    from: Option<Date>,
    until: Option<Date>,
    confirmed: bool,
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use tsunagi_core::document::Content;

    use super::*;
    use crate::sample::{context, layout};

    const HEAD: &str = "category,prefecture,ja,en,from,until,confirmed\n";
    const TODAY: Date = date(2026, 4, 1);

    fn with_local(lines: &str) -> Result<Tables, Vec<String>> {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("schemes")).expect("made");
        std::fs::write(folder.path().join("schemes/local.csv"), format!("{HEAD}{lines}")).expect("written");
        Tables::with_folder(folder.path()).map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn one_number_is_another_scheme_in_another_prefecture() {
        let tables = with_local(
            "41,13,東京の制度,Of Tokyo,,2026-03-31,true\n41,13,東京の新制度,New of Tokyo,2026-04-01,,true\n\
             41,27,大阪の制度,Of Osaka,,,true\n54,27,大阪の54,54 of Osaka,,,true\n",
        )
        .expect("sound");
        let name = |payer: &str, on: Date| tables.scheme(payer, on).map(|scheme| scheme.label.en.as_str());
        assert_eq!(name("41130001", TODAY), Some("New of Tokyo"));
        assert_eq!(name("41130001", date(2026, 3, 31)), Some("Of Tokyo"));
        assert_eq!(name("41270009", TODAY), Some("Of Osaka"));
        assert_eq!(name("41280006", TODAY), None, "a prefecture that has said nothing of 41");
        assert_eq!(name("54016027", TODAY), Some("Designated intractable diseases"), "national");
        assert_eq!(name("54270008", TODAY), Some("54 of Osaka"), "what the prefecture says goes first");
        assert_eq!(name("5401602", TODAY), None, "not a payer number");
    }

    #[test]
    fn two_meanings_on_one_day_are_a_fault() {
        for (lines, words) in [
            ("41,13,甲,A,,,true\n41,13,乙,B,2026-04-01,,true\n", "two meanings"),
            ("54,,甲,A,,,true\n", "two meanings"),
            ("4,13,甲,A,,,true\n", "two digits"),
            ("41,1３,甲,A,,,true\n", "two digits"),
        ] {
            let faults = with_local(lines).expect_err("faulty");
            assert!(faults.iter().any(|fault| fault.contains(words)), "{faults:?}");
        }
    }

    #[test]
    fn a_right_under_an_unknown_scheme_is_taken_and_flagged() {
        let tables = Tables::builtin().expect("sound");
        let layout = layout(&tables, "municipal_csv/subsidy_entitlement_legacy");
        let kind = tables.kind(layout.kind()).expect("its kind");
        let mut document = tables.localize(layout, &tables.example(kind), 1, TODAY).expect("written");
        let mut read = |payer: &str| {
            let Content::Row(row) = &mut document.content else { panic!("a row") };
            let at = row.columns.iter().position(|column| column == "負担者番号").expect("a column");
            row.cells[at] = payer.to_owned();
            let canonical = tables.canonicalize(layout, &document, &context()).expect("accepted");
            let warnings = canonical.warnings.into_iter().map(|fault| (fault.column, fault.code));
            warnings.filter(|(_, code)| *code != RowCode::CheckDigit).collect::<Vec<_>>()
        };
        assert_eq!(read("54016027"), []);
        assert_eq!(read("81136015"), [("負担者番号".to_owned(), RowCode::SchemeUnknown)]);
    }
}
