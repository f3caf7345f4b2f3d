//! A rate that all nodes count together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::lease::{Lease, Step, most};
use super::link::Link;
use crate::coordinator::local::LocalLimit;
use crate::coordinator::{Admission, Limit, Rate, Taking};

/// This node's own count, which always holds, and the shared one beside it: when that is gone, what each caller has taken
/// here is known already.
pub(super) struct SharedLimit {
    name: String,
    rate: Rate,
    own: LocalLimit,
    leases: Mutex<HashMap<String, Lease>>,
    link: Arc<Link>,
}

impl SharedLimit {
    pub(super) fn new(name: &str, rate: Rate, link: Arc<Link>) -> Self {
        Self { name: name.to_owned(), rate, own: LocalLimit::new(rate), leases: Mutex::default(), link }
    }

    fn step(&self, who: &str, now: Instant) -> (Step, Option<String>) {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        if !leases.contains_key(who) {
            leases.insert(who.to_owned(), Lease::new(self.link.key_of(&self.name, who), now));
        }
        let Some(lease) = leases.get_mut(who) else { return (Step::Ask { ahead: None }, None) };
        let step = lease.step(now, most(self.rate), self.link.timeout());
        let key = matches!(step, Step::Ask { .. }).then(|| lease.key.clone());
        (step, key)
    }

    async fn ask(&self, who: &str, key: &str, ahead: Option<u32>, own: Admission) -> Admission {
        let asked = Instant::now();
        let wanted = ahead.unwrap_or(0).saturating_add(1);
        let Some(permits) = self.link.take(key, self.rate, wanted).await else { return own };
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(lease) = leases.get_mut(who) else { return own };
        if permits.taken == 0 {
            lease.refused(Instant::now(), permits.wait);
            return Admission::Refused { wait: permits.wait };
        }
        least(own, lease.granted(asked, ahead, permits.taken, permits.left))
    }
}

/// What is left is what both counts leave.
fn least(own: Admission, shared: u32) -> Admission {
    match own {
        Admission::Granted { left } => Admission::Granted { left: left.min(shared) },
        refused @ Admission::Refused { .. } => refused,
    }
}

impl Limit for SharedLimit {
    fn take<'a>(&'a self, who: &'a str) -> Taking<'a> {
        let own = self.own.admit(who);
        if matches!(own, Admission::Refused { .. }) || !self.link.is_good() {
            return Taking::Known(own);
        }
        match self.step(who, Instant::now()) {
            (Step::Ask { ahead }, Some(key)) => {
                Taking::Asking(Box::pin(async move { self.ask(who, &key, ahead, own).await }))
            }
            (Step::Ask { .. }, None) => Taking::Known(own),
            (Step::Granted(left), _) => Taking::Known(least(own, left)),
            (Step::Refused(wait), _) => Taking::Known(Admission::Refused { wait }),
        }
    }

    fn forget_the_quiet(&self) {
        self.own.forget_the_quiet();
        let now = Instant::now();
        self.leases.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, lease| !lease.is_quiet(now));
    }
}
