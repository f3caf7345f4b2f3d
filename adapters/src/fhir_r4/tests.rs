use proptest::prelude::*;
use tsunagi_core::delivery::Outcome;
use tsunagi_core::document::{Content, Document, Node};
use tsunagi_core::fault::RowCode;

use super::FhirR4;
use crate::contract::{self, Sample, adapter_contract, bare_shape, json_members, json_node};
use crate::plug::{Adapter, Envelope, Reply};

const IMMUNIZATION: Sample = (include_bytes!("../../fixtures/fhir_r4/immunization.json"), None);
const BATCH: Sample = (include_bytes!("../../fixtures/fhir_r4/immunization_batch.json"), Some("UTF-8"));
const REPORT: Sample = (include_bytes!("../../fixtures/fhir_r4/infant_checkup_document.json"), None);

adapter_contract! {
    adapter: FhirR4,
    fixtures: [IMMUNIZATION, BATCH, REPORT],
    documents: proptest::collection::vec(resource(), 0..5).prop_map(documents),
    shape: |_: &[Document]| bare_shape(Envelope::Batch),
    broken: [
        (br#"{"id":"himitsu"}"#, None),
        (br#"["himitsu"]"#, None),
        (br#"{"resourceType":"Bundle","type":"himitsu"}"#, None),
        (br#"{"resourceType":"Bundle","type":"batch","entry":"himitsu"}"#, None),
        (br#"{"resourceType":"Bundle","type":"batch","entry":[{"fullUrl":"himitsu"},{"resource":{"id":"himitsu"}}]}"#, None),
        (br#"{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"himitsu"}}]}"#, None),
        (br#"{"resourceType":"Patient","himitsu":1,"himitsu":2}"#, None),
        (br#"{"resourceType":"Patient","id":"himitsu"}"#, Some("cp932")),
    ],
}

fn resource() -> impl Strategy<Value = Node> {
    ("[A-Z][a-z]{2,8}", json_members(json_node())).prop_map(|(name, mut members)| {
        members.retain(|(name, _)| name != "resourceType");
        members.insert(members.len() / 2, ("resourceType".to_owned(), Node::Text(name)));
        Node::Map(members)
    })
}

fn documents(nodes: Vec<Node>) -> Vec<Document> {
    (1..).zip(nodes).map(|(row, node)| Document { row, content: Content::Tree(node) }).collect()
}

fn read(text: &str) -> Vec<Document> {
    contract::documents(&FhirR4, text.as_bytes(), None)
}

fn encoded(documents: &[Document], envelope: Envelope) -> String {
    String::from_utf8(FhirR4.encode(documents, &bare_shape(envelope)).unwrap()).unwrap()
}

fn search(resource_type: &str) -> Envelope {
    Envelope::Search { resource_type: resource_type.to_owned() }
}

#[test]
fn a_resource_and_a_document_bundle_are_one_document_each() {
    for (bytes, charset) in [IMMUNIZATION, REPORT] {
        let read = contract::documents(&FhirR4, bytes, charset);
        assert_eq!(read.len(), 1);
        let single = encoded(&read, Envelope::Single);
        assert_eq!(contract::documents(&FhirR4, single.as_bytes(), None), read);
        let spaceless = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        let given = std::str::from_utf8(bytes).unwrap();
        assert_eq!(spaceless(&single), spaceless(given), "order of members and spelling of numbers");
    }
    assert_eq!(contract::documents(&FhirR4, BATCH.0, BATCH.1).len(), 2);
}

#[test]
fn entries_answer_for_themselves() {
    for kind in ["batch", "transaction", "searchset", "collection"] {
        let entries = r#"{"resource":{"resourceType":"A"},"request":{"method":"POST","url":"A"}},
            {"resource":{"resourceType":"B"},"request":{"method":"DELETE","url":"B/1"}},
            {"request":{"method":"PUT","url":"C/1"}},
            {"resource":{"id":"d"}},
            {"resource":{"resourceType":"E"},"request":{"url":"E"}},
            "F",
            {"resource":{"resourceType":"Bundle","type":"document"}}"#;
        let bundle = format!(r#"{{"resourceType":"Bundle","type":"{kind}","entry":[{entries}]}}"#);
        let rows = contract::decode(&FhirR4, bundle.as_bytes(), None).unwrap();
        let read: Vec<u64> = rows.iter().filter_map(|row| row.as_ref().ok()).map(|document| document.row).collect();
        assert_eq!(read, [1, 7]);
        let faults = rows.iter().filter_map(|row| row.as_ref().err());
        let places: Vec<_> = faults.map(|fault| (fault.row, fault.column.as_str(), fault.code)).collect();
        let malformed = |row, column| (row, column, RowCode::Malformed);
        let expected = [
            malformed(2, "entry.request.method"),
            malformed(3, "entry.resource"),
            malformed(4, "entry.resource.resourceType"),
            malformed(5, "entry.request.method"),
            malformed(6, "entry.resource"),
        ];
        assert_eq!(places, expected);
    }
}

#[test]
fn characters_of_every_plane_pass_as_they_are() {
    for name in ["𠮷岡", "辻\u{E0100}", "名\u{10DE92}", "\u{E000}", "\u{FA19}", "髙﨑①", "〜～−－", "甲\r\n乙"]
    {
        let resource = vec![
            ("resourceType".to_owned(), Node::Text("Patient".to_owned())),
            ("text".to_owned(), Node::Text(name.to_owned())),
        ];
        let documents = documents(vec![Node::Map(resource)]);
        let written = encoded(&documents, Envelope::Single);
        assert_eq!(read(&written), documents, "{}", name.escape_unicode());
        assert!(!written.contains('?') && !written.contains("&#"), "{}", name.escape_unicode());
    }
}

#[test]
fn bundles_of_other_types_are_refused() {
    for text in [
        r#"{"resourceType":"Bundle","type":"history"}"#,
        r#"{"resourceType":"Bundle","type":"message"}"#,
        r#"{"resourceType":"Bundle"}"#,
        r#"{"resourceType":""}"#,
        r#"{"resourceType":5}"#,
        "[]",
    ] {
        assert!(contract::decode(&FhirR4, text.as_bytes(), None).is_err(), "{text}");
    }
    assert!(read(r#"{"resourceType":"Bundle","type":"searchset","total":0}"#).is_empty());
}

#[test]
fn a_search_gives_the_type_asked_for() {
    let given = [
        read(r#"{"resourceType":"Immunization","id":"a"}"#),
        read(
            r#"{"resourceType":"Bundle","type":"document","entry":[{"fullUrl":"urn:uuid:1","resource":{"resourceType":
            "Observation","id":"b"}},{"resource":{"resourceType":"Patient"}},{"resource":{"resourceType":"Observation","id":"c"}}]}"#,
        ),
    ]
    .concat();
    assert_eq!(
        encoded(&given, search("Immunization")),
        r#"{"resourceType":"Bundle","type":"searchset","total":1,"entry":[{"resource":{"resourceType":"Immunization","id":"a"},"search":{"mode":"match"}}]}"#
    );
    assert_eq!(
        encoded(&given, search("Observation")),
        concat!(
            r#"{"resourceType":"Bundle","type":"searchset","total":2,"entry":["#,
            r#"{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Observation","id":"b"},"search":{"mode":"match"}},"#,
            r#"{"resource":{"resourceType":"Observation","id":"c"},"search":{"mode":"match"}}]}"#
        )
    );
    assert!(encoded(&given, search("Bundle")).contains(r#""total":1,"entry":[{"resource":{"resourceType":"Bundle""#));
    assert_eq!(encoded(&given, search("Coverage")), r#"{"resourceType":"Bundle","type":"searchset","total":0}"#);
    assert_eq!(encoded(&[], search("Coverage")), encoded(&given, search("Coverage")), "nothing found looks the same");
}

#[test]
fn a_batch_is_a_collection_and_single_is_one() {
    let two =
        [read(r#"{"resourceType":"A","n":1.50}"#), read(r#"{"resourceType":"Bundle","type":"document"}"#)].concat();
    assert_eq!(
        encoded(&two, Envelope::Batch),
        r#"{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"A","n":1.50}},{"resource":{"resourceType":"Bundle","type":"document"}}]}"#
    );
    assert_eq!(encoded(&[], Envelope::Batch), r#"{"resourceType":"Bundle","type":"collection"}"#);
    for wrong in [two.as_slice(), &[]] {
        let faults = FhirR4.encode(wrong, &bare_shape(Envelope::Single)).unwrap_err();
        assert!(matches!(faults.as_slice(), [one] if one.row == 0));
    }
    let nameless = documents(vec![Node::Map(vec![])]);
    for envelope in [Envelope::Single, Envelope::Batch, search("A")] {
        assert!(FhirR4.encode(&nameless, &bare_shape(envelope)).is_err());
    }
}

#[test]
fn the_entries_of_a_batch_response_decide() {
    let interpret = |statuses: &[&str]| {
        let entries: Vec<_> = statuses.iter().map(|s| format!(r#"{{"response":{{"status":"{s}"}}}}"#)).collect();
        let body = format!(r#"{{"resourceType":"Bundle","type":"batch-response","entry":[{}]}}"#, entries.join(","));
        FhirR4.interpret(&Reply { status: 200, retry_after_secs: Some(5), bytes: body.as_bytes() })
    };
    assert_eq!(interpret(&["201 Created", "200"]), Outcome::Delivered);
    assert_eq!(interpret(&["201", "503 Service Unavailable"]), Outcome::Retry { after_secs: Some(5) });
    assert_eq!(interpret(&["503", "422", "201"]), Outcome::Rejected { code: "http_422".to_owned() });
    assert_eq!(interpret(&["created"]), Outcome::Retry { after_secs: Some(5) });
    let outcome = br#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"business-rule"}]}"#;
    let reply = Reply { status: 201, retry_after_secs: None, bytes: outcome };
    assert_eq!(FhirR4.interpret(&reply), Outcome::Rejected { code: "business-rule".to_owned() });
}
