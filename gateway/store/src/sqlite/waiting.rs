//! Rows that wait for their subject.

use super::convert::{Columns, count};
use super::session::Tenancy;
use crate::error::StoreError;
use crate::keys::Hash;
use crate::tables::{Name, Origin, WaitingRow};

impl Tenancy<'_> {
    pub(super) fn insert_waiting(&self, origin: &Origin, names: &[Name], sealed: &[u8]) -> Result<(), StoreError> {
        self.conn
            .prepare_cached(
                "INSERT INTO waiting_rows (tenant, exchange, row, sender, sealed) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute((
                self.tenant.as_str(),
                origin.exchange.as_str(),
                count(origin.row)?,
                origin.sender.as_str(),
                sealed,
            ))?;
        let ordinal = self.conn.last_insert_rowid();
        let mut insert = self.conn.prepare_cached(
            "INSERT INTO waiting_identifiers (tenant, blind, system, single_valued, ordinal) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        for name in names {
            insert.execute((self.tenant.as_str(), name.blind, name.system.as_str(), name.is_single, ordinal))?;
        }
        Ok(())
    }

    pub(super) fn does_any_row_wait(&self) -> Result<bool, StoreError> {
        let mut select = self.conn.prepare_cached("SELECT 1 FROM waiting_identifiers WHERE tenant = ?1 LIMIT 1")?;
        Ok(select.exists([self.tenant.as_str()])?)
    }

    pub(super) fn select_waiting(&self, blind: &Hash) -> Result<Vec<WaitingRow>, StoreError> {
        let mut select = self.conn.prepare_cached(
            "SELECT w.ordinal, w.exchange, w.row, w.sender, w.sealed FROM waiting_identifiers i
             CROSS JOIN waiting_rows w ON w.ordinal = i.ordinal
             WHERE i.tenant = ?1 AND i.blind = ?2 ORDER BY i.ordinal",
        )?;
        let rows = select.query_map((self.tenant.as_str(), blind), |row| {
            Ok(WaitingRow {
                ordinal: row.get(0)?,
                exchange: row.word(1)?,
                row: row.number(2)?,
                sender: row.word(3)?,
                sealed: row.get(4)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(super) fn select_names(&self, ordinal: i64) -> Result<Vec<Name>, StoreError> {
        let mut select = self
            .conn
            .prepare_cached("SELECT system, single_valued, blind FROM waiting_identifiers WHERE ordinal = ?1")?;
        let names = select.query_map([ordinal], |row| {
            Ok(Name { system: row.word(0)?, is_single: row.get(1)?, blind: row.hash(2)? })
        })?;
        Ok(names.collect::<Result<_, _>>()?)
    }

    pub(super) fn delete_waiting(&self, ordinal: i64) -> Result<(), StoreError> {
        self.conn.prepare_cached("DELETE FROM waiting_rows WHERE ordinal = ?1")?.execute([ordinal])?;
        Ok(())
    }
}
