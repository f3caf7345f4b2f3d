//! What may go where, and why: policy tables, consent directives and the one function that decides.

mod decide;
mod directive;
mod reasons;
mod table;
#[cfg(test)]
mod tests;

pub use decide::{Acting, Basis, Decision, Denial, DenialReason, Permit, ProxyTerm, Question, Recipient, decide};
pub use directive::{Directive, DirectiveEffect, RecipientScope};
pub use reasons::{ActingAs, Inputs};
pub use table::{ClassRule, Effect, Flow, FlowRule, Policy, PolicyRule, Purpose};
