//! Doses held against the other doses of the same person: those that rest here, and those of the same chunk.
//!
//! Every broken rule goes into the leaf of the dose, for the municipality. The sender is told of those that rest on other
//! doses as far as it may look these up: that an interval is too short says that there is an earlier dose.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tsunagi_core::audit::{Action, AuditEvent, EventOutcome};
use tsunagi_core::disclosure::{Disclosure, HeldRecord};
use tsunagi_core::fault::RowFault;
use tsunagi_core::id::{IdentifierSystem, KindName, SubjectKey, TenantId};
use tsunagi_core::kind::Kind;
use tsunagi_core::policy::{Acting, Decision, Flow, Question, decide};
use tsunagi_core::refusal::Refusal;
use tsunagi_core::registry::{Channel, Mode, Registry, Role};
use tsunagi_core::schedule::{Dose, Recipient, Schedule, ScheduleFlag};
use tsunagi_mappings::Tables;
use tsunagi_store::{AcceptRow, Held, Intake, NewRecord, Note, StoreError, SubjectRef};

use super::{Call, refusal_of};
use crate::gateway::Gateway;

/// Flags the doses of a chunk, each in its own tenant. Rows that bring no dose are left as they are, and nothing is read
/// where no rule looks at other doses.
pub(super) async fn hold_against_schedule(
    gateway: &Gateway,
    call: &Call,
    (tables, registry): (&Tables, &Registry),
    chunk: &mut [(TenantId, AcceptRow)],
) -> Result<(), Refusal> {
    let reads = chunk.iter().any(|(_, row)| brought(tables, row).is_some_and(|brought| brought.looks_back()));
    let (names, subjects) = (BTreeMap::new(), BTreeMap::new());
    let mut people = People { gateway, call, tables, registry, known: Vec::new(), names, subjects };
    let mut whose = Vec::with_capacity(chunk.len());
    for (tenant, row) in chunk.iter() {
        let person = match brought(tables, row) {
            Some(brought) if reads => people.person(tenant, &brought).await?,
            _ => None,
        };
        whose.push(person);
    }
    let mut answers: BTreeMap<TenantId, Answers> = BTreeMap::new();
    for (at, ((tenant, row), person)) in chunk.iter_mut().zip(whose).enumerate() {
        let Some(Brought { dose: Some((dose, recipient)), schedule, key, .. }) = brought(tables, row) else { continue };
        let person = person.and_then(|person| people.known.get(person));
        let looks_back = schedule.looks_back(&dose);
        let broken = schedule.flags(&history(person.map(|person| &person.doses), &key), &dose, &recipient);
        if let Some((person, seen)) = person.and_then(|p| Some((p, p.seen.as_ref()?))).filter(|_| looks_back) {
            let mut flags = schedule.flags(&history(Some(seen), &key), &dose, &recipient);
            flags.retain(|flag| !flag.code.is_own());
            let faults = faults(tables, registry, row, flags);
            match &person.leaf {
                None => row.faults.extend(faults),
                Some((leaf, version)) => {
                    let answer = answers.entry(tenant.clone()).or_default();
                    answer.events.push(AuditEvent { row: Some(row.row), ..leaf.clone() });
                    answer.rests_on.extend(leaf.subject.clone().map(|subject| (subject, *version)));
                    answer.faults.push((at, faults));
                }
            }
        }
        row.event.rules_broken = broken.iter().map(|flag| flag.code.as_str().to_owned()).collect();
    }
    for (tenant, answer) in answers {
        let note = Note { events: answer.events, rests_on: answer.rests_on.into_iter().collect(), directive: None };
        match gateway.store.note(&tenant, note).await {
            Ok(_) => {
                for (at, faults) in answer.faults {
                    chunk.iter_mut().skip(at).take(1).for_each(|(_, row)| row.faults.extend(faults.clone()));
                }
            }
            // A consent may be gone meanwhile: the dose is taken in all the same, and nothing is told.
            Err(StoreError::Stale) => {}
            Err(error) => return Err(refusal_of(error)),
        }
    }
    Ok(())
}

/// True if the row may be changed by [`hold_against_schedule`].
pub(super) fn has_schedule(tables: &Tables, row: &AcceptRow) -> bool {
    let Intake::Record(new) = &row.intake else { return false };
    tables.kind(new.record.kind()).is_some_and(|kind| kind.schedule.is_some())
}

