//! The registry (台帳): tenants, participants, endpoints and channels, with the days from and until which they hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::fault::Bilingual;
use crate::id::{ChannelId, EndpointId, FormatName, KindName, LayoutId, ParticipantId, TenantId};
use crate::municipality::MunicipalityCode;
use crate::policy::Purpose;

/// What kind of organisation a participant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A vendor of a handbook app.
    App,
    /// A hospital, clinic, pharmacy or midwife.
    Hospital,
    /// A municipality; it controls one tenant.
    Municipality,
    /// Who runs the hub.
    Operator,
}

/// What a channel is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The tenant's records go to the participant: to its endpoint, or to the mailbox where none is named.
    Deliver,
    /// The participant asks the tenant about one subject (照会).
    Lookup,
    /// The participant, a municipality, asks another municipality's tenant (提供依頼).
    Request,
    /// The participant sends records to the tenant (登録).
    Submit,
}

/// A municipality's data domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// Its id; `hub` is taken.
    pub id: TenantId,
    /// The six-digit code of the municipality.
    pub municipality: MunicipalityCode,
    /// Its name for people.
    pub name: String,
}

/// An organisation with a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Participant {
    /// Its id, as in the certificate's SAN URI `urn:tsunagi:participant:ID`.
    pub id: ParticipantId,
    /// What it is.
    pub role: Role,
    /// Its name for people.
    pub name: String,
    /// Its 医療機関コード or 団体コード: what a body may name as sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization_code: Option<String>,
    /// The tenant that a municipality controls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// SHA-256 of certificates of foreign CAs, in hexadecimal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fingerprints: Vec<String>,
    /// True while it may not do anything.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspended: bool,
}

/// A server that deliveries are pushed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// Whose it is.
    pub participant: ParticipantId,
    /// `https://host[:port]/path`; the host must be in the server's certificate, issued by a trusted CA.
    pub url: String,
}

/// One configured one-way path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// Its id.
    pub id: ChannelId,
    /// The participant at one end.
    pub participant: ParticipantId,
    /// The tenant at the other end.
    pub tenant: TenantId,
    /// The record kind.
    pub kind: KindName,
    /// What it is for.
    pub mode: Mode,
    /// The participant's layout; its first part is the wire format.
    pub layout: LayoutId,
    /// The purpose taken where the caller states none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
    /// Where deliveries are pushed; without it they wait in the mailbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<EndpointId>,
    /// First day.
    pub from: Date,
    /// Last day; none means until further notice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
    /// The largest body taken, if smaller than the gateway's own limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_body_bytes: Option<u64>,
    /// True makes a wrong check digit an error on this channel; it is a warning otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub check_digits_are_errors: bool,
}

impl Channel {
    /// True on its days.
    pub fn is_open(&self, on: Date) -> bool {
        self.from <= on && self.until.is_none_or(|last| on <= last)
    }

    /// The wire format: the first part of the layout's id.
    pub fn format(&self) -> Option<FormatName> {
        let (format, _) = self.layout.as_str().split_once('/')?;
        FormatName::parse(format).ok()
    }
}

/// What an import file holds, and what the store gives back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryEntries {
    /// `[[tenant]]`
    #[serde(default)]
    pub tenant: Vec<Tenant>,
    /// `[[participant]]`
    #[serde(default)]
    pub participant: Vec<Participant>,
    /// `[[endpoint]]`
    #[serde(default)]
    pub endpoint: Vec<Endpoint>,
    /// `[[channel]]`
    #[serde(default)]
    pub channel: Vec<Channel>,
}

