//! The one connection: who has it, who takes it away, and the task that makes another.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use redis::{Cmd, PushInfo, PushKind, RedisError, Value};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::{Notify, watch};

use super::server::{Connection, Server};
use super::{Settings, SettingsFault};
use crate::coordinator::local::Board;
use crate::coordinator::{Notice, Rate, Reach};

/// How long the task that nobody waits for waits for an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
/// How often a quiet connection is tried.
const TRIED_EVERY: Duration = Duration::from_secs(1);
/// The first wait after a connection was lost; each next one doubles.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// The longest.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// A connection that stood for so long begins with the first wait again.
const STEADY: Duration = Duration::from_secs(10);
/// The least time between two messages: each makes every other node look, and a node with much to do looks by itself.
const BETWEEN_MESSAGES: Duration = Duration::from_millis(100);

/// One permit or several, see `take.lua`.
const TAKE: &str = include_str!("take.lua");

/// What all limits and the keeping task share.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) board: Board,
    settings: Settings,
    server: Server,
    key: hmac::Key,
    node: String,
    /// The connection and its number, while it is good.
    good: RwLock<Option<(u64, Connection)>>,
    reach: watch::Sender<Reach>,
    taken_away: Notify,
    /// A bit for each kind of notice that other nodes have not been told yet.
    untold: AtomicU8,
    something_untold: Notify,
}

/// What the script gave.
pub(super) struct Permits {
    pub(super) taken: u32,
    pub(super) left: u32,
    pub(super) wait: Duration,
}

impl Link {
    pub(super) fn new(server: Server, settings: Settings) -> Result<Self, SettingsFault> {
        let mut node = [0; 8];
        aws_lc_rs::rand::fill(&mut node).map_err(|_| SettingsFault("no randomness".to_owned()))?;
        Ok(Self {
            board: Board::default(),
            key: hmac::Key::new(hmac::HMAC_SHA256, settings.key.expose()),
            node: hex::encode(node),
            good: RwLock::default(),
            reach: watch::Sender::new(Reach::Reaching),
            taken_away: Notify::new(),
            untold: AtomicU8::new(0),
            something_untold: Notify::new(),
            server,
            settings,
        })
    }

    pub(super) fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    pub(super) fn reach(&self) -> watch::Receiver<Reach> {
        self.reach.subscribe()
    }

    pub(super) fn tell(&self, notice: Notice) {
        self.board.post(notice);
        self.untold.fetch_or(bit(notice), Ordering::Release);
        self.something_untold.notify_one();
    }

    pub(super) fn is_good(&self) -> bool {
        self.good.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The key of a caller under a limit.
    pub(super) fn key_of(&self, limit: &str, who: &str) -> String {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(limit.as_bytes());
        context.update(&[0]);
        context.update(who.as_bytes());
        let hash: String = hex::encode(context.sign()).chars().take(32).collect();
        format!("{}:limit:{limit}:{hash}", self.settings.prefix)
    }

    /// Takes permits, unless the connection is taken away already or the answer does not come in time.
    pub(super) async fn take(&self, key: &str, rate: Rate, wanted: u32) -> Option<Permits> {
        let (number, mut connection) = self.good.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        match tokio::time::timeout(self.settings.timeout, connection.ask(&take(key, rate, wanted))).await {
            Ok(Ok((taken, left, wait))) => Some(Permits { taken, left, wait: Duration::from_micros(wait) }),
            Ok(Err(error)) => {
                self.take_away(number, &error.to_string());
                None
            }
            Err(_) => {
                self.take_away(number, &format!("no answer within {} ms", self.settings.timeout.as_millis()));
                None
            }
        }
    }

    /// From here on nobody asks over that connection.
    fn take_away(&self, number: u64, why: &str) {
        let mut good = self.good.write().unwrap_or_else(PoisonError::into_inner);
        if good.as_ref().is_some_and(|(standing, _)| *standing == number) {
            *good = None;
            drop(good);
            self.reach.send_replace(Reach::Lost(why.to_owned()));
            self.taken_away.notify_one();
        }
    }

    fn put_up(&self, number: u64, connection: Connection) {
        *self.good.write().unwrap_or_else(PoisonError::into_inner) = Some((number, connection));
        // Something may have been told while nobody listened.
        for notice in Notice::ALL {
            self.board.post(notice);
        }
        self.reach.send_replace(Reach::Reached);
    }

    fn channel(&self) -> String {
        format!("{}:notices", self.settings.prefix)
    }

    /// A connection that hears what is told and answers as fast as whoever asks over it will want.
    async fn connect(&self) -> Result<(Connection, UnboundedReceiver<PushInfo>), String> {
        let (sender, pushed) = unbounded_channel();
        let say = |error: RedisError| error.to_string();
        let mut connection = self.server.connect(sender).await.map_err(say)?;
        connection.subscribe(&self.channel()).await.map_err(say)?;
        // The first makes the script known to the server.
        let probe = format!("{}:probe:{}", self.settings.prefix, self.node);
        let rate = Rate { per_second: std::num::NonZeroU32::MIN, burst: std::num::NonZeroU32::MIN };
        let _: Value = connection.ask(&take(&probe, rate, 1)).await.map_err(say)?;
        match tokio::time::timeout(self.settings.timeout, connection.ask::<Value>(&take(&probe, rate, 1))).await {
            Ok(answer) => answer.map(drop).map_err(say)?,
            Err(_) => return Err(format!("no answer within {} ms", self.settings.timeout.as_millis())),
        }
        Ok((connection, pushed))
    }

    /// Hears, tells and tries until the connection is lost; gives why.
    async fn attend(&self, number: u64, mut connection: Connection, mut pushed: UnboundedReceiver<PushInfo>) -> String {
        let mut tries = tokio::time::interval(TRIED_EVERY);
        tries.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut has_untold, mut quiet_until) = (false, tokio::time::Instant::now());
        loop {
            tokio::select! {
                push = pushed.recv() => match push {
                    Some(push) if push.kind != PushKind::Disconnection => self.hear(&push),
                    Some(_) if connection.mends_itself() => {}
                    _ => return "the connection ended".to_owned(),
                },
                () = self.something_untold.notified(), if !has_untold => has_untold = true,
                () = tokio::time::sleep_until(quiet_until), if has_untold => {
                    if let Err(why) = self.publish_untold(&mut connection).await {
                        return why;
                    }
                    (has_untold, quiet_until) = (false, tokio::time::Instant::now() + BETWEEN_MESSAGES);
                }
                _ = tries.tick() => if let Err(why) = in_time(connection.ask::<Value>(&redis::cmd("PING"))).await {
                    return why;
                },
                () = self.taken_away.notified() => if !self.stands(number) {
                    return "another took it away".to_owned();
                },
            }
        }
    }

