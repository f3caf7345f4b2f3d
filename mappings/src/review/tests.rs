use crate::sample;
use crate::tables::Tables;

fn said(tables: &Tables) -> Vec<String> {
    tables.review().iter().map(ToString::to_string).collect()
}

#[test]
fn the_built_in_set_has_nothing_idle() {
    let tables = Tables::builtin().expect("built-in tables");
    assert_eq!(said(&tables), Vec::<String>::new());
}

#[test]
fn a_code_that_nothing_leads_to_is_reported() {
    let sex =
        "code,ja,en,from,until\nfemale,女,female,,\nmale,男,male,,\nother,その他,other,,\nunknown,不明,unknown,,\n";
    // The sample's other layout reads the hub's own codes, so that every code can come in by it.
    let tables = sample::load_with(&[("codes/sex.csv", sex)]).expect("no faults");
    assert_eq!(said(&tables), Vec::<String>::new());
    let pmh = sample::PMH.replace("path = \"/person/sex\"", "path = \"/person/sex\"\ncodes = \"town_sex__sex\"");
    let tables = sample::load_with(&[("codes/sex.csv", sex), ("tables/pmh_api/visit.toml", &pmh)]).expect("no faults");
    let wanted = "codes/sex.csv: other: other can never come in: no code table of any layout leads to it";
    assert_eq!(said(&tables), [wanted]);
}

#[test]
fn a_list_without_a_field_is_reported() {
    let tables = sample::load_with(&[("codes/blood.csv", "code,ja,en,from,until\na,A,A,,\n")]).expect("no faults");
    assert_eq!(said(&tables), ["codes/blood.csv: no field of any kind uses this code list"]);
}

#[test]
fn a_pair_that_is_never_used_is_reported() {
    let table = |lines: &str| format!("from,to,relationship,valid_from,valid_until\n{lines}");
    for (lines, idle) in [
        // Reading takes the exact pair, writing the equivalent one.
        ("1,male,equivalent,,\n2,female,equivalent,,\n1,female,broader,,\n", Some(4)),
        // After the equivalent pair has ended it is written.
        ("1,male,equivalent,,\n2,female,equivalent,,2026-03-31\n1,female,broader,,\n", None),
        // Read though never written.
        ("1,male,equivalent,,\n2,female,equivalent,,\n3,female,narrower,,\n", None),
        // Hidden only on some of its days.
        ("1,male,equivalent,,2026-03-31\n1,female,broader,2026-03-01,2026-06-30\n2,female,equivalent,,\n", None),
        ("1,male,equivalent,,2026-06-30\n1,female,broader,2026-03-01,2026-06-30\n2,female,equivalent,,\n", Some(3)),
    ] {
        let tables = sample::load_with(&[("codes/town_sex__sex.csv", &table(lines))]).expect("no faults");
        let lines: Vec<_> = tables.review().into_iter().map(|fault| fault.line).collect();
        assert_eq!(lines, idle.map(Some).into_iter().collect::<Vec<_>>());
    }
}
