//! What varies between users as data, and the engine that runs it.
//!
//! Kinds say what a record is, layouts say where its fields stand in a participant's form, code tables turn codes, the
//! policy says what may go where. They are files: compiled in, and overlaid by a folder. [`Tables`] is all of them
//! parsed and checked against each other; [`Tables::canonicalize`] turns a document into a record,
//! [`Tables::localize`] a record into a document, by the same rows of the same layout.

mod calendar_file;
mod canonicalize;
mod case;
mod case_file;
mod certificate;
mod check;
mod code_list;
mod code_table;
mod convert;
mod csv_file;
mod explain;
mod fault;
mod field_value;
#[cfg(fuzzing)]
mod fuzzing;
mod gaps;
mod identifier_file;
mod json;
mod kana;
mod kind_file;
mod layout;
mod layout_build;
mod layout_file;
mod layout_paths;
mod load;
mod localize;
mod loss;
mod merger;
mod municipality_file;
mod path;
mod policy_file;
mod proof;
mod reading;
mod review;
#[cfg(test)]
mod sample;
mod schedule;
mod schedule_check;
mod schedule_file;
mod scheme_file;
mod shorthand;
mod shrink;
mod source;
mod tables;
mod toml_file;
mod unit;

pub use canonicalize::{Canonical, Context};
pub use case::{Case, CaseFailure, Direction};
pub use certificate::{Certificate, Loss, LostField, RequiredField};
pub use code_list::{CodeEntry, CodeList};
pub use code_table::{CodePair, CodeTable, Relationship};
pub use explain::Step;
pub use fault::TableFault;
#[cfg(fuzzing)]
pub use fuzzing::Converters;
pub use gaps::UnmappedCode;
pub use identifier_file::IdentifierSystem;
pub use kana::kana_match_key;
pub use layout::{Layout, Lost, REASON_COLUMNS};
pub use localize::Localized;
pub use loss::LossKind;
pub use merger::{MergerImport, import_mergers};
pub use municipality_file::municipalities_csv;
pub use proof::{MOST_FAILURES, Proof, ProofFailure, Returned, Tape, Wire, Wish};
pub use scheme_file::Scheme;
pub use shrink::ShrinkTable;
pub use tables::Tables;
