//! The harness: the whole gateway in process, partners that talk to it over real mutual TLS, and checks that read
//! everything again afterwards.
//!
//! [`TestGateway`] is a hub of its own for each test: its own folder, PKI, keys, store and ports. [`Partner`] fails the
//! test on any header or error member that users were not promised, and on any FHIR resource that is none.
//! [`TestGateway::finish`] drains the hub and runs [`check_invariants`]: a test that ends with it has proved more than
//! it says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod allowed;
pub mod apart;
mod balp;
pub mod bulk;
pub mod destination;
mod dice;
pub mod faulty;
pub mod frames;
mod gateway;
mod identities;
mod invariants;
mod issuer;
mod log;
mod made;
mod oracle;
pub mod own_server;
pub mod papers;
mod partner;
pub mod pki;
pub mod process;
pub mod refusals;
mod scan;
mod setup;

pub use balp::{balp_oracle, faults_of, profile_names, profile_of};
pub use dice::Dice;
pub use gateway::{ALL_PARTNERS, TestGateway, get_plainly};
pub use identities::{Identities, Pair};
pub use invariants::check_invariants;
pub use issuer::{AUDIENCE, ISSUER, TokenIssuer};
pub use log::Log;
pub use made::MadeHub;
pub use oracle::fhir_oracle;
pub use partner::{Exchange, Partner, Reply};
pub use scan::{files_below, holds, places_of, spellings};
pub use setup::Setup;
