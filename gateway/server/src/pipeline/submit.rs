//! Submit (登録): bytes to documents, documents to records, records to rest. A row is accepted or refused on its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_lc_rs::digest;
use tokio::task::block_in_place;
use tsunagi_adapters::{Payload, adapter};
use tsunagi_core::audit::{Action, AuditEvent, EventOutcome};
use tsunagi_core::document::{Content, Document};
use tsunagi_core::exchange::{RowCounts, RowResult};
use tsunagi_core::fault::{Bilingual, RowCode, RowFault};
use tsunagi_core::id::{ExchangeId, FormatName, LayoutId, RecordId, SubjectKey, TenantId};
use tsunagi_core::kind::Kind;
use tsunagi_core::policy::{Acting, Decision, Flow, Question, decide};
use tsunagi_core::refusal::Refusal;
use tsunagi_core::registry::{Channel, Mode, Registry, Role};
use tsunagi_core::value::Value;
use tsunagi_mappings::{Context, Layout, Tables};
use tsunagi_store::{Accept, AcceptRow, Accepted, ExchangeHead, Intake, NewDelivery, NewRecord};

use super::coverage::{Passing, Tally};
use super::history::hold_against_schedule;
use super::place::{no_channel, place};
use super::scrub;
use super::sender::{check_my_number, check_sender};
use super::{Call, refusal_of};
use crate::gateway::Gateway;
use crate::spool::Spool;

/// Rows that one transaction takes at most: large enough to share a sync, small enough to let others in between and to
/// hold little in memory.
const ROWS_PER_TRANSACTION: usize = 256;

/// The most unknown names a receipt lists.
const MOST_UNKNOWN: usize = 100;

/// From this size on decoding is moved out of the way of the other requests of its thread.
const LARGE_BYTES: u64 = 32 * 1024;

/// A body that was read to its end.
pub enum Inbody {
    /// In memory.
    Held(bytes::Bytes),
    /// Away from memory, for formats of lines: whatever its size, a piece of it is held at a time.
    Spooled(Spool),
}

impl Inbody {
    fn length(&self) -> u64 {
        match self {
            Self::Held(bytes) => bytes.len() as u64,
            Self::Spooled(spool) => spool.length(),
        }
    }

    /// SHA-256.
    fn digest(&self) -> [u8; 32] {
        match self {
            Self::Held(bytes) => digest::digest(&digest::SHA256, bytes).as_ref().try_into().unwrap_or_default(),
            Self::Spooled(spool) => spool.digest(),
        }
    }
}

/// What the edge read.
pub struct Inbound {
    /// The wire format.
    pub format: FormatName,
    /// What narrows the layouts down.
    pub selector: Selector,
    /// The body.
    pub body: Inbody,
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
    /// A result for each row, in order; of a spooled body they are only counted.
    pub rows: Vec<RowResult>,
    /// How many rows came to what.
    pub counts: RowCounts,
    /// True if the same body was here before under the same idempotency key.
    pub repeated: bool,
    /// Columns, or members of JSON, that the layout does not know: a misspelt name would otherwise go unnoticed.
    pub unknown_columns: BTreeSet<String>,
}

