//! The decision (同意判定): pure, total, and the only maker of a [`Permit`].

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use crate::id::{ClassName, DirectiveId, FieldKey, KindName, ParticipantId, SubjectKey, TenantId};
use crate::kind::{Field, Kind};
use crate::registry::Role;

use super::directive::{Directive, DirectiveEffect};
use super::table::{Effect, Flow, Policy, PolicyRule, Purpose};

/// Who would receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The participant.
    pub participant: ParticipantId,
    /// Its role.
    pub role: Role,
}

/// Who acts behind the recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acting {
    /// The organisation itself.
    Organization,
    /// A proxy of the subject (保護者).
    Proxy(ProxyTerm),
    /// The subject in person.
    Subject,
}

/// From when until when a proxy may act, both days inclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyTerm {
    /// First day.
    pub from: Date,
    /// Last day, the earlier of what was registered and the day the child comes of age.
    pub until: Option<Date>,
}

impl ProxyTerm {
    /// True on its days.
    pub fn holds(&self, today: Date) -> bool {
        self.from <= today && self.until.is_none_or(|last| today <= last)
    }
}

/// All that a decision rests on.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// Which way the data would go.
    pub flow: Flow,
    /// From which tenant.
    pub tenant: &'a TenantId,
    /// To whom.
    pub recipient: &'a Recipient,
    /// Who acts.
    pub acting: &'a Acting,
    /// Whose data.
    pub subject: &'a SubjectKey,
    /// The subject's non-disclosure flag (不開示フラグ).
    pub non_disclosure: bool,
    /// Which kind.
    pub kind: &'a Kind,
    /// What for.
    pub purpose: Option<Purpose>,
    /// The legal basis the caller states.
    pub stated_basis: Option<&'a str>,
    /// The items the caller names one by one, by their field keys; a statute with `only_if_named` opens these alone.
    pub named_items: &'a BTreeSet<FieldKey>,
    /// The subject's directives, in force or not.
    pub directives: &'a [Directive],
    /// The moment it is decided for.
    pub at: Timestamp,
    /// The same moment as a date in Japan: statutes and registrations hold by days.
    pub today: Date,
}

/// What a permit rests on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// A directive of the person, under a rule of the policy.
    Directive {
        /// The directive
        id: DirectiveId,
        /// The rule that asks for it
        rule: String,
    },
    /// A statute.
    Statute {
        /// The clause
        clause: String,
        /// The rule that states it
        rule: String,
    },
}

/// A positive decision. Made by [`decide`] alone, used up by one disclosure.
///
/// ```compile_fail,E0599
/// use tsunagi_core::policy::Permit;
/// fn twice(permit: Permit) -> (Permit, Permit) { (permit.clone(), permit) }
/// ```
///
/// ```compile_fail,E0451
/// use tsunagi_core::policy::Permit;
/// fn widened(permit: Permit) -> Permit { Permit { classes: Default::default(), ..permit } }
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    flow: Flow,
    tenant: TenantId,
    recipient: ParticipantId,
    subject: SubjectKey,
    kind: KindName,
    purpose: Option<Purpose>,
    classes: BTreeSet<ClassName>,
    items: BTreeMap<ClassName, BTreeSet<FieldKey>>,
    bases: BTreeSet<Basis>,
    policy_version: String,
    decided_at: Timestamp,
}

impl Permit {
    /// Which way.
    pub fn flow(&self) -> Flow {
        self.flow
    }
    /// From which tenant.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }
    /// To whom.
    pub fn recipient(&self) -> &ParticipantId {
        &self.recipient
    }
    /// Whose.
    pub fn subject(&self) -> &SubjectKey {
        &self.subject
    }
    /// Which kind.
    pub fn kind(&self) -> &KindName {
        &self.kind
    }
    /// What for.
    pub fn purpose(&self) -> Option<Purpose> {
        self.purpose
    }
    /// The classes of which something may be seen: the whole class, unless [`Permit::items`] narrows it.
    pub fn classes(&self) -> &BTreeSet<ClassName> {
        &self.classes
    }
    /// For the classes that are not open as a whole, the fields that are: those the caller named. Never an empty set.
    pub fn items(&self) -> &BTreeMap<ClassName, BTreeSet<FieldKey>> {
        &self.items
    }
    /// True if this field may be seen: its class is open, as a whole or for this field.
    pub fn covers(&self, field: &Field) -> bool {
        self.classes.contains(&field.class)
            && self.items.get(&field.class).is_none_or(|items| items.contains(&field.key))
    }
    /// Why.
    pub fn bases(&self) -> &BTreeSet<Basis> {
        &self.bases
    }
    /// Under which policy.
    pub fn policy_version(&self) -> &str {
        &self.policy_version
    }
    /// When it was decided.
    pub fn decided_at(&self) -> Timestamp {
        self.decided_at
    }
}

