//! What is held of one subject.

use tokio_postgres::types::ToSql;
use tsunagi_core::id::{KindName, RecordId, SubjectKey, TenantId};

use super::columns::Columns;
use super::pool::Tx;
use super::tenancy::{Common, read_subject};
use super::{directives, links};
use crate::command::{Held, SubjectRef};
use crate::error::StoreError;
use crate::keys::{Hash, TenantKeys};
use crate::tables::{SealedHeld, SealedRecord};

/// See [`crate::Store::held`].
pub(super) async fn held(
    tx: &Tx,
    common: &Common,
    tenant: &TenantId,
    who: &SubjectRef,
    kinds: &[KindName],
) -> Result<Option<Held>, StoreError> {
    let Some(keys) = common.keys(tx, tenant).await? else { return Ok(None) };
    let (key, link) = match who {
        SubjectRef::Identifier(identifier) => {
            let blind = keys.blind_index(&identifier.system, identifier.value.expose())?;
            (named_subject(tx, tenant, &blind).await?, None)
        }
        SubjectRef::Subject(key) => (Some(key.clone()), None),
        SubjectRef::Record(record) => (subject_of(tx, tenant, record).await?, None),
        SubjectRef::SignIn { issuer, sub, subject } => {
            let sign_in = keys.sign_in(issuer, sub);
            let mut found = links::links(tx, tenant, &sign_in).await?;
            found.retain(|(key, _)| subject.as_ref().is_none_or(|wanted| wanted == key));
            let Some((key, sealed)) = found.pop().filter(|_| found.is_empty()) else { return Ok(None) };
            (Some(key), Some((sign_in, sealed)))
        }
    };
    let Some(key) = key else { return Ok(None) };
    let Some(held) = read(tx, common, (tenant, &keys), &key, kinds).await? else { return Ok(None) };
    let link = link.map(|(sign_in, sealed)| links::open_link(tenant, &held.subject, &sign_in, &sealed)).transpose()?;
    Ok(Some(Held { link, ..held.open(tenant)? }))
}

/// The subject that one identifier names.
pub(super) async fn named_subject(tx: &Tx, tenant: &TenantId, blind: &Hash) -> Result<Option<SubjectKey>, StoreError> {
    let found = tx
        .one("SELECT subject FROM identifiers WHERE tenant = $1 AND blind = $2", &[&tenant.as_str(), &&blind[..]])
        .await?;
    found.map(|row| row.word(0)).transpose()
}

async fn subject_of(tx: &Tx, tenant: &TenantId, record: &RecordId) -> Result<Option<SubjectKey>, StoreError> {
    let found = tx
        .one("SELECT subject FROM records WHERE tenant = $1 AND record = $2", &[&tenant.as_str(), &record.as_str()])
        .await?;
    found.map(|row| row.word(0)).transpose()
}

async fn read(
    tx: &Tx,
    common: &Common,
    (tenant, keys): (&TenantId, &TenantKeys),
    key: &SubjectKey,
    kinds: &[KindName],
) -> Result<Option<SealedHeld>, StoreError> {
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    let (tenant_id, subject_key) = (tenant.as_str(), key.as_str());
    let (one, of_kinds): (Parameters<'_, 2>, Parameters<'_, 3>) =
        ([&tenant_id, &subject_key], [&tenant_id, &subject_key, &kinds]);
    // All three are on their way at once; the transaction sees one state.
    let subject =
        tx.one("SELECT subject, version, wrapped, flags FROM subjects WHERE tenant = $1 AND subject = $2", &one);
    let keyed = [subject_key];
    let directives = directives::of_subjects(tx, tenant, &keyed, common.past());
    let records = tx.query(
        "SELECT v.record, v.version, v.recorded_at, v.sender, v.sealed FROM records r
         JOIN record_versions v ON v.tenant = r.tenant AND v.record = r.record AND v.version = r.newest
         WHERE r.tenant = $1 AND v.tenant = $1 AND r.subject = $2 AND r.kind = ANY ($3) AND NOT v.deleted
         ORDER BY v.record",
        &of_kinds,
    );
    let (subject, directives, records) = tokio::try_join!(subject, directives, records)?;
    let subject = subject.map_or(Ok(None), |row| read_subject(common, keys, &row))?;
    let Some(subject) = subject else { return Ok(None) };
    Ok(Some(SealedHeld {
        subject,
        directives: directives.into_iter().map(|(_, directive)| directive).collect(),
        records: records.iter().map(|row| read_record(row, 0)).collect::<Result<_, _>>()?,
    }))
}

type Parameters<'p, const N: usize> = [&'p (dyn ToSql + Sync); N];

/// Columns, from one on: record, version, recorded_at, sender, sealed.
pub(super) fn read_record(row: &tokio_postgres::Row, from: usize) -> Result<SealedRecord, StoreError> {
    Ok(SealedRecord {
        id: row.word(from)?,
        version: row.number(from + 1)?,
        recorded_at: row.time(from + 2)?,
        sender: row.word(from + 3)?,
        sealed: row.of(from + 4)?,
    })
}
