use super::*;
use crate::sample::{context, layout, line, tables};

fn step<'a>(steps: &'a [Step], path: &str) -> &'a Step {
    steps.iter().find(|step| step.path == path).unwrap_or_else(|| panic!("no step at {path}"))
}

#[test]
fn each_stage_is_shown() {
    let tables = tables();
    let document = line(&[
        ("個人番号", "123456789018"),
        ("番号", "V-1"),
        ("受診日", "平成31年5月1日"),
        ("生年月日", "2025-12-20"),
        ("性別", "2"),
        ("体重g", " 3250 "),
    ]);
    let steps = tables.explain(layout(&tables, "municipal_csv/visit"), &document, &context());

    let sex = step(&steps, "性別");
    assert_eq!(sex.field.as_ref().map(ToString::to_string).as_deref(), Some("sex"));
    assert_eq!((sex.cell.as_deref(), sex.converted.as_deref()), (Some("2"), Some("2")));
    assert_eq!((sex.code.as_deref(), sex.value.as_deref()), (Some("female"), Some("female")));
    let weight = step(&steps, "体重g");
    assert_eq!((weight.cell.as_deref(), weight.converted.as_deref()), (Some(" 3250 "), Some("3.250")));
    let seen = step(&steps, "受診日");
    assert_eq!(seen.value.as_deref(), Some("2019-05-01"));
    assert_eq!(seen.warnings.len(), 1);
    let default = step(&steps, "団体");
    assert_eq!((default.cell.as_deref(), default.value.as_deref()), (None, Some("442011")));
    assert_eq!(step(&steps, "所見1").value, None);
    let derived = steps.iter().find(|step| step.field.as_ref().is_some_and(|key| key.as_str() == "answer_by"));
    assert_eq!(derived.and_then(|step| step.value.as_deref()), Some("2019-05-14"));
    assert_eq!(step(&steps, "個人番号").cell.as_deref(), Some("[redacted]"));
    assert!(!format!("{steps:?}").contains("123456789018"));
}

#[test]
fn faults_stand_where_they_are() {
    let tables = tables();
    let document = line(&[("番号", "V-1"), ("性別", "9"), ("受診日", "2026-04-20"), ("生年月日", "2025-12-20")]);
    let steps = tables.explain(layout(&tables, "municipal_csv/visit"), &document, &context());
    let sex = step(&steps, "性別");
    assert_eq!((sex.converted.as_deref(), sex.code.as_deref(), sex.faults.len()), (Some("9"), None, 1));
    assert_eq!(step(&steps, "").faults.len(), 1, "nothing names the subject");
    assert_eq!(steps.iter().map(|step| step.faults.len()).sum::<usize>(), 2);
}
