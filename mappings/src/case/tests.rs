use crate::sample;

const GIVEN: &str = r#"{ "payer": "54016027", "recipient": "1", "municipality": "442011", "number": "V-1", "seenOn": "2026-04-20", "answerBy": "2026-05-04", "person": { "myNumber": "123456789018" } }"#;
const THEN: &str = r#"my_number = "123456789018", payer_number = "54016027", recipient_number = "1", municipality_code = "442011", document_number = "V-1", seen_on = "2026-04-20", answer_by = "2026-05-04""#;

/// What one case of the PMH layout of the sample ends with.
fn run(direction: &str, given: &str, rest: &str) -> Vec<String> {
    let file = format!(
        "version = 1\nlayout = \"pmh_api/visit\"\n[[case]]\nname = \"one\"\ndirection = \"{direction}\"\n\
         as_of = \"2026-06-01\"\ngiven_json = '''{given}'''\n{rest}\n"
    );
    let tables = sample::load_with(&[("cases/pmh_api__visit.toml", &file)]).expect("no faults");
    tables.run_cases().into_iter().map(|failure| failure.reason).collect()
}

#[test]
fn a_case_that_holds_says_nothing() {
    for direction in ["read", "write", "both"] {
        assert_eq!(run(direction, GIVEN, &format!("then = {{ {THEN} }}")), [""; 0], "{direction}");
    }
    let refused = r#"refused = [{ column = "/seenOn", code = "incomplete" }]"#;
    assert_eq!(run("read", &GIVEN.replace("2026-04-20", ""), refused), [""; 0]);
    let warned = r#"warned = [{ column = "/payer", code = "check_digit" }]"#;
    let sample = |text: &str| text.replace("54016027", "87654321");
    assert_eq!(run("read", &sample(GIVEN), &format!("then = {{ {} }}\n{warned}", sample(THEN))), [""; 0]);
}

#[test]
fn a_case_that_does_not_hold_says_what_differs() {
    let then = |from: &str, to: &str| format!("then = {{ {} }}", THEN.replace(from, to));
    for (direction, given, rest, reason) in [
        ("read", GIVEN.to_owned(), then("\"V-1\"", "\"V-2\""), "document_number is [\"V-1\"], not [\"V-2\"]"),
        ("read", GIVEN.to_owned(), then("seen_on", "birth_date"), "seen_on is"),
        ("read", GIVEN.to_owned(), then("\"V-1\"", "\"V-1\", sex = \"male\""), "sex is missing"),
        ("read", GIVEN.to_owned(), then("018", "019"), "my_number is"),
        ("read", GIVEN.replace("V-1", ""), then("x", "x"), "refused with [/number incomplete], not []"),
        ("read", GIVEN.to_owned(), "refused = [{ column = \"/number\", code = \"unmapped\" }]".to_owned(), "accepted"),
        (
            "read",
            GIVEN.to_owned(),
            then("x", "x") + "\nwarned = [{ column = \"/payer\", code = \"check_digit\" }]",
            "warned of []",
        ),
        ("write", GIVEN.replace("V-1", "V-2"), then("x", "x"), "/number is \"V-1\", not \"V-2\""),
        ("write", GIVEN.replace("\"number\": \"V-1\", ", ""), then("x", "x"), "/number should not be there"),
        ("write", GIVEN.replace("{ \"payer\"", "{ \"extra\": 1, \"payer\""), then("x", "x"), "/extra is missing"),
    ] {
        let failures = run(direction, &given, &rest);
        assert!(failures.len() == 1 && failures[0].contains(reason), "{reason}: {failures:?}");
    }
    assert_eq!(run("both", &GIVEN.replace("V-1", "V-2"), &then("x", "x")).len(), 2, "one for each direction");
}