/// Why not. For the audit log only; to the outside all reasons are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DenialReason {
    /// The caller stated no legal basis, or another than the rule's.
    BasisNotStated,
    /// A directive permitted this and has run out.
    ConsentExpired,
    /// A directive is needed and there is none.
    ConsentMissing,
    /// A directive permitted this and was withdrawn.
    ConsentWithdrawn,
    /// A directive denies it.
    DirectiveDenies,
    /// The non-disclosure flag is set.
    NonDisclosure,
    /// The policy has nothing that permits it.
    NothingPermits,
    /// The proxy's term has not begun or is over.
    ProxyEnded,
    /// A statute forbids it.
    StatuteForbids,
}

/// A negative decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Why.
    pub reason: DenialReason,
    /// The rule or directive it rests on; empty where nothing spoke.
    pub basis: String,
    /// Under which policy.
    pub policy_version: String,
}

/// The result: absence and doubt are [`Decision::Deny`].
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// No.
    Deny(Denial),
    /// Yes, for what the permit covers.
    Permit(Permit),
}

/// Decides class by class, in this order: non-disclosure flag, statute that forbids, explicit deny, statute that
/// permits, directive that permits, and otherwise no. A deny gives way to a permit of the person that is narrower. What is visible of no class is denied as a whole.
///
/// In doubt the answer is no: a class the policy does not declare is never visible, and where the caller states no
/// purpose, whatever forbids or denies for some purpose holds and whatever permits for some purpose does not.
pub fn decide(question: &Question<'_>, policy: &Policy) -> Decision {
    match visible(question, policy) {
        Err((reason, basis)) => Decision::Deny(Denial { reason, basis, policy_version: policy.version.clone() }),
        Ok(Visible { classes, items, bases }) => Decision::Permit(Permit {
            flow: question.flow,
            tenant: question.tenant.clone(),
            recipient: question.recipient.participant.clone(),
            subject: question.subject.clone(),
            kind: question.kind.name.clone(),
            purpose: question.purpose,
            classes,
            items,
            bases,
            policy_version: policy.version.clone(),
            decided_at: question.at,
        }),
    }
}

/// Why not, and by which rule or directive.
type Refused = (DenialReason, String);

/// What may be seen of at least one class, and what that rests on.
#[derive(Default)]
struct Visible {
    classes: BTreeSet<ClassName>,
    items: BTreeMap<ClassName, BTreeSet<FieldKey>>,
    bases: BTreeSet<Basis>,
}

/// What opens a class, and the only fields it opens if not all.
type Opened = (Basis, Option<BTreeSet<FieldKey>>);

fn visible(question: &Question<'_>, policy: &Policy) -> Result<Visible, Refused> {
    let nothing = (DenialReason::NothingPermits, String::new());
    let Some(flow) = policy.flow.iter().find(|rule| rule.flow == question.flow) else { return Err(nothing) };
    if question.non_disclosure && flow.non_disclosure_denies {
        return Err((DenialReason::NonDisclosure, String::new()));
    }
    if let Acting::Proxy(term) = question.acting
        && !term.holds(question.today)
    {
        return Err((DenialReason::ProxyEnded, String::new()));
    }
    let mut visible = Visible::default();
    let mut refused = nothing;
    for class in question.kind.classes() {
        match decide_class(question, policy, flow.basis_must_be_stated, class) {
            Ok((basis, only)) => {
                visible.classes.insert(class.clone());
                visible.items.extend(only.map(|fields| (class.clone(), fields)));
                visible.bases.insert(basis);
            }
            Err(reason) => refused = weightier(refused, reason),
        }
    }
    if visible.classes.is_empty() { Err(refused) } else { Ok(visible) }
}

fn decide_class(
    question: &Question<'_>,
    policy: &Policy,
    basis_must_be_stated: bool,
    class: &ClassName,
) -> Result<Opened, Refused> {
    let mut refused = (DenialReason::NothingPermits, String::new());
    let Some(declared) = policy.class.iter().find(|rule| rule.name == *class) else { return Err(refused) };
    if question.non_disclosure && declared.hidden_by_non_disclosure {
        return Err((DenialReason::NonDisclosure, String::new()));
    }
    let about: Vec<&PolicyRule> = policy.rule.iter().filter(|rule| is_about(rule, question, class)).collect();
    let with = |effect| about.iter().filter(move |rule| rule.effect == effect);

    if let Some(rule) = with(Effect::Never).next() {
        return Err((DenialReason::StatuteForbids, rule.id.clone()));
    }
    let denial = |directive: &&Directive| denies(directive, question, class) && !is_lifted(directive, question, class);
    if let Some(directive) = question.directives.iter().find(denial) {
        return Err((DenialReason::DirectiveDenies, directive.id.to_string()));
    }
    // A rule for the whole class comes before one for named items, so that naming an item never hides the others.
    let whole = with(Effect::Statute).filter(|rule| !rule.only_if_named).map(|rule| (rule, None));
    let named = named_of(question, class);
    let by_name = with(Effect::Statute).filter(|rule| rule.only_if_named && !named.is_empty());
    for (rule, only) in whole.chain(by_name.map(|rule| (rule, Some(&named)))) {
        if !basis_must_be_stated || question.stated_basis == Some(rule.clause.as_str()) {
            return Ok((Basis::Statute { clause: rule.clause.clone(), rule: rule.id.clone() }, only.cloned()));
        }
        refused = weightier(refused, (DenialReason::BasisNotStated, rule.id.clone()));
    }
    for rule in with(Effect::Consent) {
        match consent(question, class, rule) {
            Ok(id) => return Ok((Basis::Directive { id, rule: rule.id.clone() }, None)),
            Err(reason) => refused = weightier(refused, (reason, rule.id.clone())),
        }
    }
    Err(refused)
}

