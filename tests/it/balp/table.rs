//! A row for each kind of leaf: what it becomes. The leaves are written as they are, and read through the edge.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tsunagi_core::audit::{Action, Agent, AuditEvent, EventOutcome, Interaction};
use tsunagi_core::id::{DirectiveId, ExchangeId, KindName, ParticipantId, RecordId, SubjectKey, TenantId};
use tsunagi_core::policy::Basis;
use tsunagi_store::Note;
use tsunagi_tests::{TestGateway, faults_of, profile_names, profile_of};

use super::{all, leaf, named};

/// What a row's leaf has beside its action.
#[derive(Default)]
struct With {
    by: &'static str,
    denied: bool,
    failed: bool,
    subject: bool,
    /// The version of its one record.
    version: Option<u32>,
    interaction: Option<Interaction>,
    consent: bool,
    denied_by: Option<&'static str>,
    directive: bool,
    user: bool,
}

const DIRECTIVE: &str = "cd-00000000000000000000000000000009";

fn leaf_of(n: u8, action: Action, with: &With) -> AuditEvent {
    let at = jiff::Timestamp::from_second(1_780_000_000 + i64::from(n)).unwrap();
    let participant = (!with.by.is_empty()).then(|| ParticipantId::parse(with.by).unwrap());
    let agent = Agent { participant, end_user: with.user.then(|| "ab".repeat(16)), ..Agent::default() };
    let outcome = match (with.denied, with.failed) {
        (true, _) => EventOutcome::Denied,
        (_, true) => EventOutcome::Failed,
        (false, false) => EventOutcome::Done,
    };
    let mut event = AuditEvent::new(at, action, outcome, agent);
    event.exchange = Some(ExchangeId::new(at, [n; 10]));
    event.row = Some(1);
    event.kind = Some(KindName::parse("vaccination").unwrap());
    event.subject = with.subject.then(|| SubjectKey::new(at, [1; 10]));
    event.records = with.version.map(|version| (RecordId::new(at, [n; 10]), version)).into_iter().collect();
    event.interaction = with.interaction;
    let statute = Basis::Statute { clause: "法1条".to_owned(), rule: "rule".to_owned() };
    let consent = Basis::Directive { id: DirectiveId::parse(DIRECTIVE).unwrap(), rule: "rule".to_owned() };
    event.bases.insert(if with.consent { consent } else { statute });
    event.denied_by = with.denied_by.map(str::to_owned);
    event.directive = with.directive.then(|| DirectiveId::parse(DIRECTIVE).unwrap());
    event
}

