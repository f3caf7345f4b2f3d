//! Lookup (照会): held → decide → disclose → encode → the leaf, durable → the bytes may leave.

use std::collections::BTreeSet;
use std::sync::Arc;

use tsunagi_adapters::{Envelope, Shape, adapter};
use tsunagi_core::audit::{Action, AuditEvent, EventOutcome, Interaction};
use tsunagi_core::disclosure::{Disclosure, HeldRecord, OutboundCall, PermittedCall};
use tsunagi_core::document::Document;
use tsunagi_core::id::{FieldKey, KindName, SubjectKey, TenantId};
use tsunagi_core::kind::Kind;
use tsunagi_core::policy::{Acting, Decision, Directive, Flow, Inputs, Purpose, Question, decide};
use tsunagi_core::refusal::Refusal;
use tsunagi_core::registry::{Channel, Mode};
use tsunagi_mappings::Tables;
use tsunagi_store::{Held, Note, StoreError, SubjectRef};

use super::acting::acting;
use super::{Call, SignIn, refusal_of, turned_away};
use crate::gateway::Gateway;

/// How often a lookup starts over because the subject changed under it.
const TRIES: usize = 5;

/// What is asked.
pub struct Inquiry<'a> {
    /// Which way the answer would go.
    pub flow: Flow,
    /// The channels it may come through: one for each tenant and kind.
    pub channels: Vec<Arc<Channel>>,
    /// The items named one by one.
    pub named_items: BTreeSet<FieldKey>,
    /// Which of the records held are meant.
    pub wanted: &'a (dyn Fn(&Kind, &HeldRecord) -> bool + Send + Sync),
    /// The legal basis stated.
    pub stated_basis: Option<String>,
    /// The directive that came along, made for the subject once it is known.
    pub attested: Option<&'a (dyn Fn(SubjectKey) -> Directive + Send + Sync)>,
    /// A pseudonym of the person behind the app.
    pub end_user: Option<String>,
    /// What the tenant's log calls this.
    pub action: Action,
    /// How it was asked, where FHIR has a word for it.
    pub interaction: Option<Interaction>,
}

/// What one channel yields. It is handed on when it is noted.
pub struct Part {
    /// Whose records these are.
    pub subject: SubjectKey,
    /// The channel it came through.
    pub channel: Arc<Channel>,
    /// What is disclosed, without the fields the permit does not cover.
    pub content: Content,
    /// The fields of the kind that the permit does not cover, whether any record has them or not.
    pub hides: BTreeSet<FieldKey>,
    /// The leaf that tells of it in the tenant's log, once it is noted.
    pub leaf: Option<u64>,
}

/// What is disclosed.
pub enum Content {
    /// In the channel's layout, where an envelope was named for it: how many records, and the bytes.
    Encoded(usize, PermittedCall),
    /// The records themselves.
    Records(Vec<HeldRecord>),
}

impl Part {
    /// How many records there are.
    pub fn count(&self) -> usize {
        match &self.content {
            Content::Encoded(count, _) => *count,
            Content::Records(records) => records.len(),
        }
    }

    /// The records, where no envelope was named.
    pub fn records(&self) -> &[HeldRecord] {
        match &self.content {
            Content::Encoded(..) => &[],
            Content::Records(records) => records,
        }
    }

    /// The bytes, in the channel's layout, where an envelope was named.
    pub fn into_bytes(self) -> Result<Vec<u8>, Refusal> {
        match self.content {
            Content::Encoded(_, call) => Ok(call.into_payload().1),
            Content::Records(_) => Err(Refusal::Internal),
        }
    }
}

/// The distinct open channels of the caller for lookups of kinds that `wanted` names.
pub fn channels(gateway: &Gateway, call: &Call, mode: Mode, wanted: impl Fn(&Channel) -> bool) -> Vec<Arc<Channel>> {
    let registry = gateway.registry.load();
    let mut seen = BTreeSet::new();
    registry
        .open_channels(&call.caller.participant.id, mode, call.today)
        .filter(|channel| wanted(channel))
        .filter(|channel| seen.insert((channel.tenant.clone(), channel.kind.clone())))
        .cloned()
        .collect()
}

/// The tenants at the other ends of channels, each once.
pub fn tenants(channels: &[Arc<Channel>]) -> BTreeSet<&TenantId> {
    channels.iter().map(|channel| &channel.tenant).collect()
}

