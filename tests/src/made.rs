//! A hub that was made and runs elsewhere, if it runs: in this process as [`TestGateway`], or in processes of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;
use tsunagi_core::registry::RegistryEntries;
use tsunagi_gateway::clock::Clock;
use tsunagi_gateway::config::Config;
use tsunagi_gateway::gateway::{Running, make_private_folder, open_signer, open_store};
use tsunagi_store::Storage;
use tsunagi_store::contract::server::Place;

use crate::process::{Ran, Served, binary, copy_folder, run};
use crate::setup::imported;
use crate::{Identities, TestGateway, check_invariants};

/// Its folder, and what it is configured with.
pub struct MadeHub {
    /// Its folder.
    pub folder: TempDir,
    /// The clock of who is in this process.
    pub clock: Clock,
    /// Its configuration.
    pub config: Config,
    /// Who may call.
    pub identities: Identities,
    /// The settings that are not in its file.
    pub(crate) environment: Vec<(String, String)>,
    /// Its database, which goes away with it.
    pub(crate) place: Option<Place>,
}

impl MadeHub {
    /// Starts it in this process.
    pub async fn start(self) -> TestGateway {
        let Self { folder, clock, config, identities, place, .. } = self;
        tsunagi_gateway::telemetry::start_metrics();
        let running = Box::pin(Running::start(config.clone(), clock.clone())).await.expect("the gateway starts");
        TestGateway { folder, clock, config, running, identities, place }
    }

    /// Starts a node in a process of its own, with settings that no other node has, and does not wait for it.
    pub fn launch(&self, own: &[(&str, &str)]) -> Served {
        Served::launch(self.folder.path(), &self.settings(own))
    }

    /// The same for a process that a limit on the size of its files does not end, but makes their writing fail.
    pub fn launch_heedless(&self) -> Served {
        Served::launch_through(
            &["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""],
            self.folder.path(),
            &self.settings(&[]),
        )
    }

    /// Runs a command on it to its end.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        run(self.folder.path(), &self.settings(&[]), arguments)
    }

    /// Runs a script in its folder as its operator would, with `tsunagi` at hand.
    pub fn shell(&self, script: &str, variables: &[(&str, &str)]) -> Ran {
        let programs = binary().parent().expect("the binary stands in a folder").display();
        let path = format!("{programs}:{}", std::env::var("PATH").unwrap_or_default());
        let mut bash = Command::new("timeout");
        bash.args(["--kill-after=10", "120", "bash", "-euc", script]).current_dir(self.folder.path());
        bash.env("PATH", path).env("LANG", "C.UTF-8").envs(self.settings(&[])).envs(variables.iter().copied());
        let output = bash.output().expect("bash runs");
        Ran { code: output.status.code().unwrap_or(-1), stdout: output.stdout, stderr: output.stderr }
    }

    /// Goes on in a copy of its folder without what is in `data`, with settings that it has there. Gives the folder in which
    /// it was, and where the identities still have their CA.
    pub fn move_without_data(&mut self, own: &[(&str, &str)]) -> TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        copy_folder(self.folder.path(), folder.path());
        std::fs::remove_dir_all(&data).expect("a folder goes");
        make_private_folder(&data).expect("a folder");
        self.environment.extend(own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.config = Config::load(Some(&folder.path().join("tsunagi.toml")), self.environment.iter().cloned())
            .unwrap_or_else(|faults| panic!("{faults:?}"));
        std::mem::replace(&mut self.folder, folder)
    }

    fn settings<'s>(&'s self, own: &[(&'s str, &'s str)]) -> Vec<(&'s str, &'s str)> {
        let shared = self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let settings: BTreeMap<_, _> = shared.chain(own.iter().copied()).collect();
        settings.into_iter().collect()
    }

    /// Its store, beside whoever runs on it.
    pub async fn store(&self) -> Arc<dyn Storage> {
        open_store(&self.config).await.expect("the store")
    }

    /// Imports entries as `tsunagi registry import` does; who runs already takes them over by and by.
    pub async fn import(&self, text: &str) {
        let entries: RegistryEntries = toml::from_str(text).expect("registry entries");
        self.store().await.import_registry(entries, imported(&self.clock)).await.expect("imported");
    }

    /// The node that listens there, as a participant comes to it.
    pub fn partner(&self, participant: &str, edge: SocketAddr) -> crate::Partner {
        self.identities.partner(participant, edge)
    }

    /// Reads everything again, once nothing runs any more, and fails where a promise was broken.
    pub async fn check(&self) {
        let public_key = open_signer(&self.config).expect("the checkpoint key").public_key();
        check_invariants(self.store().await.as_ref(), &public_key).await;
    }
}
