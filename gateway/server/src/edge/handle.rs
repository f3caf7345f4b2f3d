//! One request, from its head to its answer: who, how often, how much, then the route; and every refusal in one place.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::header::{self, HeaderMap};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response};
use hyper::body::{Body as _, Incoming};
use tower::ServiceExt;
use tsunagi_core::audit::{Action, AuditEvent, EventOutcome};
use tsunagi_core::fault::Lang;
use tsunagi_core::id::{ExchangeId, TenantId};
use tsunagi_core::policy::Purpose;
use tsunagi_core::refusal::Refusal;
use tsunagi_store::Note;

use super::answer::{self, Refused};
use super::detached::{Detached, Died};
use super::limits::Standing;
use super::peer::Peer;
use super::{body, route};
use crate::gateway::Gateway;
use crate::pipeline::{Call, Caller};
use crate::telemetry;

/// The most header fields of a request.
pub(super) const MAX_HEADERS: usize = 64;

/// Answers that tell nothing leave at multiples of this after their request: longer than nearly any of them takes.
const BEAT: std::time::Duration = std::time::Duration::from_millis(10);

/// Marks an answer after which the connection ends. Whoever may not act gets one refusal, and one leaf, for each
/// handshake.
#[derive(Debug, Clone, Copy)]
pub(super) struct LastAnswer;

