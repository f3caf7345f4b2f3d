//! A PostgreSQL of a test's own: its files in a folder that goes away, on a port that is free.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// It runs until this is dropped.
pub struct OwnServer {
    folder: TempDir,
    programs: PathBuf,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl OwnServer {
    /// Makes one. Nothing where PostgreSQL is not installed, after saying so.
    pub fn make(test: &str) -> Option<Self> {
        let Some(programs) = programs() else {
            println!("not run: {test} (initdb is not installed)");
            return None;
        };
        let folder = tempfile::tempdir().expect("a folder");
        let server = Self { folder, programs, port: free_port() };
        server.give_away(server.folder.path());
        server.run("initdb", &["--username=postgres", "--auth=trust", "--encoding=UTF8"]);
        Some(server)
    }

    /// Where its files are.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A place beside them.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Adds lines to its `postgresql.conf`.
    pub fn configure(&self, lines: &str) {
        let file = self.data().join("postgresql.conf");
        let before = std::fs::read_to_string(&file).expect("a file");
        std::fs::write(&file, before + "\n" + lines).expect("a file");
    }

    /// Writes a file beside them that the server alone can read.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.beside(name);
        std::fs::write(&path, content).expect("a file");
        let closed = Command::new("chmod").arg("600").arg(&path).status();
        assert!(closed.is_ok_and(|status| status.success()), "chmod");
        self.give_away(&path);
        path
    }

    /// Starts it with settings of the form `name=value`.
    pub fn start(&self, settings: &[String]) {
        let mut options = format!("-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories=", self.port);
        for setting in settings {
            options.push_str(&format!(" -c {setting}"));
        }
        let log = self.folder.path().join("log");
        let arguments = [format!("--options={options}"), format!("--log={}", log.display())];
        self.run("pg_ctl", &["--wait", "start", &arguments[0], &arguments[1]]);
    }

    /// Stops it at once, as a crash would.
    pub fn stop(&self) {
        self.run("pg_ctl", &["--wait", "--mode=immediate", "stop"]);
    }

    /// Another one, whose files are still to come.
    pub fn another(&self) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let other = Self { folder, programs: self.programs.clone(), port: free_port() };
        other.give_away(other.folder.path());
        other
    }

    /// Runs a script as the user who runs the server, with its programs at hand, which find it.
    pub fn shell(&self, script: &str, variables: &[(&str, &str)]) {
        let path = format!("{}:{}", self.programs.display(), std::env::var("PATH").unwrap_or_default());
        let mut bash = self.command("/bin/bash");
        bash.args(["-euc", script]).env("PATH", path).env("PGDATA", self.data()).envs(variables.iter().copied());
        bash.env("PGHOST", "127.0.0.1").env("PGPORT", self.port.to_string()).env("PGUSER", "postgres");
        assert_done(script, bash.output());
    }

    /// A copy of the running server's files, with all that is needed to start from them, as a server of its own.
    pub fn base_backup(&self) -> Self {
        let copy = self.another();
        let from = format!("--dbname=postgres://postgres@127.0.0.1:{}/postgres", self.port);
        let done = copy
            .command("pg_basebackup")
            .args([&from, "--wal-method=stream", "--checkpoint=fast"])
            .arg(format!("--pgdata={}", copy.data().display()))
            .output();
        assert_done("pg_basebackup", done);
        copy
    }

    /// Starts a copy as the standby of the server that it was made of.
    pub fn follow(&self, primary: &Self) {
        let signal = self.data().join("standby.signal");
        std::fs::write(&signal, "").expect("a file");
        self.give_away(&signal);
        self.start(&[format!("primary_conninfo='host=127.0.0.1 port={} user=postgres'", primary.port)]);
    }

    /// Makes a standby take over.
    pub fn promote(&self) {
        self.run("pg_ctl", &["--wait", "promote"]);
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let data = format!("--pgdata={}", self.data().display());
        // The server goes on after pg_ctl has ended, so it must not hold this end of a pipe.
        let mut command = self.command(program);
        command.arg(data).args(arguments).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let status = command.status();
        assert!(status.is_ok_and(|status| status.success()), "{program} {arguments:?}");
    }

    /// One of its programs, or another by its whole path, as a user who may run it.
    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        if !is_root() {
            return Command::new(program);
        }
        // It refuses to run as root.
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program).current_dir("/");
        command
    }

    fn give_away(&self, path: &Path) {
        if is_root() {
            let given = Command::new("chown").arg("postgres").arg(path).status();
            assert!(given.is_ok_and(|status| status.success()), "chown");
        }
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        let stopped = self
            .command("pg_ctl")
            .arg(format!("--pgdata={}", self.data().display()))
            .args(["-m", "immediate", "stop"])
            .output();
        drop(stopped);
    }
}

fn assert_done(program: &str, done: std::io::Result<std::process::Output>) {
    let done = done.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    id.stdout.trim_ascii() == b"0"
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port()
}

/// The folder of the newest version's programs.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut all: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, bin)| bin.join("initdb").exists())
        .collect();
    all.sort();
    all.pop().map(|(_, bin)| bin)
}
