//! A partner's own client: real TCP, real mTLS, its own certificate. What it gets is what any partner would get.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::gateway::StartFault;
use crate::trust::files::certificates;
use crate::trust::pair::read_key;

/// A request that is given up on is a failed step, not a demo that hangs.
const TIMEOUT: Duration = Duration::from_secs(60);

/// One partner's client.
pub(crate) struct Client {
    client: HyperClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
    tls: std::sync::Arc<rustls::ClientConfig>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// From the first byte out to the last byte in.
    pub took: Duration,
}

impl Reply {
    /// The body as JSON; null if it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// A header as text; empty if it is absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }
}

impl Client {
    /// A client that shows `DIR/NAME.pem` and trusts the hub's root alone.
    pub(crate) fn new(base: String, partner: &Path, name: &str, root: &Path) -> Result<Self, StartFault> {
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(certificates(root)?);
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| StartFault::Setting(error.to_string()))?
            .with_root_certificates(roots)
            .with_client_auth_cert(
                certificates(&partner.join(format!("{name}.pem")))?,
                read_key(&partner.join(format!("{name}.key")))?,
            )
            .map_err(|error| StartFault::Setting(error.to_string()))?;
        Ok(Self::over(base, std::sync::Arc::new(tls)))
    }

    /// The same client with a connection of its own: the hub ends that of somebody who may not act after one answer.
    pub(crate) fn afresh(&self) -> Self {
        Self::over(self.base.clone(), self.tls.clone())
    }

    fn over(base: String, tls: std::sync::Arc<rustls::ClientConfig>) -> Self {
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config((*tls).clone())
            .https_only()
            .enable_all_versions()
            .wrap_connector(http);
        Self { client: HyperClient::builder(TokioExecutor::new()).build(connector), base, tls }
    }

    /// Shows the certificate and waits for what the hub says to it: with TLS 1.3 a client learns that it was refused
    /// only when it first reads. Gives the refusal in words, or nothing where there was none.
    pub(crate) async fn handshake(&self) -> Option<String> {
        use tokio::io::AsyncReadExt;
        let attempt = async {
            let address = self.base.trim_start_matches("https://");
            let stream = tokio::net::TcpStream::connect(address).await?;
            let name = rustls::pki_types::ServerName::try_from("localhost").map_err(std::io::Error::other)?;
            let mut stream = tokio_rustls::TlsConnector::from(self.tls.clone()).connect(name, stream).await?;
            stream.read_u8().await
        };
        match tokio::time::timeout(Duration::from_secs(2), attempt).await {
            Ok(Err(error)) => Some(describe(&error)),
            // The hub waits for a request: it took the certificate.
            Ok(Ok(_)) | Err(_) => None,
        }
    }

    /// Sends one request. `Err` means that there was no HTTP answer at all, as after a refused handshake.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Reply, String> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).map_err(|error| error.to_string())?;
        let started = Instant::now();
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| describe(&error))?;
            let (head, body) = response.into_parts();
            let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
            Ok(Reply { status: head.status, headers: head.headers, body, took: started.elapsed() })
        };
        tokio::time::timeout(TIMEOUT, exchange).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
    }
}

fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
