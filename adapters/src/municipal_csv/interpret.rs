//! Replies to a pushed file. Systems that take CSV answer with a status and at most a problem body, so the status
//! decides.

use tsunagi_core::delivery::Outcome;

use crate::plug::Reply;
use crate::reply::by_status;

pub(super) fn interpret(reply: &Reply<'_>) -> Outcome {
    by_status(reply)
}