/// What senders who need a permit are told, once its leaves are on disk.
#[derive(Default)]
struct Answers {
    events: Vec<AuditEvent>,
    rests_on: BTreeSet<(SubjectKey, u64)>,
    faults: Vec<(usize, Vec<RowFault>)>,
}

/// A record of a kind that has a schedule.
struct Brought<'a> {
    new: &'a NewRecord,
    kind: &'a Kind,
    schedule: &'a Schedule,
    /// `None` where it is no dose, or takes one back.
    dose: Option<(Dose, Recipient)>,
    key: Vec<String>,
}

impl Brought<'_> {
    fn looks_back(&self) -> bool {
        self.dose.as_ref().is_some_and(|(dose, _)| self.schedule.looks_back(dose))
    }
}

fn brought<'a>(tables: &'a Tables, row: &'a AcceptRow) -> Option<Brought<'a>> {
    let Intake::Record(new) = &row.intake else { return None };
    let kind = tables.kind(new.record.kind())?;
    let schedule = tables.schedule(&kind.schedule.as_ref()?.name)?;
    Some(Brought { new, kind, schedule, dose: kind.dose_of(&new.record), key: new.business_key.clone() })
}

fn faults(tables: &Tables, registry: &Registry, row: &AcceptRow, flags: Vec<ScheduleFlag>) -> Vec<RowFault> {
    let channel = row.event.channel.as_ref().and_then(|id| registry.channel(id));
    let layout = channel.and_then(|channel| tables.layout(&channel.layout));
    layout.map(|layout| tables.schedule_faults(layout, row.row, flags)).unwrap_or_default()
}

/// Doses by the business key of their records; `None` for a record that is no dose any more.
type Doses = BTreeMap<Vec<String>, Option<Dose>>;

/// All but the dose itself: an earlier version of it is not another dose.
fn history(doses: Option<&Doses>, own: &[String]) -> Vec<Dose> {
    let others = doses.into_iter().flatten().filter(|(key, _)| *key != own);
    others.filter_map(|(_, dose)| dose.clone()).collect()
}

/// One person, seen from one kind.
struct Person {
    doses: Doses,
    /// Those that the sender may know of; `None` where it may not even know whether there are any.
    seen: Option<Doses>,
    /// The leaf that telling takes, and the version of the subject it rests on.
    leaf: Option<(AuditEvent, u64)>,
}

/// The people of a chunk, as the store will tell them apart.
struct People<'a> {
    gateway: &'a Gateway,
    call: &'a Call,
    tables: &'a Tables,
    registry: &'a Registry,
    known: Vec<Person>,
    names: BTreeMap<Name, usize>,
    subjects: BTreeMap<(TenantId, KindName, SubjectKey), usize>,
}

type Name = (TenantId, KindName, IdentifierSystem, String);

