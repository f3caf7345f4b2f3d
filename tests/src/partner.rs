//! A partner's own client: real TCP, real mutual TLS, its own certificate.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::{allowed, balp_oracle, fhir_oracle};

/// Longer than any answer takes; it only bounds how long a test that found a bug hangs.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// How long a server that refuses a certificate may take to say so. Spent in full only where it did not refuse.
const REFUSAL: std::time::Duration = std::time::Duration::from_secs(10);

/// One partner.
pub struct Partner {
    address: SocketAddr,
    tls: Arc<rustls::ClientConfig>,
    over_http1: bool,
    lang: &'static str,
    open: Mutex<Option<http2::SendRequest<Full<Bytes>>>>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status.
    pub status: StatusCode,
    /// HTTP version of the answer.
    pub version: Version,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

/// An answer without what differs in every answer: the exchange id, the date, and how many requests are left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    status: StatusCode,
    headers: Vec<(String, String)>,
    body: String,
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    /// The body as UTF-8.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header as text; empty if it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a header of ASCII"))
    }

    /// `Tsunagi-Exchange`
    pub fn exchange(&self) -> &str {
        self.header("tsunagi-exchange")
    }

    /// The error code, of a problem and of an OperationOutcome alike.
    pub fn code(&self) -> String {
        let value = self.json();
        let code = if value["resourceType"] == "OperationOutcome" {
            &value["issue"][0]["details"]["coding"][0]["code"]
        } else {
            &value["code"]
        };
        code.as_str().unwrap_or_else(|| panic!("no code: {value}")).to_owned()
    }

    /// Itself, if its status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self
    }

    /// What must be the same, byte for byte, in two answers that tell the same.
    pub fn essence(&self) -> Exchange {
        let own = |name: &str| matches!(name, "date" | "ratelimit" | "tsunagi-exchange");
        let headers = self.headers.iter().filter(|(name, _)| !own(name.as_str()));
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let mut headers: Vec<_> = headers.map(|(name, value)| (name.to_string(), text(value))).collect();
        headers.sort();
        let body = self.text().replace(self.exchange(), "ex");
        Exchange { status: self.status, headers, body }
    }
}

impl Partner {
    /// A partner that shows what `tls` says.
    pub fn new(address: SocketAddr, tls: rustls::ClientConfig) -> Self {
        Self { address, tls: Arc::new(tls), over_http1: false, lang: "", open: Mutex::new(None) }
    }

    /// The same over HTTP/1.1.
    pub fn over_http1(mut self) -> Self {
        self.over_http1 = true;
        self
    }

    /// The same with an `Accept-Language`.
    pub fn speaking(mut self, lang: &'static str) -> Self {
        self.lang = lang;
        self
    }

    /// `GET`
    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, &[], Bytes::new()).await
    }

    /// `POST` of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        let media_type = if path.starts_with("/fhir") { "application/fhir+json" } else { "application/json" };
        self.send(Method::POST, path, &[("content-type", media_type)], body.to_string()).await
    }

    /// One request, with an answer that keeps to what was promised.
    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
        let reply = self.try_send(method, path, headers, body).await;
        reply.unwrap_or_else(|error| panic!("{path}: no answer: {error}"))
    }

    /// One request; `Err` where there was no HTTP answer at all.
    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Reply, String> {
        let mut request = Request::builder().method(method).uri(format!("https://localhost{path}"));
        if !self.lang.is_empty() {
            request = request.header("accept-language", self.lang);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).map_err(|error| error.to_string())?;
        let answered = tokio::time::timeout(PATIENCE, self.exchange(request)).await;
        let response = answered.map_err(|_| "no answer in time".to_owned())??;
        let (head, body) = response.into_parts();
        let collected =
            tokio::time::timeout(PATIENCE, body.collect()).await.map_err(|_| "no end in time".to_owned())?;
        let body = collected.map_err(|error| error.to_string())?.to_bytes();
        let reply = Reply { status: head.status, version: head.version, headers: head.headers, body };
        allowed::check(path, reply.status, &reply.headers, &reply.body);
        // The hub ends the connection of whoever may not act.
        if reply.status == StatusCode::FORBIDDEN && reply.code() == "peer_unknown" {
            *self.open.lock().await = None;
        }
        if reply.header("content-type").starts_with("application/fhir+json") && !reply.body.is_empty() {
            fhir_oracle(&reply.body);
            balp_oracle(&reply.body);
        }
        Ok(reply)
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<http::Response<hyper::body::Incoming>, String> {
        if self.over_http1 {
            let stream = self.connect(&[b"http/1.1"]).await?;
            let (mut sender, connection) =
                http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
            tokio::spawn(connection);
            let (mut head, body) = request.into_parts();
            head.headers.insert("host", http::HeaderValue::from_static("localhost"));
            head.uri = head.uri.path_and_query().unwrap().as_str().parse().unwrap();
            return sender.send_request(Request::from_parts(head, body)).await.map_err(|error| error.to_string());
        }
        let mut sender = self.sender().await?;
        sender.send_request(request).await.map_err(|error| describe(&error))
    }

    async fn sender(&self) -> Result<http2::SendRequest<Full<Bytes>>, String> {
        let mut open = self.open.lock().await;
        if let Some(sender) = open.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let stream = self.connect(&[b"h2"]).await?;
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(|error| describe(&error))?;
        tokio::spawn(connection);
        *open = Some(sender.clone());
        Ok(sender)
    }

    /// A TLS connection on which nothing was said yet.
    pub async fn connect(&self, protocols: &[&[u8]]) -> Result<TlsStream<TcpStream>, String> {
        let stream = TcpStream::connect(self.address).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let mut tls = rustls::ClientConfig::clone(&self.tls);
        tls.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(Arc::new(tls)).connect(name, stream).await.map_err(|error| describe(&error))
    }

    /// What the hub says to this certificate, in words, or nothing where it takes it. With TLS 1.3 a client learns
    /// that it was refused only when it first reads.
    pub async fn refusal(&self) -> Option<String> {
        let read = async {
            let mut stream = self.connect(&[b"h2"]).await?;
            stream.read_u8().await.map_err(|error| describe(&error))
        };
        match tokio::time::timeout(REFUSAL, read).await {
            Ok(Err(error)) => Some(error),
            Ok(Ok(_)) | Err(_) => None,
        }
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
