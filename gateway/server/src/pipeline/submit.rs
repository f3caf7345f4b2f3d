//! Submit (登録): bytes to documents, documents to records, records to rest. A row is accepted or refused on its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_lc_rs::digest;
use tsunagi_adapters::{Payload, adapter};
use tsunagi_core::audit::{Action, AuditEvent, EventOutcome};
use tsunagi_core::document::{Content, Document};
use tsunagi_core::exchange::RowResult;
use tsunagi_core::fault::{Bilingual, RowCode, RowFault};
use tsunagi_core::id::{ExchangeId, FormatName, LayoutId, RecordId, SubjectKey, TenantId};
use tsunagi_core::kind::Kind;
use tsunagi_core::policy::{Acting, Decision, Flow, Question, decide};
use tsunagi_core::record::Record;
use tsunagi_core::refusal::Refusal;
use tsunagi_core::registry::{Channel, Mode, Registry, Role};
use tsunagi_core::value::{Value, ValueType};
use tsunagi_mappings::{Context, Layout, Tables};
use tsunagi_store::{Accept, AcceptRow, Accepted, ExchangeHead, Intake, NewDelivery, NewRecord};

use super::history::hold_against_schedule;
use super::place::{no_channel, place};
use super::scrub;
use super::{Call, refusal_of};
use crate::gateway::Gateway;
use crate::telemetry::count_rows;

/// Rows that one transaction takes at most: large enough to share a sync, small enough to let others in between.
const ROWS_PER_TRANSACTION: usize = 1_000;

/// The most unknown names a receipt lists.
const MOST_UNKNOWN: usize = 100;

/// From this size on decoding is moved out of the way of the other requests of its thread.
const LARGE_BYTES: usize = 32 * 1024;

/// What the edge read.
#[derive(Debug, Clone)]
pub struct Inbound {
    /// The wire format.
    pub format: FormatName,
    /// What narrows the layouts down.
    pub selector: Selector,
    /// The body.
    pub bytes: bytes::Bytes,
    /// The charset that `Content-Type` declares.
    pub charset: Option<String>,
}

/// How the endpoint narrows the caller's layouts down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// The `{domain}` of the URL.
    Domain(String),
    /// The layout named in the URL.
    Layout(LayoutId),
    /// The resource type of the URL.
    ResourceType(String),
}

/// What the sender is told.
#[derive(Debug, Clone)]
pub struct Submitted {
    /// The exchange to quote; an earlier one if this repeats it.
    pub exchange: ExchangeId,
    /// A result for each row, in order.
    pub rows: Vec<RowResult>,
    /// True if the same body was here before under the same idempotency key.
    pub repeated: bool,
    /// Columns, or members of JSON, that the layout does not know: a misspelt name would otherwise go unnoticed.
    pub unknown_columns: BTreeSet<String>,
}

/// Takes in a payload. When it returns `Ok`, every row has its result on disk.
pub async fn submit(gateway: &Gateway, call: &Call, inbound: Inbound) -> Result<Submitted, Refusal> {
    let tables = gateway.tables.load_full();
    let registry = gateway.registry.load_full();
    let intake = Intaker::new(gateway, call, tables, registry, &inbound)?;
    let adapter = adapter(&inbound.format).map_err(|_| Refusal::KindUnsupported)?;
    // A sender that declares no charset writes the one of its layout.
    let charset = inbound.charset.clone().or_else(|| intake.only_charset());
    let payload = Payload { bytes: &inbound.bytes, charset: charset.as_deref() };
    let mut rows = adapter.decode(payload).map_err(|fault| Refusal::Malformed(fault.reason))?.peekable();

    let digest = digest::digest(&digest::SHA256, &inbound.bytes);
    let mut head = ExchangeHead {
        id: call.exchange.clone(),
        sender: call.caller.participant.id.clone(),
        received_at: call.at,
        idempotency_key: call.idempotency_key.clone(),
        digest: digest.as_ref().try_into().unwrap_or_default(),
        layout: intake.only_layout(),
        charset: inbound.charset.clone(),
    };
    let mut submitted = Submitted {
        exchange: call.exchange.clone(),
        rows: Vec::new(),
        repeated: false,
        unknown_columns: rows.peek().map(|row| intake.unknown_columns(row)).unwrap_or_default(),
    };
    loop {
        let unknown = &mut submitted.unknown_columns;
        let mut chunk = || {
            let taken = rows.by_ref().take(ROWS_PER_TRANSACTION);
            let noted = taken.inspect(|row| row.iter().for_each(|document| intake.note_unknown(document, unknown)));
            noted.map(|row| intake.row(row)).collect::<Vec<_>>()
        };
        if submitted.rows.len() as u64 >= gateway.config.edge.max_rows {
            // What was taken in so far stays; sent again in parts it is recognised and costs nothing.
            return Err(Refusal::TooLarge);
        }
        let mut chunk = if inbound.bytes.len() > LARGE_BYTES { tokio::task::block_in_place(chunk) } else { chunk() };
        hold_against_schedule(gateway, call, (&intake.tables, &intake.registry), &mut chunk).await?;
        let complete = rows.peek().is_none();
        keep(gateway, &mut head, chunk, complete, &mut submitted).await?;
        if complete {
            break;
        }
    }
    if !submitted.rows.is_empty() {
        gateway.outbox_grew.notify_waiters();
    }
    count_rows(&submitted.rows);
    Ok(submitted)
}