/// Answers one request of one peer. Never fails: what goes wrong becomes an answer.
pub(super) async fn handle(
    gateway: Arc<Gateway>,
    router: Router,
    peer: Arc<Peer>,
    request: Request<Incoming>,
) -> Response<Body> {
    let started = std::time::Instant::now();
    let at = gateway.clock.now();
    let exchange = ExchangeId::new(at, gateway.clock.entropy());
    let lang = language(request.headers());
    let surface = answer::Surface::of(request.uri().path());
    let class = route::class(request.uri().path());

    let (head, mut body) = request.into_parts();
    let is_http_1 = head.version < http::Version::HTTP_2;
    let mut standing = None;
    let served = serve(&gateway, router, &peer, head, &mut body, &exchange, &mut standing).await;
    let mut response = match served {
        Ok(response) => response,
        Err(refusal) => {
            let refusal = note_refusal(&gateway, &peer, &exchange, refusal).await;
            let mut response = answer::refuse(surface, lang, &exchange, &refusal);
            let is_last = matches!(refusal, Refusal::PeerUnknown);
            if is_last {
                response.extensions_mut().insert(LastAnswer);
            }
            if is_http_1 && (is_last || !body.is_end_stream()) {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            if !body.is_end_stream() {
                body::drain(&mut body).await;
                response = response.map(|answer| body::answer_over(answer, body));
            }
            response
        }
    };
    // A repeat of an earlier exchange quotes the earlier id; its handler has set the header.
    if !response.headers().contains_key(answer::EXCHANGE_HEADER)
        && let Ok(value) = HeaderValue::from_str(exchange.as_str())
    {
        response.headers_mut().insert(answer::EXCHANGE_HEADER, value);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(standing) = standing {
        standing.tell(response.headers_mut());
    }
    telemetry::answered(class, response.status(), started.elapsed());
    response
}

async fn serve(
    gateway: &Gateway,
    router: Router,
    peer: &Peer,
    head: Parts,
    incoming: &mut Incoming,
    exchange: &ExchangeId,
    standing: &mut Option<Standing>,
) -> Result<Response<Body>, Refusal> {
    let class = route::class(head.uri.path());
    let registry = gateway.registry.load_full();
    let is_trusted = peer.is_still_trusted(&gateway.tls.load(), gateway.clock.now());
    let participant = peer.participant(&registry).filter(|_| is_trusted);
    let (stands, is_within) = match &participant {
        Some(participant) => gateway.rates.check(participant.id.as_str(), class).await,
        None => gateway.rates.check_stranger(&peer.fingerprint).await,
    };
    *standing = Some(stands);
    is_within?;
    let participant = participant.ok_or(Refusal::PeerUnknown)?;
    let most = gateway.config.edge.max_requests_per_peer;
    let Some(place) = gateway.requests.enter(participant.id.as_str(), most) else {
        return Err(Refusal::RateLimited { retry_after_secs: 1 });
    };
    let place = Arc::new(place);
    if gateway.sealing.lag() > gateway.config.sealing_tolerance {
        return Err(Refusal::Unavailable);
    }
    let caller = Caller { participant, certificate: peer.fingerprint.clone() };
    // HTTP/1 heads are counted while they are read; of HTTP/2 the size alone is bounded then.
    if head.headers.len() > MAX_HEADERS {
        let (ja, en) = ("ヘッダーが多すぎます", "there are too many header fields");
        return Err(Refusal::Malformed(tsunagi_core::fault::Bilingual::new(ja, en)));
    }
    let mut call = call(gateway, caller, exchange.clone(), &head.headers)?;
    body::require_plain(&head.headers)?;

    // Nothing here answers HEAD: some GETs take a lease or write a leaf, and HEAD must do neither.
    if head.method == Method::HEAD {
        return Err(Refusal::NotFound);
    }
    let has_body = !matches!(head.method, Method::GET | Method::DELETE);
    let edge = &gateway.config.edge;
    let (budget, most, deadline) = match class == "files" {
        true => (&gateway.files, edge.max_file_bytes, edge.file_timeout),
        false => (&gateway.bodies, edge.max_body_bytes, edge.request_timeout),
    };
    let limit = route::body_limit(&registry, &call, most);
    let mut share = budget.share(call.caller.participant.id.as_str());
    let request = if !has_body {
        Request::from_parts(head, Body::empty())
    } else if class == "files" {
        let spool =
            body::spool(incoming, limit, deadline, pace(gateway), gateway.config.store_folder(), &mut share).await?;
        let mut request = Request::from_parts(head, Body::empty());
        request.extensions_mut().insert(body::Spooled::new(spool));
        request
    } else {
        let bytes = body::read(incoming, limit, edge.body_timeout, pace(gateway), &mut share).await?;
        Request::from_parts(head, Body::from(bytes))
    };
    // It is asked when it was read to its end: what was said meanwhile holds for it.
    call.at = gateway.clock.now();
    call.today = crate::clock::date_in_japan(call.at);
    let mut request = request;
    request.extensions_mut().insert(Arc::new(call));

    // Detached: from here on the work is finished even if the client goes away, so that what it did is known.
    let work = Detached::new(async move {
        let began = tokio::time::Instant::now();
        let response = router.oneshot(request).await;
        drop(share);
        if response.as_ref().is_ok_and(answer::tells_nothing) {
            on_the_beat(began).await;
        }
        // The place is given back when the answer is sent; work that goes on after its caller has gone holds it too.
        response.map(|mut response| {
            response.extensions_mut().insert(place);
            response
        })
    });
    let mut response = match tokio::time::timeout(deadline, work).await {
        Ok(Ok(Ok(response))) => response,
        Ok(Ok(Err(never))) => match never {},
        Ok(Err(Died)) => {
            tracing::error!(%exchange, "a handler died");
            return Err(Refusal::Internal);
        }
        Err(_) => return Err(Refusal::Timeout),
    };
    match response.extensions_mut().remove::<Refused>() {
        Some(Refused(refusal)) => Err(refusal),
        None if response.status() == http::StatusCode::METHOD_NOT_ALLOWED => Err(Refusal::NotFound),
        // Handlers refuse through `Refused` alone: what is left is the router's own, about the path or its encoding.
        None if response.status().is_client_error() && !response.headers().contains_key(answer::EXCHANGE_HEADER) => {
            Err(Refusal::Malformed(tsunagi_core::fault::Bilingual::new(
                "宛先のパスが正しくありません",
                "the path is not well formed",
            )))
        }
        None => Ok(response),
    }
}

/// Waits for the next beat. How long it took to find nothing would tell what was found: the more somebody has, the longer.
/// It counts from when the whole request is there, so that nobody chooses where a beat falls.
async fn on_the_beat(began: tokio::time::Instant) {
    let passed = began.elapsed().as_nanos() / BEAT.as_nanos() + 1;
    let beats = u32::try_from(passed).unwrap_or(u32::MAX);
    tokio::time::sleep_until(began + BEAT.saturating_mul(beats)).await;
}

fn pace(gateway: &Gateway) -> body::Pace {
    let edge = &gateway.config.edge;
    body::Pace { grace: edge.header_timeout, bytes_per_sec: edge.body_min_bytes_per_sec }
}

fn call(gateway: &Gateway, caller: Caller, exchange: ExchangeId, headers: &HeaderMap) -> Result<Call, Refusal> {
    let malformed = |header: &str| {
        Refusal::Malformed(tsunagi_core::fault::Bilingual::new(
            format!("ヘッダー {header} が正しくありません"),
            format!("the header {header} is not well formed"),
        ))
    };
    let purpose = match headers.get("Tsunagi-Purpose") {
        None => None,
        Some(value) => {
            let code = value.to_str().ok().and_then(Purpose::parse);
            Some(code.ok_or_else(|| malformed("Tsunagi-Purpose"))?)
        }
    };
    let idempotency_key = match headers.get("Idempotency-Key") {
        None => None,
        Some(value) => {
            let key = value.to_str().ok().filter(|key| !key.is_empty() && key.len() <= 255);
            Some(key.ok_or_else(|| malformed("Idempotency-Key"))?.to_owned())
        }
    };
    let at = gateway.clock.now();
    Ok(Call {
        exchange,
        caller,
        at,
        today: crate::clock::date_in_japan(at),
        purpose,
        idempotency_key,
        lang: language(headers),
    })
}

/// Keeps the event of a refusal that concerns an exchange as a whole. A refusal without its leaf is not given.
async fn note_refusal(gateway: &Gateway, peer: &Peer, exchange: &ExchangeId, refusal: Refusal) -> Refusal {
    let action = match &refusal {
        Refusal::PeerUnknown => Action::PeerRefused,
        Refusal::CodingUnsupported
        | Refusal::KeyReused
        | Refusal::KindUnsupported
        | Refusal::Malformed(_)
        | Refusal::NotPermitted
        | Refusal::TooLarge => Action::ExchangeRefused,
        // These have their leaves in the tenants' logs already, or nothing happened that a log should keep.
        Refusal::Internal
        | Refusal::NotAvailable
        | Refusal::NotFound
        | Refusal::RateLimited { .. }
        | Refusal::Row(_)
        | Refusal::Timeout
        | Refusal::Unavailable => return refusal,
    };
    let registry = gateway.registry.load();
    let participant = peer.participant(&registry).map(|p| p.id.clone());
    if let Some(participant) = &participant
        && let Err(later) = gateway.rates.check_refusal(participant.as_str()).await
    {
        return later;
    }
    let participant = participant.or_else(|| peer.named().cloned());
    let agent = tsunagi_core::audit::Agent {
        participant,
        certificate: Some(peer.fingerprint.clone()),
        end_user: None,
        proxy: false,
    };
    let mut event = AuditEvent::new(gateway.clock.now(), action, EventOutcome::Denied, agent);
    event.exchange = Some(exchange.clone());
    event.reason = Some(refusal.code().to_owned());
    let note = Note { events: vec![event], rests_on: Vec::new(), directive: None };
    match gateway.store.note(&TenantId::hub(), note).await {
        Ok(_) => refusal,
        Err(error) => {
            tracing::error!(%exchange, %error, "a refusal could not be written to the audit log");
            Refusal::Unavailable
        }
    }
}

fn language(headers: &HeaderMap) -> Lang {
    let wanted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or("");
    // The first of the two that the caller names wins; quality values do not reorder two languages in practice.
    match (wanted.find("en"), wanted.find("ja")) {
        (Some(en), Some(ja)) if en < ja => Lang::En,
        (Some(_), None) => Lang::En,
        _ => Lang::Ja,
    }
}
