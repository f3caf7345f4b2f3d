//! The copy itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tsunagi_core::id::TenantId;

use super::compare::{Picture, compare};
use super::row::{Cell, Row, Sum};
use super::side::{Destination, Side};
use super::tables::{Role, TABLES, Table, Wall};
use super::{Copied, CopyFault, End, Phase, Site, Step, Which};
use crate::error::StoreError;
use crate::tables::{from_json, to_json_text};

/// Is told how far a copy is; says whether it is to go on.
pub(super) type Watch<'w> = dyn Fn(&Step<'_>) -> bool + Send + Sync + 'w;

/// Copies a store to an empty place, or goes on where an earlier call of this ended. The watcher may stop it after any
/// page; while the logs are verified it is only told.
pub async fn copy(from: End, to: End, public_key: &[u8; 32], watch: &Watch<'_>) -> Result<Copied, CopyFault> {
    in_pages_of(PAGE_ROWS, from, to, public_key, watch).await
}

pub(super) async fn in_pages_of(
    limit: i64,
    from: End,
    to: End,
    public_key: &[u8; 32],
    watch: &Watch<'_>,
) -> Result<Copied, CopyFault> {
    let source = source(from).await?;
    let hub_key = source.hub_key().await?.ok_or(CopyFault::NoSource)?;
    if to.keyring.tenant(&TenantId::hub(), &hub_key).is_err() {
        return Err(CopyFault::OtherKey);
    }
    let picture = Picture::of(source.as_ref()).await?;
    let destination = destination(to).await?;
    let mark = begun(destination.as_ref(), Mark::new(&hub_key, &picture)?).await?;
    let before = mark.rows();
    let shift = shift(source.as_ref(), destination.as_ref()).await?;
    let mut run = Run { source: source.as_ref(), destination: destination.as_ref(), shift, mark, limit };
    run.all(picture.total(), watch).await?;
    let mark = run.mark;
    if Picture::of(source.as_ref()).await? != picture {
        return Err(CopyFault::Moved);
    }
    compare(&picture, &mark.sums, destination.as_ref(), limit, watch).await?;

    let total = picture.leaves();
    let told = |tenant: &str, done| {
        watch(&Step { phase: Phase::Verifying, what: tenant, done, total });
    };
    let verdicts = destination.finish(public_key, &told).await?;
    if verdicts.iter().any(|verdict| verdict.fault.is_some()) {
        return Err(CopyFault::Unverified(verdicts));
    }
    Ok(Copied { rows: picture.total() - before, tables: picture.tables, logs: picture.heads })
}

async fn source(end: End) -> Result<Box<dyn Side>, CopyFault> {
    match end.site {
        #[cfg(feature = "sqlite")]
        Site::File(path) => Ok(Box::new(crate::sqlite::CopyFile::source(&path, end.keyring)?)),
        #[cfg(feature = "postgres")]
        Site::Server(server) => Ok(Box::new(crate::postgres::CopyServer::source(server, end.keyring).await?)),
    }
}

async fn destination(end: End) -> Result<Box<dyn Destination>, CopyFault> {
    match end.site {
        #[cfg(feature = "sqlite")]
        Site::File(path) => Ok(Box::new(crate::sqlite::CopyFile::destination(&path, end.keyring)?)),
        #[cfg(feature = "postgres")]
        Site::Server(server) => Ok(Box::new(crate::postgres::CopyServer::destination(server, end.keyring).await?)),
    }
}

/// How far a copy is, and of what. It stands at the destination.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Mark {
    /// The source's hub key, hashed: which store it is.
    store: String,
    /// Its counts and heads, hashed: which state of it.
    state: String,
    /// The page that went over last.
    at: Option<Place>,
    /// What the rows of each table added up to, as they went over.
    sums: BTreeMap<String, Sum>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Place {
    table: String,
    owner: Option<String>,
    /// The key of the last row.
    after: Vec<Cell>,
}

impl Mark {
    fn new(hub_key: &[u8], picture: &Picture) -> Result<Self, StoreError> {
        let hash = |bytes: &[u8]| hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes));
        let state = hash(to_json_text(picture)?.as_bytes());
        Ok(Self { store: hash(hub_key), state, at: None, sums: BTreeMap::new() })
    }

    fn rows(&self) -> u64 {
        self.sums.values().map(|sum| sum.rows).sum()
    }
}

/// The mark of the copy that is to be made, or is under way.
async fn begun(destination: &dyn Destination, new: Mark) -> Result<Mark, CopyFault> {
    if let Some(found) = destination.mark().await? {
        let found: Mark = from_json(found.as_bytes())?;
        return match (found.store == new.store, found.state == new.state) {
            (false, _) => Err(CopyFault::OfAnother),
            (true, false) => Err(CopyFault::Moved),
            (true, true) => Ok(found),
        };
    }
    if !is_empty(destination).await? {
        return Err(CopyFault::NotEmpty);
    }
    match destination.begin(&to_json_text(&new)?).await {
        Err(StoreError::Stale) => Err(CopyFault::InUse(Which::Destination)),
        begun => Ok(begun.map(|()| new)?),
    }
}

