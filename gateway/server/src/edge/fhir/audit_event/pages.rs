//! A page of several logs, newest first, and the place from which the next one goes on.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;
use tsunagi_core::audit::AuditEvent;
use tsunagi_core::id::{SubjectKey, TenantId};
use tsunagi_store::{Leaf, LeavesOf, Storage, StoreError};

use super::view::View;

/// Leaves that are read at a time.
const PIECE: usize = 200;

/// Leaves that are looked through for one page. Where few are wanted a page may be short, and have a next one.
const LOOKED_THROUGH: usize = 10_000;

/// A log, and what its reader may know of it.
pub(super) struct Log {
    pub(super) tenant: TenantId,
    pub(super) of: LeavesOf,
    pub(super) view: View,
    /// Of whom alone it is read; a log may be read of several, each by itself.
    pub(super) subject: Option<SubjectKey>,
}

impl Log {
    fn name(&self) -> Name {
        (self.tenant.clone(), self.subject.clone())
    }
}

type Name = (TenantId, Option<SubjectKey>);

/// How far a reader has come in each log: `TENANT[~SUBJECT]/INDEX/EVENTS`, joined by commas. It goes on below the index,
/// after so many events of the first leaf there. A log that is not named has come to its end. It leaves the hub in a
/// [cursor](crate::edge::cursor) alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place(BTreeMap<Name, (u64, usize)>);

impl Place {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let one = |part: &str| {
            let [name, below, passed] = part.split('/').collect::<Vec<_>>().try_into().ok()?;
            let (tenant, subject) = name.split_once('~').map_or((name, None), |(tenant, key)| (tenant, Some(key)));
            let subject = subject.map(|key| SubjectKey::parse(key).ok()).map_or(Some(None), |key| key.map(Some))?;
            Some(((TenantId::parse(tenant).ok()?, subject), (below.parse().ok()?, passed.parse().ok()?)))
        };
        text.split(',').map(one).collect::<Option<_>>().map(Self)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, ((tenant, subject), (below, passed))) in self.0.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            let subject = subject.as_ref().map(|key| format!("~{key}")).unwrap_or_default();
            write!(f, "{comma}{tenant}{subject}/{below}/{passed}")?;
        }
        Ok(())
    }
}

/// A page.
pub(super) struct Page {
    pub(super) resources: Vec<Value>,
    pub(super) next: Option<Place>,
}

/// A log as far as it was read.
struct Stream {
    log: Log,
    leaves: VecDeque<(Leaf, AuditEvent)>,
    /// Below which index it goes on after these.
    next: Option<u64>,
    /// Up to where it is told: below this index, after so many events of the first leaf there. It goes by what was told
    /// alone, so that the place tells nothing of what was not.
    told: (u64, usize),
    is_begun: bool,
}

impl Stream {
    /// `None` if it has come to its end.
    fn new(log: Log, after: Option<&Place>) -> Option<Self> {
        let told = match after {
            None => (u64::MAX, 0),
            Some(place) => *place.0.get(&log.name())?,
        };
        Some(Self { log, leaves: VecDeque::new(), next: Some(told.0), told, is_begun: false })
    }

    /// Reads on, if there is nothing left of what was read; gives how many leaves came.
    async fn fill(&mut self, store: &dyn Storage) -> Result<usize, StoreError> {
        let Some(below) = self.next.filter(|_| self.leaves.is_empty()) else { return Ok(0) };
        let page = store.leaves_of(&self.log.tenant, &self.log.of, below, PIECE).await?;
        self.next = page.next;
        self.is_begun = true;
        for leaf in page.leaves {
            let event: AuditEvent = serde_json::from_slice(&leaf.bytes).map_err(|_| {
                StoreError::Corrupt(format!("leaf {} of {} cannot be read", leaf.index, self.log.tenant))
            })?;
            self.leaves.push_back((leaf, event));
        }
        // A piece without leaves was looked through all the same.
        Ok(self.leaves.len().max(PIECE / 2))
    }

    fn is_unread(&self) -> bool {
        self.leaves.is_empty() && self.next.is_some()
    }

    /// How many events of this leaf were told on an earlier page.
    fn passed(&self, leaf: &Leaf) -> usize {
        if leaf.index.checked_add(1) == Some(self.told.0) { self.told.1 } else { 0 }
    }

    /// Where it goes on if it was looked through in vain.
    fn place(&self) -> Option<(u64, usize)> {
        self.leaves
            .front()
            .map_or(self.next.map(|below| (below, 0)), |(leaf, _)| Some((leaf.index + 1, self.passed(leaf))))
    }
}

fn places(streams: &[Stream], of: impl Fn(&Stream) -> Option<(u64, usize)>) -> Option<Place> {
    let places: BTreeMap<_, _> = streams.iter().filter_map(|stream| Some((stream.log.name(), of(stream)?))).collect();
    (!places.is_empty()).then_some(Place(places))
}

/// Reads a page of at most `limit` events. `tell` gives the events of a leaf that are wanted; one leaf may be several. It has a
/// next one only if there is something to be told on it, or so much was looked through that nobody knows.
pub(super) async fn read(
    store: &dyn Storage,
    logs: Vec<Log>,
    after: Option<&Place>,
    limit: usize,
    tell: impl Fn(&Log, &Leaf, &AuditEvent) -> Vec<Value>,
) -> Result<Page, StoreError> {
    let mut streams: Vec<Stream> = logs.into_iter().filter_map(|log| Stream::new(log, after)).collect();
    let mut resources = Vec::new();
    let mut looked_through = 0;
    loop {
        let is_full = resources.len() == limit;
        for stream in &mut streams {
            // Each is begun, however many there are: a page that got nowhere would be its own next one.
            while stream.is_unread() && (!stream.is_begun || looked_through < LOOKED_THROUGH) {
                looked_through += stream.fill(store).await?;
            }
        }
        // Of a log that was not read far enough nothing is known to be older than what the others have.
        if streams.iter().any(Stream::is_unread) {
            let next =
                if is_full { places(&streams, |stream| Some(stream.told)) } else { places(&streams, Stream::place) };
            return Ok(Page { resources, next });
        }
        let newest = streams.iter_mut().max_by_key(|stream| stream.leaves.front().map(|(_, event)| event.at));
        let front = newest.and_then(|stream| stream.leaves.pop_front().map(|front| (stream, front)));
        let Some((stream, (leaf, event))) = front else { return Ok(Page { resources, next: None }) };
        let told = tell(&stream.log, &leaf, &event);
        let passed = stream.passed(&leaf);
        if told.len() <= passed {
            continue;
        }
        if is_full {
            let next = places(&streams, |stream| Some(stream.told));
            return Ok(Page { resources, next });
        }
        let room = limit - resources.len();
        stream.told = if told.len() > passed + room { (leaf.index + 1, passed + room) } else { (leaf.index, 0) };
        let is_more = stream.told.1 > 0;
        resources.extend(told.into_iter().skip(passed).take(room));
        if is_more {
            stream.leaves.push_front((leaf, event));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let subject = SubjectKey::new(jiff::Timestamp::UNIX_EPOCH, [1; 10]);
        let text = format!("hub/7/0,oita/3/2,oita~{subject}/1/0");
        assert_eq!(Place::parse(&text).map(|place| place.to_string()), Some(text.clone()));
        for bad in ["", "oita", "oita/1", "oita~x/1/0", "oita/1/0/0", "oita/-1/0", &format!("{text},"), "oita//1"] {
            assert_eq!(Place::parse(bad), None, "{bad}");
        }
    }
}
