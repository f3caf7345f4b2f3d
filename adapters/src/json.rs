//! Bytes ↔ [`tsunagi_core::document::Node`], for every format that is JSON and for the replies of destinations.
//!
//! Our own reader, for three things that a general one does not do at once: a number survives as it was written (a
//! weight of `3.250` kg is not `3.25`), an object that says the same name twice is refused (two readers that choose
//! differently would see two different people), and no message holds anything of the text.

mod read;
#[cfg(test)]
mod tests;
#[cfg(any(feature = "adapter-fhir-r4", feature = "adapter-pmh-api"))]
mod write;

pub(crate) use read::read;
#[cfg(any(feature = "adapter-fhir-r4", feature = "adapter-pmh-api"))]
pub(crate) use {read::read_all, read::read_payload, write::write};