/// True if nothing was ever written there: at most there are tables, and the hub's key with nothing under it. Whatever a
/// store has of a tenant's, the tenant's log has a leaf of.
async fn is_empty(side: &dyn Destination) -> Result<bool, StoreError> {
    if !side.has_tables().await? {
        return Ok(true);
    }
    if side.heads().await?.iter().any(|head| head.tenant != TenantId::hub().as_str() || head.size != 0) {
        return Ok(false);
    }
    for table in TABLES.iter().filter(|table| table.wall == Wall::None && table.name != "registry_version") {
        if side.count(table, None).await? != 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What is added to the ordinals of each tenant: where all tenants come to stand in one line, each one's part of it begins
/// behind those of the tenants before it. The order of a tenant's own rows stays what it was.
async fn shift(source: &dyn Side, destination: &dyn Side) -> Result<BTreeMap<String, i64>, StoreError> {
    let (Some(next), None) = (source.next_ordinals().await?, destination.next_ordinals().await?) else {
        return Ok(BTreeMap::new());
    };
    let mut begins = 0_i64;
    let mut shift = BTreeMap::new();
    for (tenant, next) in next {
        shift.insert(tenant, begins);
        begins = begins.checked_add(next).ok_or_else(|| StoreError::Corrupt("ordinals have run out".to_owned()))?;
    }
    Ok(shift)
}

struct Run<'r> {
    source: &'r dyn Side,
    destination: &'r dyn Destination,
    shift: BTreeMap<String, i64>,
    mark: Mark,
    limit: i64,
}

impl Run<'_> {
    async fn all(&mut self, total: u64, watch: &Watch<'_>) -> Result<(), CopyFault> {
        let reached = self.mark.at.as_ref().and_then(|at| TABLES.iter().position(|table| table.name == at.table));
        for table in TABLES.iter().skip(reached.unwrap_or(0)) {
            let owners = self.source.owners(table).await?;
            let at = self.mark.at.clone().filter(|at| at.table == table.name);
            for owner in owners.into_iter().filter(|owner| at.as_ref().is_none_or(|at| *owner >= at.owner)) {
                let mut after = at.clone().filter(|at| at.owner == owner).map_or_else(Vec::new, |at| at.after);
                loop {
                    let rows = self.source.page(table, owner.as_deref(), &after, self.limit).await?;
                    if rows.is_empty() {
                        break;
                    }
                    after = self.put(table, owner.clone(), rows).await?;
                    let step = Step { phase: Phase::Copying, what: table.name, done: self.mark.rows(), total };
                    if !watch(&step) {
                        return Err(CopyFault::Stopped);
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes a page; gives the key of its last row.
    async fn put(&mut self, table: &Table, owner: Option<String>, mut rows: Vec<Row>) -> Result<Vec<Cell>, CopyFault> {
        let key = table.places(self.source.key(table));
        let last = rows.last().map(Vec::as_slice).unwrap_or_default();
        let after: Vec<Cell> = key.iter().filter_map(|place| last.get(*place).cloned()).collect();
        self.shift(table, &mut rows);
        let mut next = self.mark.clone();
        let sum = next.sums.entry(table.name.to_owned()).or_default();
        rows.iter().for_each(|row| sum.add(table, row));
        next.at = Some(Place { table: table.name.to_owned(), owner, after: after.clone() });
        let marks = (to_json_text(&self.mark)?, to_json_text(&next)?);
        match self.destination.put(table, &rows, (&marks.0, &marks.1)).await {
            // Somebody else moved it.
            Err(StoreError::Stale) => Err(CopyFault::InUse(Which::Destination)),
            Err(error) => Err(error.into()),
            Ok(()) => {
                self.mark = next;
                Ok(after)
            }
        }
    }

    fn shift(&self, table: &Table, rows: &mut [Row]) {
        let ordinal = table.columns.iter().position(|column| column.role == Role::Ordinal);
        let (Some(ordinal), Some(tenant)) = (ordinal, table.place("tenant")) else { return };
        for row in rows {
            let by = match row.get(tenant) {
                Some(Cell::Text(tenant)) => self.shift.get(tenant).copied().unwrap_or(0),
                _ => 0,
            };
            if let Some(Cell::Int(ordinal)) = row.get_mut(ordinal) {
                *ordinal += by;
            }
        }
    }
}

/// How many rows make a page.
const PAGE_ROWS: i64 = 1000;
