//! What a subject leaves behind who is shredded (消去).

use tsunagi_core::audit::{Action, AuditEvent, EventOutcome};
use tsunagi_core::document::{Content, Document, Node};
use tsunagi_core::id::{DeliveryId, ExchangeId, IdentifierSystem};

use crate::error::StoreError;
use crate::keys::{Hash, TenantKeys};

/// The event of a delivery that ends because there is nothing left to deliver.
pub(crate) fn ended(event: &AuditEvent, delivery: &DeliveryId, exchange: &ExchangeId, row: u64) -> AuditEvent {
    AuditEvent {
        action: Action::DeliverySettled,
        outcome: EventOutcome::Failed,
        exchange: Some(exchange.clone()),
        row: Some(row),
        delivery: Some(delivery.clone()),
        reason: Some("shredded".to_owned()),
        ..event.clone()
    }
}

/// True if a document names somebody by one of these identifiers. An identifier of two parts stands in two cells.
pub(crate) fn is_about(
    keys: &TenantKeys,
    document: &Document,
    names: &[(IdentifierSystem, Hash)],
) -> Result<bool, StoreError> {
    let texts: Vec<&str> = match &document.content {
        Content::Row(row) => row.cells.iter().map(String::as_str).collect(),
        Content::Tree(node) => {
            let mut texts = Vec::new();
            texts_of(node, &mut texts);
            texts
        }
    };
    let texts: Vec<&str> = texts.into_iter().map(str::trim).filter(|text| !text.is_empty()).collect();
    for (system, blind) in names {
        for first in &texts {
            if keys.blind_index(system, first)? == *blind {
                return Ok(true);
            }
            for second in &texts {
                if keys.blind_index(system, &format!("{first}:{second}"))? == *blind {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

fn texts_of<'a>(node: &'a Node, texts: &mut Vec<&'a str>) {
    match node {
        Node::Number(text) | Node::Text(text) => texts.push(text),
        Node::List(nodes) => nodes.iter().for_each(|node| texts_of(node, texts)),
        Node::Map(members) => members.iter().for_each(|(_, node)| texts_of(node, texts)),
        Node::Bool(_) | Node::Null => {}
    }
}
