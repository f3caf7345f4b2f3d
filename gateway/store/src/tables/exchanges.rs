//! Rows of exchanges and states of deliveries as words.

use std::str::FromStr;

use tsunagi_core::exchange::{DeliveryState, RowState};
use tsunagi_core::id::RecordId;

use crate::error::StoreError;

/// What the source of a refused row is sealed as.
pub(crate) const REFUSED: &str = "refused row";

/// The state of a row as columns: state, record, version.
pub(crate) fn spell(state: &RowState) -> (&'static str, Option<&str>, Option<u32>) {
    match state {
        RowState::Accepted { record, version } => ("accepted", Some(record.as_str()), Some(*version)),
        RowState::Refused => ("refused", None, None),
        RowState::Unchanged { record, version } => ("unchanged", Some(record.as_str()), Some(*version)),
        RowState::Waiting => ("waiting", None, None),
    }
}

/// What [`spell`] made.
pub(crate) fn read_state(word: &str, record: Option<(RecordId, u32)>) -> Result<RowState, StoreError> {
    match (word, record) {
        ("accepted", Some((record, version))) => Ok(RowState::Accepted { record, version }),
        ("refused", _) => Ok(RowState::Refused),
        ("unchanged", Some((record, version))) => Ok(RowState::Unchanged { record, version }),
        ("waiting", _) => Ok(RowState::Waiting),
        _ => Err(StoreError::Corrupt("a row has an unknown state".to_owned())),
    }
}

const DELIVERY_STATES: [DeliveryState; 5] = [
    DeliveryState::Dead,
    DeliveryState::Delivered,
    DeliveryState::Held,
    DeliveryState::Pending,
    DeliveryState::Rejected,
];

/// The state of a delivery as a column.
pub(crate) struct StateWord(pub(crate) DeliveryState);

impl FromStr for StateWord {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        DELIVERY_STATES.into_iter().find(|state| state.as_str() == text).map(Self).ok_or(())
    }
}
