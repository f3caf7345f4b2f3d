use std::collections::BTreeMap;

use jiff::civil::date;

use super::*;
use crate::fault::Bilingual;
use crate::id::{FieldKey, KindName, TenantId};
use crate::kind::{Field, SubjectRule};
use crate::policy::{
    Acting, ClassRule, Decision, Effect, Flow, FlowRule, Policy, PolicyRule, Question, Recipient, decide,
};
use crate::registry::Role;
use crate::value::{Value, ValueType};

const LOT: &str = "lot_number";
const TEST: &str = "hbs_antigen";
const OTHER_TEST: &str = "hcv_antibody";
const ADDRESS: &str = "subject.address";
const LOCAL: &str = "local_number";

fn key(text: &str) -> FieldKey {
    FieldKey::parse(text).unwrap()
}

fn class(text: &str) -> ClassName {
    ClassName::parse(text).unwrap()
}

fn participant(text: &str) -> ParticipantId {
    ParticipantId::parse(text).unwrap()
}

fn subject(number: u8) -> SubjectKey {
    SubjectKey::new(Timestamp::UNIX_EPOCH, [number; 10])
}

fn kind(name: &str) -> Kind {
    let field = |name: &str, of: &str| Field {
        key: key(name),
        value_type: ValueType::Text,
        required: false,
        expected: false,
        many: false,
        label: Bilingual::new("項目", "item"),
        class: class(of),
        example: "x".to_owned(),
        code_system: None,
        unit: None,
        identifier: None,
        max_length: None,
        derived: None,
    };
    Kind {
        name: KindName::parse(name).unwrap(),
        label: Bilingual::new("予防接種記録", "vaccination record"),
        fields: vec![
            field(LOT, "normal"),
            field(TEST, "self_viewable"),
            field(OTHER_TEST, "self_viewable"),
            field(ADDRESS, "whereabouts"),
        ],
        subject: SubjectRule {
            identifiers: Vec::new(),
            created_by: BTreeSet::new(),
            non_disclosure: None,
            birth_date: None,
        },
        business_key: Vec::new(),
        occurrence: key(LOT),
        responsible: key(ADDRESS),
        sender: None,
        retention_years: 5,
        deleted: None,
        validity: None,
        schedule: None,
        scheme: None,
    }
}

/// A permit for the fields of class `normal` of one subject's vaccinations, made the only way there is.
fn permit(recipient: &str, of: &SubjectKey) -> Permit {
    permit_naming(recipient, of, &[])
}

/// The same, and for those of class `self_viewable` that are named.
fn permit_naming(recipient: &str, of: &SubjectKey, named: &[&str]) -> Permit {
    let flow = Flow::HospitalReads;
    let class = |name| ClassRule { name: class(name), label: Bilingual::new("", ""), hidden_by_non_disclosure: false };
    let rule = |of, only_if_named| PolicyRule {
        id: "r".to_owned(),
        flow,
        kinds: BTreeSet::new(),
        purposes: BTreeSet::new(),
        classes: BTreeSet::from([class(of).name]),
        effect: Effect::Statute,
        clause: "予防接種法".to_owned(),
        only_if_named,
        not_for_proxy: false,
        from: None,
        until: None,
    };
    let policy = Policy {
        version: "test-1".to_owned(),
        attested_consent_hours: 24,
        proxy_ends_at_age: 18,
        class: vec![class("normal"), class("self_viewable"), class("whereabouts")],
        flow: vec![FlowRule { flow, non_disclosure_denies: true, basis_must_be_stated: false }],
        rule: vec![rule("normal", false), rule("self_viewable", true)],
    };
    let question = Question {
        flow,
        tenant: &TenantId::parse("hamamatsu").unwrap(),
        recipient: &Recipient { participant: participant(recipient), role: Role::Hospital },
        acting: &Acting::Organization,
        subject: of,
        non_disclosure: false,
        kind: &kind("vaccination"),
        purpose: None,
        stated_basis: None,
        named_items: &named.iter().map(|name| key(name)).collect(),
        directives: &[],
        at: Timestamp::UNIX_EPOCH,
        today: date(2026, 4, 1),
    };
    match decide(&question, &policy) {
        Decision::Permit(permit) => permit,
        Decision::Deny(denial) => panic!("{denial:?}"),
    }
}

fn record_id(number: u8) -> RecordId {
    RecordId::new(Timestamp::UNIX_EPOCH, [number; 10])
}

fn held(number: u8, kind: &str, fields: &[&str]) -> HeldRecord {
    let fields = fields.iter().map(|name| (key(name), vec![Value::Text("x".to_owned())]));
    // The mapping engine makes records; a test of what becomes of them has to as well.
    #[allow(clippy::disallowed_methods)]
    let record = Record::assertion(KindName::parse(kind).unwrap(), BTreeMap::from_iter(fields));
    HeldRecord {
        id: record_id(number),
        version: 1,
        subject: subject(1),
        recorded_at: Timestamp::UNIX_EPOCH,
        sender: participant("hospital-1"),
        record,
    }
}

fn disclosure(recipient: &str, records: Vec<HeldRecord>) -> Disclosure {
    Disclosure::new(permit(recipient, &subject(1)), &kind("vaccination"), records).unwrap()
}

fn call(recipient: &str, records: &[u8]) -> OutboundCall {
    OutboundCall {
        recipient: participant(recipient),
        records: records.iter().map(|number| record_id(*number)).collect(),
        content_type: "application/fhir+json".to_owned(),
        bytes: b"{}".to_vec(),
    }
}