/// Takes in a payload. When it returns `Ok`, every row has its result on disk. However many rows there are, two chunks
/// of them are held at a time.
pub async fn submit(gateway: &Gateway, call: &Call, inbound: Inbound) -> Result<Submitted, Refusal> {
    let tables = gateway.tables.load_full();
    let registry = gateway.registry.load_full();
    let intake = Intaker::new(gateway, call, tables, registry, &inbound)?;
    let adapter = adapter(&inbound.format).map_err(|_| Refusal::KindUnsupported)?;
    // A sender that declares no charset writes the one of its layout.
    let charset = inbound.charset.clone().or_else(|| intake.only_charset());
    let mut head = ExchangeHead {
        id: call.exchange.clone(),
        sender: call.caller.participant.id.clone(),
        received_at: call.at,
        idempotency_key: call.idempotency_key.clone(),
        digest: inbound.body.digest(),
        layout: intake.only_layout(),
        charset: inbound.charset,
    };
    let is_large = inbound.body.length() > LARGE_BYTES;
    let (held, is_held);
    let most = match &inbound.body {
        Inbody::Held(_) => gateway.config.edge.max_rows,
        Inbody::Spooled(_) => gateway.config.edge.max_file_rows,
    };
    let rows = match inbound.body {
        Inbody::Held(bytes) => {
            (held, is_held) = (bytes, true);
            adapter.decode(Payload { bytes: &held, charset: charset.as_deref() })
        }
        Inbody::Spooled(spool) => {
            is_held = false;
            block_in_place(|| adapter.decode_source(Box::new(spool), charset.as_deref()))
        }
    };
    let mut rows = rows.map_err(|fault| Refusal::Malformed(fault.reason))?.peekable();

    if rows.peek().is_some_and(|row| intake.knows_no_column(row)) {
        // What stands there is a person's data: it is neither kept nor repeated.
        return Err(Refusal::Malformed(Bilingual::new(
            "1行目が見出しではありません。項目対応表の列名を1行目に書いてください",
            "the first line is no header: write the layout's column names there",
        )));
    }
    let mut unknown = rows.peek().map(|row| intake.unknown_columns(row)).unwrap_or_default();
    let mut submitted = Submitted {
        exchange: call.exchange.clone(),
        rows: Vec::new(),
        counts: RowCounts::default(),
        repeated: false,
        unknown_columns: BTreeSet::new(),
    };
    let mut next_chunk = || {
        let mut take = || {
            let taken = rows.by_ref().take(ROWS_PER_TRANSACTION);
            let noted =
                taken.inspect(|row| row.iter().for_each(|document| intake.note_unknown(document, &mut unknown)));
            let chunk: Vec<_> = noted.map(|row| intake.row(row)).collect();
            (chunk, rows.peek().is_none())
        };
        if is_large { block_in_place(take) } else { take() }
    };
    let mut chunk = next_chunk();
    loop {
        let (mut rows, complete) = chunk;
        if submitted.counts.rows() + rows.len() as u64 > most {
            // What was taken in so far stays; sent again in parts it is recognised and costs nothing.
            return Err(Refusal::TooLarge);
        }
        hold_against_schedule(gateway, call, (&intake.tables, &intake.registry), &mut rows).await?;
        let keeping = keep(gateway, &mut head, rows, complete, &mut submitted);
        if complete {
            let kept = keeping.await?;
            submitted.add(kept, is_held);
            break;
        }
        // The store writes these while the next ones are read.
        let (kept, next) = tokio::join!(biased; keeping, async { next_chunk() });
        submitted.add(kept?, is_held);
        chunk = next;
    }
    if submitted.counts.rows() > 0 {
        gateway.outbox_grew.notify_waiters();
    }
    if !submitted.repeated {
        gateway.coverage.add(call.today, intake.tally.into_coverage());
    }
    submitted.unknown_columns = unknown;
    Ok(submitted)
}

impl Submitted {
    fn add(&mut self, kept: Vec<RowResult>, is_held: bool) {
        for row in &kept {
            self.counts.add(&row.state);
            metrics::counter!("tsunagi_rows_total", "state" => row.state.as_str()).increment(1);
        }
        if is_held {
            self.rows.extend(kept);
        }
    }
}

