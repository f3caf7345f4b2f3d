//! Destroying a subject's data key (消去): what was encrypted under it is nobody's from then on, in every copy made afterwards.

use tsunagi_core::audit::AuditEvent;
use tsunagi_core::document::Document;
use tsunagi_core::id::{DeliveryId, ExchangeId, IdentifierSystem, SubjectKey, TenantId};

use super::convert::{Columns, count, from_json};
use super::session::{Session, Tenancy};
use crate::command::Shredded;
use crate::error::StoreError;
use crate::keys::{Hash, RowPlace};
use crate::tables::{Leaves, REFUSED, Tables, drop_rows, ended, is_about};

/// See [`crate::Store::shred`].
pub(super) fn shred(
    session: &Session<'_>,
    tenant: &TenantId,
    key: &SubjectKey,
    event: &AuditEvent,
) -> Result<Shredded, StoreError> {
    let tenancy = session.known(tenant)?.ok_or(StoreError::NotFound)?;
    tenancy.subject(key)?.ok_or(StoreError::NotFound)?;
    let mut done = Shredded::default();
    let names = names_of(&tenancy, key)?;
    for (_, blind) in &names {
        done.waiting_rows += drop_rows(&tenancy, blind)?;
        tenancy.changes(blind);
    }
    for holder in [tenant.clone(), TenantId::hub()] {
        done.refused_rows += drop_sources(session, &holder, &tenancy, &names)?;
    }
    done.links = drop_links(&tenancy, key)?;
    let delete = |statement: &str| -> Result<u64, StoreError> {
        let rows = session.conn.prepare_cached(statement)?.execute((tenant.as_str(), key.as_str()))?;
        Ok(u64::try_from(rows).unwrap_or(u64::MAX))
    };
    done.identifiers = delete("DELETE FROM identifiers WHERE tenant = ?1 AND subject = ?2")?;
    done.directives = delete("DELETE FROM directives WHERE tenant = ?1 AND subject = ?2")?;
    // What is encrypted goes too, though nobody could read it; and with it the keyed hash of what it was.
    done.versions = delete(
        "UPDATE record_versions SET sealed = x'', digest = zeroblob(32) WHERE tenant = ?1
         AND record IN (SELECT record FROM records INDEXED BY records_of_subject WHERE tenant = ?1 AND subject = ?2)",
    )?;
    delete("UPDATE subjects SET wrapped = x'', flags = x'', version = version + 1 WHERE tenant = ?1 AND subject = ?2")?;
    tenancy.changes(key.as_str().as_bytes());
    let mut leaves = Leaves::open(&tenancy)?;
    done.deliveries = end_deliveries(&tenancy, &mut leaves, key, event)?;
    done.leaf = leaves.append(event)?;
    leaves.close();
    Ok(done)
}

fn names_of(tenancy: &Tenancy<'_>, key: &SubjectKey) -> Result<Vec<(IdentifierSystem, Hash)>, StoreError> {
    let mut select = tenancy.conn.prepare_cached(
        "SELECT system, blind FROM identifiers INDEXED BY identifiers_of_subject WHERE tenant = ?1 AND subject = ?2",
    )?;
    let names = select.query_map((tenancy.tenant.as_str(), key.as_str()), |row| Ok((row.word(0)?, row.hash(1)?)))?;
    Ok(names.collect::<Result<_, _>>()?)
}

fn drop_links(tenancy: &Tenancy<'_>, key: &SubjectKey) -> Result<u64, StoreError> {
    let of = (tenancy.tenant.as_str(), key.as_str());
    let mut select = tenancy.conn.prepare_cached("SELECT sign_in FROM links WHERE tenant = ?1 AND subject = ?2")?;
    let sign_ins: Vec<Hash> = select.query_map(of, |row| row.hash(0))?.collect::<Result<_, _>>()?;
    sign_ins.iter().for_each(|sign_in| tenancy.changes(sign_in));
    tenancy.conn.prepare_cached("DELETE FROM links WHERE tenant = ?1 AND subject = ?2")?.execute(of)?;
    Ok(u64::try_from(sign_ins.len()).unwrap_or(u64::MAX))
}

/// Deliveries that are not settled end: there is nothing left to deliver.
fn end_deliveries(
    tenancy: &Tenancy<'_>,
    leaves: &mut Leaves<'_, Tenancy<'_>>,
    key: &SubjectKey,
    event: &AuditEvent,
) -> Result<u64, StoreError> {
    let mut select = tenancy.conn.prepare_cached(
        "SELECT delivery, exchange, row FROM deliveries
         WHERE tenant = ?1 AND subject = ?2 AND state IN ('dead', 'held', 'pending')",
    )?;
    let found = select.query_map((tenancy.tenant.as_str(), key.as_str()), |row| {
        Ok((row.word::<DeliveryId>(0)?, row.word::<ExchangeId>(1)?, row.number(2)?))
    })?;
    let found = found.collect::<Result<Vec<_>, _>>()?;
    let mut update = tenancy.conn.prepare_cached(
        "UPDATE deliveries SET state = 'dead', last_outcome = 'shredded', batch = NULL, lease_until = NULL, leaf = ?3
         WHERE tenant = ?1 AND delivery = ?2",
    )?;
    for (delivery, exchange, row) in &found {
        update.execute((tenancy.tenant.as_str(), delivery.as_str(), count(leaves.next())?))?;
        leaves.append(&ended(event, delivery, exchange, *row))?;
    }
    Ok(u64::try_from(found.len()).unwrap_or(u64::MAX))
}

/// Refused rows are kept as they were sent, under the key of whom they are given back to: those that name the subject lose
/// their source. An identifier of two parts stands in two cells.
fn drop_sources(
    session: &Session<'_>,
    holder: &TenantId,
    tenancy: &Tenancy<'_>,
    names: &[(IdentifierSystem, Hash)],
) -> Result<u64, StoreError> {
    let Some(holding) = session.known(holder)? else { return Ok(0) };
    let mut select = session.conn.prepare_cached(
        "SELECT exchange, row, sealed FROM exchange_rows
         WHERE state = 'refused' AND tenant = ?1 AND sealed IS NOT NULL",
    )?;
    let rows = select.query_map([holder.as_str()], |row| {
        Ok((row.word::<ExchangeId>(0)?, row.number::<u64>(1)?, row.get::<_, Vec<u8>>(2)?))
    })?;
    let mut update =
        session.conn.prepare_cached("UPDATE exchange_rows SET sealed = NULL WHERE exchange = ?1 AND row = ?2")?;
    let mut dropped = 0;
    for (exchange, row, sealed) in rows.collect::<Result<Vec<_>, _>>()? {
        let place = RowPlace { what: REFUSED, exchange: &exchange, row };
        let document: Document = from_json(holding.keys.open_pending(&place, &sealed)?.expose())?;
        if is_about(&tenancy.keys, &document, names)? {
            update.execute((exchange.as_str(), count(row)?))?;
            dropped += 1;
        }
    }
    Ok(dropped)
}
