//! The edge's TCP listener.

use std::convert::Infallible;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::connection;
use super::route::router;
use crate::gateway::Gateway;

/// Accepts until told to stop, then lets open requests finish.
pub async fn serve(gateway: Arc<Gateway>, listener: TcpListener, mut stopping: watch::Receiver<bool>) {
    let router = router(gateway.clone());
    // Every connection holds a sender: when all are gone, all connections are.
    let (open, mut all_closed) = mpsc::channel::<Infallible>(1);
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
            _ = stopping.changed() => break,
        };
        // Cheaper said now than after a handshake.
        if gateway.places.available_permits() == 0 {
            connection::refused("all");
            continue;
        }
        let handshake = gateway.handshakes.enter();
        let (gateway, router, stopping, open) = (gateway.clone(), router.clone(), stopping.clone(), open.clone());
        tokio::spawn(async move {
            connection::serve(gateway, router, stream, handshake, stopping).await;
            drop(open);
        });
    }
    drop((listener, open));
    if tokio::time::timeout(gateway.config.edge.drain_timeout, all_closed.recv()).await.is_err() {
        tracing::warn!("some connections did not finish in time and were closed");
    }
}
