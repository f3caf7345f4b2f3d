//! Sign-ins that are linked to subjects.

use tsunagi_core::audit::AuditEvent;
use tsunagi_core::id::{SubjectKey, TenantId};

use super::convert::{Columns, from_json, to_json};
use super::session::{Session, Tenancy};
use crate::command::{Identifier, Link};
use crate::error::StoreError;
use crate::keys::Hash;
use crate::tables::{Subject, append_one, link_place};

/// See [`crate::Store::link_subject`].
pub(super) fn link_subject(
    session: &Session<'_>,
    tenant: &TenantId,
    identifier: &Identifier,
    sign_in: (&str, &str),
    link: &Link,
    mut event: AuditEvent,
) -> Result<u64, StoreError> {
    let tenancy = session.known(tenant)?.ok_or(StoreError::NotFound)?;
    let blind = tenancy.keys.blind_index(&identifier.system, identifier.value.expose())?;
    let subject = tenancy.named_subject(&blind)?.ok_or(StoreError::NotFound)?;
    let sign_in = tenancy.keys.sign_in(sign_in.0, sign_in.1);
    let sealed = subject.cipher.seal(&link_place(tenant, &subject.key, &sign_in), &to_json(link)?)?;
    tenancy
        .conn
        .prepare_cached(
            "INSERT INTO links (tenant, sign_in, subject, sealed) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (tenant, sign_in, subject) DO UPDATE SET sealed = excluded.sealed",
        )?
        .execute((tenant.as_str(), sign_in, subject.key.as_str(), sealed))?;
    tenancy.changes(&sign_in);
    tenancy.moved(&subject)?;
    event.subject = Some(subject.key);
    append_one(&tenancy, &event)
}

/// See [`crate::Store::linked`].
pub(super) fn linked(
    session: &Session<'_>,
    tenant: &TenantId,
    sign_in: (&str, &str),
) -> Result<Vec<SubjectKey>, StoreError> {
    let Some(tenancy) = session.known(tenant)? else { return Ok(Vec::new()) };
    let links = tenancy.links(&tenancy.keys.sign_in(sign_in.0, sign_in.1))?;
    Ok(links.into_iter().map(|(key, _)| key).collect())
}

impl Tenancy<'_> {
    /// The subjects that a sign-in is linked to, each with the sealed link.
    pub(super) fn links(&self, sign_in: &Hash) -> Result<Vec<(SubjectKey, Vec<u8>)>, StoreError> {
        self.relies_on(sign_in);
        let mut select = self
            .conn
            .prepare_cached("SELECT subject, sealed FROM links WHERE tenant = ?1 AND sign_in = ?2 ORDER BY subject")?;
        let found = select.query_map((self.tenant.as_str(), sign_in), |row| Ok((row.word(0)?, row.get(1)?)))?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// Reads a link of this subject.
    pub(super) fn open_link(&self, subject: &Subject, sign_in: &Hash, sealed: &[u8]) -> Result<Link, StoreError> {
        from_json(subject.cipher.open(&link_place(&self.tenant, &subject.key, sign_in), sealed)?.expose())
    }
}
