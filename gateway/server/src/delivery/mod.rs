//! Deliveries (配信): from the outbox to the municipality's mailbox or its server.

pub mod hand_over;
pub mod mailbox;
pub mod push;
pub mod send;