    fn stands(&self, number: u64) -> bool {
        let good = self.good.read().unwrap_or_else(PoisonError::into_inner);
        good.as_ref().is_some_and(|(standing, _)| *standing == number)
    }

    async fn publish_untold(&self, connection: &mut Connection) -> Result<(), String> {
        let untold = self.untold.swap(0, Ordering::AcqRel);
        for notice in Notice::ALL.into_iter().filter(|notice| untold & bit(*notice) != 0) {
            self.publish(connection, notice).await?;
        }
        Ok(())
    }

    async fn publish(&self, connection: &mut Connection, notice: Notice) -> Result<(), String> {
        let mut command = redis::cmd("PUBLISH");
        command.arg(self.channel()).arg(format!("{} {}", self.node, notice.as_str()));
        in_time(connection.ask::<Value>(&command)).await.map(drop)
    }

    /// What this node told itself it knows already.
    fn hear(&self, push: &PushInfo) {
        let (PushKind::Message, Some(Value::BulkString(said))) = (&push.kind, push.data.get(1)) else { return };
        let Some((node, word)) = std::str::from_utf8(said).ok().and_then(|said| said.split_once(' ')) else { return };
        let told = Notice::ALL.into_iter().find(|notice| notice.as_str() == word);
        if let Some(notice) = told.filter(|_| node != self.node) {
            self.board.post(notice);
        }
    }
}

/// Reaches for the server again and again.
pub(super) async fn keep(link: Arc<Link>) {
    let mut wait = FIRST_WAIT;
    for number in 0.. {
        match link.connect().await {
            Ok((connection, pushed)) => {
                let since = Instant::now();
                link.put_up(number, connection.clone());
                let why = link.attend(number, connection, pushed).await;
                link.take_away(number, &why);
                if since.elapsed() >= STEADY {
                    wait = FIRST_WAIT;
                }
            }
            Err(why) => {
                link.reach.send_if_modified(|reach| {
                    let is_news = !matches!(reach, Reach::Lost(before) if *before == why);
                    if is_news {
                        *reach = Reach::Lost(why);
                    }
                    is_news
                });
            }
        }
        // The nodes that lost it together do not all come back at once.
        tokio::time::sleep(wait.mul_f64(0.5 + spread(&link.node))).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// One message over a connection of its own.
pub(super) async fn tell_once(link: &Link, notice: Notice) -> Result<(), SettingsFault> {
    let (sender, _pushed) = unbounded_channel();
    let mut connection =
        link.server.connect(sender).await.map_err(|error: RedisError| SettingsFault(error.to_string()))?;
    link.publish(&mut connection, notice).await.map_err(SettingsFault)
}

fn take(key: &str, rate: Rate, wanted: u32) -> Cmd {
    // Whole microseconds: at rates that do not divide a million, up to half a microsecond off for each permit.
    let per_second = rate.per_second.get();
    let interval = ((1_000_000 + per_second / 2) / per_second).max(1);
    // The text each time: half a kilobyte, and a server that was restarted or flushed needs no second round trip.
    let mut command = redis::cmd("EVAL");
    command.arg(TAKE).arg(1).arg(key).arg(interval).arg(rate.burst.get()).arg(wanted);
    command
}

fn bit(notice: Notice) -> u8 {
    match notice {
        Notice::LeavesWait => 1,
        Notice::OutboxGrew => 2,
        Notice::RegistryChanged => 4,
    }
}

async fn in_time<T>(answer: impl Future<Output = Result<T, RedisError>>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} ms", PATIENCE.as_millis())),
    }
}

/// From 0 to 1, by the node's random name.
fn spread(node: &str) -> f64 {
    let byte = node.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).unwrap_or(0);
    f64::from(byte) / 255.0
}
