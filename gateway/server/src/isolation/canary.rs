//! The canaries of one tenant: a child with an entitlement, a vaccination, a consent and a sign-in. The child of the
//! other tenant has the very same numbers, so that whoever asks by them asks for both.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tsunagi_core::registry::Role;

use super::{CITIZEN, Caller, ISSUER, LETTERS, NAMES, Trial};
use crate::clock::Clock;
use crate::demo::client::Reply;
use crate::gateway::StartFault;

/// 公費負担者番号 and 公費受給者番号 of both children.
pub(super) const PAYER: &str = "81990014";
/// See [`PAYER`].
pub(super) const RECIPIENT: &str = "9900017";
/// The system of the two numbers together.
pub(super) const RECIPIENT_SYSTEM: &str = "urn:tsunagi:identifier:recipient";
/// Nobody's 個人番号: its check digit does not hold.
const NO_MY_NUMBER: &str = "000000000001";

/// What was planted in one tenant.
pub(super) struct Canary {
    /// Texts that are nowhere but in this tenant: of the records, and the ids of the records, of their subject and of
    /// its consents.
    marks: Vec<String>,
    /// The registration of the entitlement, by the municipality; one of its two rows was refused.
    pub(super) registration: String,
    /// The report of the vaccination, by the hospital.
    pub(super) report: String,
    /// `Immunization/ID`
    pub(super) immunization: String,
    /// `Coverage/ID`
    pub(super) coverage: String,
    /// A lookup of the tenant's own hospital, and the leaf that tells of it.
    pub(super) lookup: (String, String),
}

impl Canary {
    /// True if bytes hold anything of this tenant that the asker has not written itself.
    pub(super) fn shows_in(&self, answer: &[u8], asked: &str) -> bool {
        let holds = |mark: &&String| answer.windows(mark.len()).any(|window| window == mark.as_bytes());
        self.marks.iter().filter(|mark| !asked.contains(mark.as_str())).any(|mark| holds(&mark))
    }

    /// Sends in what is to be found.
    pub(super) async fn plant(trial: &Trial, side: usize, letter: char) -> Result<Self, StartFault> {
        let clock = &trial.clock;
        let (city, hospital) = (trial.caller(Role::Municipality, side)?, trial.caller(Role::Hospital, side)?);
        let (name, lot) = (mark(clock, letter), mark(clock, letter));
        let number = mark(clock, letter);
        let rows = json!([entitlement(clock, &name), faulty(clock, &name)]);
        let path = "/pmh/v1/medicalSubsidy/registrationTasks";
        let registered = sent(city, path, &rows, StatusCode::ACCEPTED).await?;
        let report = immunization(clock, side, &name, (&lot, &number));
        let reported = sent(hospital, "/fhir/Immunization", &report, StatusCode::CREATED).await?;
        let handed_in = sent(hospital, "/fhir/Consent", &consent(clock), StatusCode::CREATED).await?;
        let link = json!({
            "system": "recipient", "value": format!("{PAYER}:{RECIPIENT}"), "issuer": ISSUER, "sub": CITIZEN,
            "relationship": "subject",
        });
        sent(city, "/v1/links", &link, StatusCode::CREATED).await?;
        let app = trial.caller(Role::App, side)?;
        let permit = json!({ "effect": "permit", "recipient": { "participant": format!("self-test-app-{letter}") } });
        let consented = sent(app, "/app/v1/consents", &permit, StatusCode::CREATED).await?;

        let registration = registered.header("Tsunagi-Exchange").to_owned();
        let receipt = got(city, &format!("/v1/exchanges/{registration}")).await?;
        let coverage = receipt.json().pointer("/rows/0/record").and_then(Value::as_str).unwrap_or_default().to_owned();
        let location = reported.header("Location").to_owned();
        let immunization = location.rsplit('/').next().unwrap_or_default().to_owned();
        let subject = consented.json().pointer("/consents/0/subject").and_then(Value::as_str).map(str::to_owned);
        let directive = consented.json().pointer("/consents/0/id").and_then(Value::as_str).map(str::to_owned);
        let handed_in = handed_in.header("Tsunagi-Directive").to_owned();
        let mut marks = vec![name, lot, number, handed_in, coverage.clone(), immunization.clone()];
        marks.extend(subject.into_iter().chain(directive));
        if let Some(missing) = marks.iter().position(String::is_empty) {
            return Err(StartFault::Setting(format!("the canary of {letter} has no mark {missing}")));
        }
        Ok(Self {
            marks,
            registration,
            report: reported.header("Tsunagi-Exchange").to_owned(),
            immunization: format!("/fhir/Immunization/{immunization}"),
            coverage: format!("/fhir/Coverage/{coverage}"),
            lookup: (String::new(), String::new()),
        })
    }

    /// Lets the tenant's own hospital look, so that there is an answer whose proof others may ask for.
    pub(super) async fn ask(&mut self, trial: &Trial, side: usize) -> Result<(), StartFault> {
        let found = got(trial.caller(Role::Hospital, side)?, &self.immunization).await?;
        self.lookup = (found.header("Tsunagi-Exchange").to_owned(), found.header("Tsunagi-Leaf").to_owned());
        Ok(())
    }
}