/// One transaction for each tenant of the chunk; nearly always that is one. Gives the results in the order of the rows.
async fn keep(
    gateway: &Gateway,
    head: &mut ExchangeHead,
    chunk: Vec<(TenantId, AcceptRow)>,
    complete: bool,
    submitted: &mut Submitted,
) -> Result<Vec<RowResult>, Refusal> {
    let mut by_tenant: BTreeMap<TenantId, Vec<AcceptRow>> = BTreeMap::new();
    for (tenant, row) in chunk {
        by_tenant.entry(tenant).or_default().push(row);
    }
    if by_tenant.is_empty() {
        by_tenant.insert(TenantId::hub(), Vec::new());
    }
    let mut kept = Vec::new();
    let last = by_tenant.len();
    for (index, (tenant, rows)) in by_tenant.into_iter().enumerate() {
        let accept = Accept { head: head.clone(), rows, complete: complete && index + 1 == last };
        match gateway.store.accept(&tenant, accept).await.map_err(refusal_of)? {
            Accepted::Durable { exchange, rows, repeated } => {
                // Later chunks of a repeated exchange join the earlier one.
                head.id = exchange.clone();
                submitted.exchange = exchange;
                submitted.repeated |= repeated;
                kept.extend(rows);
            }
            Accepted::KeyReused => return Err(Refusal::KeyReused),
        }
    }
    kept.sort_by_key(|row| row.row);
    Ok(kept)
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
    tally: Tally,
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
        if channels.iter().all(|c| c.max_body_bytes.is_some_and(|most| inbound.body.length() > most)) {
            return Err(Refusal::TooLarge);
        }
        let layouts: BTreeSet<LayoutId> = channels.iter().map(|channel| channel.layout.clone()).collect();
        let layouts = layouts.into_iter().collect();
        Ok(Self { gateway, call, tables, registry, channels, layouts, flow, tally: Tally::default() })
    }

    fn only_layout(&self) -> Option<LayoutId> {
        match self.layouts.as_slice() {
            [only] => Some(only.clone()),
            _ => None,
        }
    }

    /// The columns that the layout does not know, which the first line of a table tells for all.
    /// True for a file whose first line names not one column of its layout.
    fn knows_no_column(&self, row: &Result<Document, RowFault>) -> bool {
        let Ok(Document { content: Content::Row(cells), .. }) = row else { return false };
        let layout = self.only_layout().and_then(|id| self.tables.layout(&id));
        let unknown = layout.zip(row.as_ref().ok()).map(|(layout, document)| layout.unknown_columns(document).len());
        unknown == Some(cells.columns.len())
    }

    fn unknown_columns(&self, row: &Result<Document, RowFault>) -> BTreeSet<String> {
        let layout = self.only_layout().and_then(|id| self.tables.layout(&id));
        // Where most names are no names of the layout, they may be somebody's.
        let found = layout.zip(row.as_ref().ok()).filter(|(layout, document)| layout.strangers(document).1);
        let found = found.map(|(layout, document)| layout.unknown_columns(document));
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
            Ok(accepted) => {
                self.tally.accepted(&self.passing(), layout, &document, accepted.1.event.channel.as_ref());
                accepted
            }
            Err((tenant, faults)) => {
                self.tally.refused(&self.passing(), (layout, kind), &document, &faults);
                let mut source = document;
                layout.without_my_number(&mut source);
                self.refused(tenant.unwrap_or_else(|| self.own_tenant()), Some(kind), source, faults)
            }
        }
    }

    fn passing(&self) -> Passing<'_> {
        let own = self.call.caller.participant.tenant.as_ref();
        let (tables, registry, channels) = (&*self.tables, &*self.registry, &self.channels);
        Passing { tables, registry, channels, own, today: self.call.today }
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
        // Rules know fields; the sender knows the columns of its own layout.
        let in_layout = |mut fault: RowFault| {
            if let Some((_, column)) = layout.fields().find(|(key, _)| key.as_str() == fault.column) {
                fault.column = column.to_owned();
            }
            vec![fault]
        };
        let at = place(self.tables.municipalities(), &self.registry, kind, &record, document.row, own, call.today)
            .map_err(|fault| (None, in_layout(fault)))?;
        let refuse = |fault: RowFault| (Some(at.tenant.clone()), in_layout(fault));

        let channel = self
            .channels
            .iter()
            .find(|channel| channel.tenant == at.tenant && channel.layout == *layout.id())
            .filter(|_| self.flow != Flow::MunicipalityRegisters || own == Some(&at.tenant))
            .ok_or_else(|| (None, vec![no_channel(document.row, layout.id())]))?;
        check_sender(&call.caller.participant, kind, &record, document.row).map_err(refuse)?;
        check_my_number(&call.caller.participant, kind, &record, document.row).map_err(refuse)?;

        // Ids sort by the moment they are made, not by that of the call: the rows of a long file stand side by side in
        // the store, and not all over what the file has brought so far.
        let clock = &self.gateway.clock;
        let made_at = clock.now();
        let new_subject = SubjectKey::new(made_at, clock.entropy());
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
            at: call.at,
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
            id: RecordId::new(made_at, clock.entropy()),
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
                id: tsunagi_core::id::DeliveryId::new(self.gateway.clock.now(), self.gateway.clock.entropy()),
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
