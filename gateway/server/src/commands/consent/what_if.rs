//! `tsunagi consent what-if`: recorded decisions, made again under tables that are not in force yet.

use std::collections::BTreeMap;
use std::path::Path;

use indicatif::ProgressBar;
use serde::Serialize;
use tsunagi_core::audit::{Action, AuditEvent};
use tsunagi_core::fault::Bilingual;
use tsunagi_core::id::TenantId;
use tsunagi_core::policy::{Decision, Policy, Question, Recipient, decide};
use tsunagi_mappings::Tables;
use tsunagi_store::{Held, Storage, SubjectRef};

use super::explain::denial_reason;
use crate::clock::date_in_japan;
use crate::commands::{CommandFault, Context};
use crate::gateway::load_tables;
use crate::pipeline::lookup::word;

/// How many leaves are read at once, from the end backwards.
const PAGE: u64 = 1_024;

/// What came of it.
#[derive(Serialize)]
struct Outcome {
    policy_version: String,
    made_again: usize,
    /// How many were not, in all and by the reason.
    left_out: usize,
    left_out_by_reason: BTreeMap<LeftOut, usize>,
    differ: Vec<Difference>,
}

impl Outcome {
    fn leave_out(&mut self, reason: LeftOut) {
        self.left_out += 1;
        *self.left_out_by_reason.entry(reason).or_default() += 1;
    }
}

/// Why what a log tells of is not decided again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum LeftOut {
    /// It came with a record or its delivery: a channel and a statute decide these, no directive.
    ByChannel,
    /// The event does not say what it rested on.
    Incomplete,
    /// One of the two tables lacks the kind.
    KindUnknown,
    /// Nobody was meant, or nobody linked: it never came to a decision.
    Nobody,
    /// The subject was shredded.
    SubjectGone,
}

impl LeftOut {
    /// Of a lookup whose event does not say what a decision rested on.
    fn of(event: &AuditEvent) -> Self {
        match event.reason.as_deref() {
            Some("no_link" | "subject_unknown") => Self::Nobody,
            _ => Self::Incomplete,
        }
    }

    fn words(self) -> Bilingual {
        match self {
            Self::ByChannel => {
                Bilingual::new("記録の受付・配信で、チャネルが決めるもの", "came with a record: the channel decides")
            }
            Self::Incomplete => {
                Bilingual::new("判定の根拠が記録にないもの", "the event does not say what it rested on")
            }
            Self::KindUnknown => {
                Bilingual::new("記録種別がどちらかの表にないもの", "one of the two tables lacks the kind")
            }
            Self::Nobody => Bilingual::new(
                "識別子が一人に定まらないか、結び付きがなく、判定に至らなかったもの",
                "named nobody or was not linked: nothing was decided",
            ),
            Self::SubjectGone => Bilingual::new("対象者の鍵が消去されたもの", "the subject is gone"),
        }
    }
}

/// A decision that would be another.
#[derive(Serialize)]
struct Difference {
    tenant: TenantId,
    leaf: u64,
    event: AuditEvent,
    was: String,
    would_be: String,
}

/// Runs the command.
pub(super) async fn run(
    context: &Context,
    folder: &Path,
    last: usize,
    only: Option<TenantId>,
) -> Result<(), CommandFault> {
    let next = Tables::with_folder(folder).map_err(|faults| {
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        CommandFault::Refused(faults.join("\n"))
    })?;
    let now = load_tables(&context.config()?)?;
    let store = context.store().await?;
    let logs = match only {
        Some(tenant) => vec![tenant],
        None => store.logs().await?,
    };
    let policy_version = next.policy().version.clone();
    let mut outcome =
        Outcome { policy_version, made_again: 0, left_out: 0, left_out_by_reason: BTreeMap::new(), differ: Vec::new() };
    let bar = ProgressBar::new_spinner();
    for tenant in logs {
        for (leaf, event) in newest(store.as_ref(), &tenant, last, &mut outcome).await? {
            bar.inc(1);
            match again(store.as_ref(), &tenant, &event, (&now, &next)).await? {
                Err(reason) => outcome.leave_out(reason),
                Ok((was, would_be)) => {
                    outcome.made_again += 1;
                    if was != would_be {
                        outcome.differ.push(Difference { tenant: tenant.clone(), leaf, event, was, would_be });
                    }
                }
            }
        }
    }
    bar.finish_and_clear();
    context.output.print(&outcome, |outcome| {
        let line = |one: &Difference| {
            let participant = one.event.agent.participant.as_ref().map_or("?", |participant| participant.as_str());
            let kind = one.event.kind.as_ref().map_or("?", |kind| kind.as_str());
            let Difference { tenant, leaf, was, would_be, .. } = one;
            format!("{tenant}/{leaf}  {participant}  {kind}  {was} -> {would_be}")
        };
        let (made, differ, left) = (outcome.made_again, outcome.differ.len(), outcome.left_out);
        let words = context.output.say(
            &format!("判定 {made} 件をやり直し、異なるもの {differ} 件（やり直さないもの {left} 件）"),
            &format!("{made} decisions made again, {differ} would differ ({left} left out)"),
        );
        let reasons = outcome.left_out_by_reason.iter().map(|(reason, count)| {
            let words = reason.words();
            format!("  {count}  {} ({})", context.output.pick(&words), word(reason))
        });
        outcome.differ.iter().map(line).chain([words]).chain(reasons).collect::<Vec<_>>().join("\n")
    })
}

