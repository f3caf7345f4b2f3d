//! The profiles of IHE BALP (Basic Audit Log Patterns, 1.1.4) that leaves become, as a table: a row for each, and a rule
//! for each action. What a profile fixes stands in its row and nowhere else.

use tsunagi_core::audit::{Action, AuditEvent, EventOutcome, Interaction};
use tsunagi_core::policy::Basis;

/// A code with its system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Coding {
    pub(super) system: &'static str,
    pub(super) code: &'static str,
    pub(super) display: &'static str,
}

/// Who an agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// The participant; the hub, where it acted by itself.
    Caller,
    /// The municipality whose data it is.
    Custodian,
    /// The hub, which keeps the log.
    Hub,
    /// The participant as the organisation behind a user.
    Organization,
    /// The person behind the app, if there was one.
    User,
    /// The same, or the participant where no person is known.
    UserOrCaller,
}

/// An agent of a profile.
#[derive(Debug, Clone, Copy)]
pub(super) struct AgentRow {
    pub(super) who: Who,
    pub(super) role: Coding,
    /// The profile asks for a network address, rather than forbids it.
    pub(super) is_networked: bool,
}

/// An entity of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntityRow {
    /// The consents that a decision rested on.
    Consents,
    /// The one thing that was made, read or taken away.
    Data,
    /// The subject.
    Patient,
    /// What was asked.
    Query,
    /// All records that were handed over.
    Records,
    /// The exchange, as the id of a request.
    Transaction,
}

/// A row of the table.
#[derive(Debug)]
pub(super) struct Profile {
    /// The last part of its canonical URL; none where no profile fits.
    pub(super) name: Option<&'static str>,
    pub(super) event_type: Coding,
    pub(super) subtypes: &'static [Coding],
    /// The subtype that tells our own action comes along, where the profile leaves subtypes open.
    pub(super) tells_action: bool,
    pub(super) action: &'static str,
    pub(super) agents: &'static [AgentRow],
    pub(super) entities: &'static [EntityRow],
}

impl Profile {
    /// Its canonical URL.
    pub(super) fn url(&self) -> Option<String> {
        self.name.map(|name| format!("https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.{name}"))
    }
}

/// All that are claimed, as the CapabilityStatement lists them.
pub(in crate::edge::fhir) fn claimed() -> impl Iterator<Item = String> {
    ALL.iter().filter_map(|profile| profile.url())
}

/// What a leaf becomes. An event whose outcome is not success has no profile but that of a decision: the others fix it.
/// `is_own` where the agent is the municipality whose log it is: what it does with its own data is no disclosure.
pub(super) fn profiles(event: &AuditEvent, is_own: bool) -> Vec<&'static Profile> {
    let mut found = if event.outcome == EventOutcome::Done { done(event, is_own) } else { vec![&OTHER] };
    if event.subject.is_some() && decided_by_consent(event) {
        found.push(&AUTHZ_CONSENT);
    }
    found
}

/// True if a directive permitted it, or denied it.
fn decided_by_consent(event: &AuditEvent) -> bool {
    match event.outcome {
        EventOutcome::Done => event.bases.iter().any(|basis| matches!(basis, Basis::Directive { .. })),
        EventOutcome::Denied => event.denied_by.as_deref().is_some_and(is_directive),
        EventOutcome::Failed => false,
    }
}

/// A denial names a rule or a directive.
pub(super) fn is_directive(basis: &str) -> bool {
    tsunagi_core::id::DirectiveId::parse(basis).is_ok()
}

