//! One connection, from its handshake to its end.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::activity::{Activity, Patience, Watched};
use super::framing::Framed;
use super::handle::{LastAnswer, MAX_HEADERS, handle};
use super::limits::{HandshakePlace, Place};
use super::peer::Peer;
use crate::gateway::Gateway;
use crate::telemetry::Said;
use crate::trust::clients;

/// The largest request head, HTTP/1 and HTTP/2 alike.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Streams that one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 64;
/// Streams that a peer may have reset before they were looked at (CVE-2023-44487), and those that we reset because of
/// what it sent: then the connection ends.
const MAX_RESETS: usize = 20;
const MAX_LOCAL_RESETS: usize = 64;
/// What one HTTP/2 stream may have waiting to be sent.
const MAX_SEND_BYTES: usize = 64 * 1024;
/// How long a peer may take to acknowledge an HTTP/2 ping.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// A peer decides how often these are said.
static SAID: Said = Said::new();

/// Counts a connection that got no place.
pub(super) fn refused(reason: &'static str) {
    metrics::counter!("tsunagi_connections_refused_total", "reason" => reason).increment(1);
}

/// The handshake; `None` where it came to nothing.
async fn shake_hands(gateway: &Gateway, stream: TcpStream, place: HandshakePlace) -> Option<Box<TlsStream<TcpStream>>> {
    let outcome = |word: &'static str| metrics::counter!("tsunagi_handshakes_total", "outcome" => word).increment(1);
    let failed = |outcome_word, reason: &'static str| {
        outcome(outcome_word);
        metrics::counter!("tsunagi_handshakes_refused_total", "reason" => reason).increment(1);
        None
    };
    let acceptor = TlsAcceptor::from(gateway.tls.load().server.clone());
    let handshake = tokio::time::timeout(gateway.config.edge.handshake_timeout, acceptor.accept(stream));
    tokio::select! {
        done = handshake => match done {
            Ok(Ok(stream)) => {
                outcome("done");
                Some(Box::new(stream))
            }
            Ok(Err(error)) => {
                let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
                let reason = tls.map_or("closed", clients::reason);
                let of_certificate = matches!(tls, Some(rustls::Error::InvalidCertificate(_)));
                // A refused certificate has its line already.
                if let Some(unsaid) = (!of_certificate).then(|| SAID.may_say(reason)).flatten() {
                    tracing::info!(reason, unsaid, "handshake refused");
                }
                failed("refused", reason)
            }
            Err(_) => failed("timeout", "timeout"),
        },
        // Somebody else came, and of all handshakes this one has gone on for the longest.
        () = place.displaced() => failed("timeout", "displaced"),
    }
}

/// Serves a connection until it ends, or `stopping` says so and its open requests are answered.
///
/// What is large stands in boxes: the handshake and a request take room while they last, and the stream once, where this
/// future would else have a place for each of its moves as long as a connection is open.
pub(super) async fn serve(
    gateway: Arc<Gateway>,
    router: Router,
    stream: TcpStream,
    handshake: HandshakePlace,
    stopping: watch::Receiver<bool>,
) {
    // Answers are small: waiting to fill a segment would cost each of them a delayed acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let Some(stream) = Box::pin(shake_hands(&gateway, stream, handshake)).await else { return };
    let Ok(_place): Result<OwnedSemaphorePermit, _> = gateway.places.clone().try_acquire_owned() else {
        return refused("all");
    };
    let (_, session) = stream.get_ref();
    let is_http_2 = session.alpn_protocol() == Some(b"h2");
    let chain = session.peer_certificates().unwrap_or_default();
    let Some(peer) = Peer::of(chain, &gateway.tls.load(), gateway.clock.now()) else { return };
    let most = gateway.config.edge.max_connections_per_peer;
    let Some(_own_place) = gateway.connections.enter(&peer.counted_as(&gateway.registry.load()), most) else {
        if let Some(unsaid) = SAID.may_say("connections") {
            tracing::info!(certificate = %peer.fingerprint, unsaid, "too many connections of one participant");
        }
        return refused("participant");
    };
    let open = metrics::gauge!("tsunagi_connections");
    open.increment(1);

    let edge = &gateway.config.edge;
    let patience = Patience { head: edge.header_timeout, idle: edge.idle_timeout, answer: edge.write_timeout };
    let (peer, activity) = (Arc::new(peer), Activity::new());
    let service = {
        let (gateway, activity) = (gateway.clone(), activity.clone());
        service_fn(move |request: hyper::Request<Incoming>| {
            let (gateway, router, peer) = (gateway.clone(), router.clone(), peer.clone());
            let open = activity.begin();
            Box::pin(async move {
                let mut answer = handle(gateway, router, peer, request).await;
                if answer.extensions().get::<LastAnswer>().is_some() {
                    open.is_last();
                }
                let place = answer.extensions_mut().remove::<Arc<Place>>();
                Ok::<_, Infallible>(answer.map(|body| open.over(body, place)))
            })
        })
    };
    let stream = Watched::new(stream, activity.clone());
    // The protocol is what the handshake agreed on: no guessing by the first bytes.
    if is_http_2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEAD_BYTES as u32)
            .max_pending_accept_reset_streams(MAX_RESETS)
            .max_local_error_reset_streams(MAX_LOCAL_RESETS)
            .max_send_buf_size(MAX_SEND_BYTES)
            .keep_alive_interval(patience.head)
            .keep_alive_timeout(PING_TIMEOUT);
        let mut serving = Box::pin(builder.serve_connection(TokioIo::new(stream), service));
        watch_over(serving.as_mut(), |serving| serving.graceful_shutdown(), &activity, patience, stopping).await;
    } else {
        let mut builder = http1::Builder::new();
        // Slow heads and idle connections are seen to by `Activity`, which tells the two apart.
        builder.header_read_timeout(None).max_buf_size(MAX_HEAD_BYTES).max_headers(MAX_HEADERS);
        let framed = Framed::new(stream, MAX_HEAD_BYTES, activity.clone());
        let mut serving = Box::pin(builder.serve_connection(TokioIo::new(framed), service));
        watch_over(serving.as_mut(), |serving| serving.graceful_shutdown(), &activity, patience, stopping).await;
    }
    open.decrement(1);
}

/// Drives a connection, and ends it when too little happens on it. Dropping it closes the socket.
async fn watch_over<C: Future<Output = hyper::Result<()>>>(
    mut serving: Pin<&mut C>,
    shut_down: impl Fn(Pin<&mut C>),
    activity: &Activity,
    patience: Patience,
    mut stopping: watch::Receiver<bool>,
) {
    let mut ticks = tokio::time::interval(patience.tick());
    let mut is_stopping = false;
    loop {
        tokio::select! {
            ended = serving.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                }
                return;
            }
            _ = ticks.tick() => if let Some(reason) = activity.overdue(&patience) {
                metrics::counter!("tsunagi_connections_closed_total", "reason" => reason).increment(1);
                return;
            },
            () = activity.ended(), if !is_stopping => {
                is_stopping = true;
                shut_down(serving.as_mut());
            }
            _ = stopping.wait_for(|stop| *stop), if !is_stopping => {
                is_stopping = true;
                shut_down(serving.as_mut());
            }
        }
    }
}
