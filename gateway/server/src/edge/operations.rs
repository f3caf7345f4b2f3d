//! The operations listener: health, readiness, metrics. Plain HTTP, loopback by default, no personal data.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::answer;
use crate::coordination;
use crate::gateway::Gateway;
use crate::telemetry;
use crate::trust::lists::List;

/// Serves until told to stop.
pub async fn serve(gateway: Arc<Gateway>, listener: TcpListener, mut stopping: watch::Receiver<bool>) {
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "accept failed on the operations listener");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    continue;
                }
            },
            _ = stopping.changed() => return,
        };
        let gateway = gateway.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let gateway = gateway.clone();
                async move { Ok::<_, Infallible>(handle(&gateway, &request).await) }
            });
            let serving = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(std::time::Duration::from_secs(5))
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = serving {
                tracing::debug!(%error, "operations connection ended");
            }
        });
    }
}

async fn handle(gateway: &Gateway, request: &Request<Incoming>) -> Response<Body> {
    match request.uri().path() {
        "/healthz" => text(StatusCode::OK, "ok\n".to_owned()),
        "/readyz" => {
            let (ready, body) = readiness(gateway).await;
            let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            answer::json(status, "application/json", &body)
        }
        "/metrics" => {
            // Both go on by themselves, whoever asks and whatever hangs.
            metrics::gauge!("tsunagi_crl_seconds_left").set(crl_seconds_left(gateway).unwrap_or(0) as f64);
            metrics::gauge!("tsunagi_sealing_lag_seconds").set(gateway.sealing.lag().as_secs_f64());
            text(StatusCode::OK, telemetry::render_metrics())
        }
        _ => text(StatusCode::NOT_FOUND, "not found\n".to_owned()),
    }
}

/// Of the hub's own lists: without one of these nobody gets in; without one of a foreign CA that CA's certificates do not.
fn crl_seconds_left(gateway: &Gateway) -> Option<i64> {
    let tls = gateway.tls.load();
    tls.lists.iter().filter(|list| list.of_hub).map(|list| seconds_left(gateway, list)).min()
}

fn seconds_left(gateway: &Gateway, list: &List) -> i64 {
    list.ends(gateway.config.edge.crl_tolerance).saturating_sub(gateway.clock.now().as_second())
}

/// Ready if a write would be durable, the hub's CRLs are fresh and sealing keeps up. That changed files were not taken
/// over is said beside it: what was there before works on.
async fn readiness(gateway: &Gateway) -> (bool, Value) {
    let store = match gateway.store.ready().await {
        Ok(()) => "ok".to_owned(),
        Err(error) => error.to_string(),
    };
    let of_hub = crl_seconds_left(gateway);
    let stale_lists = gateway.tls.load().lists.iter().filter(|list| seconds_left(gateway, list) < 0).count();
    let crl_fresh = of_hub.is_some_and(|left| left >= 0);
    let lag = gateway.sealing.lag();
    let sealing_keeps_up = lag <= gateway.config.sealing_tolerance;
    let ready = store == "ok" && crl_fresh && sealing_keeps_up;
    let body = json!({
        "ready": ready,
        "store": store,
        "trust": gateway.trust_fault().unwrap_or_else(|| "ok".to_owned()),
        "crl_seconds_left": of_hub,
        "stale_lists": stale_lists,
        "sealing_lag_seconds": lag.as_secs(),
        "retention": gateway.retention.fault().unwrap_or_else(|| "ok".to_owned()),
        "coordinator": coordination::told(&gateway.coordinator.reach().borrow()),
        "expiring": gateway.expiry.expiring(),
    });
    (ready, body)
}

fn text(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
