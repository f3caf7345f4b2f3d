//! One tenant's tables in memory, for the time of one transaction: what was read of them, and what is to be written. The
//! rules ask it as they would ask a database; what it was not told, it notes, so that it is read before they are asked
//! again from the beginning.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use tsunagi_core::exchange::RowResult;
use tsunagi_core::id::{
    ChannelId, DeliveryId, ExchangeId, IdentifierSystem, KindName, ParticipantId, RecordId, SubjectKey, TenantId,
};

use super::tenancy::Head;
use crate::error::StoreError;
use crate::keys::{Hash, Keyring, TenantKeys};
use crate::tables::{
    Kept, LeafContent, Length, Name, Newest, Origin, Subject, Tables, WaitingRow, nanos, open_subject,
};

/// A row of an exchange.
pub(super) type RowKey = (ParticipantId, ExchangeId, u64);
/// A record by what "the same record again" is told by.
pub(super) type BusinessKey = (SubjectKey, KindName, Hash);

/// What was read. A key without a value says that there is none.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) owners: HashMap<Hash, Option<SubjectKey>>,
    pub(super) subjects: HashMap<SubjectKey, Option<Subject>>,
    pub(super) names: HashMap<SubjectKey, Vec<(IdentifierSystem, Hash)>>,
    pub(super) newest: HashMap<BusinessKey, Option<Newest>>,
    /// The next place in a subject's line on a channel.
    pub(super) lines: HashMap<(SubjectKey, ChannelId), i64>,
    pub(super) rows: HashMap<RowKey, Option<RowResult>>,
    pub(super) waiting: HashMap<Hash, Vec<WaitingRow>>,
    pub(super) names_of_waiting: HashMap<i64, Vec<Name>>,
    pub(super) somebody_waits: bool,
}

/// What is still to be read.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) owners: BTreeSet<Hash>,
    pub(super) subjects: BTreeSet<SubjectKey>,
    pub(super) names: BTreeSet<SubjectKey>,
    pub(super) newest: BTreeSet<BusinessKey>,
    pub(super) lines: BTreeSet<(SubjectKey, ChannelId)>,
    pub(super) rows: BTreeSet<RowKey>,
    pub(super) waiting: BTreeSet<Hash>,
}

impl Wanted {
    pub(super) fn is_empty(&self) -> bool {
        self.owners.is_empty()
            && self.subjects.is_empty()
            && self.names.is_empty()
            && self.newest.is_empty()
            && self.lines.is_empty()
            && self.rows.is_empty()
            && self.waiting.is_empty()
    }
}

/// What is to be written.
pub(super) struct Drawn {
    pub(super) head: Head,
    pub(super) leaves: Vec<(u64, LeafContent, Hash)>,
    pub(super) names: BTreeMap<SubjectKey, Vec<Name>>,
    pub(super) subjects: BTreeMap<SubjectKey, DrawnSubject>,
    pub(super) records: BTreeMap<RecordId, DrawnRecord>,
    pub(super) versions: Vec<DrawnVersion>,
    pub(super) deliveries: Vec<DrawnDelivery>,
    pub(super) rows: BTreeMap<RowKey, DrawnRow>,
    pub(super) waiting: BTreeMap<i64, (WaitingRow, Vec<Name>)>,
    pub(super) ended: BTreeSet<i64>,
    owners: HashMap<Hash, SubjectKey>,
    newest: HashMap<BusinessKey, Newest>,
    lines: HashMap<(SubjectKey, ChannelId), i64>,
    /// Under which business key a record was found or made.
    keys: HashMap<RecordId, BusinessKey>,
}

pub(super) struct DrawnSubject {
    pub(super) now: Subject,
    pub(super) flags: Vec<u8>,
    pub(super) from: From,
}

/// What a subject was before.
pub(super) enum From {
    /// Nobody; made with this wrapped key.
    Nothing { wrapped: Vec<u8> },
    /// Of this version.
    Version(u64),
}

pub(super) enum DrawnRecord {
    New { key: BusinessKey, newest: u32 },
    Superseded { newest: u32 },
}

pub(super) struct DrawnVersion {
    pub(super) record: RecordId,
    pub(super) version: u32,
    pub(super) sealed: Vec<u8>,
    pub(super) digest: Hash,
    pub(super) deleted: bool,
    pub(super) exchange: ExchangeId,
    pub(super) sender: ParticipantId,
    pub(super) at: i64,
}

pub(super) struct DrawnDelivery {
    pub(super) ordinal: i64,
    pub(super) delivery: DeliveryId,
    pub(super) subject: SubjectKey,
    pub(super) channel: ChannelId,
    pub(super) place: i64,
    pub(super) record: RecordId,
    pub(super) version: u32,
    pub(super) exchange: ExchangeId,
    pub(super) row: u64,
    pub(super) at: i64,
}

