//! What can be made of a row before its transaction: whoever writes has less to do then.

use std::collections::BTreeSet;
use std::fmt;

use tsunagi_core::audit::AuditEvent;
use tsunagi_core::id::{ExchangeId, SubjectKey};

use super::accept::tell;
use super::convert::to_json;
use super::leaves::LeafContent;
use super::records::{Kept, record_place};
use super::subjects::{Name, names, seal_flags};
use crate::command::{AcceptRow, Intake, NewRecord};
use crate::error::StoreError;
use crate::keys::{Hash, Keyring, TenantKeys};

/// A record that is ready to be kept.
#[derive(Clone)]
pub struct Draft {
    pub(crate) names: Vec<Name>,
    /// The record in JSON.
    pub(crate) content: Vec<u8>,
    /// All that is written if nobody is known by these names; `None` where that is not made yet, or the row would wait.
    pub(crate) first: Option<First>,
}

/// A new subject with its first record.
#[derive(Clone)]
pub(crate) struct First {
    pub(crate) subject: SubjectKey,
    pub(crate) wrapped: Vec<u8>,
    pub(crate) flags: Vec<u8>,
    pub(crate) business: Hash,
    pub(crate) digest: Hash,
    pub(crate) sealed: Vec<u8>,
    pub(crate) leaf: LeafContent,
}

impl Draft {
    /// Of a record, whoever it is about.
    pub(crate) fn of(keys: &TenantKeys, new: &NewRecord) -> Result<Self, StoreError> {
        let names = names(keys, &new.identifiers, &new.single_valued)?;
        Ok(Self { names, content: to_json(&new.record)?, first: None })
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Draft([redacted])")
    }
}

impl First {
    /// `None` where the sender may not make subjects. Fills in the event as if the row was kept so.
    pub(crate) fn of(
        keyring: &Keyring,
        keys: &TenantKeys,
        event: &mut AuditEvent,
        new: &NewRecord,
        content: &[u8],
    ) -> Result<Option<Self>, StoreError> {
        let Some(subject) = new.new_subject.clone() else { return Ok(None) };
        let tenant = keys.tenant();
        let (wrapped, cipher) = keyring.make_subject_key(keys, &subject)?;
        let kept = Kept { record: new.id.clone(), version: 1, is_new: true };
        let flagged_by: BTreeSet<_> =
            (new.non_disclosure == Some(true)).then(|| kept.record.clone()).into_iter().collect();
        tell(event, &subject, &kept, new.deleted);
        Ok(Some(Self {
            flags: seal_flags((tenant, &cipher), &subject, &flagged_by, 1)?,
            business: keys.business_key(&subject, &new.business_key),
            digest: keys.content_digest(&subject, &kept.record, content),
            sealed: cipher.seal(&record_place(tenant, &subject, &kept.record, &kept.version.to_be_bytes()), content)?,
            leaf: LeafContent::of(event)?,
            wrapped,
            subject,
        }))
    }
}

/// Makes the draft of a row that brings a record and has none.
pub(crate) fn prepare(
    keyring: &Keyring,
    keys: &TenantKeys,
    exchange: &ExchangeId,
    row: &mut AcceptRow,
) -> Result<(), StoreError> {
    let (None, Intake::Record(new)) = (&row.draft, &row.intake) else { return Ok(()) };
    let mut draft = Draft::of(keys, new)?;
    row.event.exchange = Some(exchange.clone());
    draft.first = First::of(keyring, keys, &mut row.event, new, &draft.content)?;
    row.draft = Some(Box::new(draft));
    Ok(())
}