/// Asks every tenant of the channels, one at a time, and gives what may be seen; in bytes too, where an envelope is named
/// for them. When it returns, the leaf of every disclosure and of every refusal is on disk.
pub async fn look_up(
    gateway: &Gateway,
    call: &Call,
    inquiry: &Inquiry<'_>,
    subject: &SubjectRef,
    envelope: Option<&Envelope>,
) -> Result<Vec<Part>, Refusal> {
    reaches_somebody(gateway, call, inquiry).await?;
    let mut parts = Vec::new();
    for tenant in tenants(&inquiry.channels) {
        parts.extend(look_up_in(gateway, call, inquiry, (tenant, subject), envelope).await?);
    }
    Ok(parts)
}

/// As [`look_up`], for the subjects that a citizen's sign-in is linked to, or for one of them. A tenant that knows no
/// link is asked all the same, so that its log tells who tried.
pub async fn look_up_linked(
    gateway: &Gateway,
    call: &Call,
    inquiry: &Inquiry<'_>,
    sign_in: &SignIn,
    only: Option<&SubjectKey>,
    envelope: Option<&Envelope>,
) -> Result<Vec<Part>, Refusal> {
    reaches_somebody(gateway, call, inquiry).await?;
    let mut parts = Vec::new();
    for tenant in tenants(&inquiry.channels) {
        let linked = gateway.store.linked(tenant, &sign_in.issuer, &sign_in.sub).await.map_err(refusal_of)?;
        let wanted: Vec<_> = linked.into_iter().filter(|key| only.is_none_or(|only| only == key)).map(Some).collect();
        for subject in if wanted.is_empty() { vec![None] } else { wanted } {
            let subject = sign_in.subject_ref(subject.as_ref().or(only));
            parts.extend(look_up_in(gateway, call, inquiry, (tenant, &subject), envelope).await?);
        }
    }
    Ok(parts)
}

/// A caller without a channel gets what everyone gets who finds nothing; that it asked is in the hub's own log.
async fn reaches_somebody(gateway: &Gateway, call: &Call, inquiry: &Inquiry<'_>) -> Result<(), Refusal> {
    if !inquiry.channels.is_empty() {
        return Ok(());
    }
    match turned_away(gateway, call, "no_channel").await {
        Refusal::NotAvailable => Ok(()),
        other => Err(other),
    }
}

/// Asks one tenant.
pub async fn look_up_in(
    gateway: &Gateway,
    call: &Call,
    inquiry: &Inquiry<'_>,
    (tenant, subject): (&TenantId, &SubjectRef),
    envelope: Option<&Envelope>,
) -> Result<Vec<Part>, Refusal> {
    let tables = gateway.tables.load_full();
    let channels: Vec<&Arc<Channel>> = inquiry.channels.iter().filter(|channel| channel.tenant == *tenant).collect();
    let kinds: Vec<KindName> = match subject {
        // A proxy's term ends by the date of birth, whichever kind of record tells it.
        SubjectRef::SignIn { .. } => tables.kinds().map(|kind| kind.name.clone()).collect(),
        SubjectRef::Identifier(_) | SubjectRef::Record(_) | SubjectRef::Subject(_) => {
            channels.iter().map(|c| c.kind.clone()).collect()
        }
    };
    for _ in 0..TRIES {
        let held = gateway.store.held(tenant, subject, &kinds).await.map_err(refusal_of)?;
        let rests_on = held.iter().map(|held| (held.subject.clone(), held.version)).collect();
        let mut person = held.map(|held| Person::of(&tables, call, inquiry, held));
        let directive = person.as_ref().and_then(|person| person.attested.clone());
        let mut events = Vec::new();
        let mut found: Vec<(usize, Part)> = Vec::new();
        for channel in &channels {
            let mut event = call.event(inquiry.action, EventOutcome::Denied);
            event.kind = Some(channel.kind.clone());
            event.channel = Some(channel.id.clone());
            event.flow = Some(inquiry.flow);
            event.interaction = inquiry.interaction;
            event.agent.end_user.clone_from(&inquiry.end_user);
            match &mut person {
                None => event.reason = Some("subject_unknown".to_owned()),
                Some(person) => {
                    let asked = Asked { gateway, call, inquiry, tables: &tables, channel, envelope };
                    found.extend(asked.answer(person, &mut event)?.map(|part| (events.len(), part)));
                }
            }
            events.push(event);
        }
        // Kept with what it lets out. A refusal writes its leaf and nothing else, whatever it is for: what more is written
        // takes time, and time would tell.
        let directive = directive.filter(|_| !found.is_empty());
        match gateway.store.note(tenant, Note { events, rests_on, directive }).await {
            // The leaves are on disk: what was found may be handed on.
            Ok(leaves) => {
                let told = |(at, part): (usize, Part)| Part { leaf: leaves.get(at).copied(), ..part };
                return Ok(found.into_iter().map(told).collect());
            }
            Err(StoreError::Stale) => {}
            Err(error) => return Err(refusal_of(error)),
        }
    }
    Err(Refusal::Unavailable)
}