/// A registry in which every reference leads somewhere. It is asked with every request and with every row, so that what
/// they ask by is looked up and never searched for: a nation-wide hub has some ten thousand channels.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    tenants: BTreeMap<TenantId, Tenant>,
    tenants_by_municipality: BTreeMap<MunicipalityCode, TenantId>,
    participants: BTreeMap<ParticipantId, Arc<Participant>>,
    participants_by_fingerprint: BTreeMap<String, ParticipantId>,
    endpoints: BTreeMap<EndpointId, Endpoint>,
    channels: BTreeMap<ChannelId, Arc<Channel>>,
    channels_by_participant: BTreeMap<ParticipantId, Vec<Arc<Channel>>>,
    delivering: BTreeMap<(TenantId, KindName), Vec<Arc<Channel>>>,
}

impl Registry {
    /// Checks entries against each other; all faults at once.
    pub fn parse(entries: RegistryEntries) -> Result<Self, Vec<Bilingual>> {
        let mut faults = Vec::new();
        let mut registry = Self::default();
        for tenant in entries.tenant {
            if tenant.id.is_hub() {
                faults.push(Bilingual::new("テナント id に hub は使えません", "the tenant id `hub` is taken"));
            }
            let municipality = tenant.municipality.clone();
            if registry.tenants_by_municipality.insert(municipality.clone(), tenant.id.clone()).is_some() {
                faults.push(Bilingual::new(
                    format!("団体コード {municipality} のテナントが二つあります"),
                    format!("two tenants for municipality {municipality}"),
                ));
            }
            insert(&mut registry.tenants, tenant.id.clone(), tenant, "tenant", &mut faults);
        }
        for participant in entries.participant {
            let id = participant.id.clone();
            for fingerprint in &participant.fingerprints {
                registry.participants_by_fingerprint.entry(fingerprint.to_ascii_lowercase()).or_insert(id.clone());
            }
            insert(&mut registry.participants, id, Arc::new(participant), "participant", &mut faults);
        }
        for endpoint in entries.endpoint {
            insert(&mut registry.endpoints, endpoint.id.clone(), endpoint, "endpoint", &mut faults);
        }
        for channel in entries.channel {
            insert(&mut registry.channels, channel.id.clone(), Arc::new(channel), "channel", &mut faults);
        }
        for channel in registry.channels.values() {
            let of_participant = registry.channels_by_participant.entry(channel.participant.clone()).or_default();
            of_participant.push(channel.clone());
            if channel.mode == Mode::Deliver {
                let what = (channel.tenant.clone(), channel.kind.clone());
                registry.delivering.entry(what).or_default().push(channel.clone());
            }
        }
        registry.check_references(&mut faults);
        if faults.is_empty() { Ok(registry) } else { Err(faults) }
    }

    /// All entries, as an import file would hold them.
    pub fn entries(&self) -> RegistryEntries {
        RegistryEntries {
            tenant: self.tenants.values().cloned().collect(),
            participant: self.participants.values().map(|participant| (**participant).clone()).collect(),
            endpoint: self.endpoints.values().cloned().collect(),
            channel: self.channels.values().map(|channel| (**channel).clone()).collect(),
        }
    }

    /// A participant by id, suspended or not.
    pub fn participant(&self, id: &ParticipantId) -> Option<&Arc<Participant>> {
        self.participants.get(id)
    }

    /// All participants, suspended or not.
    pub fn participants(&self) -> impl Iterator<Item = &Arc<Participant>> {
        self.participants.values()
    }

    /// The participant that registered a foreign certificate.
    pub fn participant_by_fingerprint(&self, sha256_hex: &str) -> Option<&Arc<Participant>> {
        self.participant(self.participants_by_fingerprint.get(&sha256_hex.to_ascii_lowercase())?)
    }

    /// A tenant by id.
    pub fn tenant(&self, id: &TenantId) -> Option<&Tenant> {
        self.tenants.get(id)
    }

    /// The tenant of a municipality on this hub.
    pub fn tenant_of(&self, municipality: &MunicipalityCode) -> Option<&Tenant> {
        self.tenant(self.tenants_by_municipality.get(municipality)?)
    }

