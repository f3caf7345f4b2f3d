//! The gateway: edge, pipeline, delivery, audit sealing, configuration, telemetry and commands.
//!
//! A record goes down once (`edge` → `pipeline::submit` → store), rests once, and comes up once (`pipeline::lookup`,
//! `pipeline::request`, `delivery`). Each stage takes its input by value and returns the next type.

pub mod clock;
pub mod commands;
pub mod config;
mod coordination;
pub mod delivery;
pub mod demo;
pub mod edge;
pub mod forecast;
pub mod gateway;
mod guarded;
mod indexing;
pub mod isolation;
pub mod pipeline;
#[cfg(feature = "postgres")]
mod postgres;
pub mod proof;
pub mod receipts;
pub mod retention;
pub mod sealing;
mod secret;
pub mod spool;
pub mod telemetry;
pub mod trust;
mod watch;
