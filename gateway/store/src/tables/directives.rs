//! Consent directives as they are stored.

use tsunagi_core::id::{SubjectKey, TenantId};
use tsunagi_core::policy::Directive;

use super::convert::{from_json, nanos, to_json};
use super::subjects::Subject;
use crate::error::StoreError;

/// A directive as it is stored.
pub(crate) struct SealedDirective {
    pub(crate) id: String,
    pub(crate) ends_at: i64,
    pub(crate) sealed: Vec<u8>,
}

/// Opens directives that were read, oldest id first.
pub(crate) fn open_directives(
    tenant: &TenantId,
    subject: &Subject,
    sealed: &[SealedDirective],
) -> Result<Vec<Directive>, StoreError> {
    let mut all = Vec::with_capacity(sealed.len());
    for one in sealed {
        let directive = open_directive(tenant, subject, &one.id, &one.sealed)?;
        if ends_at(&directive) != one.ends_at {
            return Err(StoreError::Corrupt("a directive does not end when it is said to".to_owned()));
        }
        all.push(directive);
    }
    all.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(all)
}

/// Seals a directive in its place.
pub(crate) fn seal_directive(
    tenant: &TenantId,
    subject: &Subject,
    directive: &Directive,
) -> Result<Vec<u8>, StoreError> {
    let place = directive_place(tenant, &subject.key, directive.id.as_str());
    Ok(subject.cipher.seal(&place, &to_json(directive)?)?)
}

/// Opens a directive in its place.
pub(crate) fn open_directive(
    tenant: &TenantId,
    subject: &Subject,
    id: &str,
    sealed: &[u8],
) -> Result<Directive, StoreError> {
    from_json(subject.cipher.open(&directive_place(tenant, &subject.key, id), sealed)?.expose())
}

fn directive_place<'a>(tenant: &'a TenantId, subject: &'a SubjectKey, id: &'a str) -> [&'a [u8]; 4] {
    [b"directive", tenant.as_str().as_bytes(), subject.as_str().as_bytes(), id.as_bytes()]
}

/// When a directive ends, as a column.
pub(crate) fn ends_at(directive: &Directive) -> i64 {
    directive.expires_at.into_iter().chain(directive.withdrawn_at).min().map_or(i64::MAX, nanos)
}

/// How many directives that have ended are read: enough to show what was there of late.
pub(crate) const ENDED: usize = 50;
