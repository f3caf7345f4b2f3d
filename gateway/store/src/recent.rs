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

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}
