//! FHIR R4: what hospitals speak.

pub(super) mod audit_event;
pub(super) mod consent;
pub(super) mod eligibility;
pub(super) mod metadata;
pub(super) mod query;
pub(super) mod read;
pub(super) mod recommendation;
pub(super) mod resource;
mod sender;
pub(super) mod submit;

/// The media type of every FHIR answer.
pub(super) const MEDIA_TYPE: &str = "application/fhir+json; charset=utf-8";
