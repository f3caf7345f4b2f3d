//! A bounded cache: what was used of late stays.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// Two generations: when the young one is full, it becomes the old one and the old one goes. Whatever is found in the
/// old one moves to the young one, so that at most twice the limit stands here and the busy ones stay.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    young: HashMap<K, (Arc<V>, usize)>,
    old: HashMap<K, (Arc<V>, usize)>,
    weight: usize,
    limit: usize,
}

impl<K: Eq + Hash, V> Recent<K, V> {
    /// One that holds values up to a weight, twice.
    pub(crate) fn new(limit: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), weight: 0, limit }
    }

    /// The value under a key, if it is still there.
    pub(crate) fn find(&mut self, key: &K) -> Option<Arc<V>> {
        if let Some((value, _)) = self.young.get(key) {
            return Some(Arc::clone(value));
        }
        let (key, (value, weight)) = self.old.remove_entry(key)?;
        self.keep(key, Arc::clone(&value), weight);
        Some(value)
    }

    /// Lets go of all.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.limit);
    }

    /// Keeps a value of some weight.
    pub(crate) fn keep(&mut self, key: K, value: Arc<V>, weight: usize) {
        if self.weight >= self.limit {
            self.old = std::mem::take(&mut self.young);
            self.weight = 0;
        }
        if let Some((_, before)) = self.young.insert(key, (value, weight)) {
            self.weight = self.weight.saturating_sub(before);
        }
        self.weight += weight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stands(recent: &Recent<u64, u64>) -> (usize, usize) {
        let all = || recent.young.values().chain(recent.old.values());
        (all().count(), all().map(|(_, weight)| weight).sum())
    }

    #[test]
    fn it_is_bounded_and_keeps_what_is_used() {
        let mut recent = Recent::new(4);
        for n in 0..100 {
            recent.keep(n, Arc::new(n), 1);
            assert!(recent.find(&0).is_some(), "the busy one is there after {n} others");
            assert!(stands(&recent).0 <= 8);
        }
        assert!(recent.find(&50).is_none());
    }

    #[test]
    fn what_weighs_more_leaves_room_for_less() {
        let mut recent = Recent::new(100);
        for n in 0..1_000 {
            let weight = if n % 2 == 0 { 5 } else { 30 };
            recent.keep(n, Arc::new(n), weight);
            // Each of the two generations may go beyond the limit by the one that filled it.
            assert!(stands(&recent).1 < 2 * (100 + 30), "{n}");
        }
    }

    #[test]
    fn what_is_kept_again_counts_once() {
        let mut recent = Recent::new(100);
        recent.keep(0, Arc::new(0), 1);
        for n in 0..1_000 {
            recent.keep(1, Arc::new(n), 90);
        }
        assert_eq!(recent.find(&1).as_deref(), Some(&999));
        assert_eq!(stands(&recent), (2, 91), "nothing was pushed out");
    }
}