/// Who did what, and the profiles of the events that tell of it; `-` is an event without one.
#[allow(clippy::too_many_lines, reason = "a table")]
fn rows() -> Vec<(Action, With, &'static [&'static str])> {
    let hospital = || With { by: "hospital-oita", subject: true, version: Some(1), ..With::default() };
    let city = || With { by: "city-oita", ..hospital() };
    let app = || With { by: "app-techo", user: true, ..hospital() };
    let search = Some(Interaction::SearchType);
    vec![
        // Create, and what it is at the recipient.
        (Action::RecordAccepted, hospital(), &["PatientCreate", "PrivacyDisclosure.Recipient"]),
        (Action::RecordAccepted, city(), &["PatientCreate"]),
        (Action::RecordAccepted, With { version: Some(2), ..city() }, &["PatientUpdate"]),
        (
            Action::RecordAccepted,
            With { version: Some(2), ..hospital() },
            &["PatientUpdate", "PrivacyDisclosure.Recipient"],
        ),
        (Action::RecordWaiting, With { subject: false, version: None, ..hospital() }, &["Create"]),
        (Action::RecordRefused, With { denied: true, subject: false, version: None, ..hospital() }, &["-"]),
        (Action::DirectiveRecorded, With { version: None, directive: true, ..app() }, &["PatientCreate"]),
        (Action::DirectiveWithdrawn, With { version: None, directive: true, ..app() }, &["PatientUpdate"]),
        // Delete.
        (Action::RecordDeleted, city(), &["PatientDelete"]),
        (Action::RecordDeleted, hospital(), &["PatientDelete"]),
        // Read and query, and what they are at the source; with the consent that permitted.
        (
            Action::LookupAnswered,
            With { interaction: Some(Interaction::Read), ..hospital() },
            &["PatientRead", "PrivacyDisclosure.Source"],
        ),
        (Action::LookupAnswered, With { interaction: Some(Interaction::Read), ..city() }, &["PatientRead"]),
        (
            Action::LookupAnswered,
            With { interaction: search, ..hospital() },
            &["PatientQuery", "PrivacyDisclosure.Source"],
        ),
        (Action::LookupAnswered, With { interaction: search, ..city() }, &["PatientQuery"]),
        (
            Action::LookupAnswered,
            With { interaction: Some(Interaction::Operation), consent: true, ..hospital() },
            &["AuthZconsent", "PatientQuery", "PrivacyDisclosure.Source"],
        ),
        (
            Action::LookupAnswered,
            With { consent: true, ..app() },
            &["AuthZconsent", "PatientQuery", "PrivacyDisclosure.Source"],
        ),
        (Action::LookupAnswered, With { interaction: search, version: None, ..hospital() }, &["PatientQuery"]),
        (Action::LookupAnswered, With { interaction: search, subject: false, version: None, ..hospital() }, &["Query"]),
        (
            Action::RequestAnswered,
            With { by: "city-hakodate", ..hospital() },
            &["PatientQuery", "PrivacyDisclosure.Source"],
        ),
        (Action::RequestMade, With { subject: false, version: None, ..city() }, &["-"]),
        (Action::LogRead, With { subject: false, version: None, ..city() }, &["Query"]),
        (Action::LogRead, With { version: None, ..app() }, &["PatientQuery"]),
        (Action::RejectionsReturned, With { subject: false, version: None, ..city() }, &["Read"]),
        // A denial has no profile but that of the decision, and that one only where a consent denied.
        (Action::LookupAnswered, With { denied: true, version: None, ..hospital() }, &["-"]),
        (Action::LookupAnswered, With { denied: true, version: None, denied_by: Some("rule"), ..hospital() }, &["-"]),
        (
            Action::LookupAnswered,
            With { denied: true, version: None, denied_by: Some(DIRECTIVE), ..hospital() },
            &["-", "AuthZconsent"],
        ),
        (Action::RequestAnswered, With { denied: true, subject: false, version: None, ..hospital() }, &["-"]),
        // Delivery to the municipality is a disclosure at the source; what became of it is told plainly.
        (Action::DeliveryDisclosed, city(), &["PrivacyDisclosure.Source"]),
        (Action::DeliverySettled, city(), &["-"]),
        (Action::DeliverySettled, With { failed: true, ..city() }, &["-"]),
        // Of the hub, or of its operator.
        (Action::DeliveryRedriven, With::default(), &["-"]),
        (Action::DecisionRehearsed, With { subject: true, ..With::default() }, &["-"]),
        (Action::RecordsPurged, With::default(), &["-"]),
        (Action::RejectionsReturned, With::default(), &["-"]),
        (Action::SelfTestEnded, With::default(), &["-"]),
        (Action::SubjectLinked, With { version: None, ..city() }, &["-"]),
        (Action::SubjectShredded, With { subject: true, ..With::default() }, &["-"]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_leaf_becomes_what_its_row_says() {
    let hub = TestGateway::start().await;
    let oita = TenantId::parse("oita").unwrap();
    let rows = rows();
    let events = (1u8..).zip(&rows).map(|(n, (action, with, _))| leaf_of(n, *action, with)).collect();
    hub.store().note(&oita, Note { events, rests_on: Vec::new(), directive: None }).await.unwrap();
    let found = all(&hub.partner("city-oita"), "").await;
    let mut claimed = BTreeSet::new();
    for (index, (action, with, profiles)) in rows.iter().enumerate() {
        let own: Vec<&Value> = found.iter().filter(|event| leaf(event) == Some(("oita", index))).collect();
        let mut names: Vec<&str> = own.iter().map(|event| profile_of(event).unwrap_or("-")).collect();
        names.sort_unstable();
        assert_eq!(names, *profiles, "{action:?}, row {index}");
        claimed.extend(names.into_iter().filter(|name| *name != "-").map(str::to_owned));
        for event in &own {
            assert_eq!(faults_of(event), Vec::<String>::new());
            let outcome = if with.denied {
                "4"
            } else if with.failed {
                "8"
            } else {
                "0"
            };
            assert_eq!(event["outcome"], outcome, "{action:?}");
            let by = if with.by.is_empty() { "hub" } else { with.by };
            assert!(named(event, "agent", "who").iter().any(|who| who == by), "{action:?}: {event}");
            let requestors = event["agent"].as_array().unwrap().iter().filter(|agent| agent["requestor"] == true);
            assert_eq!(requestors.count(), 1, "{action:?}: {event}");
        }
    }
    // Each profile that the hub claims is made by some leaf, and there are rules for each, and for no other.
    assert_eq!(claimed, profile_names().into_iter().collect());
    let statement = hub.partner("hospital-oita").get("/fhir/metadata").await.expect(200).json();
    let resources = statement["rest"][0]["resource"].as_array().unwrap();
    let of_log = resources.iter().find(|resource| resource["type"] == "AuditEvent").unwrap();
    let supported = of_log["supportedProfile"].as_array().unwrap().iter();
    let supported: BTreeSet<_> =
        supported.map(|url| url.as_str().unwrap().rsplit_once("BasicAudit.").unwrap().1.to_owned()).collect();
    assert_eq!(supported, claimed);
    let parameters: Vec<_> = of_log["searchParam"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(parameters, ["agent", "date", "entity", "outcome"]);
}

/// The rules find what is wrong: a check that finds nothing proves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_not_what_it_claims_is_found() {
    let hub = TestGateway::start().await;
    let with = With { by: "hospital-oita", subject: true, version: Some(1), consent: true, ..With::default() };
    let events = vec![
        leaf_of(1, Action::LookupAnswered, &with),
        leaf_of(2, Action::RecordAccepted, &with),
        leaf_of(3, Action::RecordDeleted, &with),
    ];
    let oita = TenantId::parse("oita").unwrap();
    hub.store().note(&oita, Note { events, rests_on: Vec::new(), directive: None }).await.unwrap();
    let mut found = all(&hub.partner("city-oita"), "").await;
    found.retain(|event| profile_of(event).is_some());
    assert!(found.len() >= 6);
    let mut spoiled = 0;
    for event in &found {
        let mut spoil = |change: &dyn Fn(&mut Value)| {
            let mut other = event.clone();
            change(&mut other);
            assert!(!faults_of(&other).is_empty(), "{other:#}");
            spoiled += 1;
        };
        spoil(&|event| event["type"]["code"] = json!("110100"));
        spoil(&|event| event["subtype"][0]["code"] = json!("x"));
        spoil(&|event| event["action"] = json!("X"));
        spoil(&|event| {
            event["meta"]["profile"][0] = json!(format!("{}x", event["meta"]["profile"][0].as_str().unwrap()))
        });
        for (list, member) in [("agent", "who"), ("entity", "type")] {
            for at in 0..event[list].as_array().unwrap().len() {
                // The exchange and the custodian may be left out of any, and what was handed over of a disclosure.
                let item = &event[list][at];
                let is_disclosed = profile_of(event).unwrap().starts_with("Privacy") && item["type"]["code"] == "2";
                let is_free = is_disclosed
                    || item["type"]["code"] == "XrequestId"
                    || item["type"]["coding"][0]["code"] == "159541003";
                if !is_free {
                    spoil(&|event| drop(event[list].as_array_mut().unwrap().remove(at)));
                    spoil(&|event| drop(event[list][at].as_object_mut().unwrap().remove(member)));
                }
            }
        }
    }
    assert!(spoiled > 50, "{spoiled}");
}
