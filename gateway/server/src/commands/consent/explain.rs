//! `tsunagi consent explain`: from the events alone, so that it stays true whatever has changed since.

use std::collections::BTreeSet;

use indicatif::ProgressBar;
use serde::Serialize;
use tsunagi_core::audit::{AuditEvent, EventOutcome};
use tsunagi_core::id::{ClassName, ExchangeId, KindName, ParticipantId, TenantId};
use tsunagi_core::policy::{Basis, DenialReason, Flow, Purpose};

use crate::commands::{CommandFault, Context, Output};

/// How many leaves are read at once.
const PAGE: usize = 4_096;

/// One decision.
#[derive(Serialize)]
pub(super) struct Explained {
    tenant: TenantId,
    leaf: u64,
    at: jiff::Timestamp,
    participant: Option<ParticipantId>,
    flow: Flow,
    kind: Option<KindName>,
    purpose: Option<Purpose>,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    because: String,
    /// The clauses and directives that decided, the rule in brackets.
    by: Vec<String>,
    policy_version: Option<String>,
    classes: BTreeSet<ClassName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    would_change_if: Option<String>,
}

/// Runs the command.
pub(super) async fn run(context: &Context, exchange: &ExchangeId, only: Option<TenantId>) -> Result<(), CommandFault> {
    let store = context.store().await?;
    let logs = match only {
        Some(tenant) => vec![tenant],
        None => store.logs().await?,
    };
    let mark = exchange.as_str().as_bytes();
    let bar = ProgressBar::new_spinner();
    let mut found = Vec::new();
    for tenant in logs {
        let mut from = 0;
        loop {
            let page = store.audit_page(&tenant, from, PAGE).await?;
            let Some(last) = page.last() else { break };
            from = last.index + 1;
            bar.set_position(from);
            for leaf in page.iter().filter(|leaf| leaf.bytes.windows(mark.len()).any(|window| window == mark)) {
                let event: AuditEvent =
                    serde_json::from_slice(&leaf.bytes).map_err(|error| CommandFault::Failed(error.to_string()))?;
                if event.exchange.as_ref() == Some(exchange) {
                    found.extend(explain(&context.output, &tenant, leaf.index, event));
                }
            }
        }
    }
    bar.finish_and_clear();
    if found.is_empty() {
        return Err(CommandFault::Failed(context.output.say(
            &format!("連携 {exchange} について下された判定は、どの記録にもありません"),
            &format!("no log has a decision of exchange {exchange}"),
        )));
    }
    context
        .output
        .print(&found, |found| found.iter().map(|one| people(&context.output, one)).collect::<Vec<_>>().join("\n\n"))
}

/// What an event says of a decision; nothing if it is about none.
fn explain(output: &Output, tenant: &TenantId, leaf: u64, event: AuditEvent) -> Option<Explained> {
    let flow = event.flow?;
    let was_permitted = !event.bases.is_empty();
    let reason = event.reason.filter(|_| event.outcome == EventOutcome::Denied);
    let denial = reason.as_deref().and_then(denial_reason);
    let because = match (&reason, denial) {
        (_, Some(denial)) => output.pick(&denial.words()).to_owned(),
        (None, _) => output.say("許す規則がある", "a rule permits it"),
        (Some(reason), None) => other_words(output, reason),
    };
    let mut by: Vec<String> = event.bases.iter().map(basis).collect();
    by.extend(event.denied_by.filter(|by| !by.is_empty()));
    Some(Explained {
        tenant: tenant.clone(),
        leaf,
        at: event.at,
        participant: event.agent.participant,
        flow,
        kind: event.kind,
        purpose: event.purpose,
        verdict: if was_permitted { "permit" } else { "deny" },
        reason,
        because,
        by,
        policy_version: event.policy_version,
        classes: event.classes,
        would_change_if: denial.map(|denial| output.pick(&denial.remedy()).to_owned()),
    })
}

/// A clause or a directive, with the rule of the policy that names it or asks for it.
pub(super) fn basis(basis: &Basis) -> String {
    match basis {
        Basis::Directive { id, rule } => format!("{id} [{rule}]"),
        Basis::Statute { clause, rule } => format!("{clause} [{rule}]"),
    }
}

/// A reason as events spell it.
pub(super) fn denial_reason(word: &str) -> Option<DenialReason> {
    serde_json::from_value(serde_json::Value::String(word.to_owned())).ok()
}

/// Reasons that are no decision of the policy's.
fn other_words(output: &Output, reason: &str) -> String {
    match reason {
        "no_link" => {
            output.say("サインインがこの対象者に結び付いていない", "the sign-in is not linked to this subject")
        }
        "no_record" => output.say("許されたが、該当する記録がない", "it was permitted, and there is no such record"),
        "subject_unknown" => output.say("識別子が一人に定まらない", "the identifiers name nobody, or several"),
        other => other.to_owned(),
    }
}

fn people(output: &Output, one: &Explained) -> String {
    let Explained { tenant, leaf, at, verdict, because, .. } = one;
    let participant = one.participant.as_ref().map_or("?", |participant| participant.as_str());
    let kind = one.kind.as_ref().map_or("?", |kind| kind.as_str());
    let purpose = one.purpose.map_or("-", Purpose::as_str);
    let mut lines = vec![
        format!("{tenant}/{leaf}  {at}  {participant}  {kind}  {purpose}"),
        format!(
            "  {verdict}: {because}{}",
            one.reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"))
        ),
    ];
    if !one.by.is_empty() {
        lines.push(output.say(&format!("  根拠: {}", one.by.join(", ")), &format!("  by: {}", one.by.join(", "))));
    }
    if let Some(version) = &one.policy_version {
        lines.push(output.say(&format!("  方針の版: {version}"), &format!("  policy version: {version}")));
    }
    if let Some(remedy) = &one.would_change_if {
        lines.push(output.say(&format!("  変わるには: {remedy}"), &format!("  it takes: {remedy}")));
    }
    lines.join("\n")
}