/// The subject of an inquiry, as one moment shows it.
struct Person {
    held: Held,
    /// Who acts; nobody, where the sign-in has no link.
    acting: Option<Acting>,
    /// The directive that came along. It counts with the others.
    attested: Option<Directive>,
}

impl Person {
    fn of(tables: &Tables, call: &Call, inquiry: &Inquiry<'_>, mut held: Held) -> Self {
        let attested = inquiry.attested.map(|make| make(held.subject.clone()));
        held.directives.extend(attested.clone());
        Self { acting: acting(tables, inquiry.flow, &held, call.today), held, attested }
    }

    /// Takes the records that are meant out of what is held: each is of one kind, and each kind has one channel.
    fn take(&mut self, kind: &Kind, wanted: impl Fn(&Kind, &HeldRecord) -> bool) -> Vec<HeldRecord> {
        let is_meant = |held: &mut HeldRecord| *held.record.kind() == kind.name && wanted(kind, held);
        self.held.records.extract_if(.., is_meant).collect()
    }
}

/// One channel of an inquiry.
struct Asked<'a> {
    gateway: &'a Gateway,
    call: &'a Call,
    inquiry: &'a Inquiry<'a>,
    tables: &'a Arc<Tables>,
    channel: &'a Arc<Channel>,
    envelope: Option<&'a Envelope>,
}

