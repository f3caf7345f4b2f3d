use crate::sample::{self, CSV, FHIR, IDENTIFIERS, KIND, PMH, POLICY};

fn faults(changes: &[(&str, &str)]) -> Vec<String> {
    match sample::load_with(changes) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(ToString::to_string).collect(),
    }
}

/// Replaces the first place where `from` stands.
fn edit(text: &str, edits: &[(&str, &str)]) -> String {
    edits.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    })
}

#[test]
fn the_sample_has_no_fault() {
    let tables = sample::tables();
    assert_eq!(tables.version(), "test-1");
    assert_eq!(tables.kinds().count(), 1);
    assert_eq!(tables.layouts().count(), 3);
    for name in ["recipient", "urn:recipient", "urn:oid:1.2"] {
        assert_eq!(tables.identifier_system(name).map(|system| system.name.as_str()), Some("recipient"), "{name}");
    }
    assert!(tables.identifier_system("urn:other").is_none());
    assert!(tables.calendar("office").is_some());
    assert_eq!(tables.municipalities().entries().len(), 1);
}

#[test]
fn all_faults_of_all_files_come_in_one_go() {
    let kind = edit(
        KIND,
        &[
            ("business_key = [\"document_number\"]", "business_key = [\"nothing\"]"),
            ("occurrence = \"seen_on\"", "occurrence = \"sex\""),
            ("system = \"recipient\"", "system = \"guesswork\""),
            ("disclosure = \"normal\"", "disclosure = \"secret\""),
            ("example = \"54016027\"", "example = \"5401602\""),
            ("calendar = \"office\"", "calendar = \"beach\""),
            ("code_system = \"sex\"", "code_system = \"gender\""),
            ("key = \"is_deleted\"", "key = \"finding\""),
        ],
    );
    let csv = edit(
        CSV,
        &[
            ("charset = \"cp932\"", "charset = \"cp932\"\nresource_type = \"X\""),
            ("convert = [\"half_width\"]", "convert = [\"sparkle\"]"),
            ("path = \"受給者番号\"", "path = \"負担者番号\""),
            ("field = \"document_number\"", "field = \"no_such_field\""),
            ("convert = [\"era_date\"]", "convert = [\"decimal\"]"),
            ("codes = \"town_sex__sex\"", "codes = \"no__table\""),
        ],
    );
    let fhir = edit(
        FHIR,
        &[
            ("path = \"period.start\"", "path = \"period[\""),
            ("path = \"id(urn:payer)\"", "path = \"nick(urn:payer)\""),
            ("field = \"sex\"", "field = \"weight\""),
        ],
    );
    let policy = edit(
        POLICY,
        &[
            ("    { flow = \"app_reads\", non_disclosure_denies = true },\n", ""),
            ("kinds = [\"visit\"]", "kinds = [\"meeting\"]"),
            ("classes = [\"normal\"]", "classes = [\"odd\"]"),
        ],
    );
    let found = faults(&[
        ("kinds/visit.toml", &kind),
        ("tables/municipal_csv/visit.toml", &csv),
        ("tables/fhir_r4/visit.toml", &fhir),
        ("tables/pmh_api/visit.toml", &edit(PMH, &[("kind = \"visit\"", "kind = \"meeting\"")])),
        ("tables/pmh_api/torn.toml", "version = 1\nkind = [\nlabel = 3 3\n"),
        ("policy/default.toml", &policy),
        ("identifiers.toml", &edit(IDENTIFIERS, &[("urn:oid:1.2\"", "urn:oid:1.2\", \"urn:recipient\"")])),
        (
            "codes/town_sex__sex.csv",
            "from,to,relationship,valid_from,valid_until\n1,man,equivalent,,\n1,male,narrower,,\n",
        ),
        ("codes/rest.csv", "code,label\n"),
        ("municipalities/some.csv", "code,name,kana,prefecture,from,until,successors,folds_to\n442012,x,x,x,,,,\n"),
        ("cases/pmh_api__visit.toml", "version = 1\nlayout = \"pmh_api/nowhere\"\n"),
        ("cases/fhir_r4__visit.toml", CASES),
        ("kind/typo.toml", "version = 1\n"),
    ]);
    let expected: Vec<&str> = EXPECTED.lines().collect();
    assert_eq!(found, expected, "\n{}", found.join("\n"));
}

