//! Redis for tests: the one that answers, or one of the test's own.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tsunagi_core::sensitive::Sensitive;

use super::coordination::Nodes;
use crate::coordinator::Address;
use crate::coordinator::redis::{RedisCoordinator, Settings};

/// Settings for an address, with a prefix that no other test has. The deadline is that of a busy machine: what is tested
/// with it is not how fast an answer comes.
pub fn settings(url: &str) -> Settings {
    let mut name = [0; 8];
    aws_lc_rs::rand::fill(&mut name).expect("randomness");
    Settings {
        address: Address::parse(url).expect("an address"),
        ca_pem: None,
        username: None,
        password: None,
        prefix: format!("tsunagi-test-{}", hex::encode(name)),
        timeout: Duration::from_secs(1),
        key: Sensitive::new([7; 32]),
    }
}

/// Two nodes over the Redis of `TSUNAGI_TEST_REDIS_URL`, or of this machine; none where none answers, which is printed.
pub async fn nodes() -> Option<Nodes> {
    let named = std::env::var("TSUNAGI_TEST_REDIS_URL").ok();
    let url = named.clone().unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    if named.is_none() && std::net::TcpStream::connect("127.0.0.1:6379").is_err() {
        println!(
            "not run: the coordinator's contract on Redis (none answers at {url}; TSUNAGI_TEST_REDIS_URL names one)"
        );
        return None;
    }
    Some(nodes_of(&settings(&url), ()).await)
}

/// Two nodes with the same settings.
pub async fn nodes_of(settings: &Settings, lives_as_long: impl Send + Sync + 'static) -> Nodes {
    let start = || Arc::new(RedisCoordinator::start(settings.clone()).expect("settings that hold together"));
    Nodes::reaching(start(), start(), lives_as_long).await
}

/// A server that ends with this value.
#[derive(Debug)]
pub struct RedisServer {
    child: Child,
    folder: TempDir,
    arguments: Vec<String>,
    /// The port it listens on, at 127.0.0.1.
    pub port: u16,
}

impl RedisServer {
    /// Starts one on a free port, which takes the place of `PORT` in the arguments, or is added to them; `None`, which is
    /// printed, where `redis-server` is not installed.
    pub fn start(what: &str, arguments: &[&str]) -> Option<Self> {
        if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_err() {
            println!("not run: {what} (redis-server is not installed)");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let plain = ["--port", "PORT"];
        let added: &[&str] = if arguments.contains(&"PORT") { &[] } else { &plain };
        let quiet = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        let given = arguments.iter().chain(added).chain(&quiet);
        let arguments: Vec<String> = given.map(|argument| argument.replace("PORT", &port.to_string())).collect();
        let child = spawn(folder.path(), &arguments);
        Some(Self { child, folder, arguments, port })
    }

    /// Starts a Sentinel that watches over a master of the name `main`, and takes it for dead after half a second; over TLS
    /// where the master is.
    pub fn sentinel_of(master: &Self) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let text = format!(
            "bind 127.0.0.1\nsentinel monitor main 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n",
            master.port
        );
        let file = folder.path().join("sentinel.conf");
        std::fs::write(&file, text).expect("a file");
        let mut arguments = vec![file.display().to_string(), "--sentinel".to_owned()];
        let port_name = if master.tls().is_empty() { "--port" } else { "--tls-port" };
        arguments.extend([port_name.to_owned(), port.to_string()]);
        arguments.extend(master.tls());
        let child = spawn(folder.path(), &arguments);
        Self { child, folder, arguments, port }
    }

    /// Its arguments that are about TLS, but for the port.
    fn tls(&self) -> Vec<String> {
        let pairs = self.arguments.windows(2).filter(|pair| pair[0].starts_with("--tls-") && pair[0] != "--tls-port");
        pairs.flatten().cloned().collect()
    }

    /// What it answers to a command.
    pub fn say(&self, command: &[&str]) -> String {
        let mut client = Command::new("redis-cli");
        if let Some(root) = self.arguments.iter().skip_while(|argument| *argument != "--tls-ca-cert-file").nth(1) {
            client.args(["--tls", "--cacert", root]);
        }
        let said = client.args(["-p", &self.port.to_string()]).args(command).output();
        String::from_utf8(said.expect("redis-cli runs").stdout).expect("text")
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("a child can be waited for");
    }

    /// Starts it again on its port, with nothing in it.
    pub fn restart(&mut self) {
        self.child = spawn(self.folder.path(), &self.arguments);
    }

    /// Sends it a signal: `STOP` makes it say nothing, `CONT` go on.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.child.id())).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -{name}");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may have ended before.
        let _ended = self.child.kill();
        let _waited = self.child.wait();
    }
}

/// A port that is free now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// Waits until it says that it is ready.
fn spawn(folder: &Path, arguments: &[String]) -> Child {
    let started = Command::new("redis-server").args(arguments).current_dir(folder).stdout(Stdio::piped()).spawn();
    let mut child = started.expect("redis-server runs");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    let mut said = Vec::new();
    let is_ready = lines.by_ref().any(|line| {
        said.push(line.clone());
        line.contains("Ready to accept connections") || line.contains("Sentinel ID is")
    });
    assert!(is_ready, "{}", said.join("\n"));
    // Its pipe must not fill up.
    std::thread::spawn(move || lines.for_each(drop));
    child
}
