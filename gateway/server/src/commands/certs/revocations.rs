//! Is the ledger the right one? It must know every revocation that the lists beside it and the hub's log tell of.
//!
//! The lists alone do not show a folder that was brought back from a backup as a whole; the log does, for it lies in the
//! store. Leaves of other CAs, and of certificates that have ended, say nothing about this ledger.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::Value;
use tsunagi_certs::Authority;
use tsunagi_core::id::TenantId;
use tsunagi_store::{Storage, StoreError};

use super::super::init::failed;
use super::super::output::at;
use super::super::{CommandFault, Context};

/// Refuses a ledger that lacks a revocation. Nothing is to be signed from it.
pub(in super::super) async fn check(context: &Context, authority: &Authority) -> Result<(), CommandFault> {
    authority.check_revocations().map_err(failed)?;
    // Lists do not wait for a store that is down, or not made yet; the leaf that is written next says that it is.
    let Ok(store) = context.store().await else { return Ok(()) };
    let ledger = authority.list().map_err(failed)?;
    let revoked: HashSet<&str> =
        ledger.iter().filter(|entry| entry.revoked_at.is_some()).map(|entry| entry.serial.as_str()).collect();
    let own: Vec<String> = authority.own_certificates().map_err(failed)?.into_iter().map(|own| own.serial).collect();
    let now = context.clock.now();
    let is_lost =
        |told: &Told| own.contains(&told.issuer) && told.until >= now && !revoked.contains(told.serial.as_str());
    match first(store.as_ref(), is_lost).await? {
        None => Ok(()),
        Some(Told { serial, .. }) => Err(CommandFault::Failed(context.output.say(
            &format!("監査記録では証明書 {serial} は失効していますが、認証局の台帳 ledger.jsonl にありません。台帳が古いか、途中で切れています。正しい台帳に戻すか、もう一度失効してください: certs revoke --certificate FILE"),
            &format!("the audit log has certificate {serial} as revoked, and ledger.jsonl does not know of it: the ledger is an older one or was cut short; bring the right one back, or enter the revocation again with certs revoke --certificate FILE"),
        ))),
    }
}

/// A revocation as the log tells it.
struct Told {
    serial: String,
    /// Serial number of the CA's certificate.
    issuer: String,
    until: Timestamp,
}

/// The first revocation in the hub's log of which something is true.
async fn first(store: &dyn Storage, is_it: impl Fn(&Told) -> bool) -> Result<Option<Told>, StoreError> {
    let (hub, mut from) = (TenantId::hub(), 0);
    loop {
        let leaves = store.audit_page(&hub, from, PAGE).await?;
        let Some(last) = leaves.last() else { return Ok(None) };
        from = last.index + 1;
        if let Some(found) = leaves.iter().filter_map(|leaf| told(&leaf.bytes)).find(&is_it) {
            return Ok(Some(found));
        }
    }
}

fn told(leaf: &[u8]) -> Option<Told> {
    let event: Value = serde_json::from_slice(leaf).ok()?;
    if at(&event, "/action") != "CertificateRevoked" {
        return None;
    }
    let reason = at(&event, "/reason").as_str()?;
    let word = |name: &str| reason.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix(':'));
    Some(Told {
        serial: word("serial")?.to_owned(),
        issuer: word("issuer")?.to_owned(),
        until: word("until")?.parse().ok()?,
    })
}

/// Leaves read at once.
const PAGE: usize = 2_000;
