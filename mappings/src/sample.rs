//! A small set of tables for the tests of the engine: one kind, one layout of each format.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::date;
use tsunagi_core::document::{Content, Document, Row};
use tsunagi_core::fault::RowFault;
use tsunagi_core::id::LayoutId;

use crate::canonicalize::Context;
use crate::fault::{Faults, TableFault};
use crate::json;
use crate::layout::Layout;
use crate::load;
use crate::source::Files;
use crate::tables::Tables;

pub(crate) const FILES: &[(&str, &str)] = &[
    ("kinds/visit.toml", KIND),
    ("tables/municipal_csv/visit.toml", CSV),
    ("tables/pmh_api/visit.toml", PMH),
    ("tables/fhir_r4/visit.toml", FHIR),
    ("codes/sex.csv", "code,ja,en,from,until\nfemale,女,female,,\nmale,男,male,,\nunknown,不明,unknown,,\n"),
    (
        "codes/town_sex__sex.csv",
        "from,to,relationship,valid_from,valid_until\n1,male,equivalent,,\n2,female,equivalent,,2026-06-30\n\
         F,female,equivalent,2026-07-01,\n3,unknown,narrower,,\n",
    ),
    ("policy/default.toml", POLICY),
    ("identifiers.toml", IDENTIFIERS),
    (
        "municipalities/some.csv",
        "code,name,kana,prefecture,from,until,successors,folds_to\n442011,大分市,おおいたし,大分県,,,,\n",
    ),
    (
        "calendars/office.toml",
        "version = 1\nclosed_weekdays = [\"saturday\", \"sunday\"]\nclosed_yearly = [\"12-29\"]\nholidays = [\"2026-05-06\"]\n",
    ),
];

pub(crate) const KIND: &str = r#"version = 1
kind = "visit"
label = { ja = "受診", en = "Visit" }
business_key = ["document_number"]
occurrence = "seen_on"
responsible = "municipality_code"
retention_years = 5
deleted = "is_deleted"
[subject]
created_by = ["municipality"]
birth_date = "birth_date"
[[subject.identifier]]
system = "my_number"
fields = ["my_number"]
[[subject.identifier]]
system = "recipient"
fields = ["payer_number", "recipient_number"]
[[field]]
key = "my_number"
type = "my_number"
cardinality = "0..1"
label = { ja = "個人番号", en = "Individual number" }
disclosure = "normal"
example = "123456789018"
identifier = { min_length = 12, max_length = 12, digits_only = true, check_digit = "my_number" }
[[field]]
key = "payer_number"
type = "text"
cardinality = "0..1"
label = { ja = "負担者番号", en = "Payer" }
disclosure = "normal"
example = "54016027"
identifier = { min_length = 8, max_length = 8, digits_only = true, check_digit = "modulus10" }
[[field]]
key = "recipient_number"
type = "text"
cardinality = "0..1"
label = { ja = "受給者番号", en = "Recipient" }
disclosure = "normal"
example = "1234566"
max_length = 30
[[field]]
key = "municipality_code"
type = "text"
cardinality = "1..1"
label = { ja = "団体コード", en = "Municipality" }
disclosure = "normal"
example = "442011"
identifier = { min_length = 6, max_length = 6, digits_only = true, check_digit = "local_government" }
[[field]]
key = "document_number"
type = "text"
cardinality = "1..1"
label = { ja = "文書番号", en = "Document number" }
disclosure = "normal"
example = "V-1"
[[field]]
key = "seen_on"
type = "date"
cardinality = "1..1"
label = { ja = "受診日", en = "Seen on" }
disclosure = "normal"
example = "2026-04-20"
[[field]]
key = "answer_by"
type = "date"
cardinality = "0..1"
label = { ja = "回答期限", en = "Answer by" }
disclosure = "normal"
example = "2026-05-07"
derived = { rule = "deadline", from = "seen_on", days = 14, calendar = "office" }
[[field]]
key = "birth_date"
type = "date"
cardinality = "0..1"
label = { ja = "生年月日", en = "Date of birth" }
disclosure = "normal"
example = "2025-12-20"
[[field]]
key = "sex"
type = "code"
code_system = "sex"
cardinality = "0..1"
label = { ja = "性別", en = "Sex" }
disclosure = "normal"
example = "male"
[[field]]
key = "weight"
type = "decimal"
unit = "kg"
cardinality = "0..1"
label = { ja = "体重", en = "Weight" }
disclosure = "normal"
example = "3.250"
[[field]]
key = "finding"
type = "text"
cardinality = "0..*"
label = { ja = "所見", en = "Finding" }
disclosure = "normal"
example = "湿疹"
max_length = 5
[[field]]
key = "is_deleted"
type = "bool"
cardinality = "0..1"
label = { ja = "削除", en = "Deleted" }
disclosure = "normal"
example = "false"
"#;

pub(crate) const CSV: &str = r#"version = 1
kind = "visit"
label = { ja = "受診CSV", en = "Visits, CSV" }
format = "municipal_csv"
charset = "cp932"
newline = "crlf"
[[row]]
field = "my_number"
path = "個人番号"
[[row]]
field = "payer_number"
path = "負担者番号"
convert = ["half_width"]
[[row]]
field = "recipient_number"
path = "受給者番号"
[[constant]]
path = "版"
value = 2
[[row]]
field = "municipality_code"
path = "団体"
default = "442011"
[[row]]
field = "document_number"
path = "番号"
[[row]]
field = "seen_on"
path = "受診日"
convert = ["era_date"]
[[row]]
field = "answer_by"
path = "期限"
[[row]]
field = "birth_date"
path = "生年月日"
required = true
[[row]]
field = "sex"
path = "性別"
codes = "town_sex__sex"
[[row]]
field = "weight"
path = "体重g"
convert = ["trim", "quantity(g,kg)"]
[[row]]
field = "finding"
path = "所見1"
[[row]]
field = "finding"
path = "所見2"
[[row]]
field = "is_deleted"
path = "削除"
[[ignored]]
path = "備考"
"#;

