//! Sign-ins that are linked to subjects.

use tsunagi_core::audit::AuditEvent;
use tsunagi_core::id::{SubjectKey, TenantId};

use super::columns::Columns;
use super::held::named_subject;
use super::pool::Tx;
use super::tenancy::{Common, Tenancy};
use crate::command::{Identifier, Link};
use crate::error::StoreError;
use crate::keys::Hash;
use crate::tables::{from_json, link_place, to_json};

/// See [`crate::Store::link_subject`].
pub(super) async fn link_subject(
    tx: &Tx,
    common: &Common,
    tenant: &TenantId,
    identifier: &Identifier,
    sign_in: (&str, &str),
    (link, mut event): (&Link, AuditEvent),
) -> Result<u64, StoreError> {
    let mut tenancy = Tenancy::lock(tx, common, tenant).await?.ok_or(StoreError::NotFound)?;
    let blind = tenancy.keys.blind_index(&identifier.system, identifier.value.expose())?;
    let key = named_subject(tx, tenant, &blind).await?.ok_or(StoreError::NotFound)?;
    let subject = tenancy.subject(&key).await?.ok_or(StoreError::NotFound)?;
    let sign_in = tenancy.keys.sign_in(sign_in.0, sign_in.1);
    let sealed = subject.cipher.seal(&link_place(tenant, &subject.key, &sign_in), &to_json(link)?)?;
    tx.execute(
        "INSERT INTO links (tenant, sign_in, subject, sealed) VALUES ($1, $2, $3, $4)
         ON CONFLICT (tenant, sign_in, subject) DO UPDATE SET sealed = excluded.sealed",
        &[&tenant.as_str(), &&sign_in[..], &subject.key.as_str(), &sealed],
    )
    .await?;
    tenancy.moved(&subject).await?;
    event.subject = Some(subject.key);
    let leaf = tenancy.append_one(&event).await?;
    tenancy.close().await?;
    Ok(leaf)
}

/// The subjects that a sign-in is linked to, each with the sealed link.
pub(super) async fn links(
    tx: &Tx,
    tenant: &TenantId,
    sign_in: &Hash,
) -> Result<Vec<(SubjectKey, Vec<u8>)>, StoreError> {
    let rows = tx
        .query(
            "SELECT subject, sealed FROM links WHERE tenant = $1 AND sign_in = $2 ORDER BY subject",
            &[&tenant.as_str(), &&sign_in[..]],
        )
        .await?;
    rows.iter().map(|row| Ok((row.word(0)?, row.of(1)?))).collect()
}

/// Reads a link of this subject.
pub(super) fn open_link(
    tenant: &TenantId,
    subject: &crate::tables::Subject,
    sign_in: &Hash,
    sealed: &[u8],
) -> Result<Link, StoreError> {
    from_json(subject.cipher.open(&link_place(tenant, &subject.key, sign_in), sealed)?.expose())
}
