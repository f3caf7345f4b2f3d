//! A bounded cache: what was used of late stays.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// Two generations: when the young one is full, it becomes the old one and the old one goes. Whatever is found in the
/// old one moves to the young one, so that at most `2 * limit` values stand here and the busy ones stay.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    young: HashMap<K, Arc<V>>,
    old: HashMap<K, Arc<V>>,
    limit: usize,
}

impl<K: Eq + Hash, V> Recent<K, V> {
    pub(super) fn new(limit: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), limit }
    }

    pub(super) fn find(&mut self, key: &K) -> Option<Arc<V>> {
        if let Some(value) = self.young.get(key) {
            return Some(Arc::clone(value));
        }
        let (key, value) = self.old.remove_entry(key)?;
        self.keep(key, Arc::clone(&value));
        Some(value)
    }

    pub(super) fn keep(&mut self, key: K, value: Arc<V>) {
        if self.young.len() >= self.limit {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}
