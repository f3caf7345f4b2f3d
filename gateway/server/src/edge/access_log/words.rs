//! An audit event in words for the person it is about. Labels come from the kind files, the policy and the registry.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use tsunagi_core::audit::{Action, AuditEvent, EventOutcome};
use tsunagi_core::fault::{Bilingual, Lang};
use tsunagi_core::id::{ClassName, ExchangeId, ParticipantId, SubjectKey, TenantId};
use tsunagi_core::policy::{Basis, DenialReason, Policy, Purpose};
use tsunagi_core::registry::{Registry, Role};
use tsunagi_mappings::Tables;

use super::is_for_proxies;
use crate::pipeline::Caller;

/// A code with its name.
#[derive(Debug, Serialize)]
pub(super) struct Named {
    code: String,
    label: String,
}

/// Who it was.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Who {
    #[serde(skip_serializing_if = "Option::is_none")]
    participant: Option<ParticipantId>,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    /// True if it was the reader, through this app.
    you: bool,
    proxy: bool,
}

/// One entry.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    at: Timestamp,
    subject: Option<SubjectKey>,
    tenant: TenantId,
    municipality: String,
    /// The whole of it in a sentence.
    text: String,
    who: Who,
    action: Named,
    outcome: Named,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Named>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Named>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purpose: Option<Named>,
    /// The clauses and consents it rested on.
    bases: Vec<Named>,
    /// The rule or the consent that it was refused by.
    #[serde(skip_serializing_if = "Option::is_none")]
    denied_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_version: Option<String>,
    /// How many records were seen, or came in.
    #[serde(skip_serializing_if = "is_zero")]
    records: usize,
    /// Disclosure classes that were seen, or came in.
    seen: Vec<Named>,
    /// Those of the kind that were not: refused, or nothing was there.
    not_seen: Vec<Named>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exchange: Option<ExchangeId>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "so serde asks")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// A number to be told; nothing of none.
fn count(records: usize) -> String {
    if records == 0 { String::new() } else { records.to_string() }
}

/// What words are made from.
pub(super) struct Words<'a> {
    pub(super) tables: &'a Tables,
    pub(super) registry: &'a Registry,
    pub(super) lang: Lang,
    pub(super) caller: &'a Caller,
    /// The pseudonym of who reads.
    pub(super) viewer: &'a str,
}