const CASES: &str = r#"version = 1
layout = "fhir_r4/visit"
[[case]]
name = "a"
direction = "read"
as_of = "2026-06-01"
given_json = "{"
then = { seen_on = "2026-04-20" }
[[case]]
name = "a"
direction = "read"
as_of = "2026-06-01"
given_json = "{}"
then = { no_such_field = "1" }
[[case]]
name = "b"
direction = "sideways"
as_of = "2026-06-01"
[[case]]
name = "c"
direction = "both"
as_of = "2026-06-01"
"#;

const EXPECTED: &str = "\
cases/fhir_r4__visit.toml:3: case[1].given_json: not JSON: EOF while parsing an object at line 1 column 1
cases/fhir_r4__visit.toml:9: case[2].name: a case of this name is here already
cases/fhir_r4__visit.toml:9: case[2].then: there is no field no_such_field
cases/fhir_r4__visit.toml:17: case[3]: unknown variant `sideways`, expected one of `both`, `read`, `write`
cases/fhir_r4__visit.toml:19: case[4].given: given or given_json is needed
cases/fhir_r4__visit.toml:19: case[4].then: either then or refused is needed
cases/pmh_api__visit.toml: layout: the name of the layout is not the name of the file
cases/pmh_api__visit.toml: layout: there is no layout pmh_api/nowhere
codes/rest.csv:1: the header must be code,ja,en,from,until
codes/town_sex__sex.csv:2: to: man is not in codes/sex.csv
codes/town_sex__sex.csv:3: 1 is mapped by line 2 for the same time as well
kind/typo.toml: nothing reads a file at this place
kinds/visit.toml: business_key: there is no field nothing
kinds/visit.toml: deleted: there is no field is_deleted
kinds/visit.toml: occurrence: the field sex has the wrong type
kinds/visit.toml: subject.identifier[2].system: identifiers.toml has no guesswork
kinds/visit.toml:18: field.my_number.disclosure: there is no class secret
kinds/visit.toml:26: field.payer_number.example: has the wrong length
kinds/visit.toml:64: field.answer_by.derived.calendar: there is no calendars/beach.toml
kinds/visit.toml:79: field.sex.code_system: there is no codes/gender.csv
kinds/visit.toml:103: field.finding: finding is here twice
municipalities/some.csv:2: code: 442012: the check digit of the municipality code does not hold
policy/default.toml: flow: AppReads has no line
policy/default.toml:13: rule[1].classes: there is no class odd
policy/default.toml:13: rule[1].kinds: there is no kind meeting
tables/fhir_r4/visit.toml: sex is neither in a [[row]] nor in a [[lost]]
tables/fhir_r4/visit.toml:13: row[1].path: there is no shorthand nick
tables/fhir_r4/visit.toml:26: row[5].path: [ and ] do not match
tables/fhir_r4/visit.toml:39: row[9].field: visit has no field is_deleted
tables/fhir_r4/visit.toml:45: lost[2].field: weight has a row and is not lost
tables/municipal_csv/visit.toml: document_number is neither in a [[row]] nor in a [[lost]]
tables/municipal_csv/visit.toml: resource_type: has no meaning in this format
tables/municipal_csv/visit.toml:11: row[2].convert: there is no converter sparkle
tables/municipal_csv/visit.toml:15: row[3].path: line 11 has the same place
tables/municipal_csv/visit.toml:25: row[5].field: visit has no field no_such_field
tables/municipal_csv/visit.toml:28: row[6].convert: the converters do not lead to the type of the field
tables/municipal_csv/visit.toml:39: row[9].codes: there is no codes/no__table.csv
tables/municipal_csv/visit.toml:53: row[13].field: visit has no field is_deleted
tables/pmh_api/torn.toml:3: unexpected `=` in array, expected value, `]`
tables/pmh_api/visit.toml: kind: there is no kind meeting";

#[test]
fn a_field_says_which_part_it_lacks_and_hides_no_other_fault() {
    let kind = edit(
        KIND,
        &[
            ("disclosure = \"normal\"\n", ""),
            ("label = { ja = \"負担者番号\", en = \"Payer\" }\n", ""),
            (
                "cardinality = \"0..1\"\nlabel = { ja = \"受給者番号\"",
                "cardinality = \"1..3\"\nlabel = { ja = \"受給者番号\"",
            ),
            (
                "type = \"text\"\ncardinality = \"1..1\"\nlabel = { ja = \"団体コード\"",
                "type = \"text\"\ncolour = \"red\"\ncardinality = \"1..1\"\nlabel = { ja = \"団体コード\"",
            ),
            ("retention_years", "keep_years"),
        ],
    );
    let found = faults(&[("kinds/visit.toml", &kind)]);
    let places: Vec<String> = found.iter().map(|fault| fault.chars().take(60).collect()).collect();
    assert_eq!(places.len(), 5, "{}", found.join("\n"));
    for (at, words) in [
        "kinds/visit.toml:7: unknown field `keep_years`",
        "field[1]: missing field `disclosure`",
        "field[2]: missing field `label`",
        "field[3]: unknown variant `1..3`",
        "field[4]: unknown field `colour`",
    ]
    .iter()
    .enumerate()
    {
        assert!(found[at].contains(words), "{}", found[at]);
    }
}

