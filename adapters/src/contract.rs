//! What every adapter promises, checked in the same way for each: [`adapter_contract!`] once in the tests of a format.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tsunagi_core::delivery::Outcome;
use tsunagi_core::document::{Content, Document, Node};
use tsunagi_core::fault::RowFault;

use crate::plug::{Adapter, Payload, PayloadFault, Reply, Shape};

/// One test for each promise. `fixtures` are whole payloads with their charset, `documents` is a strategy for what can
/// be written, `shape` how it is written, and `broken` payloads are those that must yield a fault although they hold
/// [`MARKER`].
macro_rules! adapter_contract {
    (
        adapter: $adapter:expr,
        fixtures: $fixtures:expr,
        documents: $documents:expr,
        shape: $shape:expr,
        broken: $broken:expr $(,)?
    ) => {
        #[test]
        fn contract_fixtures_come_back() {
            crate::contract::fixtures_come_back(&$adapter, &$fixtures, $shape);
        }

        #[test]
        fn contract_decode_of_encode_gives_the_documents_back() {
            crate::contract::documents_come_back(&$adapter, $documents, $shape);
        }

        #[test]
        fn contract_decode_is_total() {
            crate::contract::decode_is_total(&$adapter, &$fixtures);
        }

        #[test]
        fn contract_faults_hold_nothing_of_the_payload() {
            crate::contract::faults_hold_nothing(&$adapter, &$broken, $shape);
        }

        #[test]
        fn contract_interpret_never_fails_and_repeats_nothing() {
            crate::contract::interpret_is_safe(&$adapter);
        }
    };
}
pub(crate) use adapter_contract;

/// Stands in broken payloads where a person's data would; no fault may repeat it.
pub(crate) const MARKER: &str = "himitsu";

/// Bytes with their declared charset.
pub(crate) type Sample = (&'static [u8], Option<&'static str>);

type Decoded = Result<Vec<Result<Document, RowFault>>, PayloadFault>;

/// Reads a whole payload.
pub(crate) fn decode(adapter: &dyn Adapter, bytes: &[u8], charset: Option<&str>) -> Decoded {
    Ok(adapter.decode(Payload { bytes, charset })?.collect())
}

/// Reads a payload that is expected to be without fault.
pub(crate) fn documents(adapter: &dyn Adapter, bytes: &[u8], charset: Option<&str>) -> Vec<Document> {
    decode(adapter, bytes, charset).unwrap().into_iter().map(Result::unwrap).collect()
}

/// The charset to declare for what was written in `shape`.
fn declared(shape: &Shape) -> Option<&str> {
    (!shape.charset.is_empty()).then_some(shape.charset.as_str())
}

pub(crate) fn fixtures_come_back(adapter: &dyn Adapter, fixtures: &[Sample], shape: impl Fn(&[Document]) -> Shape) {
    assert!(fixtures.len() >= 3);
    for (bytes, charset) in fixtures {
        let read = documents(adapter, bytes, *charset);
        assert!(!read.is_empty());
        comes_back(adapter, &read, &shape(&read));
    }
}

pub(crate) fn documents_come_back(
    adapter: &dyn Adapter,
    documents: impl Strategy<Value = Vec<Document>>,
    shape: impl Fn(&[Document]) -> Shape,
) {
    runner()
        .run(&documents, |documents| {
            comes_back(adapter, &documents, &shape(&documents));
            Ok(())
        })
        .unwrap();
}

fn comes_back(adapter: &dyn Adapter, given: &[Document], shape: &Shape) {
    let bytes = adapter.encode(given, shape).unwrap();
    assert_eq!(bytes, adapter.encode(given, shape).unwrap(), "the same input gives the same output");
    let read = documents(adapter, &bytes, declared(shape));
    let contents = |documents: &[Document]| documents.iter().map(|d| d.content.clone()).collect::<Vec<_>>();
    assert_eq!(contents(&read), contents(given));
    assert!(read.iter().map(|d| d.row).eq(1..=read.len() as u64), "rows are numbered from 1");
}

