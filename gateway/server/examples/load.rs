//! A load in which no two requests are the same, for `tests/bench/run`: HTTP/1.1 keep-alive over mutual TLS. Requests come
//! from a file, one JSON object a line: `{"method", "path", "headers", "body"}`; `@N@` in one stands for a number that no
//! other request has. With `--rate` the load is open: a request is due when it is due, however slow the answers are, and
//! its latency counts from then on. What came of it is printed as JSON.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use tokio_rustls::TlsConnector;

type Sender = SendRequest<Full<Bytes>>;
type Fault = Box<dyn Error + Send + Sync>;

#[derive(Parser)]
struct Arguments {
    /// The hub's folder
    hub: PathBuf,
    /// The partner whose certificate is shown
    who: String,
    /// The port on 127.0.0.1
    port: u16,
    /// The file of requests
    requests: PathBuf,
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// For how long the file is gone through again and again
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Each line is sent once, however long it takes
    #[arg(long)]
    once: bool,
    /// Requests per second, evenly spaced; without it as many as the connections can carry
    #[arg(long)]
    rate: Option<f64>,
    /// How many lines are passed over at first, so that short runs do not all begin with the same people
    #[arg(long, default_value_t = 0)]
    skip: u64,
    /// Stands before each number, so that one run's numbers are not another's
    #[arg(long, default_value = "0")]
    run: String,
}

#[derive(Deserialize)]
struct Line {
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
}

struct Prepared {
    head: Request<()>,
    /// The body around its numbers.
    parts: Vec<String>,
}

struct Load {
    prepared: Vec<Prepared>,
    skip: u64,
    next: AtomicU64,
    number: AtomicU64,
    began: Instant,
    ends: Option<Instant>,
    rate: Option<f64>,
    run: String,
}

#[derive(Default)]
struct Seen {
    micros: Vec<u64>,
    statuses: BTreeMap<u16, u64>,
}

fn main() -> Result<(), Fault> {
    let arguments = Arguments::parse();
    let prepared = std::fs::read_to_string(&arguments.requests)?.lines().map(prepare).collect::<Result<Vec<_>, _>>()?;
    let tls = connector(&arguments)?;
    // A runtime for each core: what a connection does never wakes another core.
    let cores = std::thread::available_parallelism()?.get().min(arguments.connections.max(1));
    let mut runtimes = Vec::new();
    for core in 0..cores {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let share = (core..arguments.connections).step_by(cores).count();
        let open = runtime.block_on(async {
            let mut open = Vec::new();
            for _ in 0..share {
                open.push(connect(&tls, arguments.port).await?);
            }
            Ok::<_, Fault>(open)
        })?;
        runtimes.push((runtime, open));
    }
    // The clock starts when all connections are open: no request waits for a handshake.
    let began = Instant::now();
    let load = Arc::new(Load {
        prepared,
        skip: arguments.skip,
        next: AtomicU64::new(0),
        number: AtomicU64::new(0),
        began,
        ends: (!arguments.once).then(|| began + Duration::from_secs_f64(arguments.seconds)),
        rate: arguments.rate,
        run: arguments.run,
    });
    let threads = runtimes.into_iter().map(|(runtime, open)| {
        let load = load.clone();
        std::thread::spawn(move || runtime.block_on(load.drive_all(open)))
    });
    let mut all = Seen::default();
    for thread in threads.collect::<Vec<_>>() {
        all.add(thread.join().map_err(|_| "a thread of the load ended in a panic")??);
    }
    println!("{}", report(all, began.elapsed().as_secs_f64()));
    Ok(())
}

