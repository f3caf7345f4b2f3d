//! Rows come in.

use tsunagi_core::id::TenantId;

use super::exchanges::{self, Entered};
use super::session::Session;
use crate::command::{Accept, Accepted};
use crate::error::StoreError;
use crate::tables::keep_rows;

/// See [`crate::Store::accept`].
pub(super) fn accept(session: &Session<'_>, tenant: &TenantId, accept: Accept) -> Result<Accepted, StoreError> {
    let hub = session.enter(&TenantId::hub())?;
    let (exchange, repeated) = match exchanges::enter(&hub, &accept.head)? {
        Entered::Exchange { id, repeated, is_complete: false } => (id, repeated),
        Entered::Exchange { id: exchange, repeated, is_complete: true } => {
            let rows = accept.rows.iter().map(|row| exchanges::row_result(session.conn, &exchange, row.row));
            let rows = rows.filter_map(Result::transpose).collect::<Result<_, _>>()?;
            return Ok(Accepted::Durable { exchange, rows, repeated });
        }
        Entered::Reused => return Ok(Accepted::KeyReused),
    };
    let tenancy = session.enter(tenant)?;
    let decided = exchanges::decided(session.conn, &exchange, &accept.rows)?;
    let rows = keep_rows(&tenancy, (accept.head.sender, exchange.clone()), decided, accept.rows)?;
    if accept.complete {
        exchanges::complete(session, &exchange)?;
    }
    Ok(Accepted::Durable { exchange, rows, repeated })
}
