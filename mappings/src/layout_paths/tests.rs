use crate::sample::{self, CSV, FHIR, PMH};

/// The faults of a layout of the sample after one edit.
fn faults(file: &str, text: &str, from: &str, to: &str) -> Vec<String> {
    assert!(text.contains(from), "{from}");
    let edited = text.replacen(from, to, 1);
    match sample::load_with(&[(file, &edited)]) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(|fault| fault.reason.en.clone()).collect(),
    }
}

fn csv(from: &str, to: &str) -> Vec<String> {
    faults("tables/municipal_csv/visit.toml", CSV, from, to)
}

fn pmh(from: &str, to: &str) -> Vec<String> {
    faults("tables/pmh_api/visit.toml", PMH, from, to)
}

fn fhir(from: &str, to: &str) -> Vec<String> {
    faults("tables/fhir_r4/visit.toml", FHIR, from, to)
}

#[test]
fn one_place_inside_another_cannot_be_written() {
    let inside =
        |line: u32| format!("one of this place and that of line {line} is inside the other: both cannot be written");
    assert_eq!(pmh("\"/payer\"", "\"/person\""), [inside(6), inside(9), inside(9)]);
    assert_eq!(pmh("\"/weight\"", "\"/person/sex/weight\""), [inside(30)]);
    assert_eq!(fhir("path = \"period.start\"", "path = \"resourceType.start\""), [inside(10)]);
}

#[test]
fn one_place_may_be_spelled_in_several_ways() {
    let same = |line: u32| format!("line {line} has the same place");
    assert_eq!(pmh("\"/recipient\"", "\"/payer\""), [same(9)]);
    // With the shorthand written out, and with the conditions in another order.
    assert_eq!(fhir("\"id(urn:recipient)\"", "\"identifier[system=urn:payer].value\""), [same(13)]);
    let two = FHIR.replacen("\"weight[unit=kg].value\"", "\"w[a=1][b=2].v\"", 1);
    assert_eq!(faults("tables/fhir_r4/visit.toml", &two, "\"period.start\"", "\"w[b=2][a=1].v\""), [same(26)]);
}

#[test]
fn a_place_that_is_read_for_something_else_is_no_other_place() {
    let read = |line: u32| format!("line {line} reads this place already");
    assert_eq!(fhir("also = [\"id(urn:oid:payer)\"]", "also = [\"id(urn:document)\"]"), [read(23)]);
    assert_eq!(fhir("also = [\"id(urn:oid:payer)\"]", "also = [\"id(urn:payer)\"]"), [read(13)]);
    assert_eq!(csv("path = \"受診日\"", "path = \"受診日\"\nalso = [\"団体\"]"), [read(20)]);
}

#[test]
fn what_has_no_effect_is_reported() {
    assert_eq!(
        csv("path = \"備考\"", "path = \"備考\"\n[[ignored]]\npath = \"備考\""),
        ["line 55 names the same column"]
    );
    assert_eq!(
        csv("default = \"442011\"", "default = \"442011\"\nrequired = true"),
        ["the row has a default and can never be missing"]
    );
    let list =
        "code,ja,en,from,until\nfemale,女,female,2026-04-01,2026-03-31\nmale,男,male,,\nunknown,不明,unknown,,\n";
    let faults = sample::load_with(&[("codes/sex.csv", list)]).expect_err("a fault");
    assert_eq!(faults[0].to_string(), "codes/sex.csv:2: the period ends before it begins");
    let table =
        "from,to,relationship,valid_from,valid_until\n1,male,equivalent,,\n1,male,broader,,\n2,female,equivalent,,\n";
    let faults = sample::load_with(&[("codes/town_sex__sex.csv", table)]).expect_err("a fault");
    assert_eq!(faults[0].to_string(), "codes/town_sex__sex.csv:3: line 2 has the same pair for the same time");
}

/// A column that is read in place of another is known, whatever it is called.
#[test]
fn a_column_read_in_place_of_another_is_known() {
    let csv = CSV.replacen("path = \"受診日\"", "path = \"受診日\"\nalso = [\"診察日\"]", 1);
    let tables = sample::load_with(&[("tables/municipal_csv/visit.toml", &csv)]).expect("no faults");
    let layout = sample::layout(&tables, "municipal_csv/visit");
    let line = sample::line(&[("診察日", "R8.4.20"), ("所見3", "x")]);
    assert_eq!(layout.unknown_columns(&line), ["所見3"]);
}
