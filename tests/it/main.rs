//! The whole gateway under test, in one binary.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod arrows;
mod citizen;
mod decisions;
mod edge;
mod mtls;
mod submit;
mod push;
mod readme;
mod crash;
mod faults;
