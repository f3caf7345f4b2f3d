//! Promises of [`Coordinator`]. Two nodes of one hub are given, and what each of them may not assume is not tested: that a
//! notice arrives at once, or a permit that another node has let go.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::coordinator::{Admission, Coordinator, Limit, Notice, Rate, Reach};

/// Longer than any of it takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// Two nodes, and what has to live as long as they.
pub struct Nodes {
    /// One.
    pub one: Arc<dyn Coordinator>,
    /// The other.
    pub other: Arc<dyn Coordinator>,
    is_one_process: bool,
    _lives_as_long: Box<dyn Send + Sync>,
}

impl Nodes {
    /// Two parts of a process, which is one node.
    pub fn parts_of_one(one: Arc<dyn Coordinator>) -> Self {
        Self { other: one.clone(), one, is_one_process: true, _lives_as_long: Box::new(()) }
    }

    /// Two nodes, once each has reached the other.
    pub async fn reaching(
        one: Arc<dyn Coordinator>,
        other: Arc<dyn Coordinator>,
        lives_as_long: impl Send + Sync + 'static,
    ) -> Self {
        until_reached(&*one).await;
        until_reached(&*other).await;
        Self { one, other, is_one_process: false, _lives_as_long: Box::new(lives_as_long) }
    }

    /// The same limit on each; of one process it is one.
    fn limits(&self, name: &str, rate: Rate) -> [Arc<dyn Limit>; 2] {
        let first: Arc<dyn Limit> = self.one.limit(name, rate).into();
        let second = if self.is_one_process { first.clone() } else { self.other.limit(name, rate).into() };
        [first, second]
    }
}

/// Waits until the coordinator says so.
pub async fn until_reached(coordinator: &dyn Coordinator) {
    let mut reach = coordinator.reach();
    let reached = reach.wait_for(|reach| *reach == Reach::Reached);
    tokio::time::timeout(LIMIT, reached).await.expect("it is reached in time").expect("it lives");
}

/// All promises one after the other, where two nodes take long to bring about.
pub async fn every_promise(nodes: &Nodes) {
    a_notice_reaches_every_node(nodes).await;
    many_notices_may_be_one_and_the_last_is_not_lost(nodes).await;
    a_burst_is_shared_and_no_more_is_given(nodes).await;
    callers_and_limits_are_kept_apart(nodes).await;
    what_is_left_is_told(nodes).await;
    permits_come_back_at_the_rate(nodes).await;
    what_is_taken_ahead_is_bounded(nodes).await;
}

/// Makes a test of each promise. The argument is an expression of type `Option<Nodes>`: none where nothing answers.
#[macro_export]
macro_rules! coordinator_contract {
    ($make:expr) => {
        $crate::coordinator_contract! { @ $make;
            a_notice_reaches_every_node, a_burst_is_shared_and_no_more_is_given, callers_and_limits_are_kept_apart,
            many_notices_may_be_one_and_the_last_is_not_lost, permits_come_back_at_the_rate,
            what_is_left_is_told, what_is_taken_ahead_is_bounded
        }
    };
    (@ $make:expr; $($case:ident),+) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $case() {
            if let Some(nodes) = $make {
                $crate::contract::coordination::$case(&nodes).await;
            }
        }
    )+};
}

fn rate(per_second: u32, burst: u32) -> Rate {
    Rate { per_second: NonZeroU32::new(per_second).unwrap(), burst: NonZeroU32::new(burst).unwrap() }
}

async fn take(limit: &Arc<dyn Limit>, who: &str) -> Admission {
    limit.take(who).admission().await
}

async fn is_granted(limit: &Arc<dyn Limit>, who: &str) -> bool {
    matches!(take(limit, who).await, Admission::Granted { .. })
}

async fn heard(listener: &mut watch::Receiver<u64>) {
    tokio::time::timeout(LIMIT, listener.changed()).await.expect("heard in time").expect("it lives");
}

