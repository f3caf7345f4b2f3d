use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::local::take_one;
use super::{Address, Admission, Form, InProcess, Rate};

mod in_process {
    use super::*;

    // A process is one node: its parts hear what it tells, and share its limits' names.
    fn make() -> crate::contract::coordination::Nodes {
        let one = Arc::new(InProcess::new());
        crate::contract::coordination::Nodes::parts_of_one(one)
    }

    crate::coordinator_contract!(Some(make()));
}

#[cfg(feature = "redis")]
mod redis {
    crate::coordinator_contract!(crate::contract::redis_server::nodes().await);
}

/// What was taken, when, and what came of it: `left`, or the milliseconds to wait.
#[test]
fn a_burst_is_given_at_once_and_comes_back_at_the_rate() {
    let rate = Rate { per_second: NonZeroU32::new(10).unwrap(), burst: NonZeroU32::new(3).unwrap() };
    let steps = [
        (0, Ok(2)),
        (0, Ok(1)),
        (0, Ok(0)),
        (0, Err(100)),
        (60, Err(40)),
        (100, Ok(0)),
        (100, Err(100)),
        (299, Ok(0)),
        (300, Ok(0)),
        (10_000, Ok(2)),
    ];
    let mut back = 0;
    for (millis, expected) in steps {
        let admission;
        (back, admission) = take_one(back, millis * 1_000_000, rate);
        let expected = match expected {
            Ok(left) => Admission::Granted { left },
            Err(wait) => Admission::Refused { wait: Duration::from_millis(wait) },
        };
        assert_eq!(admission, expected, "at {millis} ms");
    }
}

#[test]
fn an_address_says_what_its_servers_are() {
    let parsed = |url| Address::parse(url).unwrap();
    let server = |servers: &[(&str, u16)], tls, form, database| Address {
        servers: servers.iter().map(|(host, port)| ((*host).to_owned(), *port)).collect(),
        tls,
        form,
        database,
    };
    assert_eq!(parsed("redis://cache.example"), server(&[("cache.example", 6379)], false, Form::Server, 0));
    assert_eq!(parsed("rediss://[2001:db8::1]:7000/3"), server(&[("2001:db8::1", 7000)], true, Form::Server, 3));
    let nodes = [("a", 7001), ("b", 6379)];
    assert_eq!(parsed("rediss-cluster://a:7001,b/"), server(&nodes, true, Form::Cluster, 0));
    let master = || Form::Sentinel { master: "main".to_owned() };
    assert_eq!(parsed("redis-sentinel://a,b:1/2#main"), server(&[("a", 26379), ("b", 1)], false, master(), 2));
}

#[test]
fn an_address_that_says_too_much_or_too_little_is_refused() {
    for url in [
        "",
        "cache.example",
        "http://cache.example",
        "redis://",
        "redis://:6379",
        "redis://user:password@cache.example",
        "redis://cache.example?protocol=resp3",
        "redis://a,b",
        "redis://a:70000",
        "redis://a:",
        "redis://[::1",
        "redis://[::1]6379",
        "redis://a/first",
        "redis://a#main",
        "redis-cluster://a/1",
        "redis-sentinel://a",
        "redis-sentinel://a#",
    ] {
        assert!(Address::parse(url).is_err(), "{url:?} was taken");
    }
}