fn done(event: &AuditEvent, is_own: bool) -> Vec<&'static Profile> {
    let is_known = event.subject.is_some();
    let of = |patient: &'static Profile, other: &'static Profile| if is_known { patient } else { other };
    let discloses = is_known && !is_own && !event.records.is_empty();
    let with = |first: &'static Profile, disclosure: &'static Profile| {
        if discloses { vec![first, disclosure] } else { vec![first] }
    };
    match event.action {
        Action::DeliveryDisclosed => vec![if is_known { &DISCLOSURE_SOURCE } else { &OTHER }],
        Action::DirectiveRecorded => vec![of(&PATIENT_CREATE, &CREATE)],
        // The statement stays, with its end.
        Action::DirectiveWithdrawn => vec![if is_known { &PATIENT_UPDATE } else { &OTHER }],
        Action::LogRead => vec![of(&PATIENT_QUERY, &QUERY)],
        Action::LookupAnswered | Action::RequestAnswered => match event.interaction {
            Some(Interaction::Read) if is_known => with(&PATIENT_READ, &DISCLOSURE_SOURCE),
            Some(Interaction::Operation) => with(of(&PATIENT_OPERATION, &QUERY), &DISCLOSURE_SOURCE),
            Some(Interaction::SearchType) => with(of(&PATIENT_SEARCH, &SEARCH), &DISCLOSURE_SOURCE),
            Some(Interaction::Read) | None => with(of(&PATIENT_QUERY, &QUERY), &DISCLOSURE_SOURCE),
        },
        // A later version replaces the earlier one.
        Action::RecordAccepted if is_known && event.records.iter().any(|(_, version)| *version > 1) => {
            with(&PATIENT_UPDATE, &DISCLOSURE_RECIPIENT)
        }
        Action::RecordAccepted => with(of(&PATIENT_CREATE, &CREATE), &DISCLOSURE_RECIPIENT),
        Action::RecordDeleted if is_known => vec![&PATIENT_DELETE],
        Action::RecordWaiting => vec![&CREATE],
        Action::RejectionsReturned if event.agent.participant.is_some() => vec![&READ],
        // Of the hub, or of its operator at the command line: no interaction that the profiles know.
        Action::CertificateIssued
        | Action::CertificateRenewed
        | Action::CertificateRevoked
        | Action::CheckpointWitnessed
        | Action::CrlPublished
        | Action::DecisionRehearsed
        | Action::DeliveryRedriven
        | Action::DeliverySettled
        | Action::ExchangeRefused
        | Action::PeerRefused
        | Action::RecordDeleted
        | Action::RecordRefused
        | Action::RecordsPurged
        | Action::RegistryImported
        | Action::RejectionsReturned
        | Action::RequestMade
        | Action::SelfTestEnded
        | Action::SubjectLinked
        | Action::SubjectShredded => vec![&OTHER],
    }
}

/// One of each profile that is claimed.
pub(super) const ALL: [&Profile; 11] = [
    &AUTHZ_CONSENT,
    &CREATE,
    &PATIENT_CREATE,
    &PATIENT_DELETE,
    &PATIENT_QUERY,
    &PATIENT_READ,
    &PATIENT_UPDATE,
    &DISCLOSURE_RECIPIENT,
    &DISCLOSURE_SOURCE,
    &QUERY,
    &READ,
];

const AUTHZ_CONSENT: Profile = Profile {
    name: Some("AuthZconsent"),
    event_type: dcm("110113", "Security Alert"),
    subtypes: &[coding(AUTHZ, "AuthZ-Consent", "Authorization Decision using Roles and Consent")],
    // The profile binds subtypes to its own two.
    tells_action: false,
    action: "E",
    agents: &[
        networked(Who::Caller, dcm("110150", "Application")),
        unnetworked(Who::UserOrCaller, IRCP),
        unnetworked(Who::Organization, coding(ROLE_CLASS, "PROV", "healthcare provider")),
        unnetworked(Who::Hub, coding(SECURITY_ROLE, "authserver", "authorization server")),
    ],
    // No others: the profile closes the list.
    entities: &[EntityRow::Patient, EntityRow::Consents],
};

const CREATE: Profile = Profile {
    name: Some("Create"),
    subtypes: &[rest("create")],
    action: "C",
    agents: SENT,
    entities: &[EntityRow::Transaction, EntityRow::Data],
    ..OTHER
};

const PATIENT_CREATE: Profile = Profile { name: Some("PatientCreate"), entities: DATA_OF_PATIENT, ..CREATE };

const PATIENT_UPDATE: Profile =
    Profile { name: Some("PatientUpdate"), subtypes: &[rest("update")], action: "U", ..PATIENT_CREATE };

const PATIENT_DELETE: Profile = Profile {
    name: Some("PatientDelete"),
    subtypes: &[rest("delete")],
    action: "D",
    agents: &[
        networked(Who::Caller, dcm("110150", "Application")),
        networked(Who::Hub, coding(PROVENANCE, "custodian", "Custodian")),
        unnetworked(Who::User, AUTHOR),
    ],
    ..PATIENT_CREATE
};

const READ: Profile = Profile {
    name: Some("Read"),
    subtypes: &[rest("read")],
    action: "R",
    agents: &[networked(Who::Caller, DESTINATION), networked(Who::Hub, SOURCE), unnetworked(Who::User, IRCP)],
    ..CREATE
};

const PATIENT_READ: Profile = Profile { name: Some("PatientRead"), entities: DATA_OF_PATIENT, ..READ };

