//! `tsunagi serve` as a process: signals, reload, drain.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tsunagi_tests::get_plainly;
use tsunagi_tests::process::{FREE_PORTS, KeptHub, Served, partner, run};

use super::en;

/// A copy of the demo's hub, and a gateway on it.
async fn serving() -> (TempDir, Served) {
    tokio::task::spawn_blocking(|| {
        let copy = KeptHub::shared().copy();
        let served = Served::start(copy.path(), &[]);
        (copy, served)
    })
    .await
    .unwrap()
}

/// Does blocking work with the process and gives it back.
async fn with(served: Served, work: impl FnOnce(&mut Served) + Send + 'static) -> Served {
    let work = move || {
        let mut served = served;
        work(&mut served);
        served
    };
    tokio::task::spawn_blocking(work).await.unwrap()
}

async fn is_taken(hub: &Path, name: &str, served: &Served) -> bool {
    let partner = partner(hub, name, served.edge);
    partner.try_send(http::Method::GET, "/fhir/metadata", &[], "").await.is_ok_and(|reply| reply.status == 200)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_takes_all_of_what_is_new_or_nothing() {
    let (copy, served) = serving().await;
    let hub: PathBuf = copy.path().to_owned();
    assert!(is_taken(&hub, "hospital-oita", &served).await);
    assert!(!is_taken(&hub, "hospital-closed", &served).await, "the demo has revoked it");

    // A list that cannot be read: the old one stays, with all that is in it.
    let good = std::fs::read(hub.join("ca/crl.pem")).unwrap();
    std::fs::write(hub.join("ca/crl.pem"), "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n").unwrap();
    let served = with(served, |served| {
        served.signal("HUP");
        let said = served.wait_for("nothing was reloaded");
        assert!(said.contains("ERROR"), "{said}");
    })
    .await;
    assert!(is_taken(&hub, "hospital-oita", &served).await);
    assert!(!is_taken(&hub, "hospital-closed", &served).await, "a broken list lets everybody in");

    // The good one again, and one more in it.
    std::fs::write(hub.join("ca/crl.pem"), good).unwrap();
    let list = en(&hub, "certs list --json").ended(0).json();
    let entry = list.as_array().unwrap().iter().find(|entry| entry["names"].to_string().contains("hospital-oita"));
    let serial = entry.unwrap()["serial"].as_str().unwrap().to_owned();
    en(&hub, &format!("certs revoke {serial}")).ended(0);
    // Nobody tells the gateway: it sees the new list by itself.
    let began = std::time::Instant::now();
    while is_taken(&hub, "hospital-oita", &served).await {
        assert!(began.elapsed().as_secs() < 60, "the revocation was never noticed");
    }
    let served = with(served, |served| {
        served.signal("HUP");
        served.wait_for(" reloaded");
    })
    .await;
    assert!(!is_taken(&hub, "hospital-oita", &served).await);
    assert!(is_taken(&hub, "hospital-hakodate", &served).await);
    let (code, log) = tokio::task::spawn_blocking(|| served.terminate()).await.unwrap();
    assert_eq!(code, 0, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn its_memory_is_never_written_to_a_file() {
    let (_copy, served) = serving().await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", served.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    let (code, log) = tokio::task::spawn_blocking(|| served.terminate()).await.unwrap();
    assert!(!log.contains("core dumps"), "{log}");
    assert_eq!(code, 0, "{log}");
}

/// Alerts rest on these, and nobody but Prometheus may ever ask.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_for_metrics_alone_is_told_when_lists_end_and_how_sealing_is() {
    let (_copy, served) = serving().await;
    let (_, metrics) = get_plainly(served.operations, "/metrics").await;
    let of = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name}:\n{metrics}")).trim().parse::<f64>().unwrap()
    };
    assert!(of("tsunagi_crl_seconds_left ") > 0.0 && of("tsunagi_sealing_lag_seconds ") > 0.0, "{metrics}");
    tokio::task::spawn_blocking(|| served.terminate()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_with_faulty_tables_keeps_the_old_ones() {
    let (copy, served) = {
        let copy = tokio::task::spawn_blocking(|| KeptHub::shared().copy()).await.unwrap();
        std::fs::create_dir_all(copy.path().join("tables/kinds")).unwrap();
        let hub = copy.path().to_owned();
        let start = move || Served::start(&hub, &[("TSUNAGI__TABLES__FOLDER", "tables")]);
        (copy, tokio::task::spawn_blocking(start).await.unwrap())
    };
    let hub: PathBuf = copy.path().to_owned();
    std::fs::write(hub.join("tables/kinds/frog.toml"), "version = 1\n").unwrap();
    let served = with(served, |served| {
        served.signal("HUP");
        served.wait_for("nothing was reloaded");
    })
    .await;
    let hospital = partner(&hub, "hospital-oita", served.edge);
    let sample = std::fs::read(hub.join("samples/immunization.json")).unwrap();
    let headers = [("content-type", "application/fhir+json")];
    hospital.send(http::Method::POST, "/fhir/Immunization", &headers, sample).await.expect(201);
    let (code, log) = tokio::task::spawn_blocking(|| served.terminate()).await.unwrap();
    assert_eq!(code, 0, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_drains_and_sigint_too() {
    for signal in ["TERM", "INT"] {
        let (copy, served) = serving().await;
        let hub: PathBuf = copy.path().to_owned();
        let hospital = partner(&hub, "hospital-oita", served.edge);
        let sample = std::fs::read(hub.join("samples/immunization.json")).unwrap();
        let headers = [("content-type", "application/fhir+json")];
        let receipt = hospital.send(http::Method::POST, "/fhir/Immunization", &headers, sample).await.expect(201);
        // Its connection stays open and idle: that holds nobody up.
        let exchange = receipt.exchange().to_owned();
        let served = with(served, move |served| {
            served.signal(signal);
            served.wait_for("draining");
            served.wait_for("ended");
        })
        .await;
        let (edge, log) = (served.edge, served.log());
        assert!(tokio::net::TcpStream::connect(edge).await.is_err(), "it still listens");
        let served = tokio::task::spawn_blocking(|| served.ended()).await.unwrap();
        assert_eq!(served, 0, "{log}");
        // What was taken is sealed.
        let verified = en(&hub, "audit verify --json").ended(0).json();
        assert!(verified.as_array().unwrap().iter().all(|log| log["leaves"] == log["sealed"]), "{verified}");
        en(&hub, &format!("exchanges show {exchange}")).ended(0);
        drop(hospital);
    }
}

/// A request whose body is still on its way when the signal comes is taken to its end.
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_lets_an_open_request_finish() {
    let (copy, served) = serving().await;
    let hub: PathBuf = copy.path().to_owned();
    let body = std::fs::read(hub.join("samples/immunization.json")).unwrap();
    let hospital = partner(&hub, "hospital-oita", served.edge);
    let mut stream = hospital.connect(&[b"http/1.1"]).await.unwrap();
    let head = format!(
        "POST /fhir/Immunization HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/fhir+json\r\n\
         content-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut told = [0; 12];
    stream.read_exact(&mut told).await.unwrap();
    assert_eq!(&told, b"HTTP/1.1 100", "the gateway has the head and asks for the body");
    let served = with(served, |served| {
        served.signal("TERM");
        served.wait_for("draining");
    })
    .await;
    stream.write_all(&body).await.unwrap();
    let mut answer = Vec::new();
    // The connection closes after the answer: nothing else is taken.
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("HTTP/1.1 201 Created"), "{answer}");
    let code = tokio::task::spawn_blocking(|| served.ended()).await.unwrap();
    assert_eq!(code, 0);
    let (_, exchange) = answer.split_once("tsunagi-exchange: ").unwrap();
    en(&hub, &format!("exchanges show {}", exchange.lines().next().unwrap())).ended(0);
}

#[test]
fn a_port_that_is_taken_or_a_key_that_is_gone_ends_serve_with_words() {
    let copy = KeptHub::shared().copy();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let settings = [("TSUNAGI__EDGE__LISTEN", address.as_str()), ("TSUNAGI__OPERATIONS__LISTEN", "127.0.0.1:0")];
    let ran = run(copy.path(), &settings, &["serve"]);
    assert!(ran.code != 0 && ran.err().contains(&address), "{}: {}", ran.code, ran.err());
    std::fs::remove_file(copy.path().join("keys/master.key")).unwrap();
    let ran = run(copy.path(), &settings, &["serve"]).ended(64);
    assert!(ran.err().contains("master.key"), "{}", ran.err());
}

#[test]
fn a_secret_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let copy = KeptHub::shared().copy();
    let hub = copy.path();
    std::fs::write(hub.join("keys/password"), "open-sesame\n").unwrap();
    let mode = |name: &str, mode| {
        std::fs::set_permissions(hub.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let on_a_server =
        [("TSUNAGI__STORE__BACKEND", "postgres"), ("TSUNAGI__STORE__POSTGRES_URL", "postgres://hub@127.0.0.1:1/hub")];
    let its_password = ("TSUNAGI__STORE__POSTGRES_PASSWORD_FILE", "keys/password");
    let over_redis = [("TSUNAGI__COORDINATOR__URL", "redis://127.0.0.1:1")];
    let redis_password = ("TSUNAGI__COORDINATOR__PASSWORD_FILE", "keys/password");
    for (name, settings) in [
        ("keys/master.key", vec![]),
        ("keys/checkpoint.key", vec![]),
        ("keys/password", [&on_a_server[..], &[its_password]].concat()),
        ("keys/password", [&over_redis[..], &[redis_password]].concat()),
    ] {
        let settings: Vec<_> = FREE_PORTS.into_iter().chain(settings).collect();
        for exposed in [0o640, 0o604] {
            mode(name, exposed);
            let refused = run(hub, &settings, &["serve"]).ended(64).err();
            assert!(refused.contains(name) && refused.contains("can be read by others"), "{name}: {refused}");
            assert!(!refused.contains("open-sesame"), "{refused}");
        }
        mode(name, 0o600);
    }
    en(hub, "audit verify").ended(0);
}

/// The commands work beside a gateway that runs on the same folder.
#[tokio::test(flavor = "multi_thread")]
async fn commands_work_beside_a_running_gateway() {
    let (copy, served) = serving().await;
    let hub: PathBuf = copy.path().to_owned();
    let text = "[[participant]]\nid = \"hospital-hakodate\"\nrole = \"hospital\"\nname = \"架空函館病院\"\norganization_code = \"0119929990\"\nsuspended = true\n";
    std::fs::write(hub.join("suspend.toml"), text).unwrap();
    assert!(is_taken(&hub, "hospital-hakodate", &served).await);
    en(&hub, "registry import suspend.toml").ended(0);
    // Taken over without a restart and without a signal.
    let served = with(served, |served| {
        served.wait_for("registry taken over");
    })
    .await;
    let hakodate = partner(&hub, "hospital-hakodate", served.edge);
    assert_eq!(hakodate.get("/fhir/metadata").await.expect(403).code(), "peer_unknown");
    en(&hub, "audit verify").ended(0);
    let (code, log) = tokio::task::spawn_blocking(|| served.terminate()).await.unwrap();
    assert_eq!(code, 0, "{log}");
}
