//! Which leaves tell of whom. Sealed leaves are indexed by segments, after sealing and apart from it: an index by person
//! would have to be written at another place for each leaf, and whoever writes has others to serve. The leaves after the
//! last whole segment are looked through when somebody asks.

use serde::Deserialize;

use crate::command::{Leaf, LeavesOf};
use crate::keys::TenantKeys;

/// How many leaves a segment has. One more makes looking through the rest slower, one less a search through all segments.
pub(crate) const SEGMENT: u64 = 16_384;

/// Into how many buckets the entries of a segment are spread.
const BUCKETS: usize = 64;

/// How many leaves that are not indexed yet are looked through for one page.
pub(crate) const LOOKED_THROUGH: u64 = 2 * SEGMENT;

/// Bytes of a trail, and of a place within a segment.
const ENTRY: usize = 12;

/// The members of a leaf that name somebody.
const PARTICIPANT: &str = "participant";
const SUBJECT: &str = "subject";

/// Of a leaf, whom it tells of.
#[derive(Deserialize)]
struct Whose<'a> {
    #[serde(borrow)]
    agent: Who<'a>,
    #[serde(borrow, default)]
    subject: Option<&'a str>,
}

#[derive(Deserialize)]
struct Who<'a> {
    #[serde(borrow, default)]
    participant: Option<&'a str>,
}

/// The entries of a segment while its leaves are read.
#[derive(Default)]
pub(crate) struct Segment(Vec<(u64, u32)>);

impl Segment {
    /// Adds the entries of another piece.
    #[cfg(feature = "sqlite")]
    pub(crate) fn join(&mut self, piece: Self) {
        self.0.extend(piece.0);
    }

    /// Adds a leaf, by its place within the segment.
    pub(crate) fn add(&mut self, keys: &TenantKeys, place: u32, leaf: &[u8]) {
        // A leaf that cannot be read is for verification to find; it tells of nobody.
        if let Ok(Whose { agent, subject }) = serde_json::from_slice(leaf) {
            let of = [(PARTICIPANT, agent.participant), (SUBJECT, subject)];
            self.0.extend(of.into_iter().filter_map(|(what, id)| Some((keys.trail(what, id?), place))));
        }
    }

    /// The entries as they are kept, bucket by bucket, in order.
    pub(crate) fn into_buckets(mut self) -> Vec<Vec<u8>> {
        self.0.sort_unstable();
        let mut buckets = vec![Vec::new(); BUCKETS];
        for (trail, place) in self.0 {
            if let Some(entries) = usize::try_from(bucket(trail)).ok().and_then(|bucket| buckets.get_mut(bucket)) {
                entries.extend(trail.to_be_bytes());
                entries.extend(place.to_be_bytes());
            }
        }
        buckets
    }
}

/// Somebody whose leaves are looked for.
pub(crate) struct Trail {
    trail: u64,
    told: Vec<u8>,
}

impl Trail {
    /// None where the whole log is looked at.
    pub(crate) fn of(keys: &TenantKeys, of: &LeavesOf) -> Option<Self> {
        let (what, id) = match of {
            LeavesOf::Everybody => return None,
            LeavesOf::Participant(id) => (PARTICIPANT, id.as_str()),
            LeavesOf::Subject(key) => (SUBJECT, key.as_str()),
        };
        // As it stands in a leaf: no text of one can look like this, for quotation marks in a text are escaped.
        Some(Self { trail: keys.trail(what, id), told: format!("\"{what}\":\"{id}\"").into_bytes() })
    }

    /// What a leaf that tells of them holds.
    pub(crate) fn told(&self) -> &[u8] {
        &self.told
    }

    /// True if the leaf tells of them: two may have one trail.
    pub(crate) fn leads_to(&self, leaf: &Leaf) -> bool {
        leaf.bytes.windows(self.told.len()).any(|part| part == self.told)
    }

    /// The bucket of their entries.
    pub(crate) fn bucket(&self) -> i64 {
        bucket(self.trail)
    }

    /// The places in a bucket's entries to which the trail leads, in order.
    pub(crate) fn places(&self, entries: &[u8]) -> Vec<u32> {
        let (entries, _) = entries.as_chunks::<ENTRY>();
        let read = |entry: &[u8; ENTRY]| {
            let (trail, place) = entry.split_first_chunk::<8>()?;
            Some((u64::from_be_bytes(*trail), u32::from_be_bytes(*place.first_chunk()?)))
        };
        let from = entries.partition_point(|entry| read(entry).is_some_and(|(found, _)| found < self.trail));
        let rest = entries.iter().skip(from).map_while(read);
        rest.take_while(|(found, _)| *found == self.trail).map(|(_, place)| place).collect()
    }
}

fn bucket(trail: u64) -> i64 {
    // Less than `BUCKETS`.
    (trail >> (u64::BITS - BUCKETS.ilog2())).cast_signed()
}
