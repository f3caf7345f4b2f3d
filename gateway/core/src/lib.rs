//! Words and rules of the gateway. No I/O, no async, no clock: time and randomness are parameters.

pub mod audit;
pub mod calendar;
pub mod checkpoint;
pub mod cosignature;
pub mod coverage;
pub mod delivery;
pub mod disclosure;
pub mod document;
pub mod exchange;
pub mod fault;
pub mod id;
pub mod identifier;
pub mod insured;
pub mod kind;
pub mod manual;
pub mod merkle;
pub mod municipality;
pub mod partial_date;
pub mod policy;
pub mod record;
pub mod refusal;
pub mod registry;
pub mod schedule;
pub mod sensitive;
pub mod tlog;
pub mod value;