/// The fields of a class that the caller names.
fn named_of(question: &Question<'_>, class: &ClassName) -> BTreeSet<FieldKey> {
    // Nearly nobody names any.
    if question.named_items.is_empty() {
        return BTreeSet::new();
    }
    let of_class = question.kind.fields.iter().filter(|field| field.class == *class).map(|field| &field.key);
    of_class.filter(|key| question.named_items.contains(*key)).cloned().collect()
}

/// The directive in force that permits what the rule asks consent for, or what became of the ones that did.
fn consent(question: &Question<'_>, class: &ClassName, rule: &PolicyRule) -> Result<DirectiveId, DenialReason> {
    let mut reason = DenialReason::ConsentMissing;
    for directive in question.directives.iter().filter(|d| permits(d, question, class, rule.only_if_named)) {
        if directive.is_in_force(question.at) {
            return Ok(directive.id.clone());
        }
        if directive.withdrawn_at.is_some() {
            reason = DenialReason::ConsentWithdrawn;
        } else if reason == DenialReason::ConsentMissing && directive.expires_at.is_some_and(|end| end <= question.at) {
            reason = DenialReason::ConsentExpired;
        }
    }
    Err(reason)
}

fn is_about(rule: &PolicyRule, question: &Question<'_>, class: &ClassName) -> bool {
    let forbids = rule.effect == Effect::Never;
    let purpose_fits =
        rule.purposes.is_empty() || question.purpose.map_or(forbids, |purpose| rule.purposes.contains(&purpose));
    let actor_fits = forbids || !(rule.not_for_proxy && matches!(question.acting, Acting::Proxy(_)));
    rule.flow == question.flow
        && (rule.kinds.is_empty() || rule.kinds.contains(&question.kind.name))
        && (rule.classes.is_empty() || rule.classes.contains(class))
        && purpose_fits
        && actor_fits
        && rule.from.is_none_or(|first| first <= question.today)
        && rule.until.is_none_or(|last| question.today <= last)
}

fn denies(directive: &Directive, question: &Question<'_>, class: &ClassName) -> bool {
    directive.effect == DirectiveEffect::Deny
        && directive.subject == *question.subject
        && directive.is_in_force(question.at)
        && directive.is_about(question.recipient, &question.kind.name, question.purpose)
        && (directive.classes.is_empty() || directive.classes.contains(class))
}

/// True if the person has also said something narrower that permits. At the same width the denial holds, and so it does
/// where the permission is the recipient's own word of what was said at its desk: nobody lifts a denial for himself. An
/// app hands on what the person has signed in to say.
fn is_lifted(denial: &Directive, question: &Question<'_>, class: &ClassName) -> bool {
    let Recipient { participant, role } = question.recipient;
    question.directives.iter().any(|directive| {
        permits(directive, question, class, false)
            && directive.is_in_force(question.at)
            && (directive.stated_by != *participant || *role == Role::App)
            && directive.is_narrower_than(denial)
    })
}

fn permits(directive: &Directive, question: &Question<'_>, class: &ClassName, only_if_named: bool) -> bool {
    directive.effect == DirectiveEffect::Permit
        && directive.subject == *question.subject
        && directive.is_about(question.recipient, &question.kind.name, question.purpose)
        && (directive.classes.contains(class) || (!only_if_named && directive.classes.is_empty()))
}

/// Which of two reasons the audit log names: the one that says most about what would have to change; the first of
/// two equal ones.
fn weightier(first: Refused, second: Refused) -> Refused {
    if rank(second.0) > rank(first.0) { second } else { first }
}

fn rank(reason: DenialReason) -> u8 {
    match reason {
        DenialReason::NothingPermits => 0,
        DenialReason::StatuteForbids => 1,
        DenialReason::NonDisclosure => 2,
        DenialReason::ConsentMissing => 3,
        DenialReason::ConsentExpired => 4,
        DenialReason::ConsentWithdrawn => 5,
        DenialReason::BasisNotStated => 6,
        DenialReason::DirectiveDenies => 7,
        DenialReason::ProxyEnded => 8,
    }
}
