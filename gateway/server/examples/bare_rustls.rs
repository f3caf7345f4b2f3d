//! What a handshake and a request cost where there is nothing but rustls and hyper: the measure of `tests/bench/handshakes`
//! and `tests/bench/run`. It takes a hub's folder and speaks TLS with the hub's own certificate, CA and revocation lists.
//! With a file it gives the bytes of that file to every request, keep-alive; without one it says nothing after the handshake.

use std::convert::Infallible;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let hub = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: bare_rustls HUB [ANSWER]")?);
    let answer = std::env::args_os().nth(2).map(std::fs::read).transpose()?.map(Bytes::from);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(hub.join("ca/root.pem"))?)?;
    let mut lists = Vec::new();
    for entry in std::fs::read_dir(hub.join("ca"))? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with("crl.pem") {
            lists.push(CertificateRevocationListDer::from_pem_file(path)?);
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .with_crls(lists)
        .enforce_revocation_expiration()
        .build()?;
    let chain = CertificateDer::pem_file_iter(hub.join("certs/server.pem"))?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(hub.join("certs/server.key"))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("edge={}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (acceptor, answer) = (acceptor.clone(), answer.clone());
        tokio::spawn(async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            match answer {
                Some(answer) => serve(stream, answer).await,
                None => {
                    // The caller hangs up; what it says until then is nobody's.
                    let _said = stream.read(&mut [0; 64]).await;
                }
            }
        });
    }
}

async fn serve(stream: TlsStream<TcpStream>, answer: Bytes) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = answer.clone();
        async move {
            // A body that is left unread would end the connection.
            let _asked = request.into_body().collect().await;
            let mut response = Response::new(Full::new(answer));
            let json = header::HeaderValue::from_static("application/fhir+json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
            Ok::<_, Infallible>(response)
        }
    });
    let _hung_up = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