/// Bytes of any kind, and fixtures with bytes changed or cut off, which get deeper into a format than noise does.
pub(crate) fn decode_is_total(adapter: &dyn Adapter, fixtures: &[Sample]) {
    let charset = proptest::sample::select(vec![None, Some("utf-8"), Some("shift_jis"), Some("cp932"), Some("x-none")]);
    let noise = proptest::collection::vec(any::<u8>(), 0..400);
    runner()
        .run(&(noise, charset), |(bytes, charset)| {
            assert_eq!(decode(adapter, &bytes, charset), decode(adapter, &bytes, charset));
            Ok(())
        })
        .unwrap();
    let changes = proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6);
    let which = proptest::sample::select(fixtures.to_vec());
    runner()
        .run(&(which, changes, any::<proptest::sample::Index>()), |((bytes, charset), changes, end)| {
            let mut bytes = bytes.to_vec();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            assert_eq!(decode(adapter, &bytes, charset), decode(adapter, &bytes, charset));
            bytes.truncate(end.index(bytes.len()));
            assert_eq!(decode(adapter, &bytes, charset), decode(adapter, &bytes, charset));
            Ok(())
        })
        .unwrap();
}

pub(crate) fn faults_hold_nothing(adapter: &dyn Adapter, broken: &[Sample], shape: impl Fn(&[Document]) -> Shape) {
    for (bytes, charset) in broken {
        assert!(String::from_utf8_lossy(bytes).contains(MARKER), "the sample proves nothing without the marker");
        let said = match decode(adapter, bytes, *charset) {
            Err(fault) => vec![format!("{fault:?}")],
            Ok(rows) => rows.into_iter().filter_map(Result::err).map(|fault| format!("{fault:?}")).collect(),
        };
        assert!(!said.is_empty(), "the sample is not broken: {}", String::from_utf8_lossy(bytes));
        assert!(said.iter().all(|words| !words.contains(MARKER)), "{said:?}");
    }
    let homeless = Document { row: 7, content: Content::Tree(Node::Text(MARKER.to_owned())) };
    let faults = adapter.encode(&[homeless], &shape(&[])).unwrap_err();
    assert!(faults.iter().any(|fault| fault.row == 7));
    assert!(!format!("{faults:?}").contains(MARKER));
}

pub(crate) fn interpret_is_safe(adapter: &dyn Adapter) {
    let code = "[a-z0-9_-]{0,70}|[ -~]{0,20}|[0-9]{7,12}";
    let body = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..80),
        code.prop_map(|code| format!(r#"{{"code":"{code}"}}"#).into_bytes()),
        code.prop_map(|code| {
            let issue = format!(r#"[{{"severity":"error","code":"{code}"}}]"#);
            format!(r#"{{"resourceType":"OperationOutcome","issue":{issue}}}"#).into_bytes()
        }),
    ];
    let status = prop_oneof![any::<u16>(), 200..=599u16];
    runner()
        .run(&(status, body), |(status, bytes)| {
            let reply = Reply { status, retry_after_secs: None, bytes: &bytes };
            let outcome = adapter.interpret(&reply);
            assert_eq!(outcome, adapter.interpret(&reply));
            if let Outcome::Rejected { code } = outcome {
                let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
                assert!((1..=64).contains(&code.len()) && code.bytes().all(fits), "{code}");
                assert!(!code.split(|c: char| !c.is_ascii_digit()).any(|run| run.len() >= 7), "{code}");
            }
            Ok(())
        })
        .unwrap();
}

/// A shape for formats that have neither columns nor a choice of charset.
#[cfg(any(feature = "adapter-fhir-r4", feature = "adapter-pmh-api"))]
pub(crate) fn bare_shape(envelope: crate::plug::Envelope) -> Shape {
    Shape { columns: Vec::new(), charset: "utf-8".to_owned(), crlf: false, envelope }
}

/// Trees as JSON can hold them, their numbers in any spelling.
#[cfg(any(feature = "adapter-fhir-r4", feature = "adapter-pmh-api"))]
pub(crate) fn json_node() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        Just(Node::Null),
        any::<bool>().prop_map(Node::Bool),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?".prop_map(Node::Number),
        "(?s)([\"\\\\\n]|.){0,8}".prop_map(Node::Text),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Node::List),
            json_members(inner).prop_map(Node::Map),
        ]
    })
}

/// Members with different names, in no particular order.
#[cfg(any(feature = "adapter-fhir-r4", feature = "adapter-pmh-api"))]
pub(crate) fn json_members(value: impl Strategy<Value = Node>) -> impl Strategy<Value = Vec<(String, Node)>> {
    proptest::collection::vec(("(?s).{0,6}", value), 0..5).prop_map(|mut members| {
        let mut seen = std::collections::HashSet::new();
        members.retain(|(name, _)| seen.insert(name.clone()));
        members
    })
}

/// The same cases on every run: a failure seen once is seen again.
fn runner() -> TestRunner {
    let config = Config { cases: 150, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config.clone(), proptest::test_runner::TestRng::deterministic_rng(config.rng_algorithm))
}