/// The one that tells it among them; and only what was told.
pub async fn a_notice_reaches_every_node(nodes: &Nodes) {
    for notice in Notice::ALL {
        let listen = |node: &Arc<dyn Coordinator>| Notice::ALL.map(|of| node.listen(of));
        let [mut here, mut there] = [listen(&nodes.one), listen(&nodes.other)];
        nodes.one.tell(notice);
        let at = Notice::ALL.iter().position(|of| *of == notice).unwrap();
        heard(&mut here[at]).await;
        heard(&mut there[at]).await;
        for listener in here.iter().chain(&there) {
            assert!(!listener.has_changed().unwrap(), "more was heard than was told");
        }
    }
}

/// However many are told at once, and at any time after.
pub async fn many_notices_may_be_one_and_the_last_is_not_lost(nodes: &Nodes) {
    let mut there = nodes.other.listen(Notice::OutboxGrew);
    for _ in 0..3 {
        for _ in 0..1_000 {
            nodes.one.tell(Notice::OutboxGrew);
        }
        heard(&mut there).await;
    }
    // The last of a kind comes after all before it: once another kind is heard, nothing is under way any more.
    let mut end = nodes.other.listen(Notice::RegistryChanged);
    nodes.one.tell(Notice::RegistryChanged);
    heard(&mut end).await;
    there.mark_unchanged();
    nodes.one.tell(Notice::OutboxGrew);
    heard(&mut there).await;
}

/// Whichever node a caller comes to; but for what comes back while it is being counted.
pub async fn a_burst_is_shared_and_no_more_is_given(nodes: &Nodes) {
    let limits = nodes.limits("burst", rate(1, 15));
    let began = Instant::now();
    let mut granted = 0;
    for n in 0..60 {
        granted += u64::from(is_granted(&limits[n % 2], "clinic").await);
    }
    let came_back = began.elapsed().as_secs() + 1;
    assert!((15..=15 + came_back).contains(&granted), "{granted} were granted");
    let Admission::Refused { wait } = take(&limits[0], "clinic").await else { return };
    assert!(wait <= Duration::from_secs(1), "one comes back each second, and not in {wait:?}");
}

/// One caller costs another nothing, nor one limit another.
pub async fn callers_and_limits_are_kept_apart(nodes: &Nodes) {
    let [lookups, _] = nodes.limits("lookups", rate(1, 1));
    let [files, _] = nodes.limits("files", rate(1, 1));
    assert!(is_granted(&lookups, "clinic").await);
    assert!(is_granted(&lookups, "city").await);
    assert!(is_granted(&files, "clinic").await);
}

/// Each call leaves one less, until a burst is used up.
pub async fn what_is_left_is_told(nodes: &Nodes) {
    let [limit, _] = nodes.limits("left", rate(1, 4));
    let began = Instant::now();
    let mut left = Vec::new();
    for _ in 0..4 {
        if let Admission::Granted { left: more } = take(&limit, "clinic").await {
            left.push(more);
        }
    }
    // On a machine that took a second for it, one came back.
    if began.elapsed() < Duration::from_secs(1) {
        assert_eq!(left, [3, 2, 1, 0]);
    }
}

/// Not earlier, and again and again.
pub async fn permits_come_back_at_the_rate(nodes: &Nodes) {
    let [limit, _] = nodes.limits("rate", rate(20, 1));
    let began = Instant::now();
    let waiting = async {
        for _ in 0..4 {
            while !is_granted(&limit, "clinic").await {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::time::timeout(LIMIT, waiting).await.expect("permits come back");
    assert!(began.elapsed() >= Duration::from_millis(149), "four in {:?} at 20 a second", began.elapsed());
}

/// A busy caller is answered by each node from permits that it took ahead: what all let through together stays within the
/// rate over the time and a tenth of a second before it, and what is let go unused is a small part of it.
pub async fn what_is_taken_ahead_is_bounded(nodes: &Nodes) {
    const BURST: u32 = 1_600;
    const PER_SECOND: u32 = 1_000;
    let limits = nodes.limits("ahead", rate(PER_SECOND, BURST));
    let began = Instant::now();
    let mut granted = 0;
    for n in 0..10_000 {
        granted += u32::from(is_granted(&limits[n % 2], "clinic").await);
    }
    let most = f64::from(BURST) + f64::from(PER_SECOND) * (began.elapsed().as_secs_f64() + 0.1);
    assert!(f64::from(granted) <= most, "{granted} were granted, {most} at most");
    assert!(granted >= BURST - 2 * 100, "{granted} were granted of a burst of {BURST}");
}
