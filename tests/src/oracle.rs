//! A second opinion on FHIR: every resource the gateway emits must read as the type it says it is.

use fhir_sdk::r4b::resources::Resource;
use serde_json::Value;

/// Reads a resource into its FHIR type and writes it again; fails where it is no such resource, and where an element
/// was passed over because the type does not have it.
pub fn fhir_oracle(bytes: &[u8]) {
    let given: Value = serde_json::from_slice(bytes).expect("FHIR JSON");
    let read: Result<Resource, _> = serde_json::from_value(given.clone());
    let resource = read.unwrap_or_else(|error| panic!("not a FHIR resource: {error}: {given}"));
    let again = serde_json::to_value(&resource).expect("a resource can be written");
    compare("", &given, &again);
}

/// Everything that was given is there again. Times may be spelled differently and numbers may gain zeros; members the
/// type adds are its own affair.
fn compare(at: &str, given: &Value, again: &Value) {
    match (given, again) {
        (Value::Object(given), Value::Object(again)) => {
            for (name, value) in given {
                let other = again.get(name).unwrap_or_else(|| panic!("FHIR has no element {at}.{name}"));
                compare(&format!("{at}.{name}"), value, other);
            }
        }
        (Value::Array(given), Value::Array(again)) => {
            assert_eq!(given.len(), again.len(), "{at}");
            for (index, (value, other)) in given.iter().zip(again).enumerate() {
                compare(&format!("{at}[{index}]"), value, other);
            }
        }
        (Value::Number(given), Value::Number(again)) => assert_eq!(given.as_f64(), again.as_f64(), "{at}"),
        (Value::String(given), Value::String(again)) => {
            let same_moment = || {
                let moment = |text: &str| text.parse::<jiff::Timestamp>().ok();
                moment(given).is_some() && moment(given) == moment(again)
            };
            assert!(given == again || same_moment(), "{at}: {given} became {again}");
        }
        _ => assert_eq!(given, again, "{at}"),
    }
}
