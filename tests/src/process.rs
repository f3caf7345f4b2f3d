//! The binary `tsunagi` as its users meet it: a process with arguments, output and an exit code.
//!
//! It is built once for each test run, in the profile and target folder of the running test. Waits are on pipes and
//! channels, each with a limit, so that a process that hangs fails its test and does not stop the run.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tempfile::TempDir;
use tsunagi_gateway::config::Config;

use crate::Partner;

/// Longer than any command of the suite takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// Settings that make a hub's listeners take ports that are free.
pub const FREE_PORTS: [(&str, &str); 2] =
    [("TSUNAGI__EDGE__LISTEN", "127.0.0.1:0"), ("TSUNAGI__OPERATIONS__LISTEN", "127.0.0.1:0")];

/// Where the binary is. The first call builds it.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        // target/PROFILE/deps/it-0123…
        let test = std::env::current_exe().expect("a test knows its own path");
        let profile = test.parent().and_then(Path::parent).expect("tests stand in deps").to_owned();
        let target = profile.parent().expect("a profile's folder stands in the target folder");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--package", "tsunagi-gateway", "--bin", "tsunagi"]).arg("--target-dir").arg(target);
        match profile.file_name().and_then(OsStr::to_str) {
            Some("debug") | None => {}
            Some(name) => {
                build.args(["--profile", name]);
            }
        }
        let built = build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).output().expect("cargo runs");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        profile.join("tsunagi")
    })
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; -1 if a signal ended it.
    pub code: i32,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

impl Ran {
    /// Standard output as text.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Standard output as the one JSON document that `--json` promises.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error}: {} {}", self.out(), self.err()))
    }

    /// This command, if it ended with `code`.
    #[track_caller]
    pub fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.out(), self.err());
        self
    }
}

/// Runs `tsunagi ARGUMENTS` in `folder` to its end, with no settings in the environment but those given.
pub fn run(folder: &Path, settings: &[(&str, &str)], arguments: &[&str]) -> Ran {
    let child = command(folder, settings, arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.expect("the binary runs");
    let id = child.id();
    let (ended, end) = channel();
    std::thread::spawn(move || ended.send(child.wait_with_output()));
    match end.recv_timeout(LIMIT) {
        Ok(output) => {
            let output = output.expect("the command's output can be read");
            Ran { code: output.status.code().unwrap_or(-1), stdout: output.stdout, stderr: output.stderr }
        }
        Err(_) => {
            signal(id, "KILL");
            panic!("tsunagi {} did not end in time", arguments.join(" "));
        }
    }
}

fn command(folder: &Path, settings: &[(&str, &str)], arguments: &[&str]) -> Command {
    command_through(&[], folder, settings, arguments)
}

fn command_through(program: &[&str], folder: &Path, settings: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut words = program.iter().map(OsStr::new).chain([binary().as_os_str()]);
    let mut command = Command::new(words.next().expect("at least the binary"));
    command.args(words).args(arguments).current_dir(folder).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TSUNAGI__")) {
        command.env_remove(name);
    }
    for name in ["LC_ALL", "LC_MESSAGES", "LANG"] {
        command.env_remove(name);
    }
    command.env("NO_COLOR", "1").envs(settings.iter().copied());
    command
}

/// Sends a signal as a shell does. `kill` is built into every shell.
fn signal(id: u32, name: &str) {
    let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {id}")).status();
    assert!(sent.is_ok_and(|status| status.success()), "kill -{name} {id}");
}

/// A gateway in a process of its own.
#[derive(Debug)]
pub struct Served {
    child: Child,
    lines: Receiver<String>,
    log: Arc<Mutex<String>>,
    /// Where its edge listens.
    pub edge: SocketAddr,
    /// Where its health is told.
    pub operations: SocketAddr,
}

impl Served {
    /// Starts `tsunagi serve` on a hub's folder, on ports that are free, and waits until it says that it is ready.
    pub fn start(hub: &Path, settings: &[(&str, &str)]) -> Self {
        Self::launch(hub, settings).until_ready()
    }

    /// The same without waiting: where it listens is not known yet.
    pub fn launch(hub: &Path, settings: &[(&str, &str)]) -> Self {
        Self::launch_through(&[], hub, settings)
    }

