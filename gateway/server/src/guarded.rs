//! What the process asks of the system for itself: that its memory, which holds keys, is never written to a file, and
//! that it may open as many sockets as it is configured for.

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

use crate::config::Config;

/// File descriptors beside those of connections: the store, logs, deliveries, readers of files.
const OTHER_FILES: u64 = 256;

/// What the system refused, in words for the log.
pub(crate) type Refused = Vec<String>;

/// No core dumps, and no other process of the same user may attach and read memory. Every command works all the same
/// where the system refuses; one that keeps a log says so there.
pub(crate) fn keep_memory_private() -> Refused {
    let mut refused = Refused::new();
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        refused.push(format!("core dumps could not be switched off: {error}"));
    }
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        refused.push(format!("core dumps could not be limited to nothing: {error}"));
    }
    refused
}

/// Raises the limit of open files to what the configured connections need, as far as the system allows.
pub(crate) fn allow_sockets(config: &Config) {
    let wanted = (config.edge.max_connections as u64)
        .saturating_add(config.edge.max_handshakes as u64)
        .saturating_add(OTHER_FILES);
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let allowed = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(allowed), maximum: limit.maximum }) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    if allowed < wanted {
        tracing::warn!(allowed, wanted, "fewer open files are allowed than edge.max_connections needs");
    }
}
