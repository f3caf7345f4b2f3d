//! `tables/<format>/<layout>.toml` as written.

use std::collections::BTreeMap;

use serde::Deserialize;
use tsunagi_core::document::Node;
use tsunagi_core::fault::Bilingual;
use tsunagi_core::id::{CodeTableName, FieldKey, FormatName, KindName};

use crate::fault::Faults;
use crate::layout::Scalar;
use crate::toml_file::{Entry, SyntaxVersion, TomlFile};

/// One file, its lists with their lines.
#[derive(Debug)]
pub(crate) struct LayoutFile {
    pub(crate) head: Head,
    pub(crate) matches: Vec<Entry<RawMatch>>,
    pub(crate) constants: Vec<Entry<RawConstant>>,
    pub(crate) rows: Vec<Entry<RawRow>>,
    pub(crate) lost: Vec<Entry<RawLost>>,
    pub(crate) ignored: Vec<Entry<RawIgnored>>,
    /// Every `[[row]]` and `[[lost]]` could be read: coverage can be judged.
    pub(crate) is_whole: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Head {
    #[serde(rename = "version")]
    _version: SyntaxVersion,
    pub(crate) kind: KindName,
    pub(crate) label: Bilingual,
    pub(crate) format: FormatName,
    pub(crate) charset: Option<Charset>,
    pub(crate) newline: Option<Newline>,
    pub(crate) shrink: Option<String>,
    pub(crate) resource_type: Option<String>,
    #[serde(default)]
    pub(crate) serves: Vec<String>,
    pub(crate) domain: Option<String>,
    #[serde(default)]
    pub(crate) shorthand: BTreeMap<String, String>,
}

/// The charsets that municipal files come in.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Charset {
    Cp932,
    #[serde(rename = "iso-2022-jp")]
    Iso2022Jp,
    #[serde(rename = "utf-8")]
    Utf8,
    #[serde(rename = "utf-8-bom")]
    Utf8Bom,
}

impl Charset {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Cp932 => "cp932",
            Self::Iso2022Jp => "iso-2022-jp",
            Self::Utf8 => "utf-8",
            Self::Utf8Bom => "utf-8-bom",
        }
    }
}

/// How lines end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Newline {
    Crlf,
    Lf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawMatch {
    pub(crate) path: String,
    pub(crate) equals: Plain,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawConstant {
    pub(crate) path: String,
    pub(crate) value: Plain,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRow {
    pub(crate) field: FieldKey,
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) also: Vec<String>,
    pub(crate) convert: Option<Vec<String>>,
    pub(crate) codes: Option<CodeTableName>,
    #[serde(default)]
    pub(crate) unmapped: Unmapped,
    pub(crate) default: Option<String>,
    #[serde(default)]
    pub(crate) required: bool,
    pub(crate) json: Option<Scalar>,
}

/// What happens to a code that no table covers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unmapped {
    KeepAsText,
    #[default]
    Refuse,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawLost {
    pub(crate) field: FieldKey,
    pub(crate) reason: Bilingual,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawIgnored {
    pub(crate) path: String,
}

/// A string, bool or integer of TOML.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "a string, true, false or a whole number")]
pub(crate) enum Plain {
    Bool(bool),
    Integer(i64),
    Text(String),
}

impl Plain {
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Bool(flag) => flag.to_string(),
            Self::Integer(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }

    pub(crate) fn node(&self) -> Node {
        match self {
            Self::Bool(flag) => Node::Bool(*flag),
            Self::Integer(number) => Node::Number(number.to_string()),
            Self::Text(text) => Node::Text(text.clone()),
        }
    }
}

pub(crate) fn read(file: &str, text: &str, faults: &mut Faults) -> Option<LayoutFile> {
    let mut toml = TomlFile::parse(file, text, faults)?;
    let before = faults.count();
    let rows = toml.list("row", faults);
    let lost = toml.list("lost", faults);
    let is_whole = faults.count() == before;
    let matches = toml.list("match", faults);
    let constants = toml.list("constant", faults);
    let ignored = toml.list("ignored", faults);
    let head = toml.head(faults)?;
    Some(LayoutFile { head, matches, constants, rows, lost, ignored, is_whole })
}
