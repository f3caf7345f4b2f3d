//! From a permit to bytes that may leave: nothing is sent or answered that did not pass through here.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{ClassName, FieldKey, ParticipantId, RecordId, SubjectKey};
use crate::kind::{IdentifierRule, Kind};
use crate::my_number;
use crate::policy::Permit;
use crate::record::Record;
use crate::value::Value;

/// A record as the store holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldRecord {
    /// Its id, the same across versions.
    pub id: RecordId,
    /// Its version, from 1.
    pub version: u32,
    /// Whose it is.
    pub subject: SubjectKey,
    /// When this version came to rest here.
    pub recorded_at: Timestamp,
    /// The sender of this version.
    pub sender: ParticipantId,
    /// Its content.
    pub record: Record,
}

/// Why a permit and records do not belong together. Each is a bug of the caller, never of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BindFault {
    /// A record is of another kind than the permit.
    #[error("the permit is for another record kind")]
    Kind,
    /// The call carries records that no disclosure covers, or leaves some out.
    #[error("the call does not carry exactly the disclosed records")]
    Records,
    /// The call goes to someone else.
    #[error("the permit is for another recipient")]
    Recipient,
    /// A record is about someone else.
    #[error("the permit is for another subject")]
    Subject,
}

/// Records of one kind and one subject, with a permit for them, without the fields the permit does not cover (提供).
///
/// A permit is good for one disclosure:
///
/// ```
/// use tsunagi_core::{disclosure::*, kind::Kind, policy::Permit};
/// fn once(permit: Permit, kind: &Kind) -> Result<Disclosure, BindFault> {
///     Disclosure::new(permit, kind, Vec::new())
/// }
/// ```
///
/// ```compile_fail,E0382
/// use tsunagi_core::{disclosure::*, kind::Kind, policy::Permit};
/// fn twice(permit: Permit, kind: &Kind) -> Result<Disclosure, BindFault> {
///     Disclosure::new(permit, kind, Vec::new())?;
///     Disclosure::new(permit, kind, Vec::new())
/// }
/// ```
#[derive(Debug)]
pub struct Disclosure {
    permit: Permit,
    records: Vec<HeldRecord>,
}

impl Disclosure {
    /// Joins a permit with the records it is for and **drops every field it does not cover**. A record
    /// of which nothing is left is dropped as a whole.
    pub fn new(permit: Permit, kind: &Kind, records: Vec<HeldRecord>) -> Result<Self, BindFault> {
        if kind.name != *permit.kind() || records.iter().any(|held| held.record.kind() != permit.kind()) {
            return Err(BindFault::Kind);
        }
        if records.iter().any(|held| held.subject != *permit.subject()) {
            return Err(BindFault::Subject);
        }
        let mut records = records;
        for held in &mut records {
            held.record.retain(|key| kind.field(key).is_some_and(|field| permit.covers(field)));
        }
        records.retain(|held| !held.record.fields().is_empty());
        Ok(Self { permit, records })
    }

    /// Leaves out every text, code and number in which a 個人番号 stands, and says in which fields that was: whoever reads
    /// here may not collect it (番号法20条), whatever somebody wrote into a remark. Identifiers whose form is checked are
    /// what they are.
    pub fn without_my_numbers(mut self, kind: &Kind) -> (Self, BTreeSet<FieldKey>) {
        let is_unchecked = |key: &FieldKey| {
            kind.field(key).is_some_and(|field| {
                let is_checked = |rule: &IdentifierRule| rule.digits_only || rule.check_digit.is_some();
                !field.identifier.as_ref().is_some_and(is_checked)
            })
        };
        let holds = |value: &Value| match value {
            Value::Code(text) | Value::Decimal(text) | Value::Text(text) => my_number::stands_in(text),
            // As an integer it may have lost the zero that one in ten begins with.
            Value::Integer(number) => *number > 9_999_999_999 && my_number::stands_in(&format!("{number:012}")),
            Value::Bool(_) | Value::Date(_) | Value::DateTime(_) | Value::MyNumber(_) => false,
        };
        let mut withheld = BTreeSet::new();
        for held in &mut self.records {
            let fields = held.record.fields().iter();
            let found: Vec<FieldKey> = fields
                .filter(|(key, values)| is_unchecked(key) && values.iter().any(holds))
                .map(|(key, _)| key.clone())
                .collect();
            held.record.retain(|key| !found.contains(key));
            withheld.extend(found);
        }
        self.records.retain(|held| !held.record.fields().is_empty());
        (self, withheld)
    }

    /// What is disclosed.
    pub fn records(&self) -> &[HeldRecord] {
        &self.records
    }

    /// What is disclosed, for an answer that is made of it and not encoded by an adapter.
    pub fn into_records(self) -> Vec<HeldRecord> {
        self.records
    }

    /// Why it may be.
    pub fn permit(&self) -> &Permit {
        &self.permit
    }

    /// The classes that the disclosed fields really have.
    pub fn classes_seen(&self, kind: &Kind) -> BTreeSet<ClassName> {
        let fields = self.records.iter().flat_map(|held| held.record.fields().keys());
        let seen: BTreeSet<&ClassName> = fields.filter_map(|key| kind.field(key)).map(|field| &field.class).collect();
        seen.into_iter().cloned().collect()
    }

    /// Lets a call or an answer pass if it goes to the permits' recipient and carries exactly what they disclose.
    /// There must be at least one.
    pub fn bind(disclosures: Vec<Disclosure>, call: OutboundCall) -> Result<PermittedCall, BindFault> {
        // Without a disclosure nobody has been permitted anything, not even an empty answer.
        if disclosures.is_empty() || disclosures.iter().any(|d| *d.permit.recipient() != call.recipient) {
            return Err(BindFault::Recipient);
        }
        let disclosed: BTreeSet<&RecordId> =
            disclosures.iter().flat_map(|d| d.records.iter().map(|held| &held.id)).collect();
        if disclosed != call.records.iter().collect() {
            return Err(BindFault::Records);
        }
        Ok(PermittedCall { call })
    }
}

/// Bytes on their way out, not yet permitted.
#[derive(Debug)]
pub struct OutboundCall {
    /// To whom.
    pub recipient: ParticipantId,
    /// What it carries.
    pub records: Vec<RecordId>,
    /// `Content-Type`
    pub content_type: String,
    /// The encoded documents.
    pub bytes: Vec<u8>,
}

/// Bytes that may leave. Made by [`Disclosure::bind`] alone.
///
/// ```compile_fail,E0451
/// use tsunagi_core::disclosure::{OutboundCall, PermittedCall};
/// fn wave_through(call: OutboundCall) -> PermittedCall { PermittedCall { call } }
/// ```
#[derive(Debug)]
pub struct PermittedCall {
    call: OutboundCall,
}

impl PermittedCall {
    /// To whom.
    pub fn recipient(&self) -> &ParticipantId {
        &self.call.recipient
    }

    /// Content type and bytes, for the wire.
    pub fn into_payload(self) -> (String, Vec<u8>) {
        (self.call.content_type, self.call.bytes)
    }
}

#[cfg(test)]
mod tests;
