//! TCP, TLS and HTTP connections of the edge.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::AsyncBufReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::handle::handle;
use super::peer::Peer;
use super::route::router;
use crate::gateway::Gateway;

/// The largest request head, HTTP/1 and HTTP/2 alike.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Streams that one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 64;

/// Accepts until told to stop, then lets open requests finish.
pub async fn serve(gateway: Arc<Gateway>, listener: TcpListener, mut stopping: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(gateway.config.edge.max_connections));
    let graceful = GracefulShutdown::new();
    let router = router(gateway.clone());
    loop {
        // A connection is not accepted before there is a place for it: the rest wait in the kernel's backlog.
        let place = tokio::select! {
            place = places.clone().acquire_owned() => place,
            _ = stopping.changed() => break,
        };
        let Ok(place) = place else { break };
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
        let (gateway, router) = (gateway.clone(), router.clone());
        let watcher = graceful.watcher();
        tokio::spawn(async move {
            connection(gateway, router, stream, watcher).await;
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(gateway.config.edge.drain_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!("some connections did not finish in time and were closed");
    }
}

async fn connection(
    gateway: Arc<Gateway>,
    router: Router,
    stream: TcpStream,
    watcher: hyper_util::server::graceful::Watcher,
) {
    // Answers are small: waiting to fill a segment would cost each of them a delayed acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let material = gateway.tls.load_full();
    let handshake = TlsAcceptor::from(material.server.clone()).accept(stream);
    let stream = match tokio::time::timeout(gateway.config.edge.handshake_timeout, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            metrics::counter!("tsunagi_handshakes_total", "outcome" => "refused").increment(1);
            tracing::info!(%error, "handshake refused");
            return;
        }
        Err(_) => {
            metrics::counter!("tsunagi_handshakes_total", "outcome" => "timeout").increment(1);
            return;
        }
    };
    metrics::counter!("tsunagi_handshakes_total", "outcome" => "done").increment(1);
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let Some(peer) = Peer::of(chain, &material, gateway.clock.now()) else { return };
    let most = gateway.config.edge.max_connections_per_peer;
    let Some(_place) = gateway.connections.enter(&peer.fingerprint, most) else {
        tracing::info!(certificate = %peer.fingerprint, "too many connections of one certificate");
        return;
    };
    let peer = Arc::new(peer);
    // A connection on which nothing is said holds a place that others may need.
    let mut stream = stream;
    let said = tokio::time::timeout(gateway.config.edge.header_timeout, stream.fill_buf()).await;
    if !matches!(said, Ok(Ok(bytes)) if !bytes.is_empty()) {
        return;
    }

    let header_timeout = gateway.config.edge.header_timeout;
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (gateway, router, peer) = (gateway.clone(), router.clone(), peer.clone());
        async move { Ok::<_, Infallible>(handle(gateway, router, peer, request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(header_timeout).max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_BYTES as u32)
        .keep_alive_interval(header_timeout);
    let serving = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    if let Err(error) = watcher.watch(serving).await {
        tracing::debug!(%error, "connection ended");
    }
}