    /// The same through a program that takes the command as its last arguments and becomes it.
    pub fn launch_through(program: &[&str], hub: &Path, settings: &[(&str, &str)]) -> Self {
        let all: Vec<(&str, &str)> = FREE_PORTS.iter().chain(settings).copied().collect();
        let mut child = command_through(program, hub, &all, &["--config", "tsunagi.toml", "serve"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let stderr = BufReader::new(child.stderr.take().expect("standard error is a pipe"));
        let (said, lines) = channel();
        let log = Arc::new(Mutex::new(String::new()));
        let copy = log.clone();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let mut log = copy.lock().expect("nobody panics with the log in hand");
                log.push_str(&line);
                log.push('\n');
                drop(log);
                // Nobody may be waiting for lines any more; the log has them.
                let _gone = said.send(line);
            }
        });
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { child, lines, log, edge: nowhere, operations: nowhere }
    }

    /// Waits until it says that it is ready.
    pub fn until_ready(mut self) -> Self {
        let ready = self.wait_for(" ready ");
        self.edge = address(&ready, "edge=");
        self.operations = address(&ready, "operations=");
        self
    }

    /// Waits for the next line of the log that holds `text`, and gives it.
    pub fn wait_for(&mut self, text: &str) -> String {
        loop {
            match self.lines.recv_timeout(LIMIT) {
                Ok(line) if line.contains(text) => return line,
                Ok(_) => {}
                Err(_) => panic!("the log never said {text:?}:\n{}", self.log()),
            }
        }
    }

    /// All that it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("nobody panics with the log in hand").clone()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal: `HUP`, `TERM`, `INT`.
    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Ends it as a power cut would (SIGKILL) and gives its log.
    pub fn kill(mut self) -> String {
        self.child.kill().expect("it runs");
        self.end().1
    }

    /// Asks it to drain (SIGTERM), and gives its exit code and its log.
    pub fn terminate(self) -> (i32, String) {
        self.signal("TERM");
        let (status, log) = self.end();
        (status.code().unwrap_or(-1), log)
    }

    /// Waits until it has ended by itself, and gives its exit code.
    pub fn ended(self) -> i32 {
        self.end().0.code().unwrap_or(-1)
    }

    fn end(mut self) -> (ExitStatus, String) {
        // Its standard error closes when it ends.
        while self.lines.recv_timeout(LIMIT).is_ok() {}
        let status = self.child.wait().expect("a child can be waited for");
        (status, self.log())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended long ago, which is as good.
        let _ended = self.child.kill();
        let _waited = self.child.wait();
    }
}

fn address(line: &str, key: &str) -> SocketAddr {
    let rest = line.split_once(key).map(|(_, rest)| rest);
    let word = rest.and_then(|rest| rest.split_whitespace().next());
    word.and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("no address {key} in {line:?}"))
}

/// The configuration of a hub's folder with some settings changed, on ports that are free.
pub fn config_of(hub: &Path, settings: &[(&str, &str)]) -> Config {
    let all = FREE_PORTS.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(Some(&hub.join("tsunagi.toml")), all).expect("a configuration that holds together")
}

/// A partner of a hub that runs anywhere, with the pair `partners/NAME/NAME.pem` and `.key` of the hub's folder.
pub fn partner(hub: &Path, name: &str, edge: SocketAddr) -> Partner {
    let pair = hub.join("partners").join(name).join(name);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(hub.join("ca/root.pem")).expect("a root")).expect("a trust anchor");
    let chain = CertificateDer::pem_file_iter(pair.with_extension("pem")).expect("a certificate");
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("a chain");
    let key = PrivateKeyDer::from_pem_file(pair.with_extension("key")).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key);
    Partner::new(edge, tls.expect("key and certificate belong together"))
}

/// The hub that `tsunagi demo --keep` leaves.
#[derive(Debug)]
pub struct KeptHub {
    folder: PathBuf,
    /// The demo as it ran.
    pub demo: Ran,
}

impl KeptHub {
    /// The demo's hub, played once for all tests of the run, which only read it. It stays in the target folder until a
    /// later run sweeps it out: nothing is called when a test binary ends.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<KeptHub> = OnceLock::new();
        SHARED.get_or_init(|| {
            let profile = binary().parent().expect("the binary stands in a folder");
            let all = profile.join("kept-hubs");
            std::fs::create_dir_all(&all).expect("a folder can be made");
            sweep(&all);
            let folder = all.join(std::process::id().to_string());
            std::fs::create_dir(&folder).expect("no other process has this number");
            let demo = run(&folder, &[], &["--lang", "en", "demo", "--keep", "hub"]).ended(0);
            Self { folder, demo }
        })
    }

    /// The hub's folder.
    pub fn path(&self) -> PathBuf {
        self.folder.join("hub")
    }

    /// A copy that may be changed.
    pub fn copy(&self) -> TempDir {
        let copy = tempfile::tempdir().expect("a folder");
        copy_folder(&self.path(), copy.path());
        copy
    }
}

/// Removes what was left by runs that are over: folders named after processes that are no more.
fn sweep(all: &Path) {
    let processes = Path::new("/proc");
    if !processes.join("self").exists() {
        return;
    }
    for entry in std::fs::read_dir(all).expect("a folder can be read") {
        let entry = entry.expect("a folder's entry");
        if !processes.join(entry.file_name()).exists() || entry.file_name() == *std::process::id().to_string() {
            // Another run may be sweeping too.
            let _gone = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Copies a folder with all that is in it.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder can be made");
    for entry in std::fs::read_dir(from).expect("a folder can be read") {
        let entry = entry.expect("a folder's entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a file's type").is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a file can be copied");
        }
    }
}