pub(super) struct DrawnRow {
    pub(super) is_new: bool,
    pub(super) result: RowResult,
    pub(super) sealed: Option<Vec<u8>>,
}

/// The tables as the rules see them.
pub(super) struct Picture<'p> {
    tenant: &'p TenantId,
    keyring: &'p Keyring,
    keys: &'p Arc<TenantKeys>,
    loaded: &'p Loaded,
    drawn: RefCell<Drawn>,
    wanted: RefCell<Wanted>,
}

impl<'p> Picture<'p> {
    pub(super) fn new(
        tenant: &'p TenantId,
        (keyring, keys): (&'p Keyring, &'p Arc<TenantKeys>),
        loaded: &'p Loaded,
        head: Head,
    ) -> Self {
        let drawn = Drawn {
            head,
            leaves: Vec::new(),
            names: BTreeMap::new(),
            subjects: BTreeMap::new(),
            records: BTreeMap::new(),
            versions: Vec::new(),
            deliveries: Vec::new(),
            rows: BTreeMap::new(),
            waiting: BTreeMap::new(),
            ended: BTreeSet::new(),
            owners: HashMap::new(),
            newest: HashMap::new(),
            lines: HashMap::new(),
            keys: HashMap::new(),
        };
        Self { tenant, keyring, keys, loaded, drawn: RefCell::new(drawn), wanted: RefCell::default() }
    }

    /// What is to be written, and what would have to be read first.
    pub(super) fn done(self) -> (Drawn, Wanted) {
        (self.drawn.into_inner(), self.wanted.into_inner())
    }

    /// True if the picture was asked for something it was not told.
    pub(super) fn lacks_something(&self) -> bool {
        !self.wanted.borrow().is_empty()
    }

    fn lacking<T>(&self, want: impl FnOnce(&mut Wanted)) -> Result<T, StoreError> {
        want(&mut self.wanted.borrow_mut());
        Err(StoreError::Unavailable("not read yet".to_owned()))
    }

    fn next_ordinal(&self) -> i64 {
        let head = &mut self.drawn.borrow_mut().head;
        let ordinal = head.ordinal;
        head.ordinal += 1;
        ordinal
    }
}