/// The newest decisions of a log on lookups and requests, newest first; what lies between them and is none counts as
/// left out.
async fn newest(
    store: &dyn Storage,
    tenant: &TenantId,
    last: usize,
    outcome: &mut Outcome,
) -> Result<Vec<(u64, AuditEvent)>, CommandFault> {
    let mut end = store.newest_checkpoint(tenant).await?.map_or(0, |checkpoint| checkpoint.size);
    let mut found = Vec::new();
    while end > 0 && found.len() < last {
        let from = end.saturating_sub(PAGE);
        let page = store.audit_page(tenant, from, usize::try_from(end - from).unwrap_or(usize::MAX)).await?;
        for leaf in page.into_iter().rev() {
            let event: AuditEvent =
                serde_json::from_slice(&leaf.bytes).map_err(|error| CommandFault::Failed(error.to_string()))?;
            if found.len() == last {
                break;
            }
            match (event.action, &event.inputs) {
                // What the log has of no decision: a flow without one is that of the municipality that asks.
                _ if event.flow.is_none() => {}
                (Action::RequestMade, _) => {}
                (Action::LookupAnswered | Action::RequestAnswered, Some(_)) => found.push((leaf.index, event)),
                (Action::LookupAnswered | Action::RequestAnswered, None) => outcome.leave_out(LeftOut::of(&event)),
                _ => outcome.leave_out(LeftOut::ByChannel),
            }
        }
        end = from;
    }
    Ok(found)
}

/// What a decision was, and what it would be. The directives are those on file, as they were at that moment; the flag
/// is known where it decided, and is the present one else.
async fn again(
    store: &dyn Storage,
    tenant: &TenantId,
    event: &AuditEvent,
    (now, next): (&Tables, &Tables),
) -> Result<Result<(String, String), LeftOut>, CommandFault> {
    let (Some(inputs), Some(subject), Some(flow), Some(kind), Some(participant)) =
        (&event.inputs, &event.subject, event.flow, &event.kind, &event.agent.participant)
    else {
        return Ok(Err(LeftOut::Incomplete));
    };
    let Some(held) = store.held(tenant, &SubjectRef::Subject(subject.clone()), &[]).await? else {
        return Ok(Err(LeftOut::SubjectGone));
    };
    let today = date_in_japan(event.at);
    let acting = inputs.acting(today);
    let recipient = Recipient { participant: participant.clone(), role: inputs.role };
    let stood = held.directives.iter().filter_map(|directive| directive.clone().as_it_stood(event.at));
    let directives: Vec<_> = stood.collect();
    let by = |tables: &Tables| {
        let kind = tables.kind(kind)?;
        let question = Question {
            flow,
            tenant,
            recipient: &recipient,
            acting: &acting,
            subject,
            non_disclosure: had_flag(event, &held, now.policy()),
            kind,
            purpose: event.purpose,
            stated_basis: inputs.stated_basis.as_deref(),
            named_items: &inputs.named_items,
            directives: &directives,
            at: event.at,
            today,
        };
        Some(spell(decide(&question, tables.policy())))
    };
    let (Some(would_have_been), Some(would_be)) = (by(now), by(next)) else { return Ok(Err(LeftOut::KindUnknown)) };
    // Where the policy of that day said otherwise than today's, its word counts.
    let recorded_permit = !event.bases.is_empty();
    let was = match recorded_permit == would_have_been.starts_with("permit") {
        true => would_have_been,
        false if recorded_permit => "permit".to_owned(),
        false => format!("deny {}", event.reason.clone().unwrap_or_default()),
    };
    Ok(Ok((was, would_be)))
}

fn had_flag(event: &AuditEvent, held: &Held, policy: &Policy) -> bool {
    let reason = event.reason.as_deref().and_then(denial_reason);
    let stops = policy.flow.iter().any(|rule| Some(rule.flow) == event.flow && rule.non_disclosure_denies);
    match reason {
        Some(tsunagi_core::policy::DenialReason::NonDisclosure) => true,
        // The flag is looked at first: it would have been the reason.
        _ if stops => false,
        _ => held.non_disclosure,
    }
}

fn spell(decision: Decision) -> String {
    match decision {
        Decision::Permit(permit) => {
            let classes: Vec<_> = permit.classes().iter().map(|class| class.as_str()).collect();
            format!("permit {}", classes.join(","))
        }
        Decision::Deny(denial) => format!("deny {}", word(&denial.reason)),
    }
}
