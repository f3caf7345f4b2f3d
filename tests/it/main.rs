//! The whole gateway under test, in one binary.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod abuse;
mod allocations;
mod arrows;
mod bad_certificates;
mod booking;
mod characters;
mod citizen;
mod commands;
mod coordinator;
mod coverage;
mod crash;
mod decisions;
mod deploy;
mod doses;
mod edge;
mod faults;
mod fetched_lists;
mod fhir_oracle;
mod files;
mod framing;
mod identifiers;
mod leaves;
mod live;
mod mailbox;
mod mtls;
mod my_number;
mod push;
mod readme;
mod receipts;
mod requests;
mod retention;
mod routing;
mod sender;
mod sixth_kind;
mod strings;
mod submit;
mod tls;
mod trust;
mod withdrawal;
mod witness;
