//! Outbound mTLS. Nothing is sent that is not a [`PermittedCall`].

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use rustls::client::Resumption;
use tsunagi_core::disclosure::PermittedCall;
use tsunagi_core::id::DeliveryId;

use crate::config::DeliveryConfig;
use crate::edge::tls::provider;
use crate::gateway::StartFault;
use crate::trust::destinations::Destinations;
use crate::trust::pair::{self, Purpose};
use crate::trust::{Terms, Trust};

/// A reply longer than this is cut off: a destination that lies about its size costs us no more.
const MAX_REPLY_BYTES: usize = 1024 * 1024;

/// Sends deliveries to destinations' servers.
pub struct Transport {
    client: Option<Client<HttpsConnector<HttpConnector>, Full<Bytes>>>,
    timeout: std::time::Duration,
    certificate: Vec<u8>,
}

/// A destination's reply, as far as it is read.
#[derive(Debug)]
pub struct SentReply {
    /// HTTP status.
    pub status: u16,
    /// `Retry-After` in seconds.
    pub retry_after_secs: Option<u32>,
    /// The body, at most 1 MiB.
    pub body: Bytes,
}

/// Why there is no reply. What became of the payload is not known: it is tried again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SendFault(String);

impl Transport {
    /// Reads the client certificate. A hub that pushes nothing needs none: a missing file is noticed when there is
    /// something to send.
    pub(crate) fn load(config: &DeliveryConfig, trust: &Trust, now: i64, terms: Terms<'_>) -> Result<Self, StartFault> {
        let timeout = config.send_timeout;
        if !config.client_certificate_file.exists() {
            return Ok(Self { client: None, timeout, certificate: Vec::new() });
        }
        let (certificate, key) = (&config.client_certificate_file, &config.client_key_file);
        let pair = pair::read(certificate, key, Purpose::Client, now, terms)?;
        let provider = Arc::new(provider());
        let destinations = Arc::new(Destinations::new(trust, provider.clone())?);
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| StartFault::Setting(error.to_string()))?
            .dangerous()
            // Not less than rustls' own verifier, but revocation beside it.
            .with_custom_certificate_verifier(destinations)
            .with_client_cert_resolver(Arc::new(pair.signing));
        // A resumed session would skip the revocation check.
        tls.resumption = Resumption::disabled();
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.enforce_http(false);
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_all_versions().wrap_connector(http);
        let client = Some(Client::builder(TokioExecutor::new()).build(connector));
        Ok(Self { client, timeout, certificate: pair.certificate })
    }

    /// What it calls with, DER; empty if there is none.
    pub(crate) fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Sends one payload. The delivery's id goes along as idempotency key, so that a destination can tell a repeat.
    pub async fn send(&self, url: &str, delivery: &DeliveryId, call: PermittedCall) -> Result<SentReply, SendFault> {
        let client =
            self.client.as_ref().ok_or_else(|| SendFault("delivery.client_certificate_file is missing".to_owned()))?;
        let (content_type, bytes) = call.into_payload();
        let uri: Uri = url.parse().map_err(|_| SendFault("the endpoint's URL cannot be read".to_owned()))?;
        let request = Request::post(uri)
            .header(header::CONTENT_TYPE, content_type)
            .header("Idempotency-Key", delivery.as_str())
            .body(Full::new(Bytes::from(bytes)))
            .map_err(|error| SendFault(error.to_string()))?;
        let exchange = async {
            let response = client.request(request).await.map_err(|error| SendFault(describe(&error)))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MAX_REPLY_BYTES).collect().await.map(|b| b.to_bytes()).unwrap_or_default();
            let retry_after = head.headers.get(header::RETRY_AFTER).and_then(|v| v.to_str().ok());
            let retry_after_secs = retry_after.and_then(|text| text.parse().ok());
            Ok(SentReply { status: head.status.as_u16(), retry_after_secs, body })
        };
        tokio::time::timeout(self.timeout, exchange)
            .await
            .unwrap_or_else(|_| Err(SendFault("no reply in time".to_owned())))
    }
}

fn describe(error: &hyper_util::client::legacy::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
