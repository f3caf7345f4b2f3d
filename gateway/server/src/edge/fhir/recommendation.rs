//! `GET /fhir/ImmunizationRecommendation`: when the next dose may be given, as far as the records that this caller may
//! see tell it. What they do not tell is asked for, never guessed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use http::{HeaderMap, Response, StatusCode};
use jiff::civil::Date;
use serde_json::{Value, json};
use tsunagi_core::audit::{Action, Interaction};
use tsunagi_core::fault::Bilingual;
use tsunagi_core::id::FieldKey;
use tsunagi_core::kind::{Kind, ScheduleRule};
use tsunagi_core::policy::Flow;
use tsunagi_core::refusal::Refusal;
use tsunagi_core::schedule::{Booking, Dose, NotBookable, Recipient, Schedule, Whose};
use tsunagi_mappings::Tables;
use tsunagi_store::SubjectRef;

use super::read::{flow_of, own_channels, query_needs_subject};
use super::{MEDIA_TYPE, query};
use crate::edge::answer::{self, Refused};
use crate::edge::token;
use crate::gateway::Gateway;
use crate::pipeline::Call;
use crate::pipeline::lookup::{Inquiry, Part, look_up, look_up_linked};

/// Searches: one recommendation for each tenant that yields records, none where nothing may be seen.
pub(in crate::edge) async fn search(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
) -> Result<Response<Body>, Refused> {
    let tables = gateway.tables.load_full();
    let asked = asked(&tables, raw.as_deref().unwrap_or(""))?;
    let flow = flow_of(&call)?;
    let sign_in = if flow == Flow::AppReads { Some(token::sign_in(&gateway, &call, &headers).await?) } else { None };
    let named = asked.search.subject(&tables);
    let channels = own_channels(&gateway, &call, flow, |channel| {
        tables.kind(&channel.kind).is_some_and(|kind| kind.schedule.is_some())
            && tables.layout(&channel.layout).is_some_and(|layout| layout.resource_type().is_some())
    });
    let inquiry = Inquiry {
        flow,
        channels,
        named_items: BTreeSet::new(),
        wanted: &|_, _| true,
        stated_basis: None,
        attested: None,
        end_user: sign_in.as_ref().map(|sign_in| gateway.pseudonyms.of(sign_in)),
        action: Action::LookupAnswered,
        interaction: Some(Interaction::SearchType),
    };
    let parts = match (&sign_in, named) {
        (Some(sign_in), _) => look_up_linked(&gateway, &call, &inquiry, sign_in, None, None).await?,
        (None, Some(named)) => look_up(&gateway, &call, &inquiry, &SubjectRef::Identifier(named), None).await?,
        (None, None) => return Err(query_needs_subject()),
    };
    let writer = Writer { call: &call, tables: &tables, asked: &asked };
    let entries: Vec<Value> = parts
        .iter()
        .filter_map(|part| writer.resource(part))
        .map(|resource| json!({ "resource": resource, "search": { "mode": "match" } }))
        .collect();
    let is_nothing = entries.is_empty();
    let leaves = if is_nothing { None } else { answer::leaves_of(&parts) };
    let mut bundle = json!({ "resourceType": "Bundle", "type": "searchset", "total": entries.len() });
    if let (false, Some(members)) = (entries.is_empty(), bundle.as_object_mut()) {
        members.insert("entry".to_owned(), Value::Array(entries));
    }
    let mut response = answer::json(StatusCode::OK, MEDIA_TYPE, &bundle);
    answer::tell_leaves(&mut response, leaves);
    Ok(answer::if_nothing(response, is_nothing))
}

/// What is asked.
struct Asked {
    search: query::Search,
    /// `vaccine-type=CODE`; without it the vaccines of which a dose is held.
    vaccine: Option<String>,
}

/// The system of the hub's own vaccine codes.
const VACCINE_SYSTEM: &str = "urn:tsunagi:code:vaccine_kind";

fn asked(tables: &Tables, raw: &str) -> Result<Asked, Refusal> {
    let mut asked = Asked { search: query::Search::default(), vaccine: None };
    for (name, value) in query::pairs(raw) {
        if name != "vaccine-type" {
            query::read(&mut asked.search, &name, &value)?;
            continue;
        }
        let code = value.strip_prefix(VACCINE_SYSTEM).and_then(|rest| rest.strip_prefix('|')).unwrap_or(&value);
        let is_known = tables.kinds().any(|kind| vaccine_name(tables, kind, code).is_some());
        if !is_known {
            return Err(query::bad(&name));
        }
        asked.vaccine = Some(code.to_owned());
    }
    // The day it is seen from is one day.
    if asked.search.from != asked.search.until {
        return Err(query::bad("date"));
    }
    Ok(asked)
}

