//! Revocation lists that the hub fetches over HTTP.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tsunagi_gateway::trust::fetch;
use tsunagi_tests::pki::{Ca, Leaf, List, list_of, put};
use tsunagi_tests::{Setup, TestGateway};

/// A server that gives out one list, whatever is asked.
struct Lists {
    address: SocketAddr,
    gives: Arc<Mutex<(u16, Vec<u8>)>>,
}

impl Lists {
    async fn start(first: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let gives = Arc::new(Mutex::new((200, first.as_bytes().to_vec())));
        let shared = gives.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(stream.read_u8().await.unwrap());
                }
                let (status, body) = shared.lock().unwrap().clone();
                let head =
                    format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                // Who cuts the answer short is not our concern.
                let _sent = stream.write_all(&[head.into_bytes(), body].concat()).await;
            }
        });
        Self { address, gives }
    }

    fn give(&self, status: u16, body: impl Into<Vec<u8>>) {
        *self.gives.lock().unwrap() = (status, body.into());
    }
}

/// A hub with a foreign CA whose list is fetched.
async fn hub_of(root: &Ca, lists: &Lists) -> TestGateway {
    let (pem, address) = (root.pem.clone(), lists.address);
    Setup::new()
        .set("edge.crl_max_bytes", 4_096)
        .prepare(move |folder, _, setup| {
            let ca = put(folder, "foreign.pem", &pem);
            let file = folder.join("fetched").join("foreign.crl");
            let (ca_path, file) = (ca.display().to_string(), file.display().to_string());
            let source =
                format!("[{{ url = 'http://{address}/foreign.crl', issuer_file = '{ca_path}', file = '{file}' }}]");
            setup.put("edge.foreign_ca_files", list_of(&[ca]));
            setup.put("edge.crl_sources", source);
        })
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetched_list_is_used_kept_and_never_replaced_by_an_older_or_forged_one() {
    let now = tsunagi_gateway::clock::Clock::system().now().as_second();
    let root = Ca::root("Foreign root", now);
    let (good, bad) = (root.leaf(&Leaf::good(5)), root.leaf(&Leaf::good(6)));
    let list = |number, revoked: &'static [u64]| List { number, revoked, ..List::empty() };
    let lists = Lists::start("not a list").await;
    let hub = hub_of(&root, &lists).await;
    let gateway = hub.running.gateway.clone();
    let gets_in = |pair| {
        let partner = hub.partner_with(pair);
        async move { partner.refusal().await.is_none() }
    };
    assert!(!fetch::all(&gateway).await);
    assert!(!gets_in(&good).await, "without a list its status is unknown");

    lists.give(200, root.list(&list(300, &[])));
    assert!(fetch::all(&gateway).await);
    assert!(gets_in(&good).await && gets_in(&bad).await);
    lists.give(200, root.list(&list(301, &[6])));
    assert!(fetch::all(&gateway).await);
    assert!(gets_in(&good).await && !gets_in(&bad).await);

    // None of these takes the revocation back, and none of them locks the good one out.
    let refused: [(&str, u16, Vec<u8>); 7] = [
        ("an older one", 200, root.list(&list(300, &[])).into_bytes()),
        ("a much older one", 200, root.list(&list(2, &[])).into_bytes()),
        ("a forged one", 200, root.forged_list(&list(302, &[])).into_bytes()),
        ("another CA's", 200, Ca::root("Another root", now).list(&list(303, &[])).into_bytes()),
        ("a stale one", 200, root.list(&List { secs: (-7_200, -3_600), ..list(302, &[]) }).into_bytes()),
        ("one that is too large", 200, root.list(&list(304, &[6; 400])).into_bytes()),
        ("none", 404, root.list(&list(305, &[])).into_bytes()),
    ];
    for (what, status, body) in refused {
        lists.give(status, body);
        assert!(!fetch::all(&gateway).await, "{what} was taken");
        assert!(gets_in(&good).await && !gets_in(&bad).await, "{what}");
    }
    let (_, metrics) = hub.operations("/metrics").await;
    for outcome in ["new", "older", "signature", "stale", "no_list", "not_one"] {
        assert!(
            metrics.contains(&format!("tsunagi_crl_fetches_total{{outcome=\"{outcome}\"}}")),
            "{outcome}: {metrics}"
        );
    }

    // What was kept is there when the hub starts again, with nobody to fetch from.
    let kept = &hub.config.edge.crl_sources[0].file;
    let reread = tsunagi_gateway::edge::tls::TlsMaterial::read(&hub.config, now).unwrap();
    assert_eq!(reread.trusted_until(&bad.chain(), rustls::pki_types::UnixTime::now()), None);
    assert!(reread.trusted_until(&good.chain(), rustls::pki_types::UnixTime::now()).is_some());
    assert_eq!(std::fs::read_dir(kept.parent().unwrap()).unwrap().count(), 1, "nothing half-written is left");
    hub.finish().await;
}
