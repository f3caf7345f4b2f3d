//! Invented people, ids and records for the cases.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{Timestamp, ToSpan};
use tsunagi_core::audit::{Action, Agent, AuditEvent, EventOutcome};
use tsunagi_core::checkpoint::CheckpointSigner;
use tsunagi_core::document::{Content, Document, Row};
use tsunagi_core::exchange::{RowResult, RowState};
use tsunagi_core::fault::{Bilingual, RowCode, RowFault};
use tsunagi_core::id::{
    BatchId, ChannelId, DeliveryId, DirectiveId, ExchangeId, FieldKey, IdentifierSystem, KindName, ParticipantId,
    RecordId, SubjectKey, TenantId,
};
use tsunagi_core::merkle::Frontier;
use tsunagi_core::policy::{Directive, DirectiveEffect, RecipientScope};
use tsunagi_core::record::Record;
use tsunagi_core::sensitive::Sensitive;
use tsunagi_core::value::Value;

use crate::{
    Accept, AcceptRow, Accepted, Checkpoint, ClaimRequest, ExchangeHead, Held, Identifier, Intake, Leaf, NewDelivery,
    NewRecord, SettledState, Settlement, Storage, StoreError, SubjectRef,
};

/// The store under test.
pub type Shared = Arc<dyn Storage>;

/// So many seconds into the case.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap() + seconds.seconds()
}

fn entropy(n: u64) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[2..].copy_from_slice(&n.to_be_bytes());
    bytes
}

/// The n-th exchange.
pub fn exchange(n: u64) -> ExchangeId {
    ExchangeId::new(at(0), entropy(n))
}

/// The n-th record id.
pub fn record_id(n: u64) -> RecordId {
    RecordId::new(at(0), entropy(n))
}

/// The n-th subject.
pub fn subject(n: u64) -> SubjectKey {
    SubjectKey::new(at(0), entropy(n))
}

/// The n-th delivery.
pub fn delivery(n: u64) -> DeliveryId {
    DeliveryId::new(at(0), entropy(n))
}

/// The n-th directive id.
pub fn directive_id(n: u64) -> DirectiveId {
    DirectiveId::new(at(0), entropy(n))
}

/// The n-th batch.
pub fn batch(n: u64) -> BatchId {
    BatchId::new(at(0), entropy(n))
}

/// The tenant of most cases.
pub fn aoi() -> TenantId {
    TenantId::parse("aoi").unwrap()
}

/// The other tenant.
pub fn kita() -> TenantId {
    TenantId::parse("kita").unwrap()
}

/// The sender of most cases.
pub fn clinic() -> ParticipantId {
    ParticipantId::parse("midori-clinic").unwrap()
}

/// Another participant.
pub fn city() -> ParticipantId {
    ParticipantId::parse("aoi-city").unwrap()
}

/// A record kind.
pub fn kind(name: &str) -> KindName {
    KindName::parse(name).unwrap()
}

/// A channel.
pub fn channel(name: &str) -> ChannelId {
    ChannelId::parse(name).unwrap()
}

/// An identifier of a subject.
pub fn named(system: &str, value: &str) -> Identifier {
    Identifier { system: IdentifierSystem::parse(system).unwrap(), value: Sensitive::new(value.to_owned()) }
}

/// The recipient number of the n-th person.
pub fn recipient(n: u64) -> Identifier {
    named("recipient", &format!("80131016:{n:07}"))
}

/// A record of a kind with one text.
pub fn record(of: &str, text: &str) -> Record {
    let fields = [("subject.name", Value::Text("青葉 花子".to_owned())), ("lot_number", Value::Text(text.to_owned()))];
    fields_of(of, fields)
}

/// A record of a kind with these fields.
// The suite stands in for the mapping engine, which alone makes records.
#[allow(clippy::disallowed_methods)]
pub fn fields_of<const N: usize>(of: &str, fields: [(&str, Value); N]) -> Record {
    let fields: BTreeMap<_, _> =
        fields.into_iter().map(|(key, value)| (FieldKey::parse(key).unwrap(), vec![value])).collect();
    Record::assertion(kind(of), fields)
}

/// A vaccination of the n-th person, who is made if unknown: record n, business key `document-n`, no deliveries.
pub fn vaccination(n: u64) -> NewRecord {
    NewRecord {
        id: record_id(n),
        record: record("vaccination", &format!("LOT-{n}")),
        identifiers: vec![recipient(n)],
        single_valued: BTreeSet::new(),
        new_subject: Some(subject(n)),
        non_disclosure: None,
        business_key: vec![format!("document-{n}")],
        deleted: false,
        deliveries: Vec::new(),
    }
}

/// Vaccination `n` of person `person`, with delivery `n` on a channel.
pub fn delivered(n: u64, person: u64, on: &str) -> NewRecord {
    NewRecord {
        identifiers: vec![recipient(person)],
        new_subject: Some(subject(person)),
        deliveries: vec![NewDelivery { id: delivery(n), channel: channel(on) }],
        ..vaccination(n)
    }
}

/// An event at a time.
pub fn event(seconds: i64) -> AuditEvent {
    let agent = Agent { participant: Some(clinic()), ..Agent::default() };
    AuditEvent::new(at(seconds), Action::RecordAccepted, EventOutcome::Done, agent)
}

/// A row that brings a record.
pub fn row(number: u64, new: NewRecord) -> AcceptRow {
    AcceptRow { row: number, faults: Vec::new(), intake: Intake::Record(Box::new(new)), event: event(0), draft: None }
}