impl Asked<'_> {
    fn answer(&self, person: &mut Person, event: &mut AuditEvent) -> Result<Option<Part>, Refusal> {
        let kind = self.tables.kind(&self.channel.kind).ok_or(Refusal::Internal)?;
        let Person { held, acting, .. } = &*person;
        event.subject = Some(held.subject.clone());
        let Some(acting) = acting else {
            event.reason = Some("no_link".to_owned());
            return Ok(None);
        };
        event.agent.proxy = matches!(acting, Acting::Proxy(_));
        let purpose = self.call.purpose.or(self.channel.purpose);
        let question = Question {
            flow: self.inquiry.flow,
            tenant: &self.channel.tenant,
            recipient: &self.call.caller.recipient(),
            acting,
            subject: &held.subject,
            non_disclosure: held.non_disclosure,
            kind,
            purpose,
            stated_basis: self.inquiry.stated_basis.as_deref(),
            named_items: &self.inquiry.named_items,
            directives: &held.directives,
            at: self.call.at,
            today: self.call.today,
        };
        event.purpose = purpose;
        event.inputs = Some(Inputs::of(&question));
        let permit = match decide(&question, self.tables.policy()) {
            Decision::Permit(permit) => permit,
            Decision::Deny(denial) => {
                event.reason = Some(word(&denial.reason));
                event.denied_by = Some(denial.basis).filter(|basis| !basis.is_empty());
                event.policy_version = Some(denial.policy_version);
                return Ok(None);
            }
        };
        event.bases = permit.bases().clone();
        event.policy_version = Some(permit.policy_version().to_owned());
        let subject = held.subject.clone();
        let wanted = person.take(kind, self.inquiry.wanted);
        let mut disclosure = Disclosure::new(permit, kind, wanted).map_err(|_| Refusal::Internal)?;
        if matches!(self.inquiry.flow, Flow::AppReads | Flow::HospitalReads) {
            let withheld;
            (disclosure, withheld) = disclosure.without_my_numbers(kind);
            event.reason = held_back(&withheld);
        }
        if disclosure.records().is_empty() {
            event.reason = Some("no_record".to_owned());
            return Ok(None);
        }
        event.outcome = EventOutcome::Done;
        event.classes = disclosure.classes_seen(kind);
        event.records = disclosure.records().iter().map(|held| (held.id.clone(), held.version)).collect();
        let hidden = kind.fields.iter().filter(|field| !disclosure.permit().covers(field));
        let hides = hidden.map(|field| field.key.clone()).collect();
        let content = match self.envelope {
            Some(envelope) => Content::Encoded(disclosure.records().len(), self.encode(disclosure, envelope)?),
            None => Content::Records(disclosure.into_records()),
        };
        Ok(Some(Part { subject, channel: self.channel.clone(), content, hides, leaf: None }))
    }

    /// Localizes and encodes what a disclosure holds, and binds the bytes to it.
    fn encode(&self, disclosure: Disclosure, envelope: &Envelope) -> Result<PermittedCall, Refusal> {
        let Self { gateway, tables, channel, .. } = self;
        let today = self.call.today;
        let layout = tables.layout(&channel.layout).ok_or(Refusal::Internal)?;
        let mut documents: Vec<Document> = Vec::new();
        for (row, held) in (1u64..).zip(disclosure.records()) {
            let document = tables.localize(layout, &held.record, row, today).map_err(|faults| {
                gateway.coverage.add_unwritable(today, &channel.id, (tables, layout), &held.record);
                let codes: Vec<&str> = faults.iter().map(|fault| fault.code.as_str()).collect();
                tracing::error!(record = %held.id, layout = %layout.id(), ?codes, "a record cannot be written in this layout");
                Refusal::Internal
            })?;
            documents.push(with_id(document, held));
        }
        let adapter = adapter(layout.format()).map_err(|_| Refusal::Internal)?;
        let shape = shape(layout, envelope.clone());
        let bytes = adapter.encode(&documents, &shape).map_err(|faults| {
            gateway.coverage.add_unmappable(today, &channel.id, adapter, (&documents, &shape));
            tracing::error!(layout = %layout.id(), faults = faults.len(), "a record cannot be written in this charset");
            Refusal::Internal
        })?;
        let outbound = OutboundCall {
            recipient: disclosure.permit().recipient().clone(),
            records: disclosure.records().iter().map(|held| held.id.clone()).collect(),
            content_type: content_type(adapter.media_type(), &shape.charset),
            bytes,
        };
        Disclosure::bind(vec![disclosure], outbound).map_err(|fault| {
            tracing::error!(%fault, "an answer does not belong to its permit");
            Refusal::Internal
        })
    }
}

/// The shape of a layout's payloads.
pub fn shape(layout: &tsunagi_mappings::Layout, envelope: Envelope) -> Shape {
    Shape { columns: layout.columns(), charset: layout.charset().to_owned(), crlf: layout.crlf(), envelope }
}

/// `Content-Type` of a payload.
pub fn content_type(media_type: &str, charset: &str) -> String {
    let charset = match charset {
        "cp932" => "Shift_JIS",
        "utf-8-bom" => "utf-8",
        other => other,
    };
    format!("{media_type}; charset={charset}")
}

/// The reason of an answer in which texts were left out; the columns, never what stands there.
fn held_back(withheld: &BTreeSet<FieldKey>) -> Option<String> {
    let keys: Vec<&str> = withheld.iter().map(FieldKey::as_str).collect();
    (!keys.is_empty()).then(|| format!("held:my_number:{}", keys.join(",")))
}

/// Purpose codes and reasons as users of the log see them.
pub fn word(reason: &impl serde::Serialize) -> String {
    match serde_json::to_value(reason) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// A tree that is one resource carries the record's id and version, so that `GET /fhir/TYPE/ID` finds it again.
fn with_id(document: Document, held: &HeldRecord) -> Document {
    use tsunagi_core::document::{Content, Node};
    let Document { row, content } = document;
    let content = match content {
        Content::Tree(Node::Map(mut members)) if members.iter().any(|(name, _)| name == "resourceType") => {
            members.retain(|(name, _)| name != "id");
            let at = members.iter().position(|(name, _)| name == "resourceType").map_or(0, |at| at + 1);
            members.insert(at, ("id".to_owned(), Node::Text(held.id.to_string())));
            Content::Tree(Node::Map(members))
        }
        other => other,
    };
    Document { row, content }
}

/// The purpose a request goes by.
pub fn purpose_of(call: &Call, channel: &Channel) -> Option<Purpose> {
    call.purpose.or(channel.purpose)
}