#[test]
fn fields_that_are_not_covered_leave_no_trace() {
    let records = vec![
        held(1, "vaccination", &[LOT, ADDRESS]),
        held(2, "vaccination", &[ADDRESS]),
        held(3, "vaccination", &[LOT, LOCAL]),
        held(4, "vaccination", &[]),
    ];
    let disclosed = disclosure("hospital-2", records);
    let seen: Vec<(&RecordId, Vec<&str>)> = disclosed
        .records()
        .iter()
        .map(|held| (&held.id, held.record.fields().keys().map(FieldKey::as_str).collect()))
        .collect();
    assert_eq!(seen, [(&record_id(1), vec![LOT]), (&record_id(3), vec![LOT])]);
    assert_eq!(disclosed.classes_seen(&kind("vaccination")), BTreeSet::from([class("normal")]));
}

#[test]
fn a_named_item_travels_and_its_sibling_does_not() {
    let seen = |named: &[&str]| {
        let records = vec![held(1, "vaccination", &[LOT, TEST, OTHER_TEST]), held(2, "vaccination", &[OTHER_TEST])];
        let permit = permit_naming("hospital-2", &subject(1), named);
        let disclosed = Disclosure::new(permit, &kind("vaccination"), records).unwrap();
        let fields = |held: &HeldRecord| held.record.fields().keys().map(|key| key.as_str().to_owned()).collect();
        disclosed.records().iter().map(fields).collect::<Vec<Vec<String>>>()
    };
    assert_eq!(seen(&[]), [[LOT]]);
    assert_eq!(seen(&[TEST]), [[TEST, LOT]]);
    assert_eq!(seen(&[ADDRESS]), [[LOT]]);
    assert_eq!(seen(&[TEST, OTHER_TEST]), [vec![TEST, OTHER_TEST, LOT], vec![OTHER_TEST]]);
}

#[test]
fn classes_seen_are_those_of_fields_that_are_there() {
    let disclosed = disclosure("hospital-2", vec![held(2, "vaccination", &[ADDRESS])]);
    assert!(disclosed.permit().classes().contains(&class("normal")));
    assert_eq!(disclosed.classes_seen(&kind("vaccination")), BTreeSet::new());
}

#[test]
fn whatever_holds_an_individual_number_is_left_out_whatever_it_is() {
    let number = 123_456_789_018;
    let text = number.to_string();
    for value in [
        Value::Code(text.clone()),
        Value::Decimal(text.clone()),
        Value::Integer(number),
        Value::Text(format!("{} {} {}", &text[..4], &text[4..8], &text[8..])),
    ] {
        let mut one = held(1, "vaccination", &[]);
        #[allow(clippy::disallowed_methods)]
        let record = Record::assertion(one.record.kind().clone(), BTreeMap::from([(key(LOT), vec![value.clone()])]));
        one.record = record;
        let (left, withheld) = disclosure("hospital-2", vec![one]).without_my_numbers(&kind("vaccination"));
        assert!(left.records().is_empty() && withheld == BTreeSet::from([key(LOT)]), "{value:?}");
    }
    let (left, withheld) =
        disclosure("hospital-2", vec![held(1, "vaccination", &[LOT])]).without_my_numbers(&kind("vaccination"));
    assert!(left.records().len() == 1 && withheld.is_empty());
}

#[test]
fn a_permit_is_for_one_kind_and_one_subject() {
    let join = |of: u8, kind_name: &str, records| {
        Disclosure::new(permit("hospital-2", &subject(of)), &kind(kind_name), records).err()
    };
    assert_eq!(join(1, "vaccination", vec![held(1, "vaccination", &[LOT])]), None);
    assert_eq!(join(1, "checkup_infant", vec![]), Some(BindFault::Kind));
    let mixed = vec![held(1, "vaccination", &[LOT]), held(2, "checkup_infant", &[LOT])];
    assert_eq!(join(1, "vaccination", mixed), Some(BindFault::Kind));
    assert_eq!(join(2, "vaccination", vec![held(1, "vaccination", &[LOT])]), Some(BindFault::Subject));
}

#[test]
fn a_call_carries_what_is_disclosed_to_whom_it_is_disclosed() {
    let two = || {
        vec![
            disclosure("hospital-2", vec![held(1, "vaccination", &[LOT])]),
            disclosure("hospital-2", vec![held(2, "vaccination", &[LOT]), held(3, "vaccination", &[ADDRESS])]),
        ]
    };
    let permitted = Disclosure::bind(two(), call("hospital-2", &[2, 1])).unwrap();
    assert_eq!(*permitted.recipient(), participant("hospital-2"));
    assert_eq!(permitted.into_payload(), ("application/fhir+json".to_owned(), b"{}".to_vec()));
    for (to, carried, fault) in [
        ("hospital-3", &[1, 2][..], BindFault::Recipient),
        ("hospital-2", &[1], BindFault::Records),
        ("hospital-2", &[1, 2, 3], BindFault::Records),
        ("hospital-2", &[], BindFault::Records),
    ] {
        assert_eq!(Disclosure::bind(two(), call(to, carried)).err(), Some(fault), "{carried:?} to {to}");
    }
    let mut other = two();
    other.push(disclosure("hospital-3", Vec::new()));
    assert_eq!(Disclosure::bind(other, call("hospital-2", &[1, 2])).err(), Some(BindFault::Recipient));
    assert_eq!(Disclosure::bind(Vec::new(), call("hospital-2", &[])).err(), Some(BindFault::Recipient));
}
