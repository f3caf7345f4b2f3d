//! A partner's end of a real mTLS connection to an edge that runs anywhere: another process, another profile.
//!
//! It never sends anything twice by itself. What it was not answered, it was not answered: tests of durability must
//! be able to tell.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a support module of tests")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

/// Longer than any answer of the suite takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// One partner's connection, opened when it is first needed and again when the other side has closed it.
pub struct Wire {
    connector: TlsConnector,
    edge: SocketAddr,
    open: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header as text; empty if it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }
}

impl Wire {
    /// A partner of the hub in `hub`: shows `partners/NAME/NAME.pem` and trusts the hub's root alone.
    pub fn of(hub: &Path, partner: &str, edge: SocketAddr) -> Self {
        let folder = hub.join("partners").join(partner);
        Self::new(hub, &folder.join(partner), edge)
    }

    /// Shows the certificate `PAIR.pem` with the key `PAIR.key`.
    pub fn new(hub: &Path, pair: &Path, edge: SocketAddr) -> Self {
        let mut roots = RootCertStore::empty();
        for root in certificates(&hub.join("ca/root.pem")) {
            roots.add(root).expect("a root");
        }
        let key = PrivateKeyDer::from_pem_file(pair.with_extension("key")).expect("a key");
        let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_client_auth_cert(certificates(&pair.with_extension("pem")), key)
            .expect("key and certificate belong together");
        Self { connector: TlsConnector::from(Arc::new(tls)), edge, open: Mutex::new(None) }
    }

    /// Sends one request and waits for its answer. `Err` says why there was none.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, String> {
        let mut request = Request::builder().method(method).uri(path).header("Host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).map_err(|error| error.to_string())?;
        let answer = async {
            let mut open = self.open.lock().await;
            let mut sender = match open.take() {
                Some(mut kept) if kept.ready().await.is_ok() => kept,
                _ => self.connect().await?,
            };
            let (head, body) = sender.send_request(request).await.map_err(|error| error.to_string())?.into_parts();
            let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
            *open = Some(sender);
            Ok(Answer { status: head.status, headers: head.headers, body })
        };
        tokio::time::timeout(LIMIT, answer).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
    }

    /// `GET`, answered or the test fails.
    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(Method::GET, path, headers, Bytes::new()).await.unwrap_or_else(|why| panic!("GET {path}: {why}"))
    }

    /// `POST`, answered or the test fails.
    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        self.send(Method::POST, path, headers, body).await.unwrap_or_else(|why| panic!("POST {path}: {why}"))
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, String> {
        let stream = TcpStream::connect(self.edge).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = self.connector.connect(name, stream).await.map_err(|error| error.to_string())?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        // It ends with the connection; what went wrong reaches the sender as an error of its request.
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// The certificates of a PEM file.
pub fn certificates(path: &Path) -> Vec<CertificateDer<'static>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    read.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