    /// All tenants.
    pub fn tenants(&self) -> impl Iterator<Item = &Tenant> {
        self.tenants.values()
    }

    /// Whose audit logs a hub with this registry writes: every tenant's, and its own.
    pub fn logs(&self) -> Vec<TenantId> {
        self.tenants().map(|tenant| tenant.id.clone()).chain([TenantId::hub()]).collect()
    }

    /// An endpoint by id.
    pub fn endpoint(&self, id: &EndpointId) -> Option<&Endpoint> {
        self.endpoints.get(id)
    }

    /// A channel by id.
    pub fn channel(&self, id: &ChannelId) -> Option<&Arc<Channel>> {
        self.channels.get(id)
    }

    /// All channels.
    pub fn channels(&self) -> impl Iterator<Item = &Arc<Channel>> {
        self.channels.values()
    }

    /// The channels of a participant, open or not.
    pub fn channels_of(&self, participant: &ParticipantId) -> impl Iterator<Item = &Arc<Channel>> {
        self.channels_by_participant.get(participant).into_iter().flatten()
    }

    /// The channels of a participant for one mode that are open on a day.
    pub fn open_channels<'a>(
        &'a self,
        participant: &'a ParticipantId,
        mode: Mode,
        on: Date,
    ) -> impl Iterator<Item = &'a Arc<Channel>> {
        self.channels_of(participant).filter(move |channel| channel.mode == mode && channel.is_open(on))
    }

    /// The channels on which a tenant's records of a kind are delivered on a day.
    pub fn deliver_channels<'a>(
        &'a self,
        tenant: &TenantId,
        kind: &KindName,
        on: Date,
    ) -> impl Iterator<Item = &'a Arc<Channel>> {
        let all = self.delivering.get(&(tenant.clone(), kind.clone())).into_iter().flatten();
        all.filter(move |channel| channel.is_open(on))
    }

    fn check_references(&self, faults: &mut Vec<Bilingual>) {
        let mut missing = |what: &str, id: &str, named_by: &str| {
            faults.push(Bilingual::new(
                format!("{named_by} が指す {what} {id} がありません"),
                format!("{named_by} names the {what} {id}, which does not exist"),
            ));
        };
        for participant in self.participants.values() {
            match (&participant.tenant, participant.role) {
                (Some(tenant), _) if !self.tenants.contains_key(tenant) => {
                    missing("tenant", tenant.as_str(), participant.id.as_str());
                }
                (None, Role::Municipality) => missing("tenant", "(none)", participant.id.as_str()),
                _ => {}
            }
        }
        for endpoint in self.endpoints.values() {
            if !self.participants.contains_key(&endpoint.participant) {
                missing("participant", endpoint.participant.as_str(), endpoint.id.as_str());
            }
            if !endpoint.url.starts_with("https://") {
                missing("https:// URL", &endpoint.url, endpoint.id.as_str());
            }
        }
        for channel in self.channels.values() {
            if !self.participants.contains_key(&channel.participant) {
                missing("participant", channel.participant.as_str(), channel.id.as_str());
            }
            if !self.tenants.contains_key(&channel.tenant) {
                missing("tenant", channel.tenant.as_str(), channel.id.as_str());
            }
            if let Some(endpoint) = &channel.endpoint {
                match self.endpoints.get(endpoint) {
                    Some(found) if found.participant == channel.participant => {}
                    _ => missing("endpoint of the same participant", endpoint.as_str(), channel.id.as_str()),
                }
            }
        }
    }
}

fn insert<K: Ord + std::fmt::Display, V>(
    map: &mut BTreeMap<K, V>,
    key: K,
    value: V,
    what: &str,
    faults: &mut Vec<Bilingual>,
) {
    if map.contains_key(&key) {
        faults.push(Bilingual::new(format!("{what} {key} が二つあります"), format!("two entries for {what} {key}")));
        return;
    }
    map.insert(key, value);
}
