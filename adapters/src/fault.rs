//! Short ways to say that a row or a payload cannot be read. The words are ours; nothing of the payload goes in.

use tsunagi_core::fault::{Bilingual, RowCode, RowFault};

use crate::plug::PayloadFault;

/// A row that does not have the structure of its format. `column` is the place inside the row, empty for all of it.
pub(crate) fn malformed(row: u64, column: &str, ja: impl Into<String>, en: impl Into<String>) -> RowFault {
    RowFault { row, column: column.to_owned(), code: RowCode::Malformed, reason: Bilingual::new(ja, en) }
}

/// A payload of which no row can be read.
pub(crate) fn unreadable(ja: impl Into<String>, en: impl Into<String>) -> PayloadFault {
    PayloadFault { reason: Bilingual::new(ja, en) }
}

/// A source that cannot be read, or not any further. Not the sender's doing, but there is nobody else to tell here: who
/// made the source knows why.
pub(crate) fn unread() -> PayloadFault {
    unreadable("本文を読み取れませんでした", "the body could not be read")
}