#[test]
fn code_tables_must_be_clear_in_both_directions() {
    let table = |lines: &str| format!("from,to,relationship,valid_from,valid_until\n{lines}");
    for (lines, fault) in [
        ("1,male,equivalent,,\n2,female,equivalent,,\n", None),
        ("1,male,equivalent,,2026-03-31\n1,female,equivalent,2026-04-01,\n", None),
        ("1,male,equivalent,,2026-04-01\n1,female,equivalent,2026-04-01,\n", Some("1 is mapped by line 2")),
        ("1,male,equivalent,,\n2,male,equivalent,,\n", Some("another equivalent for writing male")),
        ("1,male,equivalent,,2026-03-31\n2,male,equivalent,2026-04-01,\n", None),
        ("1,male,equivalent,,\n2,male,narrower,,\n", None),
        ("9,unknown,equivalent,,\n9,male,broader,,\n", None),
        ("9,female,broader,,\n9,male,broader,,\n", Some("several broader")),
        ("1,male,equivalent,2026-04-01,2026-03-31\n", Some("ends before it begins")),
        ("1,male,same,,\n", Some("cannot be read")),
        ("1,male,equivalent\n", Some("cannot be read")),
        (",male,equivalent,,\n", Some("must not be empty")),
        ("1,male,equivalent,2026-04-31,\n", Some("cannot be read")),
    ] {
        let found = faults(&[("codes/x__sex.csv", &table(lines))]);
        match fault {
            None => assert_eq!(found, [""; 0], "{lines}"),
            Some(words) => assert!(found.len() == 1 && found[0].contains(words), "{lines}{found:?}"),
        }
    }
}

#[test]
fn a_broader_pair_is_written_and_read_only_without_a_closer_one() {
    let lines =
        "from,to,relationship,valid_from,valid_until\n9,male,broader,,\n9,unknown,equivalent,,\n8,female,broader,,\n";
    let tables = sample::load_with(&[("codes/x__sex.csv", lines)]).expect("no faults");
    let table = tables.code_tables().find(|table| table.name().as_str() == "x__sex").expect("the table");
    let day = jiff::civil::date(2026, 4, 1);
    assert_eq!((table.read("9", day), table.read("8", day)), (Some("unknown"), Some("female")));
    assert_eq!((table.write("male", day), table.write("unknown", day)), (Some("9"), Some("9")));
}

#[test]
fn names_of_the_same_thing_are_refused_where_one_can_be() {
    let repeated =
        edit(PMH, &[("field = \"weight\"\npath = \"/weight\"\njson = \"number\"", "field = \"sex\"\npath = \"/x\"")]);
    let found = faults(&[("tables/pmh_api/visit.toml", &repeated)]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().any(|fault| fault.contains("sex has a row already")), "{found:?}");
    assert!(found.iter().any(|fault| fault.contains("weight is neither")), "{found:?}");
    let text_only =
        edit(CSV, &[("codes = \"town_sex__sex\"", "codes = \"town_sex__sex\"\nunmapped = \"keep_as_text\"")]);
    assert_eq!(faults(&[("tables/municipal_csv/visit.toml", &text_only)]).len(), 1);
    let default = edit(CSV, &[("convert = [\"era_date\"]", "convert = [\"era_date\"]\ndefault = \"soon\"")]);
    assert_eq!(faults(&[("tables/municipal_csv/visit.toml", &default)]).len(), 1);
    let taken = edit(CSV, &[("path = \"備考\"", "path = \"版\"")]);
    assert_eq!(faults(&[("tables/municipal_csv/visit.toml", &taken)]).len(), 1);
    let twice = edit(IDENTIFIERS, &[("uris = []", "uris = [\"urn:recipient\"]")]);
    assert_eq!(faults(&[("identifiers.toml", &twice)]).len(), 1);
}
