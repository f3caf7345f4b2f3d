use proptest::prelude::*;
use tsunagi_core::document::Node;
use tsunagi_core::fault::Bilingual;

use super::read;
use crate::plug::PayloadFault;

fn words(bytes: &[u8]) -> Bilingual {
    PayloadFault::from(read(bytes).unwrap_err()).reason
}

fn defect(text: &str) -> String {
    words(text.as_bytes()).en
}

#[test]
fn numbers_stay_as_written() {
    for number in ["3.250", "0", "-0.0", "1E+5", "1e-05", "123456789012345678901234567890.10", "2.50e10"] {
        assert_eq!(read(number.as_bytes()), Ok(Node::Number(number.to_owned())));
    }
    for wrong in ["01", "+1", ".5", "1.", "1e", "1e+", "-", "0x10", "--1", "NaN", "1_000"] {
        assert!(read(wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn order_is_kept_and_one_name_twice_is_refused() {
    let Ok(Node::Map(members)) = read(br#"{"b":1,"a":2,"B":3}"#) else { panic!("an object") };
    assert_eq!(members.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["b", "a", "B"]);
    let place = "line 2, column 2 (byte 3): the object that begins here has one name twice";
    assert_eq!(defect("[\n {\"a\":1,\"\\u0061\":2}]"), place);
    let many: Vec<String> = (0..40).chain([7]).map(|n| format!("\"n{n}\":0")).collect();
    assert!(defect(&format!("{{{}}}", many.join(","))).ends_with("one name twice"));
}

#[test]
fn depth_ends_at_64() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read(nested(64).as_bytes()).is_ok());
    assert_eq!(defect(&nested(65)), "line 1, column 65 (byte 64): nested more than 64 deep");
    assert!(defect(&"[{\"a\":".repeat(100_000)).ends_with("nested more than 64 deep"));
}

#[test]
fn places_are_told_and_nothing_else() {
    for (text, expected) in [
        ("", "line 1, column 1 (byte 0): the JSON ends before it is complete"),
        ("{\"氏名\": \"himitsu\"", "line 1, column 17 (byte 20): the JSON ends before it is complete"),
        ("[1,\n 2,]", "line 2, column 4 (byte 7): not JSON"),
        ("{} himitsu", "line 1, column 4 (byte 3): something follows the JSON"),
        ("[\"\\ud83d\"]", "line 1, column 4 (byte 3): half of a surrogate pair stands alone"),
        ("[\"a\nb\"]", "line 1, column 4 (byte 3): not JSON"),
        ("himitsu", "line 1, column 1 (byte 0): not JSON"),
    ] {
        assert_eq!(defect(text), expected);
    }
    let broken = words(b"[\"ab\xff\"]");
    assert_eq!(broken.en, "line 1, column 5 (byte 4): a byte that is not UTF-8");
    assert!(broken.ja.starts_with("1行5文字目（4バイト目）"));
}

#[test]
fn escapes_and_byte_order_mark_are_read() {
    let text = "\u{feff}\"\\u8fbb\\udb40\\udd00 \\ud842\\udfb7 \\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\"";
    let expected = "辻\u{e0100} 𠮷 \"\\/\u{8}\u{c}\n\r\t\0";
    assert_eq!(read(text.as_bytes()), Ok(Node::Text(expected.to_owned())));
}

/// What serde_json makes of a text, with numbers as values.
fn as_others_read(node: &Node) -> serde_json::Value {
    match node {
        Node::Null => serde_json::Value::Null,
        Node::Bool(value) => (*value).into(),
        Node::Number(number) => serde_json::from_str(number).unwrap(),
        Node::Text(text) => text.as_str().into(),
        Node::List(items) => items.iter().map(as_others_read).collect(),
        Node::Map(members) => members.iter().map(|(name, value)| (name.clone(), as_others_read(value))).collect(),
    }
}

proptest! {
    #[test]
    fn reads_what_others_read(text in "[\\[\\]{},:\"\\\\a-f0-3.eE+ \\-u\n]{0,24}|\\[\"[a\\\\u0-9d-f\"]{0,10}\"\\]") {
        match (read(text.as_bytes()), serde_json::from_str::<serde_json::Value>(&text)) {
            (Ok(ours), Ok(theirs)) => prop_assert_eq!(as_others_read(&ours), theirs),
            // Ours refuses a name said twice; theirs refuses numbers beyond a double.
            (Err(_), Ok(_)) => prop_assert!(defect(&text).ends_with("one name twice")),
            (Ok(_), Err(theirs)) => prop_assert!(theirs.to_string().contains("out of range")),
            (Err(_), Err(_)) => {}
        }
    }
}

#[cfg(any(feature = "adapter-fhir-r4", feature = "adapter-pmh-api"))]
proptest! {
    #[test]
    fn what_is_written_others_read(node in crate::contract::json_node()) {
        let mut bytes = Vec::new();
        super::write(&node, &mut bytes).unwrap();
        prop_assert_eq!(read(&bytes), Ok(node.clone()));
        if let Ok(theirs) = serde_json::from_slice::<serde_json::Value>(&bytes) {
            prop_assert_eq!(as_others_read(&node), theirs);
        }
    }
}

#[cfg(any(feature = "adapter-fhir-r4", feature = "adapter-pmh-api"))]
#[test]
fn a_number_that_is_none_is_not_written() {
    for number in ["", "1 ", "himitsu", "1,2", "0x1"] {
        assert!(super::write(&Node::Number(number.to_owned()), &mut Vec::new()).is_err(), "{number}");
    }
}
