//! A municipality's own server, to which the hub pushes. It requires a client certificate of the hub's CA, hands every
//! request to the test, and answers what the test says, when the test says it, or not at all.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::TlsAcceptor;

use crate::Pair;

/// Longer than the hub takes to look at its outbox on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// A server, until it is dropped.
pub struct Destination {
    /// Where it listens.
    pub address: SocketAddr,
    knocks: mpsc::UnboundedReceiver<Knock>,
    accepting: tokio::task::JoinHandle<()>,
}

/// What came in.
#[derive(Debug)]
pub enum Knock {
    /// A request, whole, over mutual TLS.
    Call(Call),
    /// A connection that came to nothing: no TLS, and so not a byte of any request.
    Refused,
}

/// A request that waits for its answer. Dropped, the connection closes without one.
#[derive(Debug)]
pub struct Call {
    /// `Idempotency-Key`
    pub key: String,
    /// `Content-Type`
    pub content_type: String,
    /// The body.
    pub body: Bytes,
    /// The client's certificate, DER.
    pub certificate: Vec<u8>,
    answer: oneshot::Sender<Response<Full<Bytes>>>,
}

impl Call {
    /// Answers with a status alone.
    pub fn answer(self, status: u16) {
        self.answer_with(status, &[], "");
    }

    /// Answers with a status alone; false if whoever called is gone.
    pub fn try_answer(self, status: u16) -> bool {
        let response = Response::builder().status(status).body(Full::default()).expect("a response");
        self.answer.send(response).is_ok()
    }

    /// Answers with headers and a body.
    pub fn answer_with(self, status: u16, headers: &[(&str, &str)], body: &str) {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let response = response.body(Full::new(Bytes::from(body.to_owned()))).expect("a response");
        self.answer.send(response).expect("the hub still waits");
    }

    /// Says nothing until the hub gives up.
    pub async fn say_nothing(mut self) {
        tokio::time::timeout(LIMIT, self.answer.closed()).await.expect("the hub gives up in time");
    }

    /// The body's text; the layouts of these tests write CP932.
    pub fn text(&self) -> String {
        encoding_rs::SHIFT_JIS.decode(&self.body).0.into_owned()
    }
}

impl Destination {
    /// Shows this certificate and takes clients of the CA in `root`.
    pub async fn start(pair: &Pair, root: &Path) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(root).expect("a root")).expect("a trust anchor");
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("a key");
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS 1.2 and 1.3")
            .with_client_cert_verifier(clients.expect("a verifier"))
            .with_single_cert(pair.chain(), key)
            .expect("key and certificate belong together");
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (said, knocks) = mpsc::unbounded_channel();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(acceptor.clone(), stream, said.clone()));
            }
        });
        Self { address, knocks, accepting }
    }

    /// `https://localhost:PORT/in`
    pub fn url(&self) -> String {
        format!("https://localhost:{}/in", self.address.port())
    }

    /// The next that comes in, whenever that is.
    pub async fn next(&mut self) -> Option<Knock> {
        self.knocks.recv().await
    }

    /// The next that comes in.
    pub async fn knock(&mut self) -> Knock {
        tokio::time::timeout(LIMIT, self.knocks.recv()).await.expect("the hub calls in time").expect("it listens")
    }

    /// The next request; a connection that comes to nothing fails the test.
    pub async fn call(&mut self) -> Call {
        match self.knock().await {
            Knock::Call(call) => call,
            Knock::Refused => panic!("a connection came to nothing"),
        }
    }

    /// Nothing has come in that was not taken.
    pub fn is_quiet(&mut self) -> bool {
        self.knocks.try_recv().is_err()
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn connection(acceptor: TlsAcceptor, stream: TcpStream, said: mpsc::UnboundedSender<Knock>) {
    let Ok(stream) = acceptor.accept(stream).await else {
        // The test may be over.
        let _gone = said.send(Knock::Refused);
        return;
    };
    let peer = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let certificate = peer.map(|leaf| leaf.to_vec()).unwrap_or_default();
    let service = service_fn(move |request: Request<Incoming>| {
        let (said, certificate) = (said.clone(), certificate.clone());
        async move {
            let header = |name: &str| {
                let value = request.headers().get(name).and_then(|value| value.to_str().ok());
                value.unwrap_or_default().to_owned()
            };
            let (key, content_type) = (header("Idempotency-Key"), header("Content-Type"));
            let body = request.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
            let (answer, answered) = oneshot::channel();
            let call = Call { key, content_type, body, certificate, answer };
            said.send(Knock::Call(call)).map_err(|_| "the test is over".to_owned())?;
            answered.await.map_err(|_| "the test hung up".to_owned())
        }
    });
    // The hub goes away when it is done, or when the test hangs up on it.
    let _ended = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
