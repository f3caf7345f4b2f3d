//! One row on its way down: document to record, to its place, to the early decision, to what the store keeps of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use tsunagi_core::audit::{Action, AuditEvent, EventOutcome};
use tsunagi_core::document::{Content, Document};
use tsunagi_core::fault::{Bilingual, RowCode, RowFault};
use tsunagi_core::id::{LayoutId, RecordId, SubjectKey, TenantId};
use tsunagi_core::kind::Kind;
use tsunagi_core::policy::{Acting, Decision, Flow, Question, decide};
use tsunagi_core::refusal::Refusal;
use tsunagi_core::registry::{Channel, Mode, Registry, Role};
use tsunagi_core::value::Value;
use tsunagi_mappings::{Context, Layout, Tables};
use tsunagi_store::{AcceptRow, Intake, NewDelivery, NewRecord};

use super::coverage::{Passing, Tally};
use super::place::{no_channel, place};
use super::sender::{check_my_number, check_sender};
use super::submit::{Inbound, Selector};
use super::{Call, scrub};
use crate::gateway::Gateway;

/// The most unknown names a receipt lists.
const MOST_UNKNOWN: usize = 100;

/// All that turning one row into a record needs.
pub(super) struct Intaker<'a> {
    gateway: &'a Gateway,
    call: &'a Call,
    pub(super) tables: Arc<Tables>,
    pub(super) registry: Arc<Registry>,
    channels: Vec<Arc<Channel>>,
    layouts: Vec<LayoutId>,
    flow: Flow,
    pub(super) tally: Tally,
}

impl<'a> Intaker<'a> {
    pub(super) fn new(
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
        let channels: Vec<Arc<Channel>> = open.filter(|channel| fits(channel)).cloned().collect();
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

    pub(super) fn only_layout(&self) -> Option<LayoutId> {
        match self.layouts.as_slice() {
            [only] => Some(only.clone()),
            _ => None,
        }
    }

    /// The columns that the layout does not know, which the first line of a table tells for all.
    /// True for a file whose first line names not one column of its layout.
    pub(super) fn knows_no_column(&self, row: &Result<Document, RowFault>) -> bool {
        let Ok(Document { content: Content::Row(cells), .. }) = row else { return false };
        let layout = self.only_layout().and_then(|id| self.tables.layout(&id));
        let unknown = layout.zip(row.as_ref().ok()).map(|(layout, document)| layout.unknown_columns(document).len());
        unknown == Some(cells.columns.len())
    }

    pub(super) fn unknown_columns(&self, row: &Result<Document, RowFault>) -> BTreeSet<String> {
        let layout = self.only_layout().and_then(|id| self.tables.layout(&id));
        // Where most names are no names of the layout, they may be somebody's.
        let found = layout.zip(row.as_ref().ok()).filter(|(layout, document)| layout.strangers(document).1);
        let found = found.map(|(layout, document)| layout.unknown_columns(document));
        found.into_iter().flatten().map(str::to_owned).collect()
    }

    /// Adds the members of a JSON document that its layout does not know.
    pub(super) fn note_unknown(&self, document: &Document, unknown: &mut BTreeSet<String>) {
        let Some((layout, _)) = self.layout_of(document) else { return };
        let room = MOST_UNKNOWN.saturating_sub(unknown.len());
        unknown.extend(layout.unknown_members(document).into_iter().take(room));
    }

    pub(super) fn only_charset(&self) -> Option<String> {
        self.only_layout().and_then(|id| self.tables.layout(&id)).map(|layout| layout.charset().to_owned())
    }

    /// One decoded row to what the store keeps of it. Total: whatever is wrong becomes a refused row.
    pub(super) fn row(&self, decoded: Result<Document, RowFault>) -> (TenantId, AcceptRow) {
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
        let row = AcceptRow {
            row: document.row,
            faults: canonical.warnings,
            intake: Intake::Record(Box::new(new)),
            event,
            draft: None,
        };
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
        (tenant, AcceptRow { row, faults, intake, event, draft: None })
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