/// One transaction for each tenant of the chunk; nearly always that is one.
async fn keep(
    gateway: &Gateway,
    head: &mut ExchangeHead,
    chunk: Vec<(TenantId, AcceptRow)>,
    complete: bool,
    submitted: &mut Submitted,
) -> Result<(), Refusal> {
    let mut by_tenant: BTreeMap<TenantId, Vec<AcceptRow>> = BTreeMap::new();
    for (tenant, row) in chunk {
        by_tenant.entry(tenant).or_default().push(row);
    }
    if by_tenant.is_empty() {
        by_tenant.insert(TenantId::hub(), Vec::new());
    }
    let before = submitted.rows.len();
    let last = by_tenant.len();
    for (index, (tenant, rows)) in by_tenant.into_iter().enumerate() {
        let accept = Accept { head: head.clone(), rows, complete: complete && index + 1 == last };
        match gateway.store.accept(&tenant, accept).await.map_err(refusal_of)? {
            Accepted::Durable { exchange, rows, repeated } => {
                // Later chunks of a repeated exchange join the earlier one.
                head.id = exchange.clone();
                submitted.exchange = exchange;
                submitted.repeated |= repeated;
                submitted.rows.extend(rows);
            }
            Accepted::KeyReused => return Err(Refusal::KeyReused),
        }
    }
    if let Some(new) = submitted.rows.get_mut(before..) {
        new.sort_by_key(|row| row.row);
    }
    Ok(())
}

/// All that turning one row into a record needs.
struct Intaker<'a> {
    gateway: &'a Gateway,
    call: &'a Call,
    tables: Arc<Tables>,
    registry: Arc<Registry>,
    channels: Vec<Channel>,
    layouts: Vec<LayoutId>,
    flow: Flow,
}

impl<'a> Intaker<'a> {
    fn new(
        gateway: &'a Gateway,
        call: &'a Call,
        tables: Arc<Tables>,
        registry: Arc<Registry>,
        inbound: &Inbound,
    ) -> Result<Self, Refusal> {
        let flow = match call.caller.participant.role {
            Role::Hospital => Flow::HospitalReports,
            Role::Municipality => Flow::MunicipalityRegisters,
            Role::App | Role::Operator => return Err(Refusal::NotPermitted),
        };
        let fits = |channel: &Channel| {
            let Some(layout) = tables.layout(&channel.layout) else { return false };
            *layout.format() == inbound.format
                && match &inbound.selector {
                    Selector::Domain(domain) => layout.domain() == Some(domain),
                    Selector::Layout(id) => *layout.id() == *id,
                    // What is in a Bundle is told by its entries.
                    Selector::ResourceType(name) => name == "Bundle" || layout.resource_type() == Some(name),
                }
        };
        if registry.open_channels(&call.caller.participant.id, Mode::Submit, call.today).next().is_none() {
            return Err(Refusal::NotPermitted);
        }
        let open = registry.open_channels(&call.caller.participant.id, Mode::Submit, call.today);
        let channels: Vec<Channel> = open.filter(|channel| fits(channel)).cloned().collect();
        if channels.is_empty() {
            return Err(Refusal::KindUnsupported);
        }
        if channels.iter().all(|c| c.max_body_bytes.is_some_and(|most| inbound.bytes.len() as u64 > most)) {
            return Err(Refusal::TooLarge);
        }
        let layouts: BTreeSet<LayoutId> = channels.iter().map(|channel| channel.layout.clone()).collect();
        Ok(Self { gateway, call, tables, registry, channels, layouts: layouts.into_iter().collect(), flow })
    }

    fn only_layout(&self) -> Option<LayoutId> {
        match self.layouts.as_slice() {
            [only] => Some(only.clone()),
            _ => None,
        }
    }

    /// The columns that the layout does not know, which the first line of a table tells for all.
    fn unknown_columns(&self, row: &Result<Document, RowFault>) -> BTreeSet<String> {
        let layout = self.only_layout().and_then(|id| self.tables.layout(&id));
        let found = layout.zip(row.as_ref().ok()).map(|(layout, document)| layout.unknown_columns(document));
        found.into_iter().flatten().map(str::to_owned).collect()
    }

