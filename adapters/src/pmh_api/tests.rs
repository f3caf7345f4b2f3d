use proptest::prelude::*;
use tsunagi_core::delivery::Outcome;
use tsunagi_core::document::{Content, Document, Node};
use tsunagi_core::fault::RowCode;

use super::PmhApi;
use crate::contract::{self, Sample, adapter_contract, bare_shape, json_members, json_node};
use crate::plug::{Adapter, Envelope, Reply};

const SUBSIDY: Sample = (include_bytes!("../../fixtures/pmh_api/subsidy_registration.json"), Some("UTF-8"));
const HISTORY: Sample = (include_bytes!("../../fixtures/pmh_api/subsidy_history.json"), None);
const CHECKUP: Sample = (include_bytes!("../../fixtures/pmh_api/municipal_checkup_registration.json"), None);

adapter_contract! {
    adapter: PmhApi,
    fixtures: [SUBSIDY, HISTORY, CHECKUP],
    documents: proptest::collection::vec(json_members(json_node()), 0..5).prop_map(objects),
    shape: |_: &[Document]| bare_shape(Envelope::Batch),
    broken: [
        (br#"{"myNumber":"himitsu"}"#, None),
        (br#"["himitsu",{}]"#, None),
        (br#"[{"name":"himitsu"]"#, None),
        (br#"[{"himitsu":1,"himitsu":2}]"#, None),
        (b"[{\"name\":\"himitsu\xff\"}]", None),
        (br#"[{"name":"himitsu"}]"#, Some("shift_jis")),
    ],
}

fn objects(objects: Vec<Vec<(String, Node)>>) -> Vec<Document> {
    let document = |(row, members)| Document { row, content: Content::Tree(Node::Map(members)) };
    (1..).zip(objects).map(document).collect()
}

#[test]
fn values_keep_their_types_and_spelling() {
    let rows = contract::documents(&PmhApi, SUBSIDY.0, SUBSIDY.1);
    let Content::Tree(first) = &rows[0].content else { panic!("a tree") };
    assert_eq!(first.member("isNotDisclosed"), Some(&Node::Bool(false)));
    assert_eq!(first.member("isAlwaysReimbursement"), Some(&Node::Text("0".to_owned())));
    let checkups = contract::documents(&PmhApi, CHECKUP.0, CHECKUP.1);
    let Content::Tree(first) = &checkups[0].content else { panic!("a tree") };
    let Some(Node::List(list)) = first.member("checkups") else { panic!("a list") };
    assert_eq!(list[0].member("weightKg"), Some(&Node::Number("14.250".to_owned())));
}

#[test]
fn an_element_that_is_no_object_is_refused_alone() {
    let rows = contract::decode(&PmhApi, br#"[{"a":1},[],null,{}]"#, None).unwrap();
    let refused: Vec<_> =
        rows.iter().filter_map(|row| row.as_ref().err()).map(|fault| (fault.row, fault.code)).collect();
    assert_eq!(refused, [(2, RowCode::Malformed), (3, RowCode::Malformed)]);
    assert_eq!(rows[3].as_ref().unwrap().row, 4);
    assert!(contract::documents(&PmhApi, b"[]", None).is_empty());
}

#[test]
fn one_document_is_an_array_of_one_and_text_is_compact() {
    let members =
        vec![("b".to_owned(), Node::Number("1.0".to_owned())), ("a".to_owned(), Node::Text("改\n行".to_owned()))];
    for envelope in [Envelope::Single, Envelope::Batch] {
        let bytes = PmhApi.encode(&objects(vec![members.clone()]), &bare_shape(envelope)).unwrap();
        assert_eq!(bytes, r#"[{"b":1.0,"a":"改\n行"}]"#.as_bytes());
    }
    let wrong = vec![("n".to_owned(), Node::Number("twelve".to_owned()))];
    let faults = PmhApi.encode(&objects(vec![members, wrong]), &bare_shape(Envelope::Batch)).unwrap_err();
    assert!(matches!(faults.as_slice(), [one] if one.row == 2 && !format!("{one:?}").contains("twelve")));
}

#[test]
fn an_error_in_the_body_outweighs_a_2xx() {
    let interpret =
        |status, body: &str| PmhApi.interpret(&Reply { status, retry_after_secs: None, bytes: body.as_bytes() });
    assert_eq!(interpret(202, r#"{"results":[]}"#), Outcome::Delivered);
    let issue = |severity: &str, code: &str| {
        format!(r#"{{"resourceType":"OperationOutcome","issue":[{{"severity":"{severity}","code":"{code}"}}]}}"#)
    };
    assert_eq!(interpret(200, &issue("information", "informational")), Outcome::Delivered);
    assert_eq!(interpret(200, &issue("fatal", "invalid")), Outcome::Rejected { code: "invalid".to_owned() });
    assert_eq!(interpret(200, &issue("error", "")), Outcome::Rejected { code: "http_200".to_owned() });
    assert_eq!(interpret(200, &issue("error", "timeout")), Outcome::Retry { after_secs: None });
}