impl Tables for Picture<'_> {
    fn tenant(&self) -> &TenantId {
        self.tenant
    }

    fn keyring(&self) -> &Keyring {
        self.keyring
    }

    fn keys(&self) -> &Arc<TenantKeys> {
        self.keys
    }

    fn owner(&self, blind: &Hash) -> Result<Option<SubjectKey>, StoreError> {
        if let Some(owner) = self.drawn.borrow().owners.get(blind) {
            return Ok(Some(owner.clone()));
        }
        match self.loaded.owners.get(blind) {
            Some(owner) => Ok(owner.clone()),
            None => self.lacking(|wanted| _ = wanted.owners.insert(*blind)),
        }
    }

    fn has_another(&self, subject: &SubjectKey, name: &Name) -> Result<bool, StoreError> {
        let is_another = |system: &IdentifierSystem, blind: &Hash| *system == name.system && *blind != name.blind;
        let drawn = self.drawn.borrow();
        if drawn.names.get(subject).is_some_and(|names| names.iter().any(|one| is_another(&one.system, &one.blind))) {
            return Ok(true);
        }
        let is_new = drawn.subjects.get(subject).is_some_and(|drawn| matches!(drawn.from, From::Nothing { .. }));
        match self.loaded.names.get(subject) {
            _ if is_new => Ok(false),
            Some(names) => Ok(names.iter().any(|(system, blind)| is_another(system, blind))),
            None => self.lacking(|wanted| _ = wanted.names.insert(subject.clone())),
        }
    }

    fn name(&self, subject: &SubjectKey, names: &[Name]) -> Result<Vec<Hash>, StoreError> {
        let mut new = Vec::new();
        for name in names {
            if self.owner(&name.blind)?.is_none() {
                let mut drawn = self.drawn.borrow_mut();
                drawn.owners.insert(name.blind, subject.clone());
                drawn.names.entry(subject.clone()).or_default().push(name.clone());
                new.push(name.blind);
            }
        }
        Ok(new)
    }

    fn subject(&self, key: &SubjectKey) -> Result<Option<Subject>, StoreError> {
        if let Some(drawn) = self.drawn.borrow().subjects.get(key) {
            return Ok(Some(drawn.now.clone()));
        }
        match self.loaded.subjects.get(key) {
            Some(subject) => Ok(subject.clone()),
            None => self.lacking(|wanted| _ = wanted.subjects.insert(key.clone())),
        }
    }

    fn write_subject(&self, key: &SubjectKey, wrapped: &[u8], flags: &[u8]) -> Result<(), StoreError> {
        let now = open_subject(self.keyring, self.keys, key.clone(), 1, (wrapped, flags))?;
        let subject = DrawnSubject { now, flags: flags.to_vec(), from: From::Nothing { wrapped: wrapped.to_vec() } };
        self.drawn.borrow_mut().subjects.insert(key.clone(), subject);
        Ok(())
    }

    fn write_move(&self, subject: &Subject, flagged_by: &BTreeSet<RecordId>, flags: &[u8]) -> Result<(), StoreError> {
        let now = Subject { version: subject.version + 1, flagged_by: flagged_by.clone(), ..subject.clone() };
        let mut drawn = self.drawn.borrow_mut();
        match drawn.subjects.get_mut(&subject.key) {
            Some(before) => (before.now, before.flags) = (now, flags.to_vec()),
            None => {
                let moved = DrawnSubject { now, flags: flags.to_vec(), from: From::Version(subject.version) };
                drawn.subjects.insert(subject.key.clone(), moved);
            }
        }
        Ok(())
    }

    fn newest(&self, subject: &SubjectKey, kind: &KindName, business: &Hash) -> Result<Option<Newest>, StoreError> {
        let key = (subject.clone(), kind.clone(), *business);
        let mut drawn = self.drawn.borrow_mut();
        if let Some(newest) = drawn.newest.get(&key) {
            return Ok(Some(newest.clone()));
        }
        let is_new = drawn.subjects.get(subject).is_some_and(|drawn| matches!(drawn.from, From::Nothing { .. }));
        match self.loaded.newest.get(&key) {
            _ if is_new => Ok(None),
            Some(newest) => {
                if let Some(newest) = newest {
                    drawn.keys.insert(newest.record.clone(), key);
                }
                Ok(newest.clone())
            }
            None => self.lacking(|wanted| _ = wanted.newest.insert(key)),
        }
    }

    fn write_record(
        &self,
        subject: &SubjectKey,
        record: &RecordId,
        kind: &KindName,
        business: &Hash,
    ) -> Result<(), StoreError> {
        let key = (subject.clone(), kind.clone(), *business);
        let mut drawn = self.drawn.borrow_mut();
        drawn.keys.insert(record.clone(), key.clone());
        drawn.records.insert(record.clone(), DrawnRecord::New { key, newest: 1 });
        Ok(())
    }

    fn supersede(&self, record: &RecordId, version: u32) -> Result<(), StoreError> {
        match self.drawn.borrow_mut().records.entry(record.clone()).or_insert(DrawnRecord::Superseded { newest: 0 }) {
            DrawnRecord::New { newest, .. } | DrawnRecord::Superseded { newest } => *newest = version,
        }
        Ok(())
    }

    fn write_version(
        &self,
        kept: &Kept,
        (sealed, digest): (&[u8], &Hash),
        deleted: bool,
        origin: &Origin,
    ) -> Result<(), StoreError> {
        let Kept { record, version, .. } = kept;
        let mut drawn = self.drawn.borrow_mut();
        if let Some(key) = drawn.keys.get(record).cloned() {
            let newest = Newest { record: record.clone(), version: *version, digest: *digest, deleted };
            drawn.newest.insert(key, newest);
        }
        drawn.versions.push(DrawnVersion {
            record: record.clone(),
            version: *version,
            sealed: sealed.to_vec(),
            digest: *digest,
            deleted,
            exchange: origin.exchange.clone(),
            sender: origin.sender.clone(),
            at: nanos(origin.at),
        });
        Ok(())
    }

    fn write_delivery(
        &self,
        subject: &SubjectKey,
        (delivery, channel): (&DeliveryId, &ChannelId),
        kept: &Kept,
        origin: &Origin,
    ) -> Result<(), StoreError> {
        let line = (subject.clone(), channel.clone());
        let place = {
            let drawn = self.drawn.borrow();
            let is_new = drawn.subjects.get(subject).is_some_and(|drawn| matches!(drawn.from, From::Nothing { .. }));
            match (drawn.lines.get(&line), self.loaded.lines.get(&line)) {
                (Some(place), _) | (None, Some(place)) => *place,
                (None, None) if is_new => 0,
                (None, None) => return self.lacking(|wanted| _ = wanted.lines.insert(line)),
            }
        };
        let ordinal = self.next_ordinal();
        let mut drawn = self.drawn.borrow_mut();
        drawn.lines.insert(line, place + 1);
        drawn.deliveries.push(DrawnDelivery {
            ordinal,
            delivery: delivery.clone(),
            subject: subject.clone(),
            channel: channel.clone(),
            place,
            record: kept.record.clone(),
            version: kept.version,
            exchange: origin.exchange.clone(),
            row: origin.row,
            at: nanos(origin.at),
        });
        Ok(())
    }

    fn row_result(
        &self,
        sender: &ParticipantId,
        exchange: &ExchangeId,
        row: u64,
    ) -> Result<Option<RowResult>, StoreError> {
        let key = (sender.clone(), exchange.clone(), row);
        if let Some(drawn) = self.drawn.borrow().rows.get(&key) {
            return Ok(Some(drawn.result.clone()));
        }
        match self.loaded.rows.get(&key) {
            Some(row) => Ok(row.clone()),
            None => self.lacking(|wanted| _ = wanted.rows.insert(key)),
        }
    }

    fn write_row(&self, sender: &ParticipantId, exchange: &ExchangeId, result: &RowResult) -> Result<(), StoreError> {
        let key = (sender.clone(), exchange.clone(), result.row);
        let row = DrawnRow { is_new: true, result: result.clone(), sealed: None };
        self.drawn.borrow_mut().rows.insert(key, row);
        Ok(())
    }

    fn rewrite_row(&self, sender: &ParticipantId, exchange: &ExchangeId, result: &RowResult) -> Result<(), StoreError> {
        let key = (sender.clone(), exchange.clone(), result.row);
        let mut drawn = self.drawn.borrow_mut();
        match drawn.rows.get_mut(&key) {
            Some(row) => row.result = result.clone(),
            None => _ = drawn.rows.insert(key, DrawnRow { is_new: false, result: result.clone(), sealed: None }),
        }
        Ok(())
    }

    fn write_source(
        &self,
        sender: &ParticipantId,
        exchange: &ExchangeId,
        row: u64,
        sealed: &[u8],
    ) -> Result<(), StoreError> {
        let key = (sender.clone(), exchange.clone(), row);
        match self.drawn.borrow_mut().rows.get_mut(&key) {
            Some(row) => row.sealed = Some(sealed.to_vec()),
            None => return Err(StoreError::Corrupt("a source belongs to no row".to_owned())),
        }
        Ok(())
    }

    fn is_anybody_awaited(&self) -> Result<bool, StoreError> {
        Ok(self.loaded.somebody_waits || !self.drawn.borrow().waiting.is_empty())
    }

    fn write_waiting(&self, origin: &Origin, names: &[Name], sealed: &[u8]) -> Result<(), StoreError> {
        let ordinal = self.next_ordinal();
        let row = WaitingRow {
            ordinal,
            exchange: origin.exchange.clone(),
            row: origin.row,
            sender: origin.sender.clone(),
            sealed: sealed.to_vec(),
        };
        self.drawn.borrow_mut().waiting.insert(ordinal, (row, names.to_vec()));
        Ok(())
    }

    fn waiting_for(&self, blind: &Hash) -> Result<Vec<WaitingRow>, StoreError> {
        let earlier = match self.loaded.waiting.get(blind) {
            Some(rows) => rows.as_slice(),
            None if !self.loaded.somebody_waits => &[],
            None => return self.lacking(|wanted| _ = wanted.waiting.insert(*blind)),
        };
        let drawn = self.drawn.borrow();
        // Those of this transaction came last.
        let own = drawn.waiting.values().filter(|(_, names)| names.iter().any(|name| name.blind == *blind));
        let all = earlier.iter().filter(|row| !drawn.ended.contains(&row.ordinal)).chain(own.map(|(row, _)| row));
        Ok(all.cloned().collect())
    }

    fn names_of(&self, ordinal: i64) -> Result<Vec<Name>, StoreError> {
        let drawn = self.drawn.borrow();
        let own = drawn.waiting.get(&ordinal).map(|(_, names)| names);
        let names = own.or_else(|| self.loaded.names_of_waiting.get(&ordinal));
        names.cloned().ok_or_else(|| StoreError::Corrupt("a waiting row has lost its identifiers".to_owned()))
    }

    fn end_wait(&self, ordinal: i64) -> Result<(), StoreError> {
        let mut drawn = self.drawn.borrow_mut();
        if drawn.waiting.remove(&ordinal).is_none() {
            drawn.ended.insert(ordinal);
        }
        Ok(())
    }

    fn length(&self) -> Result<Length, StoreError> {
        Ok(self.drawn.borrow().head.length)
    }

    fn set_length(&self, length: Length) {
        self.drawn.borrow_mut().head.length = length;
    }

    fn write_leaf(&self, index: u64, content: &LeafContent, seal: &Hash) -> Result<(), StoreError> {
        self.drawn.borrow_mut().leaves.push((index, content.clone(), *seal));
        Ok(())
    }
}
