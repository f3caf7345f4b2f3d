//! Redis, or what speaks like it: notices by publish and subscribe, shared rates by a script in one round trip.
//!
//! One task keeps one connection. While it stands, whoever needs a permit asks over it and waits for no longer than the
//! configured milliseconds; the first who waits in vain takes it away for all, and nobody waits again until the task has
//! another that answers in time.
//!
//! What is written: under the prefix, for each limit and caller a number that goes away by itself; the caller as a
//! keyed hash. What is published: the kind of a notice and a random name of the node.

mod lease;
mod limit;
mod link;
mod server;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tsunagi_core::sensitive::Sensitive;

use self::limit::SharedLimit;
use self::link::Link;
use self::server::Server;
use super::{Address, Coordinator, Limit, Notice, Rate, Reach};

/// How to reach it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it is.
    pub address: Address,
    /// What its certificate stands under, PEM; without it, what the system trusts.
    pub ca_pem: Option<Vec<u8>>,
    /// The name to sign in with, if it is not the default one.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<Sensitive<String>>,
    /// What every key and channel begins with.
    pub prefix: String,
    /// How long a request waits for an answer.
    pub timeout: Duration,
    /// Under what callers are hashed: the same on every node.
    pub key: Sensitive<[u8; 32]>,
}

/// Why an address cannot be used. Nothing has been asked of any server by then.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SettingsFault(String);

/// The coordinator of a hub of several nodes.
#[derive(Debug)]
pub struct RedisCoordinator {
    link: Arc<Link>,
    keeping: JoinHandle<()>,
}

impl RedisCoordinator {
    /// Begins to reach for the server, and goes on until this value is dropped. Needs a tokio runtime.
    pub fn start(settings: Settings) -> Result<Self, SettingsFault> {
        let link = Arc::new(Link::new(Server::new(&settings)?, settings)?);
        let keeping = tokio::spawn(link::keep(link.clone()));
        Ok(Self { link, keeping })
    }

    /// Tells the nodes something without becoming one of them, as a command does that ends at once.
    pub async fn tell_once(settings: Settings, notice: Notice) -> Result<(), SettingsFault> {
        link::tell_once(&Link::new(Server::new(&settings)?, settings)?, notice).await
    }
}

impl Drop for RedisCoordinator {
    fn drop(&mut self) {
        self.keeping.abort();
    }
}

impl Coordinator for RedisCoordinator {
    fn tell(&self, notice: Notice) {
        self.link.tell(notice);
    }

    fn listen(&self, notice: Notice) -> watch::Receiver<u64> {
        self.link.board.listen(notice)
    }

    fn limit(&self, name: &str, rate: Rate) -> Box<dyn Limit> {
        Box::new(SharedLimit::new(name, rate, self.link.clone()))
    }

    fn reach(&self) -> watch::Receiver<Reach> {
        self.link.reach()
    }
}
