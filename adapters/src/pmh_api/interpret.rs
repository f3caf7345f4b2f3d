//! Replies to a registration. What PMH writes into a 2xx is not published, so the status decides; only an
//! OperationOutcome that reports an error, as hubs of this kind answer, is believed over a 2xx.

use tsunagi_core::delivery::Outcome;

use crate::plug::Reply;
use crate::reply::by_status_and_body;

pub(super) fn interpret(reply: &Reply<'_>) -> Outcome {
    by_status_and_body(reply)
}