/// The name of a vaccine in the code list of the field that carries it.
fn vaccine_name<'a>(tables: &'a Tables, kind: &Kind, code: &str) -> Option<&'a Bilingual> {
    let field = kind.field(&kind.schedule.as_ref()?.vaccine)?;
    tables.code_list(field.code_system.as_ref()?)?.code(code).map(|code| &code.label)
}

struct Writer<'a> {
    call: &'a Call,
    tables: &'a Tables,
    asked: &'a Asked,
}

/// The doses that one part tells of, and the records that they were counted from.
struct Told<'a> {
    kind: &'a Kind,
    schedule: &'a Schedule,
    doses: Vec<Dose>,
    records: BTreeMap<String, Vec<String>>,
    recipient: Recipient,
    /// The caller may not see all that a dose is told by.
    is_partial: bool,
}

impl<'a> Writer<'a> {
    fn resource(&self, part: &Part) -> Option<Value> {
        let told = self.told(part)?;
        let as_of = self.asked.search.from.unwrap_or(self.call.today);
        let begun: BTreeSet<&str> = told.doses.iter().map(|dose| dose.vaccine.as_str()).collect();
        let vaccines = self.asked.vaccine.as_deref().map_or(begun, |vaccine| BTreeSet::from([vaccine]));
        let recommendations: Vec<Value> =
            vaccines.into_iter().map(|vaccine| self.recommendation(&told, vaccine, as_of)).collect();
        (!recommendations.is_empty()).then(|| {
            json!({
                "resourceType": "ImmunizationRecommendation",
                "identifier": [{ "system": "urn:tsunagi:exchange", "value": self.call.exchange }],
                "patient": self.patient(told.kind, part),
                "date": self.call.at,
                "authority": { "identifier": { "system": "urn:tsunagi:tenant", "value": part.channel.tenant } },
                "recommendation": recommendations,
            })
        })
    }

    fn told(&self, part: &Part) -> Option<Told<'a>> {
        let kind = self.tables.kind(&part.channel.kind)?;
        let rule = kind.schedule.as_ref()?;
        let mut told = Told {
            kind,
            schedule: self.tables.schedule(&rule.name)?,
            doses: Vec::new(),
            records: BTreeMap::new(),
            recipient: Recipient::default(),
            is_partial: tells_a_dose(kind, rule).any(|key| part.hides.contains(key)),
        };
        let (mut births, mut sexes) = (Vec::new(), Vec::new());
        for held in part.records() {
            let Some((dose, recipient)) = kind.dose_of(&held.record) else { continue };
            told.records.entry(dose.vaccine.clone()).or_default().push(held.id.to_string());
            births.extend(recipient.birth);
            sexes.extend(recipient.sex);
            told.recipient.gestation = recipient.gestation.or(told.recipient.gestation);
            told.doses.push(dose);
        }
        // Records that contradict each other tell nothing.
        let one_birth = births.windows(2).all(|pair| pair.first() == pair.last());
        told.recipient.birth = births.pop().filter(|_| one_birth);
        let one_sex = sexes.windows(2).all(|pair| pair.first() == pair.last());
        told.recipient.sex = sexes.pop().filter(|_| one_sex);
        Some(told)
    }

    fn recommendation(&self, told: &Told<'_>, vaccine: &str, as_of: Date) -> Value {
        let lang = self.call.lang;
        let mut coding = json!({ "system": VACCINE_SYSTEM, "code": vaccine });
        if let (Some(name), Some(members)) = (vaccine_name(self.tables, told.kind, vaccine), coding.as_object_mut()) {
            members.insert("display".to_owned(), json!(name.pick(lang)));
        }
        let mut one = json!({ "vaccineCode": [{ "coding": [coding] }] });
        let next =
            (!told.is_partial).then(|| told.schedule.earliest_next(&told.doses, vaccine, &told.recipient, as_of));
        let (status, reasons) = match &next {
            Some(Ok(booking)) => forecast(told.schedule, booking, as_of),
            Some(Err(why)) => not_bookable(*why),
            None => partial(),
        };
        let Some(members) = one.as_object_mut() else { return one };
        members.insert("forecastStatus".to_owned(), json!({ "coding": [status] }));
        let reasons: Vec<Value> = reasons.iter().map(|words| json!({ "text": words.pick(lang) })).collect();
        if !reasons.is_empty() {
            members.insert("forecastReason".to_owned(), Value::Array(reasons));
        }
        let dates = criteria(next.as_ref());
        if !dates.is_empty() {
            members.insert("dateCriterion".to_owned(), Value::Array(dates));
        }
        if let Some(Ok(booking)) = &next {
            members.insert("series".to_owned(), json!(booking.series));
            members.insert("doseNumberPositiveInt".to_owned(), json!(booking.dose));
        }
        if let Some(records) = told.records.get(vaccine).filter(|_| !told.is_partial) {
            let counted = records.iter().map(|id| json!({ "reference": format!("Immunization/{id}") })).collect();
            members.insert("supportingImmunization".to_owned(), Value::Array(counted));
        }
        one
    }

    /// The person as the caller named it; of a citizen's app as the records do.
    fn patient(&self, kind: &Kind, part: &Part) -> Value {
        let asked = self.asked.search.subject(self.tables).map(|asked| (asked.system, asked.value.expose().clone()));
        let of_record = || part.records().iter().find_map(|held| kind.identifiers_of(&held.record).into_iter().next());
        let identifier = asked.or_else(of_record).and_then(|(system, value)| {
            let uri = self.tables.identifier_system(system.as_str())?.uris.first()?;
            Some(json!({ "system": uri, "value": value }))
        });
        match identifier {
            Some(identifier) => json!({ "type": "Patient", "identifier": identifier }),
            None => json!({ "type": "Patient", "display": "-" }),
        }
    }
}