fn prepare(line: &str) -> Result<Prepared, Fault> {
    let Line { method, path, headers, body } = serde_json::from_str(line)?;
    let mut head = Request::new(());
    *head.method_mut() = Method::from_bytes(method.as_bytes())?;
    *head.uri_mut() = path.parse::<Uri>()?;
    head.headers_mut().insert(header::HOST, HeaderValue::from_static("localhost"));
    for (name, value) in headers {
        head.headers_mut().insert(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
    }
    Ok(Prepared { head, parts: body.split("@N@").map(str::to_owned).collect() })
}

fn connector(arguments: &Arguments) -> Result<TlsConnector, Fault> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(arguments.hub.join("ca/root.pem"))?)?;
    let own = arguments.hub.join("partners").join(&arguments.who).join(&arguments.who);
    let chain = CertificateDer::pem_file_iter(own.with_extension("pem"))?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(own.with_extension("key"))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn connect(tls: &TlsConnector, port: u16) -> Result<Sender, Fault> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let stream = tls.connect(ServerName::try_from("localhost")?, stream).await?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.micros.extend(other.micros);
        other.statuses.into_iter().for_each(|(status, count)| *self.statuses.entry(status).or_default() += count);
    }
}

impl Load {
    async fn drive_all(self: Arc<Self>, open: Vec<Sender>) -> Result<Seen, Fault> {
        let running: Vec<_> = open.into_iter().map(|sender| tokio::spawn(self.clone().drive(sender))).collect();
        let mut all = Seen::default();
        for task in running {
            all.add(task.await??);
        }
        Ok(all)
    }

    async fn drive(self: Arc<Self>, mut sender: Sender) -> Result<Seen, Fault> {
        let mut seen = Seen::default();
        loop {
            let ticket = self.next.fetch_add(1, Ordering::Relaxed);
            let due = match self.rate {
                Some(rate) => self.began + Duration::from_secs_f64(ticket as f64 / rate),
                None => Instant::now(),
            };
            let is_over = match self.ends {
                Some(ends) => due >= ends,
                None => ticket >= self.prepared.len() as u64,
            };
            let at = usize::try_from(self.skip + ticket)? % self.prepared.len().max(1);
            let Some(prepared) = self.prepared.get(at).filter(|_| !is_over) else { return Ok(seen) };
            let request = prepared.head.clone().map(|()| Full::new(self.body(&prepared.parts)));
            if self.rate.is_some() {
                sleep_until(due).await;
            }
            sender.ready().await?;
            let answer = sender.send_request(request).await?;
            let status = answer.status().as_u16();
            answer.into_body().collect().await?;
            seen.micros.push(u64::try_from(due.elapsed().as_micros())?);
            *seen.statuses.entry(status).or_default() += 1;
        }
    }

    fn body(&self, parts: &[String]) -> Bytes {
        let mut body = String::new();
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                let number = self.number.fetch_add(1, Ordering::Relaxed);
                body.push_str(&format!("{}-{number}", self.run));
            }
            body.push_str(part);
        }
        Bytes::from(body)
    }
}

/// The same members as oha's, as far as they are read.
fn report(mut seen: Seen, seconds: f64) -> serde_json::Value {
    seen.micros.sort_unstable();
    let count = seen.micros.len();
    let at = |percent: f64| {
        let place = ((count as f64 * percent / 100.0).ceil() as usize).clamp(1, count.max(1)) - 1;
        seen.micros.get(place).map(|micros| *micros as f64 / 1e6)
    };
    let percentiles: serde_json::Map<_, _> = [10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99]
        .into_iter()
        .map(|percent| (format!("p{percent}"), serde_json::json!(at(percent))))
        .collect();
    let mut histogram: BTreeMap<u64, u64> = BTreeMap::new();
    // Each bucket ends at a power of two of microseconds.
    seen.micros.iter().for_each(|micros| *histogram.entry(micros.next_power_of_two()).or_default() += 1);
    let histogram: serde_json::Map<_, _> = histogram
        .into_iter()
        .map(|(upper, count)| (format!("{}", upper as f64 / 1e6), serde_json::json!(count)))
        .collect();
    let statuses: BTreeMap<String, u64> =
        seen.statuses.iter().map(|(status, count)| (status.to_string(), *count)).collect();
    serde_json::json!({
        "summary": { "requestsPerSec": count as f64 / seconds, "total": seconds },
        "latencyPercentiles": percentiles,
        "responseTimeHistogram": histogram,
        "statusCodeDistribution": statuses,
        "errorDistribution": {},
    })
}