pub(crate) const PMH: &str = r#"version = 1
kind = "visit"
label = { ja = "受診JSON", en = "Visits, JSON" }
format = "pmh_api"
domain = "visit"
[[row]]
field = "my_number"
path = "/person/myNumber"
[[row]]
field = "payer_number"
path = "/payer"
[[row]]
field = "recipient_number"
path = "/recipient"
[[row]]
field = "municipality_code"
path = "/municipality"
[[row]]
field = "document_number"
path = "/number"
[[row]]
field = "seen_on"
path = "/seenOn"
[[row]]
field = "answer_by"
path = "/answerBy"
[[row]]
field = "birth_date"
path = "/person/birth"
[[row]]
field = "sex"
path = "/person/sex"
[[row]]
field = "weight"
path = "/weight"
json = "number"
[[row]]
field = "finding"
path = "/findings"
[[row]]
field = "is_deleted"
path = "/isDeleted"
"#;

pub(crate) const FHIR: &str = r#"version = 1
kind = "visit"
label = { ja = "受診FHIR", en = "Visits, FHIR" }
format = "fhir_r4"
resource_type = "Encounter"
serves = ["Encounter"]
match = [{ path = "resourceType", equals = "Encounter" }]
[shorthand]
id = 'identifier[system={}].value'
[[constant]]
path = "resourceType"
value = "Encounter"
[[row]]
field = "payer_number"
path = "id(urn:payer)"
also = ["id(urn:oid:payer)"]
[[row]]
field = "recipient_number"
path = "id(urn:recipient)"
[[row]]
field = "municipality_code"
path = "id(urn:municipality)"
[[row]]
field = "document_number"
path = "id(urn:document)"
[[row]]
field = "seen_on"
path = "period.start"
[[row]]
field = "birth_date"
path = "[ext:urn:birth].valueDate"
[[row]]
field = "weight"
path = "weight[unit=kg].value"
json = "number"
[[row]]
field = "finding"
path = "reason[kind=finding].text"
[[row]]
field = "is_deleted"
path = "[ext:urn:deleted].valueBoolean"
[[lost]]
field = "my_number"
reason = { ja = "扱えない", en = "not allowed" }
[[lost]]
field = "sex"
reason = { ja = "要素がない", en = "no element" }
[[lost]]
field = "answer_by"
reason = { ja = "要素がない", en = "no element" }
"#;

pub(crate) const POLICY: &str = r#"version = "test-1"
proxy_ends_at_age = 18
attested_consent_hours = 24
class = [{ name = "normal", label = { ja = "通常", en = "normal" } }]
flow = [
    { flow = "app_reads", non_disclosure_denies = true },
    { flow = "delivery_to_municipality", non_disclosure_denies = false },
    { flow = "hospital_reads", non_disclosure_denies = true },
    { flow = "hospital_reports", non_disclosure_denies = false },
    { flow = "municipality_reads", non_disclosure_denies = false },
    { flow = "municipality_registers", non_disclosure_denies = false },
    { flow = "municipality_requests", non_disclosure_denies = true },
]
rule = [{ id = "r1", flow = "app_reads", kinds = ["visit"], classes = ["normal"], effect = "consent" }]
"#;

pub(crate) const IDENTIFIERS: &str = r#"version = 1
[[system]]
name = "my_number"
label = { ja = "個人番号", en = "Individual number" }
uris = []
[[system]]
name = "recipient"
label = { ja = "受給者", en = "Recipient" }
uris = ["urn:recipient", "urn:oid:1.2"]
"#;

/// Loads the set with some files replaced or added.
pub(crate) fn load_with(changes: &[(&str, &str)]) -> Result<Tables, Vec<TableFault>> {
    let mut files: BTreeMap<&str, &str> = FILES.iter().copied().collect();
    files.extend(changes.iter().copied());
    let files: Vec<(&str, &str)> = files.into_iter().collect();
    load::load(&Files::of(&files), Faults::default())
}

pub(crate) fn tables() -> Tables {
    load_with(&[]).unwrap_or_else(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        panic!("{}", faults.join("\n"))
    })
}

pub(crate) fn layout<'a>(tables: &'a Tables, id: &str) -> &'a Layout {
    tables.layout(&LayoutId::parse(id).expect("an id")).expect("a layout")
}

pub(crate) fn line(cells: &[(&str, &str)]) -> Document {
    let (columns, cells) = cells.iter().map(|(column, cell)| ((*column).to_owned(), (*cell).to_owned())).unzip();
    Document { row: 7, content: Content::Row(Row { columns: Arc::new(columns), cells }) }
}

pub(crate) fn tree(text: &str) -> Document {
    Document { row: 7, content: Content::Tree(json::parse(text).expect("JSON")) }
}

pub(crate) fn context() -> Context {
    Context { today: date(2026, 6, 1), check_digits_are_errors: false }
}

/// Faults as `column code`.
pub(crate) fn codes(faults: &[RowFault]) -> Vec<String> {
    faults.iter().map(|fault| format!("{} {}", fault.column, fault.code.as_str())).collect()
}
