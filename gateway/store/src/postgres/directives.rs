//! Consent directives.

use jiff::Timestamp;
use tsunagi_core::audit::AuditEvent;
use tsunagi_core::id::{DirectiveId, SubjectKey, TenantId};
use tsunagi_core::policy::Directive;

use super::columns::Columns;
use super::pool::Tx;
use super::tenancy::{Common, Tenancy};
use crate::command::Note;
use crate::error::StoreError;
use crate::tables::{ENDED, LeafContent, SealedDirective, Subject, ends_at, open_directive, seal_directive};

/// See [`crate::Store::note`], with a directive; without one it shares a transaction: see [`super::group`].
pub(super) async fn note(
    tx: &Tx,
    common: &Common,
    tenant: &TenantId,
    Note { rests_on, directive, .. }: &Note,
    contents: &[LeafContent],
) -> Result<Vec<u64>, StoreError> {
    // A tenant that holds what a decision rests on is not made now.
    let mut tenancy = match rests_on.is_empty() {
        true => Tenancy::enter(tx, common, tenant).await?,
        false => Tenancy::lock(tx, common, tenant).await?.ok_or(StoreError::Stale)?,
    };
    for (subject, version) in rests_on {
        if tenancy.subject(subject).await?.map(|subject| subject.version) != Some(*version) {
            return Err(StoreError::Stale);
        }
    }
    if let Some(directive) = directive {
        write(&tenancy, directive).await?;
    }
    let indexes = tenancy.append(contents).await?;
    tenancy.close().await?;
    Ok(indexes)
}

/// See [`crate::Store::record_directive`].
pub(super) async fn record(
    tx: &Tx,
    common: &Common,
    tenant: &TenantId,
    directive: &Directive,
    event: &AuditEvent,
) -> Result<u64, StoreError> {
    let mut tenancy = Tenancy::lock(tx, common, tenant).await?.ok_or(StoreError::NotFound)?;
    write(&tenancy, directive).await?;
    let leaf = tenancy.append_one(event).await?;
    tenancy.close().await?;
    Ok(leaf)
}

/// See [`crate::Store::withdraw_directive`].
pub(super) async fn withdraw(
    tx: &Tx,
    common: &Common,
    tenant: &TenantId,
    (subject, id): (&SubjectKey, &DirectiveId),
    at: Timestamp,
    event: &AuditEvent,
) -> Result<u64, StoreError> {
    let mut tenancy = Tenancy::lock(tx, common, tenant).await?.ok_or(StoreError::NotFound)?;
    let subject = tenancy.subject(subject).await?.ok_or(StoreError::NotFound)?;
    let mut directive = read(&tenancy, &subject, id).await?.ok_or(StoreError::NotFound)?;
    // A withdrawal is never put off by a later one: the call may be repeated.
    if directive.withdrawn_at.is_none_or(|earlier| at < earlier) {
        directive.withdrawn_at = Some(at);
        let sealed = seal_directive(tenant, &subject, &directive)?;
        tx.execute(
            "UPDATE directives SET sealed = $4, ends_at = $5 WHERE tenant = $1 AND subject = $2 AND directive = $3",
            &[&tenant.as_str(), &subject.key.as_str(), &id.as_str(), &sealed, &ends_at(&directive)],
        )
        .await?;
        tenancy.moved(&subject).await?;
    }
    let leaf = tenancy.append_one(event).await?;
    tenancy.close().await?;
    Ok(leaf)
}

/// The directives of subjects, each with its subject: all that may still be in force, and the newest of those that have
/// ended. A subject with a consent for every visit would otherwise make each lookup slower than the one before.
pub(super) async fn of_subjects(
    tx: &Tx,
    tenant: &TenantId,
    subjects: &[&str],
    past: i64,
) -> Result<Vec<(SubjectKey, SealedDirective)>, StoreError> {
    let ended = i64::try_from(ENDED).unwrap_or(i64::MAX);
    let rows = tx
        .query(
            "SELECT d.subject, d.directive, d.ends_at, d.sealed
             FROM unnest($2::text[]) AS s (subject)
             CROSS JOIN LATERAL (
                 (SELECT subject, directive, ends_at, sealed FROM directives
                  WHERE tenant = $1 AND subject = s.subject AND ends_at > $3)
                 UNION ALL
                 (SELECT subject, directive, ends_at, sealed FROM directives
                  WHERE tenant = $1 AND subject = s.subject AND ends_at <= $3 ORDER BY ends_at DESC LIMIT $4)) AS d",
            &[&tenant.as_str(), &subjects, &past, &ended],
        )
        .await?;
    let directive = |row: &tokio_postgres::Row| {
        Ok((row.word(0)?, SealedDirective { id: row.of(1)?, ends_at: row.of(2)?, sealed: row.of(3)? }))
    };
    rows.iter().map(directive).collect()
}

/// Keeps a directive. One that is there already stays as it is, withdrawn or not, so that a repeated call can never
/// bring a withdrawn consent back.
async fn write(tenancy: &Tenancy<'_>, directive: &Directive) -> Result<(), StoreError> {
    let subject = tenancy.subject(&directive.subject).await?.ok_or(StoreError::NotFound)?;
    let sealed = seal_directive(&tenancy.tenant, &subject, directive)?;
    let written = tenancy
        .tx
        .execute(
            "INSERT INTO directives (tenant, subject, directive, sealed, ends_at) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (tenant, subject, directive) DO NOTHING",
            &[&tenancy.tenant.as_str(), &subject.key.as_str(), &directive.id.as_str(), &sealed, &ends_at(directive)],
        )
        .await?;
    if written > 0 { tenancy.moved(&subject).await } else { Ok(()) }
}

async fn read(tenancy: &Tenancy<'_>, subject: &Subject, id: &DirectiveId) -> Result<Option<Directive>, StoreError> {
    let found = tenancy
        .tx
        .one(
            "SELECT sealed FROM directives WHERE tenant = $1 AND subject = $2 AND directive = $3",
            &[&tenancy.tenant.as_str(), &subject.key.as_str(), &id.as_str()],
        )
        .await?;
    found.map(|row| open_directive(&tenancy.tenant, subject, id.as_str(), row.of(0)?)).transpose()
}