const QUERY: Profile = Profile {
    name: Some("Query"),
    subtypes: &[rest("search")],
    action: "E",
    agents: &[networked(Who::Caller, SOURCE), networked(Who::Hub, DESTINATION), unnetworked(Who::User, IRCP)],
    entities: &[EntityRow::Transaction, EntityRow::Query],
    ..OTHER
};

const SEARCH: Profile = Profile { subtypes: &[rest("search-type")], ..QUERY };

const PATIENT_QUERY: Profile = Profile {
    name: Some("PatientQuery"),
    entities: &[EntityRow::Transaction, EntityRow::Query, EntityRow::Patient],
    ..QUERY
};

const PATIENT_SEARCH: Profile = Profile { subtypes: &[rest("search-type")], ..PATIENT_QUERY };

/// An operation that asks is audited as a query, as IHE does it for `$match`.
const PATIENT_OPERATION: Profile = Profile { subtypes: &[rest("search"), rest("operation")], ..PATIENT_QUERY };

const DISCLOSURE_SOURCE: Profile = Profile {
    name: Some("PrivacyDisclosure.Source"),
    event_type: dcm("110106", "Export"),
    subtypes: &[DISCLOSE],
    action: "R",
    agents: &[networked(Who::Hub, SOURCE), networked(Who::Caller, DESTINATION), unnetworked(Who::Custodian, CUSTODIAN)],
    entities: &[EntityRow::Transaction, EntityRow::Patient, EntityRow::Records],
    ..OTHER
};

const DISCLOSURE_RECIPIENT: Profile = Profile {
    name: Some("PrivacyDisclosure.Recipient"),
    event_type: dcm("110107", "Import"),
    action: "C",
    agents: &[networked(Who::Caller, SOURCE), networked(Who::Hub, DESTINATION)],
    ..DISCLOSURE_SOURCE
};

/// What no profile fits: an event of plain R4.
const OTHER: Profile = Profile {
    name: None,
    event_type: coding(EVENT_TYPE, "rest", "RESTful Operation"),
    subtypes: &[],
    tells_action: true,
    action: "E",
    agents: &[networked(Who::Caller, SOURCE), networked(Who::Hub, DESTINATION), unnetworked(Who::User, IRCP)],
    entities: &[EntityRow::Transaction, EntityRow::Patient, EntityRow::Records],
};

/// Who sends something in.
const SENT: &[AgentRow] =
    &[networked(Who::Caller, SOURCE), networked(Who::Hub, DESTINATION), unnetworked(Who::User, AUTHOR)];

const DATA_OF_PATIENT: &[EntityRow] = &[EntityRow::Transaction, EntityRow::Data, EntityRow::Patient];

const AUTHZ: &str = "https://profiles.ihe.net/ITI/BALP/CodeSystem/AuthZsubType";
const EVENT_TYPE: &str = "http://terminology.hl7.org/CodeSystem/audit-event-type";
const LIFECYCLE: &str = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle";
const PARTICIPATION: &str = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
const PROVENANCE: &str = "http://terminology.hl7.org/CodeSystem/provenance-participant-type";
const ROLE_CLASS: &str = "http://terminology.hl7.org/CodeSystem/v3-RoleClass";
const SECURITY_ROLE: &str = "http://terminology.hl7.org/CodeSystem/extra-security-role-type";

const AUTHOR: Coding = coding(PARTICIPATION, "AUT", "author (originator)");
const CUSTODIAN: Coding = coding("http://snomed.info/sct", "159541003", "Record keeping/library clerk");
const DESTINATION: Coding = dcm("110152", "Destination Role ID");
const DISCLOSE: Coding = coding(LIFECYCLE, "disclose", "Disclose Record Lifecycle Event");
const IRCP: Coding = coding(PARTICIPATION, "IRCP", "information recipient");
const SOURCE: Coding = dcm("110153", "Source Role ID");

const fn coding(system: &'static str, code: &'static str, display: &'static str) -> Coding {
    Coding { system, code, display }
}

const fn dcm(code: &'static str, display: &'static str) -> Coding {
    coding("http://dicom.nema.org/resources/ontology/DCM", code, display)
}

/// FHIR's words for interactions are their own displays.
const fn rest(code: &'static str) -> Coding {
    coding("http://hl7.org/fhir/restful-interaction", code, code)
}

const fn networked(who: Who, role: Coding) -> AgentRow {
    AgentRow { who, role, is_networked: true }
}

const fn unnetworked(who: Who, role: Coding) -> AgentRow {
    AgentRow { who, role, is_networked: false }
}
