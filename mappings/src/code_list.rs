//! `codes/<code_system>.csv`: the hub's own code lists.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Deserialize;
use tsunagi_core::fault::Bilingual;
use tsunagi_core::id::CodeTableName;

use crate::csv_file;
use crate::fault::Faults;

/// The codes of one of the hub's code systems, with their names for people.
#[derive(Debug, Clone)]
pub struct CodeList {
    name: CodeTableName,
    codes: BTreeMap<String, CodeEntry>,
    /// False if a line could not be read: what is not here may be there.
    is_whole: bool,
}

/// One code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeEntry {
    /// Its name for people; shown, never compared.
    pub label: Bilingual,
    /// First day it is offered for new records.
    pub from: Option<Date>,
    /// Last day it is offered for new records. Records that carry it stay right.
    pub until: Option<Date>,
}

impl CodeList {
    /// The code system's name.
    pub fn name(&self) -> &CodeTableName {
        &self.name
    }

    /// All codes, in alphabetical order.
    pub fn codes(&self) -> impl Iterator<Item = (&str, &CodeEntry)> {
        self.codes.iter().map(|(code, entry)| (code.as_str(), entry))
    }

    /// One code, whether it is still offered or not.
    pub fn code(&self, code: &str) -> Option<&CodeEntry> {
        self.codes.get(code)
    }

    /// True unless the code is certainly not in the list.
    pub(crate) fn may_have(&self, code: &str) -> bool {
        !self.is_whole || self.codes.contains_key(code)
    }

    pub(crate) fn read(file: &str, name: CodeTableName, text: &str, faults: &mut Faults) -> Self {
        let before = faults.count();
        let mut codes = BTreeMap::new();
        for line in csv_file::lines::<Line>(file, text, &["code", "ja", "en", "from", "until"], faults) {
            let place = line.place(file);
            let Line { code, ja, en, from, until } = line.value;
            if code.is_empty() || ja.is_empty() || en.is_empty() {
                faults.say(&place, "code・ja・en は必須です", "code, ja and en must not be empty");
            }
            if matches!((from, until), (Some(first), Some(last)) if last < first) {
                faults.say(&place, "有効期間が逆です", "the period ends before it begins");
            }
            let entry = CodeEntry { label: Bilingual::new(ja, en), from, until };
            if codes.insert(code.clone(), entry).is_some() {
                faults.say(&place, format!("コード {code} が重複しています"), format!("the code {code} is here twice"));
            }
        }
        Self { name, codes, is_whole: faults.count() == before }
    }
}

#[derive(Debug, Deserialize)]
struct Line {
    code: String,
    ja: String,
    en: String,
    from: Option<Date>,
    until: Option<Date>,
}
