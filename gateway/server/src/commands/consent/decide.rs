//! `tsunagi consent decide`: the decision as the gateway would make it, for a moment that may be another.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use tsunagi_core::audit::{Action, Agent, AuditEvent, EventOutcome};
use tsunagi_core::id::{ClassName, TenantId};
use tsunagi_core::policy::{Acting, Decision, Flow, ProxyTerm, Question, Recipient, decide};
use tsunagi_core::registry::{Participant, Role};
use tsunagi_core::sensitive::Sensitive;
use tsunagi_store::{Identifier, Note, SubjectRef};

use super::Asked;
use super::explain::basis;
use crate::clock::{date_in_japan, start_in_japan};
use crate::commands::{CommandFault, Context, Output};
use crate::gateway::load_tables;
use crate::pipeline::acting::last_day_of_childhood;
use crate::pipeline::lookup::word;

/// What is printed.
#[derive(Serialize)]
struct Decided {
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    because: String,
    by: Vec<String>,
    policy_version: String,
    classes: BTreeSet<ClassName>,
    as_of: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    would_change_if: Option<String>,
}

/// Runs the command.
pub(super) async fn run(context: &Context, asked: &Asked) -> Result<(), CommandFault> {
    let output = &context.output;
    let usage = |ja: &str, en: &str| CommandFault::Usage(output.say(ja, en));
    let tables = load_tables(&context.config()?)?;
    let store = context.store().await?;
    let (_, entries) = store.registry().await?;
    let participant = entries.participant.iter().find(|participant| participant.id == asked.participant);
    let participant =
        participant.ok_or_else(|| usage("その参加機関は台帳にありません", "no such participant is registered"))?;
    let kind = tables.kind(&asked.kind).ok_or_else(|| usage("その記録種別はありません", "there is no such kind"))?;
    let (system, value) = asked.subject.split_once('|').unwrap_or_default();
    let system = tables
        .identifier_system(system)
        .ok_or_else(|| usage("--subject は 体系|値 です", "--subject is SYSTEM|VALUE, in a system this hub knows"))?;
    let identifier = Identifier { system: system.name.clone(), value: Sensitive::new(value.to_owned()) };
    let at = match &asked.as_of {
        None => context.clock.now(),
        Some(text) => {
            moment(text).ok_or_else(|| usage("--as-of は日付または時刻です", "--as-of is a date or a moment"))?
        }
    };
    let flow = flow(participant, &asked.tenant)
        .ok_or_else(|| usage("運用者は何も受け取りません", "the operator receives nothing"))?;
    // Records are read for their dates of birth alone: a proxy's right ends by them.
    let kinds: Vec<_> = tables.kinds().filter(|_| asked.proxy).map(|kind| kind.name.clone()).collect();
    let held = store.held(&asked.tenant, &SubjectRef::Identifier(identifier), &kinds).await?;
    let mut event =
        AuditEvent::new(context.clock.now(), Action::DecisionRehearsed, EventOutcome::Done, Agent::default());
    event.subject = held.as_ref().map(|held| held.subject.clone());
    event.kind = Some(kind.name.clone());
    let note = Note { events: vec![event], rests_on: Vec::new(), directive: None };
    store.note(&asked.tenant, note).await?;
    let held = held.ok_or_else(|| {
        CommandFault::Failed(output.say("その識別子は一人に定まりません", "the identifier names nobody, or several"))
    })?;
    let today = date_in_japan(at);
    let acting = match (participant.role, asked.proxy) {
        (Role::App, true) => Acting::Proxy(ProxyTerm { from: Date::MIN, until: last_day_of_childhood(&tables, &held) }),
        (Role::App, false) => Acting::Subject,
        _ => Acting::Organization,
    };
    let directives: Vec<_> = held.directives.iter().filter_map(|directive| directive.clone().as_it_stood(at)).collect();
    let question = Question {
        flow,
        tenant: &asked.tenant,
        recipient: &Recipient { participant: participant.id.clone(), role: participant.role },
        acting: &acting,
        subject: &held.subject,
        non_disclosure: held.non_disclosure,
        kind,
        purpose: asked.purpose,
        stated_basis: asked.basis.as_deref(),
        named_items: &BTreeSet::new(),
        directives: &directives,
        at,
        today,
    };
    let decided = decided(output, decide(&question, tables.policy()), at);
    output.print(&decided, |decided| people(output, decided))
}

fn decided(output: &Output, decision: Decision, as_of: Timestamp) -> Decided {
    match decision {
        Decision::Permit(permit) => Decided {
            verdict: "permit",
            reason: None,
            because: output.say("許す規則がある", "a rule permits it"),
            by: permit.bases().iter().map(basis).collect(),
            policy_version: permit.policy_version().to_owned(),
            classes: permit.classes().clone(),
            as_of,
            would_change_if: None,
        },
        Decision::Deny(denial) => Decided {
            verdict: "deny",
            reason: Some(word(&denial.reason)),
            because: output.pick(&denial.reason.words()).to_owned(),
            by: [denial.basis].into_iter().filter(|by| !by.is_empty()).collect(),
            policy_version: denial.policy_version,
            classes: BTreeSet::new(),
            as_of,
            would_change_if: Some(output.pick(&denial.reason.remedy()).to_owned()),
        },
    }
}

fn people(output: &Output, decided: &Decided) -> String {
    let Decided { verdict, because, policy_version, as_of, .. } = decided;
    let reason = decided.reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
    let mut lines = vec![format!("{verdict}: {because}{reason}")];
    let by = decided.by.join(", ");
    if !by.is_empty() {
        lines.push(output.say(&format!("根拠: {by}"), &format!("by: {by}")));
    }
    let classes: Vec<_> = decided.classes.iter().map(|class| class.as_str()).collect();
    if !classes.is_empty() {
        let classes = classes.join(", ");
        lines.push(output.say(&format!("開示区分: {classes}"), &format!("classes: {classes}")));
    }
    lines.push(output.say(
        &format!("方針の版: {policy_version}（{as_of} 時点。不開示フラグは現在のもの）"),
        &format!("policy version: {policy_version}, as of {as_of}; the non-disclosure flag is the present one"),
    ));
    if let Some(remedy) = &decided.would_change_if {
        lines.push(output.say(&format!("変わるには: {remedy}"), &format!("it takes: {remedy}")));
    }
    lines.join("\n")
}

/// Which way an answer to this participant would go.
fn flow(participant: &Participant, tenant: &TenantId) -> Option<Flow> {
    match participant.role {
        Role::App => Some(Flow::AppReads),
        Role::Hospital => Some(Flow::HospitalReads),
        Role::Municipality if participant.tenant.as_ref() == Some(tenant) => Some(Flow::MunicipalityReads),
        Role::Municipality => Some(Flow::MunicipalityRequests),
        Role::Operator => None,
    }
}

/// A moment, or the one at which a day begins in Japan.
fn moment(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok().or_else(|| start_in_japan(text.parse().ok()?))
}
