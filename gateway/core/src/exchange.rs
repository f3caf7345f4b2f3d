//! Exchanges (連携), their rows and receipts, as the sender sees them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::fault::RowFault;
use crate::id::{DeliveryId, ExchangeId, KindName, LayoutId, ParticipantId, RecordId, TenantId};

/// What became of one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum RowState {
    /// Durable as a version of a record.
    Accepted {
        /// The record
        record: RecordId,
        /// Its version, from 1
        version: u32,
    },
    /// Refused; nothing of it is kept but what `rejections` gives back.
    Refused,
    /// The very same content was here already.
    Unchanged {
        /// The record
        record: RecordId,
        /// The version that holds this content
        version: u32,
    },
    /// Kept, but no subject could be told for certain: it waits for review.
    Waiting,
}

impl RowState {
    /// The state as users see it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Refused => "refused",
            Self::Unchanged { .. } => "unchanged",
            Self::Waiting => "waiting",
        }
    }
}

/// One row of an exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowResult {
    /// Its number in the payload, from 1.
    pub row: u64,
    /// The tenant it was for, where that could be told.
    pub tenant: Option<TenantId>,
    /// The kind, where that could be told.
    pub kind: Option<KindName>,
    /// What became of it.
    #[serde(flatten)]
    pub state: RowState,
    /// Why it was refused or waits, and the warnings of an accepted row.
    pub faults: Vec<RowFault>,
    /// The row's audit leaf, in its tenant's log; in the hub's where no tenant could be told.
    pub leaf: Option<u64>,
}

/// How many rows came to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RowCounts {
    /// Durable as versions of records.
    pub accepted: u64,
    /// Here already with the very same content.
    pub unchanged: u64,
    /// Kept, waiting for their subject.
    pub waiting: u64,
    /// Refused.
    pub refused: u64,
}

impl RowCounts {
    /// Counts one more.
    pub fn add(&mut self, state: &RowState) {
        match state {
            RowState::Accepted { .. } => self.accepted += 1,
            RowState::Refused => self.refused += 1,
            RowState::Unchanged { .. } => self.unchanged += 1,
            RowState::Waiting => self.waiting += 1,
        }
    }

    /// All rows.
    pub fn rows(&self) -> u64 {
        self.accepted + self.unchanged + self.waiting + self.refused
    }
}

/// How far an exchange has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExchangeState {
    /// Every row has its result.
    Complete,
    /// The sender never got a receipt: rows may be missing. Sending the same again finishes it.
    Open,
}

/// One exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// Its id.
    pub id: ExchangeId,
    /// Who sent it.
    pub sender: ParticipantId,
    /// When it came.
    pub received_at: Timestamp,
    /// SHA-256 of the body, in hexadecimal, keyed so that it tells nothing without the hub's key.
    pub digest: String,
    /// The layout of its rows, where there was one for all.
    pub layout: Option<LayoutId>,
    /// The body's charset as declared.
    pub charset: Option<String>,
    /// How far it has come.
    pub state: ExchangeState,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Handed over and acknowledged.
    Delivered,
    /// The schedule is used up; `redrive` puts it back. Later deliveries of the subject on the channel wait behind it.
    Dead,
    /// Cannot be sent as it is: a character or code the receiver cannot hold, or no permit. `redrive` tries again.
    Held,
    /// Not yet handed over.
    Pending,
    /// The destination refused it for good.
    Rejected,
}

impl DeliveryState {
    /// The state as users see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Delivered => "delivered",
            Self::Held => "held",
            Self::Pending => "pending",
            Self::Rejected => "rejected",
        }
    }
}

/// A delivery as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryView {
    /// Its id.
    pub id: DeliveryId,
    /// From which tenant.
    pub tenant: TenantId,
    /// On which channel.
    pub channel: crate::id::ChannelId,
    /// Which record.
    pub record: RecordId,
    /// Which version.
    pub version: u32,
    /// By which exchange.
    pub exchange: ExchangeId,
    /// Which row of it.
    pub row: u64,
    /// Where it stands.
    pub state: DeliveryState,
    /// Attempts so far.
    pub attempts: u32,
    /// Not before.
    pub next_at: Timestamp,
    /// What the last attempt said.
    pub last_outcome: Option<String>,
    /// The leaf of the last attempt in the tenant's log, once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaf: Option<u64>,
}
