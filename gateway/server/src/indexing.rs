//! Indexing sealed leaves by whom they tell of. Access logs are found by it, nothing is proved by it: where it lags, more is
//! looked through. It is no part of sealing, for it takes its time: neither a seal nor the end of the process waits for it.

use std::sync::Arc;

use tokio::sync::watch;

use crate::gateway::Gateway;

/// Indexes until told to stop, in the middle of a segment if need be: what was read of it is read again then.
pub(crate) async fn run(gateway: Arc<Gateway>, mut stopping: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(gateway.config.sealing_interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let pass = async {
            ticks.tick().await;
            while index_all(&gateway).await {}
        };
        tokio::select! {
            () = pass => {}
            _ = stopping.changed() => return,
        }
    }
}

/// Indexes the next segment of every log that has a whole one; false if none has.
async fn index_all(gateway: &Gateway) -> bool {
    let mut any = false;
    for tenant in gateway.registry.load_full().logs() {
        match gateway.store.index_leaves(&tenant).await {
            Ok(indexed) => any |= indexed,
            Err(error) => tracing::error!(%tenant, %error, "leaves could not be indexed"),
        }
    }
    any
}
