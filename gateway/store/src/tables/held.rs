//! What is held of one subject, as it is stored.

use tsunagi_core::id::{SubjectKey, TenantId};

use super::directives::{SealedDirective, open_directives};
use super::records::SealedRecord;
use super::subjects::Subject;
use crate::command::Held;
use crate::error::StoreError;
use crate::keys::Hash;

/// All of it, encrypted.
pub(crate) struct SealedHeld {
    pub(crate) subject: Subject,
    pub(crate) directives: Vec<SealedDirective>,
    /// Ids sort by the time of their making.
    pub(crate) records: Vec<SealedRecord>,
}

impl SealedHeld {
    /// Opens it.
    pub(crate) fn open(&self, tenant: &TenantId) -> Result<Held, StoreError> {
        let Self { subject, directives, records } = self;
        Ok(Held {
            subject: subject.key.clone(),
            version: subject.version,
            non_disclosure: subject.non_disclosure(),
            directives: open_directives(tenant, subject, directives)?,
            records: records.iter().map(|record| record.open(tenant, subject)).collect::<Result<_, _>>()?,
            link: None,
        })
    }
}

/// Where a link of a sign-in to a subject is sealed.
pub(crate) fn link_place<'a>(tenant: &'a TenantId, subject: &'a SubjectKey, sign_in: &'a Hash) -> [&'a [u8]; 4] {
    [b"link", tenant.as_str().as_bytes(), subject.as_str().as_bytes(), sign_in]
}