    /// Adds the members of a JSON document that its layout does not know.
    fn note_unknown(&self, document: &Document, unknown: &mut BTreeSet<String>) {
        let Some((layout, _)) = self.layout_of(document) else { return };
        let room = MOST_UNKNOWN.saturating_sub(unknown.len());
        unknown.extend(layout.unknown_members(document).into_iter().take(room));
    }

    fn only_charset(&self) -> Option<String> {
        self.only_layout().and_then(|id| self.tables.layout(&id)).map(|layout| layout.charset().to_owned())
    }

    /// One decoded row to what the store keeps of it. Total: whatever is wrong becomes a refused row.
    fn row(&self, decoded: Result<Document, RowFault>) -> (TenantId, AcceptRow) {
        let document = match decoded {
            Ok(document) => document,
            Err(fault) => {
                let empty = Content::Tree(tsunagi_core::document::Node::Null);
                let source = Document { row: fault.row, content: empty };
                return self.refused(self.own_tenant(), None, source, vec![fault]);
            }
        };
        let Some((layout, kind)) = self.layout_of(&document) else {
            let fault = RowFault {
                row: document.row,
                column: String::new(),
                code: RowCode::KindUnsupported,
                reason: Bilingual::new(
                    "この内容を受け付ける項目対応表が、開いているチャネルにありません",
                    "no layout of an open channel fits this content",
                ),
            };
            return self.refused(self.own_tenant(), None, document, vec![fault]);
        };
        match self.accepted(layout, kind, &document) {
            Ok(accepted) => accepted,
            Err((tenant, faults)) => {
                let mut source = document;
                layout.without_my_number(&mut source);
                self.refused(tenant.unwrap_or_else(|| self.own_tenant()), Some(kind), source, faults)
            }
        }
    }

    fn accepted(
        &self,
        layout: &Layout,
        kind: &Kind,
        document: &Document,
    ) -> Result<(TenantId, AcceptRow), (Option<TenantId>, Vec<RowFault>)> {
        let call = self.call;
        let check_digits_are_errors =
            self.channels.iter().any(|channel| channel.layout == *layout.id() && channel.check_digits_are_errors);
        let context = Context { today: call.today, check_digits_are_errors };
        let canonical = self.tables.canonicalize(layout, document, &context).map_err(|faults| (None, faults))?;
        let mut record = canonical.record;
        let own = call.caller.participant.tenant.as_ref();
        let at = place(self.tables.municipalities(), &self.registry, kind, &record, document.row, own, call.today)
            .map_err(|fault| (None, vec![fault]))?;
        let refuse = |fault: RowFault| (Some(at.tenant.clone()), vec![fault]);

        let channel = self
            .channels
            .iter()
            .find(|channel| channel.tenant == at.tenant && channel.layout == *layout.id())
            .filter(|_| self.flow != Flow::MunicipalityRegisters || own == Some(&at.tenant))
            .ok_or_else(|| (None, vec![no_channel(document.row, layout.id())]))?;
        self.check_sender(kind, &record, document.row).map_err(refuse)?;
        self.check_my_number(kind, &record, document.row).map_err(refuse)?;

        let (at_now, clock) = (call.at, &self.gateway.clock);
        let new_subject = SubjectKey::new(at_now, clock.entropy());
        let question = Question {
            flow: self.flow,
            tenant: &at.tenant,
            recipient: &call.caller.recipient(),
            acting: &Acting::Organization,
            subject: &new_subject,
            non_disclosure: false,
            kind,
            purpose: call.purpose.or(channel.purpose),
            stated_basis: None,
            named_items: &BTreeSet::new(),
            directives: &[],
            at: at_now,
            today: call.today,
        };
        let permit = match decide(&question, self.tables.policy()) {
            Decision::Permit(permit) => permit,
            Decision::Deny(_) => return Err(refuse(no_channel(document.row, layout.id()))),
        };
        let mut event = self.event(document.row, Some(kind), EventOutcome::Done, Action::RecordAccepted);
        event.flow = Some(permit.flow());
        event.purpose = permit.purpose();
        event.bases = permit.bases().clone();
        event.policy_version = Some(permit.policy_version().to_owned());
        event.classes =
            record.fields().keys().filter_map(|key| kind.field(key)).map(|field| field.class.clone()).collect();
        event.channel = Some(channel.id.clone());
        event.municipalities = at.municipalities;

        let identifiers = scrub::identifiers(kind, &mut record);
        let owns = call.caller.participant.tenant.as_ref() == Some(&at.tenant);
        let flag = kind.subject.non_disclosure.as_ref().filter(|_| owns);
        let new = NewRecord {
            id: RecordId::new(at_now, clock.entropy()),
            identifiers,
            new_subject: kind.subject.created_by.contains(&call.caller.participant.role).then_some(new_subject),
            non_disclosure: flag.and_then(|key| record.first(key)).map(|v| *v == Value::Bool(true)),
            single_valued: self.single_valued(),
            business_key: kind.business_key_of(&record),
            deleted: kind.deleted.as_ref().and_then(|key| record.first(key)) == Some(&Value::Bool(true)),
            deliveries: self.deliveries(&at.tenant, kind),
            record,
        };
        let row =
            AcceptRow { row: document.row, faults: canonical.warnings, intake: Intake::Record(Box::new(new)), event };
        Ok((at.tenant, row))
    }