/// A row that was refused.
pub fn refused(number: u64, cell: &str) -> AcceptRow {
    AcceptRow {
        row: number,
        faults: vec![fault(number, RowCode::Unmapped)],
        intake: Intake::Refused { kind: Some(kind("vaccination")), source: document(number, cell) },
        event: event(0),
        draft: None,
    }
}

/// A fault of a row.
pub fn fault(number: u64, code: RowCode) -> RowFault {
    let reason = Bilingual::new("対応表にないコードです", "a code no table covers");
    RowFault { row: number, column: "接種区分".to_owned(), code, reason }
}

/// A row as its sender wrote it.
pub fn document(number: u64, cell: &str) -> Document {
    let row = Row { columns: Arc::new(vec!["氏名".to_owned()]), cells: vec![cell.to_owned()] };
    Document { row: number, content: Content::Row(row) }
}

/// The head of the n-th exchange: its body has a digest of its own, it has no key.
pub fn head(n: u64) -> ExchangeHead {
    ExchangeHead {
        id: exchange(n),
        sender: clinic(),
        received_at: at(i64::try_from(n).unwrap()),
        idempotency_key: None,
        digest: [u8::try_from(n % 251).unwrap(); 32],
        layout: None,
        charset: None,
    }
}

/// The same with an idempotency key.
pub fn keyed(n: u64, key: &str) -> ExchangeHead {
    ExchangeHead { idempotency_key: Some(key.to_owned()), ..head(n) }
}

/// Rows in one call, the last of the exchange.
pub fn whole(head: ExchangeHead, rows: Vec<AcceptRow>) -> Accept {
    Accept { head, rows, complete: true }
}

/// Accepts one record as row 1 of exchange `n` in [`aoi`].
pub async fn keep(store: &Shared, n: u64, new: NewRecord) -> RowResult {
    durable(store.accept(&aoi(), whole(head(n), vec![row(1, new)])).await).1.remove(0)
}

/// The exchange, the rows and the mark of a call that was kept.
pub fn durable(accepted: Result<Accepted, StoreError>) -> (ExchangeId, Vec<RowResult>, bool) {
    match accepted {
        Ok(Accepted::Durable { exchange, rows, repeated }) => (exchange, rows, repeated),
        other => panic!("not kept: {other:?}"),
    }
}

/// The state of a record that came to rest.
pub fn accepted(n: u64, version: u32) -> RowState {
    RowState::Accepted { record: record_id(n), version }
}

/// What is held of the n-th person of [`aoi`], vaccinations only.
pub async fn held(store: &Shared, n: u64) -> Option<Held> {
    store.held(&aoi(), &SubjectRef::Identifier(recipient(n)), &[kind("vaccination")]).await.unwrap()
}

/// All leaves of a log.
pub async fn leaves(store: &Shared, tenant: &TenantId) -> Vec<Leaf> {
    store.audit_page(tenant, 0, 100_000).await.unwrap()
}

/// All events of a log.
pub async fn events(store: &Shared, tenant: &TenantId) -> Vec<AuditEvent> {
    leaves(store, tenant).await.iter().map(|leaf| serde_json::from_slice(&leaf.bytes).unwrap()).collect()
}

/// A directive of the n-th person.
pub fn directive(n: u64, person: u64) -> Directive {
    Directive {
        id: directive_id(n),
        subject: subject(person),
        effect: DirectiveEffect::Permit,
        recipient: RecipientScope::Participant(clinic()),
        kinds: [kind("vaccination")].into(),
        classes: [].into(),
        purposes: [].into(),
        stated_by: clinic(),
        by_proxy: false,
        given_at: at(0),
        expires_at: Some(at(1000)),
        withdrawn_at: None,
    }
}

/// A claim of everything on a channel at a time, for ten seconds.
pub fn claim(n: u64, on: &str, seconds: i64) -> ClaimRequest {
    ClaimRequest {
        channels: vec![channel(on)],
        limit: 100,
        now: at(seconds),
        lease_until: at(seconds + 10),
        batch: batch(n),
    }
}

/// The deliveries a claim gets in [`aoi`].
pub async fn claimed(store: &Shared, claim: ClaimRequest) -> Vec<DeliveryId> {
    store.claim_due(&aoi(), claim).await.unwrap().into_iter().map(|claimed| claimed.delivery.id).collect()
}

/// Settles the n-th delivery.
pub fn settlement(n: u64, state: SettledState) -> Settlement {
    let event = AuditEvent { action: Action::DeliverySettled, delivery: Some(delivery(n)), ..event(0) };
    Settlement { delivery: delivery(n), state, outcome: "said so".to_owned(), event }
}

/// The signer of the cases' checkpoints.
pub fn signer() -> CheckpointSigner {
    CheckpointSigner::new(Sensitive::new([7; 32]), "tsunagi").unwrap()
}

/// Seals the next `limit` leaves of a log.
pub async fn seal(store: &Shared, tenant: &TenantId, limit: usize) -> u64 {
    let unsealed = store.unsealed(tenant, limit).await.unwrap();
    let mut edge = Frontier::from_parts(unsealed.sealed, unsealed.frontier).unwrap();
    unsealed.leaves.into_iter().for_each(|leaf| edge.push(leaf));
    store.append_seal(tenant, checkpoint(tenant, &edge)).await.unwrap();
    edge.size()
}

/// A checkpoint over an edge.
pub fn checkpoint(tenant: &TenantId, edge: &Frontier) -> Checkpoint {
    Checkpoint {
        size: edge.size(),
        root: edge.root(),
        frontier: edge.hashes().to_vec(),
        note: signer().sign(&format!("tsunagi/{tenant}"), edge.size(), &edge.root()),
        sealed_at: at(500),
    }
}
