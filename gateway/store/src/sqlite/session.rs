//! What a command works with: a connection inside a transaction, and keys.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};
use tsunagi_core::id::TenantId;

use super::audit::Length;
use crate::error::StoreError;
use crate::keys::{Keyring, TenantKeys};

/// One command's view of the database.
pub(super) struct Session<'c> {
    pub(super) conn: &'c Connection,
    keyring: &'c Keyring,
}

/// The part of one tenant. Everything that touches personal data starts from here, so no query is without a tenant.
pub(super) struct Tenancy<'c> {
    pub(super) conn: &'c Connection,
    pub(super) keyring: &'c Keyring,
    pub(super) tenant: TenantId,
    pub(super) keys: Arc<TenantKeys>,
}

impl<'c> Session<'c> {
    pub(super) fn new(conn: &'c Connection, keyring: &'c Keyring) -> Self {
        Self { conn, keyring }
    }

    /// A tenant about which something was written before.
    pub(super) fn known(&self, tenant: &TenantId) -> Result<Option<Tenancy<'c>>, StoreError> {
        let mut select = self.conn.prepare_cached("SELECT wrapped FROM tenant_keys WHERE tenant = ?1")?;
        let wrapped: Option<Vec<u8>> = select.query_row([tenant.as_str()], |row| row.get(0)).optional()?;
        let Some(wrapped) = wrapped else { return Ok(None) };
        let keys = self.keyring.tenant(tenant, &wrapped)?;
        Ok(Some(Tenancy { conn: self.conn, keyring: self.keyring, tenant: tenant.clone(), keys }))
    }

    /// A tenant to write about; its key is made with the first thing that is written.
    pub(super) fn enter(&self, tenant: &TenantId) -> Result<Tenancy<'c>, StoreError> {
        if let Some(known) = self.known(tenant)? {
            return Ok(known);
        }
        let wrapped = self.keyring.make_tenant_key(tenant)?;
        self.conn
            .prepare_cached("INSERT INTO tenant_keys (tenant, wrapped) VALUES (?1, ?2)")?
            .execute((tenant.as_str(), &wrapped))?;
        let keys = self.keyring.tenant(tenant, &wrapped)?;
        let made = Tenancy { conn: self.conn, keyring: self.keyring, tenant: tenant.clone(), keys };
        // From here on the log is there, if only with no leaf in it: it can be missed.
        Length::EMPTY.write(&made)?;
        Ok(made)
    }
}
