//! The coordinator (調整役): what the nodes of one hub tell each other, and count together.
//!
//! It may be slow, flushed or gone at any moment, and nothing is true only there. A notice says where it is worth
//! looking, and every node looks by itself as well; a rate that is shared falls back to what each node counts alone.
//! No call fails, and none that may have to wait is made where the answer is known here.

mod address;
mod local;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(test)]
mod tests;

use std::num::NonZeroU32;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::watch;

pub use address::{Address, Form};
pub use local::InProcess;

/// What nodes tell each other.
pub trait Coordinator: Send + Sync {
    /// Tells every node, this one first and at once. Never waits; many of one kind may arrive as one, or, at other
    /// nodes, not at all.
    fn tell(&self, notice: Notice);

    /// Changes with every notice of this kind, and when some may have been missed.
    fn listen(&self, notice: Notice) -> watch::Receiver<u64>;

    /// A limit of this name, the same on every node that asks for it.
    fn limit(&self, name: &str, rate: Rate) -> Box<dyn Limit>;

    /// Whether the other nodes are reached.
    fn reach(&self) -> watch::Receiver<Reach>;
}

/// A rate that callers are held to, each by itself.
pub trait Limit: Send + Sync {
    /// Takes one request of a caller into account.
    fn take<'a>(&'a self, who: &'a str) -> Taking<'a>;

    /// Forgets those who have not called for so long that nothing is known of them that matters.
    fn forget_the_quiet(&self);
}

/// What is worth a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// A node could not seal its leaves.
    LeavesWait,
    /// Deliveries were written.
    OutboxGrew,
    /// Another registry was imported.
    RegistryChanged,
}

impl Notice {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::LeavesWait, Self::OutboxGrew, Self::RegistryChanged];

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LeavesWait => "leaves_wait",
            Self::OutboxGrew => "outbox_grew",
            Self::RegistryChanged => "registry_changed",
        }
    }
}

/// How often a caller may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests a second in the long run.
    pub per_second: NonZeroU32,
    /// Requests at once.
    pub burst: NonZeroU32,
}

/// Whether one request is within its rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It is, and so many more would be.
    Granted {
        /// How many.
        left: u32,
    },
    /// It is not until so much time has passed.
    Refused {
        /// How long.
        wait: Duration,
    },
}

/// An admission that is known, or that another has to be asked for.
pub enum Taking<'a> {
    /// It takes one round trip, or as long as the coordinator may take; what this node counts alone is the answer then.
    Asking(Pin<Box<dyn Future<Output = Admission> + Send + 'a>>),
    /// Known here.
    Known(Admission),
}

impl Taking<'_> {
    /// The admission, whoever knows it.
    pub async fn admission(self) -> Admission {
        match self {
            Self::Asking(asking) => asking.await,
            Self::Known(admission) => admission,
        }
    }
}

/// Whether the other nodes are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// There are none: this node is the hub.
    Alone,
    /// They are not, for this reason. Limits are this node's own, and it looks by itself.
    Lost(String),
    /// They are.
    Reached,
    /// It is being tried for the first time.
    Reaching,
}