impl People<'_> {
    /// Who a record is about, with the record added to what is known of them. `None` where nobody is known by its
    /// identifiers and its sender may not make anybody known.
    async fn person(&mut self, tenant: &TenantId, brought: &Brought<'_>) -> Result<Option<usize>, Refusal> {
        let Brought { new, kind, dose, key, .. } = brought;
        let name = |identifier: &tsunagi_store::Identifier| {
            (tenant.clone(), kind.name.clone(), identifier.system.clone(), identifier.value.expose().clone())
        };
        let mut found = None;
        for identifier in &new.identifiers {
            found = match self.names.get(&name(identifier)) {
                Some(person) => Some(*person),
                None => self.held(tenant, kind, identifier).await?,
            };
            if let Some(person) = found {
                self.names.insert(name(identifier), person);
                break;
            }
        }
        let owns = self.call.caller.participant.tenant.as_ref() == Some(tenant);
        if new.new_subject.is_some() {
            // What such a sender says also makes the other identifiers known.
            let person = found.unwrap_or(self.known.len());
            if found.is_none() {
                self.known.push(Person { doses: Doses::new(), seen: owns.then(Doses::new), leaf: None });
            }
            new.identifiers.iter().for_each(|identifier| {
                self.names.entry(name(identifier)).or_insert(person);
            });
            found = Some(person);
        }
        if let Some(person) = found.and_then(|person| self.known.get_mut(person)) {
            let dose = dose.as_ref().map(|(dose, _)| dose.clone());
            person.doses.insert(key.clone(), dose.clone());
            if let Some(seen) = &mut person.seen {
                seen.insert(key.clone(), dose);
            }
        }
        Ok(found)
    }

    /// Reads what is held of the person that an identifier names.
    async fn held(
        &mut self,
        tenant: &TenantId,
        kind: &Kind,
        identifier: &tsunagi_store::Identifier,
    ) -> Result<Option<usize>, Refusal> {
        let named = SubjectRef::Identifier(identifier.clone());
        let kinds = [kind.name.clone()];
        let Some(held) = self.gateway.store.held(tenant, &named, &kinds).await.map_err(refusal_of)? else {
            return Ok(None);
        };
        let subject = (tenant.clone(), kind.name.clone(), held.subject.clone());
        if let Some(known) = self.subjects.get(&subject) {
            return Ok(Some(*known));
        }
        let mut person = Person { doses: doses(kind, &held.records, &held.records), seen: None, leaf: None };
        if self.call.caller.participant.tenant.as_ref() == Some(tenant) {
            person.seen = Some(person.doses.clone());
        } else if let Some((channel, disclosure)) = self.disclosure(tenant, kind, &held)? {
            person.seen = Some(doses(kind, &held.records, disclosure.records()));
            person.leaf = Some((self.leaf(&channel, kind, &held, &disclosure), held.version));
        }
        self.subjects.insert(subject, self.known.len());
        self.known.push(person);
        Ok(Some(self.known.len() - 1))
    }

    /// What this sender would be shown of the person's records if it looked them up now.
    fn disclosure(
        &self,
        tenant: &TenantId,
        kind: &Kind,
        held: &Held,
    ) -> Result<Option<(Arc<Channel>, Disclosure)>, Refusal> {
        let caller = &self.call.caller.participant;
        let mut channels = self.registry.open_channels(&caller.id, Mode::Lookup, self.call.today);
        let channel = channels.find(|channel| channel.tenant == *tenant && channel.kind == kind.name);
        let Some(channel) = channel.filter(|_| caller.role == Role::Hospital) else { return Ok(None) };
        let question = Question {
            flow: Flow::HospitalReads,
            tenant,
            recipient: &self.call.caller.recipient(),
            acting: &Acting::Organization,
            subject: &held.subject,
            non_disclosure: held.non_disclosure,
            kind,
            purpose: self.call.purpose.or(channel.purpose),
            stated_basis: None,
            named_items: &BTreeSet::new(),
            directives: &held.directives,
            at: self.call.at,
            today: self.call.today,
        };
        let Decision::Permit(permit) = decide(&question, self.tables.policy()) else { return Ok(None) };
        let disclosure = Disclosure::new(permit, kind, held.records.clone()).map_err(|_| Refusal::Internal)?;
        Ok((!disclosure.records().is_empty()).then(|| (channel.clone(), disclosure)))
    }

    /// The same leaf as of a lookup: what the sender is told of a dose tells of the others.
    fn leaf(&self, channel: &Channel, kind: &Kind, held: &Held, disclosure: &Disclosure) -> AuditEvent {
        let permit = disclosure.permit();
        let mut event = self.call.event(Action::LookupAnswered, EventOutcome::Done);
        event.kind = Some(kind.name.clone());
        event.channel = Some(channel.id.clone());
        event.flow = Some(permit.flow());
        event.subject = Some(held.subject.clone());
        event.purpose = permit.purpose();
        event.bases = permit.bases().clone();
        event.policy_version = Some(permit.policy_version().to_owned());
        event.classes = disclosure.classes_seen(kind);
        event.records = disclosure.records().iter().map(|held| (held.id.clone(), held.version)).collect();
        event
    }
}

/// The doses that `shown` tells of, by the keys that the same records have in full.
fn doses(kind: &Kind, held: &[HeldRecord], shown: &[HeldRecord]) -> Doses {
    let in_full = |one: &HeldRecord| held.iter().find(|held| held.id == one.id);
    shown
        .iter()
        .filter_map(|one| {
            let (dose, _) = kind.dose_of(&one.record)?;
            Some((kind.business_key_of(&in_full(one)?.record), Some(dose)))
        })
        .collect()
}