impl Words<'_> {
    /// An event as an entry. For a proxy the classes are left out that no app shows to one.
    pub(super) fn entry(&self, tenant: &TenantId, event: &AuditEvent, proxy: Option<&Policy>) -> Entry {
        let kind = event.kind.as_ref().and_then(|name| self.tables.kind(name));
        let shown = |class: &&ClassName| {
            proxy.is_none_or(|policy| event.kind.as_ref().is_some_and(|kind| is_for_proxies(policy, kind, class)))
        };
        let all: BTreeSet<&ClassName> = kind.map(|kind| kind.classes()).unwrap_or_default();
        let seen: Vec<Named> = event.classes.iter().filter(shown).map(|class| self.class(class)).collect();
        let not_seen = all.into_iter().filter(|class| is_read(event.action) && !event.classes.contains(*class));
        let not_seen: Vec<Named> = not_seen.filter(shown).map(|class| self.class(class)).collect();
        let municipality = self.registry.tenant(tenant).map_or(tenant.to_string(), |tenant| tenant.name.clone());
        let mut entry = Entry {
            at: event.at,
            subject: event.subject.clone(),
            tenant: tenant.clone(),
            municipality,
            text: String::new(),
            who: self.who(event),
            action: self.named(&event.action, &action(event.action)),
            outcome: self.named(&event.outcome, &outcome(event.outcome)),
            reason: event.reason.as_deref().and_then(|code| self.reason(code)),
            kind: kind.map(|kind| self.named(&kind.name, &kind.label)),
            purpose: event.purpose.map(|purpose| self.named(&purpose, &label_of(purpose))),
            bases: event.bases.iter().map(|basis| self.basis(basis)).collect(),
            denied_by: event.denied_by.clone(),
            policy_version: event.policy_version.clone(),
            // Of what a proxy is not shown it is not told how many there are.
            records: if seen.is_empty() { 0 } else { event.records.len() },
            seen,
            not_seen,
            exchange: event.exchange.clone(),
        };
        entry.text = self.sentence(&entry);
        entry
    }

    fn who(&self, event: &AuditEvent) -> Who {
        let id = event.agent.participant.as_ref();
        let found = id.and_then(|id| self.registry.participant(id));
        let nobody = Bilingual::new("ハブ", "the hub");
        let name = match (found, id) {
            (Some(participant), _) => participant.name.clone(),
            (None, Some(id)) => id.to_string(),
            (None, None) => nobody.pick(self.lang).to_owned(),
        };
        let you = event.agent.end_user.as_deref() == Some(self.viewer) && id == Some(&self.caller.participant.id);
        Who { participant: id.cloned(), name, role: found.map(|found| found.role), you, proxy: event.agent.proxy }
    }

    fn named(&self, code: &impl Serialize, label: &Bilingual) -> Named {
        Named { code: crate::pipeline::lookup::word(code), label: label.pick(self.lang).to_owned() }
    }

    fn class(&self, class: &ClassName) -> Named {
        let rule = self.tables.policy().class.iter().find(|rule| rule.name == *class);
        let label = rule.map_or(class.to_string(), |rule| rule.label.pick(self.lang).to_owned());
        Named { code: class.to_string(), label }
    }

    fn basis(&self, basis: &Basis) -> Named {
        match basis {
            Basis::Directive { id, .. } => {
                let label = Bilingual::new("同意", "a consent");
                Named { code: id.to_string(), label: label.pick(self.lang).to_owned() }
            }
            Basis::Statute { clause, rule } => Named { code: rule.clone(), label: clause.clone() },
        }
    }

    /// Reasons that have words; others are of the way a record takes, and say nothing to the person.
    fn reason(&self, code: &str) -> Option<Named> {
        let words = match code {
            "no_link" => Bilingual::new("本人との結び付きがない", "the sign-in was not linked"),
            "no_record" => Bilingual::new("該当する記録がない", "there was no such record"),
            "own_directives" => Bilingual::new("同意の一覧を見た", "the list of consents was looked at"),
            _ => serde_json::from_value::<DenialReason>(code.into()).ok()?.words(),
        };
        Some(Named { code: code.to_owned(), label: words.pick(self.lang).to_owned() })
    }

    fn sentence(&self, entry: &Entry) -> String {
        let comma = if self.lang == Lang::Ja { "・" } else { ", " };
        let list = |list: &[Named]| list.iter().map(|one| one.label.as_str()).collect::<Vec<_>>().join(comma);
        let kind = entry.kind.as_ref().map(|kind| kind.label.as_str());
        let (who, action, outcome) = (&entry.who.name, &entry.action.label, &entry.outcome.label);
        match self.lang {
            Lang::Ja => {
                let who = if entry.who.you { format!("あなた（{who}）") } else { who.clone() };
                let kind = kind.map(|kind| format!("（{kind}）")).unwrap_or_default();
                let mut text = format!("{who}: {action}{kind}。結果: {outcome}");
                let mut add = |name: &str, what: String| {
                    if !what.is_empty() {
                        text.push_str(&format!("。{name}: {what}"));
                    }
                };
                add("理由", entry.reason.iter().map(|one| one.label.clone()).collect());
                add("目的", entry.purpose.iter().map(|one| one.label.clone()).collect());
                add("根拠", list(&entry.bases));
                add("件数", count(entry.records));
                add("見られた区分", list(&entry.seen));
                text + "。"
            }
            Lang::En => {
                let who = if entry.who.you { format!("you ({who})") } else { who.clone() };
                let kind = kind.map(|kind| format!(" ({kind})")).unwrap_or_default();
                let mut text = format!("{who}: {action}{kind}. Outcome: {outcome}");
                let mut add = |name: &str, what: String| {
                    if !what.is_empty() {
                        text.push_str(&format!(". {name}: {what}"));
                    }
                };
                add("Reason", entry.reason.iter().map(|one| one.label.clone()).collect());
                add("Purpose", entry.purpose.iter().map(|one| one.label.clone()).collect());
                add("By right of", list(&entry.bases));
                add("Records", count(entry.records));
                add("Classes seen", list(&entry.seen));
                text + "."
            }
        }
    }
}

