//! What a handshake costs where there is nothing but rustls: the measure of `tests/bench/handshakes`. It takes a hub's
//! folder and speaks TLS with the hub's own certificate, CA and revocation lists, and says nothing after the handshake.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let hub = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: bare_rustls HUB")?);
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
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            // The caller hangs up; what it says until then is nobody's.
            let _said = stream.read(&mut [0; 64]).await;
        });
    }
}
