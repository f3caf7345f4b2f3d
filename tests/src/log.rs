//! The audit log as it stands, read straight from the store.

use serde_json::Value;
use tsunagi_core::audit::{Action, AuditEvent};
use tsunagi_core::id::TenantId;
use tsunagi_store::Storage;

/// More leaves than any test writes.
const ALL: usize = 1_000_000;

/// One tenant's log.
#[derive(Debug, Clone)]
pub struct Log {
    /// Whose.
    pub tenant: TenantId,
    /// Its events, oldest first.
    pub events: Vec<AuditEvent>,
}

impl Log {
    /// Reads all of it.
    pub async fn read(store: &dyn Storage, tenant: &str) -> Self {
        let tenant = TenantId::parse(tenant).expect("a tenant");
        let leaves = store.audit_page(&tenant, 0, ALL).await.expect("the log can be read");
        let events =
            leaves.iter().map(|leaf| serde_json::from_slice(&leaf.bytes).expect("a leaf is an audit event")).collect();
        Self { tenant, events }
    }

    /// The events of one exchange.
    pub fn of(&self, exchange: &str) -> Vec<&AuditEvent> {
        self.events.iter().filter(|e| e.exchange.as_ref().is_some_and(|id| id.as_str() == exchange)).collect()
    }

    /// The events of one exchange and action.
    pub fn acts(&self, exchange: &str, action: Action) -> Vec<&AuditEvent> {
        self.of(exchange).into_iter().filter(|event| event.action == action).collect()
    }

    /// Everything it says, as one text.
    pub fn text(&self) -> String {
        let values: Vec<Value> = self.events.iter().map(|e| serde_json::to_value(e).expect("an event")).collect();
        Value::Array(values).to_string()
    }
}