/// The fields without which a dose cannot be told, or would be counted where it does not count.
fn tells_a_dose<'k>(kind: &'k Kind, rule: &'k ScheduleRule) -> impl Iterator<Item = &'k FieldKey> {
    let plain = [&rule.vaccine, &rule.number, &rule.given_on].into_iter();
    plain.chain(&rule.term).chain(&kind.deleted).chain(rule.only.iter().map(|only| &only.field))
}

fn partial() -> (Value, Vec<Bilingual>) {
    let words = Bilingual::new(
        "接種の記録を判定できる範囲まで照会できません",
        "the doses cannot be told from what may be seen",
    );
    (own_status("needs_history"), vec![words])
}

/// Statuses of HL7's list; what that list has no word for is our own.
fn status(code: &str) -> Value {
    json!({ "system": "http://terminology.hl7.org/CodeSystem/immunization-recommendation-status", "code": code })
}

fn own_status(code: &str) -> Value {
    json!({ "system": "urn:tsunagi:code:forecast", "code": code })
}

fn forecast(schedule: &Schedule, booking: &Booking, as_of: Date) -> (Value, Vec<Bilingual>) {
    let is_late = booking.usual.is_some_and(|(_, last)| last < as_of);
    let mut reasons = Vec::new();
    if let Some(sooner) = booking.earliest_by_doctor {
        reasons.push(Bilingual::new(
            format!("医師が必要と認めた場合は {sooner} から接種できます"),
            format!("from {sooner} where the doctor finds it necessary"),
        ));
    }
    if booking.subject == Whose::Mother {
        reasons.push(Bilingual::new("接種を受けるのは母親です", "it is given to the mother"));
    }
    if schedule.series.iter().any(|series| series.id == booking.series && !series.confirmed) {
        let en = "no public source confirms this rule yet";
        reasons.push(Bilingual::new("この規則は公的な出典で確認されていません", en));
    }
    (status(if is_late { "overdue" } else { "due" }), reasons)
}

fn not_bookable(why: NotBookable) -> (Value, Vec<Bilingual>) {
    let code = if why == NotBookable::Complete { status(why.as_str()) } else { own_status(why.as_str()) };
    (code, vec![why.words()])
}

/// LOINC 30981-5 earliest date to give, 30980-7 date vaccine due, 59777-3 latest date to give.
fn criteria(next: Option<&Result<Booking, NotBookable>>) -> Vec<Value> {
    let dates = match next {
        Some(Ok(booking)) => [
            ("30981-5", Some(booking.earliest)),
            ("30980-7", booking.usual.map(|(first, _)| first)),
            ("59777-3", booking.latest),
        ],
        Some(Err(NotBookable::Closed { last })) => [("30981-5", None), ("30980-7", None), ("59777-3", Some(*last))],
        _ => return Vec::new(),
    };
    let criterion = |(code, date): (&str, Option<Date>)| {
        let date = date?;
        Some(json!({ "code": { "coding": [{ "system": "http://loinc.org", "code": code }] }, "value": date }))
    };
    dates.into_iter().filter_map(criterion).collect()
}