    /// 番号法20条: nobody but a municipality may hand the number in, whatever a layout has a place for.
    fn check_my_number(&self, kind: &Kind, record: &Record, row: u64) -> Result<(), RowFault> {
        let carries = |field: &&tsunagi_core::kind::Field| {
            field.value_type == ValueType::MyNumber && record.first(&field.key).is_some()
        };
        let field =
            kind.fields.iter().find(carries).filter(|_| self.call.caller.participant.role != Role::Municipality);
        let Some(field) = field else { return Ok(()) };
        Err(RowFault {
            row,
            column: field.key.to_string(),
            code: RowCode::NotPermitted,
            reason: Bilingual::new(
                "個人番号は市町村以外からは受け付けません（番号法20条）。この項目を除いて送り直してください",
                "the individual number is taken from municipalities only; send again without it",
            ),
        })
    }

    /// The sender a record names must be the one of the certificate; from a hospital it is never taken on trust.
    fn check_sender(&self, kind: &Kind, record: &Record, row: u64) -> Result<(), RowFault> {
        let caller = &self.call.caller.participant;
        let Some(key) = kind.sender.as_ref().filter(|_| caller.role == Role::Hospital) else { return Ok(()) };
        if record.text(key).is_none() || record.text(key) == caller.organization_code {
            return Ok(());
        }
        Err(RowFault {
            row,
            column: key.to_string(),
            code: RowCode::NotPermitted,
            reason: Bilingual::new(
                "本文が名乗る送信元は、証明書の参加機関ではありません",
                "the sender named in the body is not the participant of the certificate",
            ),
        })
    }

    /// The systems of which a subject has one value at a time: another value is another person, or a mistake.
    fn single_valued(&self) -> BTreeSet<tsunagi_core::id::IdentifierSystem> {
        let systems = self.tables.identifier_systems().iter();
        systems.filter(|system| system.single_valued).map(|system| system.name.clone()).collect()
    }

    fn deliveries(&self, tenant: &TenantId, kind: &Kind) -> Vec<NewDelivery> {
        let sender = &self.call.caller.participant.id;
        self.registry
            .deliver_channels(tenant, &kind.name, self.call.today)
            .filter(|channel| channel.participant != *sender)
            .map(|channel| NewDelivery {
                id: tsunagi_core::id::DeliveryId::new(self.call.at, self.gateway.clock.entropy()),
                channel: channel.id.clone(),
            })
            .collect()
    }

    fn refused(
        &self,
        tenant: TenantId,
        kind: Option<&Kind>,
        source: Document,
        faults: Vec<RowFault>,
    ) -> (TenantId, AcceptRow) {
        let source = scrub::without_my_number_runs(source);
        let mut event = self.event(source.row, kind, EventOutcome::Denied, Action::RecordRefused);
        event.reason = faults.first().map(|fault| fault.code.as_str().to_owned());
        let row = source.row;
        let intake = Intake::Refused { kind: kind.map(|kind| kind.name.clone()), source };
        (tenant, AcceptRow { row, faults, intake, event })
    }

    fn event(&self, row: u64, kind: Option<&Kind>, outcome: EventOutcome, action: Action) -> AuditEvent {
        let mut event = self.call.event(action, outcome);
        event.row = Some(row);
        event.kind = kind.map(|kind| kind.name.clone());
        event
    }

    /// Where the refused rows of this caller rest: in the tenant it controls, else in the hub's own domain.
    fn own_tenant(&self) -> TenantId {
        self.call.caller.participant.tenant.clone().unwrap_or_else(TenantId::hub)
    }

    fn layout_of(&self, document: &Document) -> Option<(&Layout, &Kind)> {
        let layout =
            self.layouts.iter().filter_map(|id| self.tables.layout(id)).find(|layout| layout.matches(document))?;
        Some((layout, self.tables.kind(layout.kind())?))
    }
}
