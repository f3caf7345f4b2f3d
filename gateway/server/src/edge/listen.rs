//! The edge's TCP listener.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::connection;
use super::route::router;
use crate::gateway::Gateway;

/// Accepts until told to stop, then lets open requests finish.
pub async fn serve(gateway: Arc<Gateway>, listener: TcpListener, mut stopping: watch::Receiver<bool>) {
    let router = router(gateway.clone());
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    // Out of file descriptors: try again when others have closed.
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    continue;
                }
            },
            Some(_) = connections.join_next() => continue,
            _ = stopping.changed() => break,
        };
        // Cheaper said now than after a handshake.
        if gateway.places.available_permits() == 0 {
            connection::refused("all");
            continue;
        }
        let handshake = gateway.handshakes.enter();
        let (gateway, router, stopping) = (gateway.clone(), router.clone(), stopping.clone());
        connections.spawn(connection::serve(gateway, router, stream, handshake, stopping));
    }
    drop(listener);
    let all_closed = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(gateway.config.edge.drain_timeout, all_closed).await.is_err() {
        tracing::warn!("some connections did not finish in time and were closed");
        // Each ends where it waits next; until then it needs what ends with the process.
        connections.shutdown().await;
    }
}