/// A text that is nowhere else: letters only, so that no number can be read into it.
fn mark(clock: &Clock, letter: char) -> String {
    let random = clock.entropy();
    let letters: String = random.iter().map(|byte| char::from(b'a' + byte % 26)).collect();
    format!("canary{letter}{letters}")
}

/// The one read that everybody of the tenant may make: if it fails, nothing that the test says is worth anything.
async fn got(caller: &Caller, path: &str) -> Result<Reply, StartFault> {
    let headers = caller.bearer.as_deref().map(|bearer| ("Authorization", bearer));
    let reply = caller.client.send(Method::GET, path, headers.as_slice(), "").await;
    expected(caller, path, reply, StatusCode::OK)
}

async fn sent(caller: &Caller, path: &str, body: &Value, status: StatusCode) -> Result<Reply, StartFault> {
    let mut headers = vec![("Content-Type", "application/json")];
    headers.extend(caller.bearer.as_deref().map(|bearer| ("Authorization", bearer)));
    expected(caller, path, caller.client.send(Method::POST, path, &headers, body.to_string()).await, status)
}

fn expected(
    caller: &Caller,
    path: &str,
    reply: Result<Reply, String>,
    status: StatusCode,
) -> Result<Reply, StartFault> {
    match reply {
        Ok(reply) if reply.status == status => Ok(reply),
        Ok(reply) => {
            let body = String::from_utf8_lossy(&reply.body).into_owned();
            Err(StartFault::Setting(format!("{} {path}: expected {status}, got {}: {body}", caller.name, reply.status)))
        }
        Err(error) => Err(StartFault::Setting(format!("{} {path}: {error}", caller.name))),
    }
}

fn days(clock: &Clock, count: i32) -> jiff::civil::Date {
    clock.today().saturating_add(jiff::Span::new().days(count))
}

fn entitlement(clock: &Clock, name: &str) -> Value {
    json!({
        "orgSpecificCertificateTypeId": "KODOMO01",
        "myNumber": NO_MY_NUMBER,
        "basicFiveInfo": {
            "name": name, "nameKana": "ジコシケン", "address": "試験用", "dateOfBirth": days(clock, -900), "sex": "2",
        },
        "isNotDisclosed": false,
        "medicalSubsidyInsurerNumber": PAYER,
        "certificationName": "子ども医療費受給資格者証",
        "medicalSubsidyRecipientNumber": RECIPIENT,
        "isAlwaysReimbursement": "0",
        "validFrom": days(clock, -100),
        "validTo": days(clock, 100),
    })
}

/// The same without an end: refused, so that there is something to be given back.
fn faulty(clock: &Clock, name: &str) -> Value {
    let mut row = entitlement(clock, name);
    if let Some(members) = row.as_object_mut() {
        members.remove("validTo");
    }
    row
}

fn immunization(clock: &Clock, side: usize, name: &str, (lot, number): (&str, &str)) -> Value {
    let (code, hospital) = NAMES.get(side).copied().unwrap_or_default();
    json!({
        "resourceType": "Immunization",
        "contained": [
            {
                "resourceType": "Patient", "id": "p",
                "identifier": [
                    { "system": "http://jpfhir.jp/fhir/core/mhlw/IdSystem/PublicPayerNumber", "value": PAYER },
                    { "system": "http://jpfhir.jp/fhir/core/mhlw/IdSystem/PublicInsuredPersonNumber", "value": RECIPIENT },
                    { "system": "urn:tsunagi:identifier:municipality", "value": code },
                ],
                "name": [{
                    "extension": [{
                        "url": "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation", "valueCode": "IDE",
                    }],
                    "text": name,
                }],
                "birthDate": days(clock, -900),
            },
            {
                "resourceType": "Organization", "id": "o",
                "identifier": [
                    { "system": "urn:tsunagi:identifier:role", "value": "issuer" },
                    { "system": "http://jpfhir.jp/fhir/core/IdSystem/insurance-medical-institution-no", "value": hospital },
                ],
            },
        ],
        "identifier": [{ "system": "urn:tsunagi:identifier:document", "value": number }],
        "status": "completed",
        "vaccineCode": { "coding": [{ "system": "urn:tsunagi:code:vaccine_kind", "code": "mr" }] },
        "patient": { "reference": "#p" },
        "occurrenceDateTime": days(clock, -1),
        "lotNumber": lot,
        "performer": [{ "actor": { "reference": "#o", "type": "Organization" } }],
        "protocolApplied": [{ "doseNumberPositiveInt": 1 }],
    })
}

/// What the child's parent said at either hospital's desk.
pub(super) fn consent(clock: &Clock) -> Value {
    let (given, ends) = (clock.now(), clock.now() + jiff::SignedDuration::from_mins(10));
    json!({
        "resourceType": "Consent", "status": "active", "dateTime": given,
        "scope": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy" }] },
        "category": [{ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "INFA" }] }],
        "patient": { "identifier": { "system": RECIPIENT_SYSTEM, "value": format!("{PAYER}:{RECIPIENT}") } },
        "provision": { "type": "permit", "period": { "start": given, "end": ends } },
    })
}

/// The letter of a side.
pub(super) fn letter(side: usize) -> char {
    LETTERS.get(side).copied().unwrap_or('?')
}