/// Whether somebody looked, rather than brought something.
fn is_read(action: Action) -> bool {
    matches!(action, Action::DeliveryDisclosed | Action::LookupAnswered | Action::RequestAnswered)
}

fn outcome(outcome: EventOutcome) -> Bilingual {
    match outcome {
        EventOutcome::Denied => Bilingual::new("断られた", "refused"),
        EventOutcome::Done => Bilingual::new("行われた", "done"),
        EventOutcome::Failed => Bilingual::new("失敗した", "failed"),
    }
}

fn label_of(purpose: Purpose) -> Bilingual {
    match purpose {
        Purpose::Etreat => Bilingual::new("緊急の診療", "emergency treatment"),
        Purpose::Hoperat => Bilingual::new("医療の運営", "healthcare operations"),
        Purpose::Hpaymt => Bilingual::new("医療費の支払い", "healthcare payment"),
        Purpose::Patrqt => Bilingual::new("本人の求め", "request of the person"),
        Purpose::Pubhlth => Bilingual::new("公衆衛生・母子保健", "public health"),
        Purpose::Treat => Bilingual::new("診療", "treatment"),
    }
}

fn action(action: Action) -> Bilingual {
    match action {
        Action::DeliveryDisclosed => Bilingual::new("記録が届けられた", "a record was handed over"),
        Action::DecisionRehearsed => Bilingual::new("提供の判定を試した", "asked what a decision would be"),
        Action::DeliveryRedriven => Bilingual::new("配信がやり直された", "a delivery was put back"),
        Action::DeliverySettled => Bilingual::new("配信が終わった", "a delivery ended"),
        Action::DirectiveRecorded => Bilingual::new("同意・意思表示を登録した", "gave a consent or objection"),
        Action::DirectiveWithdrawn => Bilingual::new("同意・意思表示を撤回した", "withdrew a consent or objection"),
        Action::LogRead => Bilingual::new("アクセス記録を見た", "read the access log"),
        Action::LookupAnswered => Bilingual::new("記録を照会した", "asked for records"),
        Action::RecordAccepted => Bilingual::new("記録を登録した", "sent a record"),
        Action::RecordDeleted => Bilingual::new("記録を取り消した", "withdrew a record"),
        Action::RecordRefused => Bilingual::new("記録の登録が断られた", "sent a record that was refused"),
        Action::RecordWaiting => Bilingual::new("記録が確認待ちになった", "sent a record that waits"),
        Action::RequestAnswered => {
            Bilingual::new("他の市町村として記録を求めた", "asked for records as another municipality")
        }
        Action::RequestMade => Bilingual::new("他の市町村に記録を求めた", "asked another municipality for records"),
        Action::SubjectLinked => Bilingual::new("サインインを本人に結び付けた", "linked a sign-in to the person"),
        Action::SubjectShredded => Bilingual::new("本人のデータを消去した", "destroyed the person's data"),
        // Not about anybody; if it is ever found here, it is named all the same.
        Action::CertificateIssued
        | Action::CertificateRenewed
        | Action::CertificateRevoked
        | Action::CheckpointWitnessed
        | Action::CrlPublished
        | Action::ExchangeRefused
        | Action::PeerRefused
        | Action::RecordsPurged
        | Action::RegistryImported
        | Action::RejectionsReturned
        | Action::SelfTestEnded => Bilingual::new("ハブの運用", "running of the hub"),
    }
}
