//! The edge (接続口): sockets, TLS and HTTP; the only room that knows the inbound network.

mod access_log;
mod activity;
mod answer;
mod app;
mod body;
mod connection;
mod consents;
pub mod cursor;
mod detached;
mod exchanges;
mod fhir;
mod files;
mod framing;
mod handle;
pub mod limits;
pub mod listen;
mod mailbox;
pub mod operations;
pub mod peer;
mod pmh;
mod requests;
mod route;
pub mod tls;
pub mod token;
mod witness;
