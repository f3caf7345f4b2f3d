//! What is over (保存期間), as far as it is told from what was read.

use std::collections::BTreeSet;

use tsunagi_core::audit::AuditEvent;
use tsunagi_core::id::{KindName, RecordId, SubjectKey, TenantId};
use tsunagi_core::value::Value;

use super::records::SealedRecord;
use super::subjects::Subject;
use crate::command::{Purge, PurgePlace, Purged, Retention};
use crate::error::StoreError;

/// A record that was made before anything of its kind could be over.
pub(crate) struct Candidate {
    pub(crate) record: RecordId,
    pub(crate) subject: SubjectKey,
    pub(crate) kind: KindName,
    pub(crate) newest: u32,
}

impl Candidate {
    /// What its kind says, if it says anything.
    pub(crate) fn retention<'p>(&self, purge: &'p Purge) -> Option<&'p Retention> {
        purge.kinds.iter().find(|retention| retention.kind == self.kind)
    }

    /// The versions that are over, of all there are, in order: earlier ones each by itself, the newest as the last of
    /// all. What has a delivery that has not ended is not over. Of a shredded subject nothing can be opened and nothing
    /// can be delivered any more: there, the time of recording alone counts.
    pub(crate) fn over<'v>(
        &self,
        (tenant, subject): (&TenantId, Option<&Subject>),
        versions: &'v [SealedRecord],
        unsettled: &BTreeSet<u32>,
        retention: &Retention,
    ) -> Result<Vec<&'v SealedRecord>, StoreError> {
        let mut over = Vec::new();
        for version in versions {
            let is_over = version.recorded_at < retention.recorded_before
                && match subject {
                    Some(subject) => {
                        !unsettled.contains(&version.version) && has_passed(tenant, subject, version, retention)?
                    }
                    None => true,
                };
            let is_held_up = version.version == self.newest && over.len() + 1 < versions.len();
            if is_over && !is_held_up {
                over.push(version);
            }
        }
        Ok(over)
    }
}

/// The day on which it says it happened is far enough back. A day that is not known for certain counts as the last that it
/// may have been; where there is none, the time of recording alone counts.
fn has_passed(
    tenant: &TenantId,
    subject: &Subject,
    version: &SealedRecord,
    retention: &Retention,
) -> Result<bool, StoreError> {
    let content = version.open(tenant, subject)?;
    let happened = content.record.first(&retention.occurrence).and_then(Value::date);
    Ok(happened.and_then(|date| date.latest()).is_none_or(|day| day < retention.happened_before))
}

/// A delivery in this state is not tried again.
pub(crate) fn has_ended(state: &str) -> bool {
    matches!(state, "delivered" | "rejected")
}

/// The last of what was looked at, if there may be more.
pub(crate) fn last_of_full<T>(mut found: Vec<T>, limit: usize) -> Option<T> {
    if found.len() < limit { None } else { found.pop() }
}

/// Where to go on: behind the last, or with what comes next.
pub(crate) fn next_place(place: &PurgePlace, last: Option<PurgePlace>) -> Option<PurgePlace> {
    last.or(match place {
        PurgePlace::Deliveries(_) => Some(PurgePlace::Rows(None)),
        PurgePlace::Rows(_) => Some(PurgePlace::Records(None)),
        PurgePlace::Records(_) => None,
    })
}

/// The event of a piece, if there was anything in it.
pub(crate) fn purge_event(purge: &Purge, purged: &Purged) -> Option<AuditEvent> {
    let is_event = !purge.is_rehearsal && purged.is_something();
    is_event.then(|| AuditEvent { reason: Some(purged.told()), ..purge.event.clone() })
}
