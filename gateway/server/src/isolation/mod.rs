//! The isolation self-test: canaries in two municipalities that are none, and every read path tried by every kind of
//! participant. What somebody sees of a tenant that no channel of theirs leads into is a leak; so is an answer about
//! what is there that differs from the answer about what is not.
//!
//! # Where it runs
//!
//! On the store, the tables, the policy and the CA of the hub as configured, and on listeners of its own, on ports that
//! are free, with a registry of its own that is never imported. A hub that serves beside it knows nothing of the
//! canaries: its registry stays as it is, and the certificates are nobody's there. Were the canaries registered with
//! it, they would be partners of a live hub for as long as the test takes, and after it, if it were killed.
//!
//! # What can be seen
//!
//! A path that shows nothing to anybody would pass as isolated. So on every path there is somebody whose it is and who
//! has to see it: of requests between municipalities a third one, which has no people of its own and channels to both.
//!
//! # What is left
//!
//! The leaves, in the logs of the three tenants and of the hub, for a log only grows; and the lines of the CA's ledger.
//! With each log stays the key of its tenant, one row: the leaves are sealed with it, and without it `audit verify`
//! could not tell whether they are as they were written. It opens nothing that is left, and the next run takes it
//! again. All else is removed, the keys of the subjects with it, and the certificates are revoked.

mod attempts;
mod canary;
mod certificates;
mod matrix;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tsunagi_core::audit::{Action, Agent, AuditEvent, EventOutcome};
use tsunagi_core::id::{ParticipantId, TenantId};
use tsunagi_core::registry::{Mode, RegistryEntries, Role};
use tsunagi_store::Storage;

use crate::clock::Clock;
use crate::config::{Config, CoordinatorConfig, RawIssuer};
use crate::demo::client::Client;
use crate::demo::issuer::Issuer;
use crate::gateway::{Running, StartFault};
use canary::Canary;
pub use certificates::Certificates;
pub use matrix::{Cell, Matrix};

/// The tenants, by the letter of each.
pub const LETTERS: [char; 2] = ['a', 'b'];

/// The registry, for one letter.
const REGISTRY: &str = include_str!("registry.toml");
/// One who asks both, without people of its own.
const ASKER: &str = include_str!("asker.toml");
/// The codes and institutions of the two.
const NAMES: [(&str, &str); 2] = [("990019", "9919920016"), ("990027", "9919920024")];
/// A participant of neither.
const OPERATOR: &str = "[[participant]]\nid = \"self-test-operator\"\nrole = \"operator\"\nname = \"自己試験運用者\"\n";

/// The `iss` and `aud` of the tokens.
const ISSUER: &str = "urn:tsunagi:self-test";
/// The citizen, signed in to both apps.
const CITIZEN: &str = "self-test-citizen";
/// How long a token counts.
const TOKEN_SECS: i64 = 600;

/// Whoever gets a certificate. The last is in no registry.
pub const HOLDERS: [&str; 9] = [
    "self-test-city-a",
    "self-test-city-b",
    "self-test-city-c",
    "self-test-hospital-a",
    "self-test-hospital-b",
    "self-test-app-a",
    "self-test-app-b",
    "self-test-operator",
    "self-test-stranger",
];

/// The registry of the test.
pub fn registry() -> Result<RegistryEntries, StartFault> {
    let mut text = format!("{OPERATOR}{ASKER}");
    for (letter, (code, hospital)) in LETTERS.iter().zip(NAMES) {
        let own = REGISTRY.replace("@code", code).replace("@hospital", hospital).replace('@', &letter.to_string());
        text.push_str(&own);
    }
    toml::from_str(&text).map_err(|error: toml::de::Error| StartFault::Setting(error.to_string()))
}

/// The tenants of the test.
pub fn tenants() -> Result<Vec<TenantId>, StartFault> {
    Ok(registry()?.tenant.into_iter().map(|tenant| tenant.id).collect())
}

/// Everything that the registry of the hub itself gets wrong: what is recorded with one municipality is delivered to
/// another. Municipalities ask each other, with a purpose; nothing is sent to them unasked (母子保健法19条の2).
pub fn leaking_channels(entries: &RegistryEntries) -> Vec<String> {
    let own: BTreeMap<&ParticipantId, &TenantId> =
        entries.participant.iter().filter_map(|one| Some((&one.id, one.tenant.as_ref()?))).collect();
    let is_municipality =
        |id: &ParticipantId| entries.participant.iter().any(|one| one.id == *id && one.role == Role::Municipality);
    let leaks = entries.channel.iter().filter(|channel| {
        channel.mode == Mode::Deliver
            && is_municipality(&channel.participant)
            && own.get(&channel.participant).is_some_and(|own| **own != channel.tenant)
    });
    leaks.map(|channel| channel.id.to_string()).collect()
}

/// One who asks.
pub struct Caller {
    /// As the matrix names it.
    pub name: String,
    /// What it is; nobody's, where the registry does not know it.
    pub role: Option<Role>,
    /// The tenant it belongs to, as a place in [`LETTERS`].
    pub side: Option<usize>,
    /// Channels of its lead to both tenants, for requests.
    pub asks_others: bool,
    /// `Authorization`, where it shows a token.
    pub bearer: Option<String>,
    client: Client,
}

/// The test's own hub, while it lasts.
pub struct Trial {
    running: Running,
    clock: Clock,
    callers: Vec<Caller>,
}

impl Trial {
    /// Starts the listeners and the clients.
    pub async fn start(
        config: &Config,
        clock: &Clock,
        store: Arc<dyn Storage>,
        papers: &Path,
        entries: RegistryEntries,
    ) -> Result<Self, StartFault> {
        let dir = papers.join("issuer");
        let issuer = Issuer { dir: &dir, name: ISSUER, audience: ISSUER };
        issuer.make()?;
        let running =
            Box::pin(Running::start_apart(own_config(config, papers)?, clock.clone(), store, entries)).await?;
        let root = config.ca_folder.join("root.pem");
        let client = |holder: &str| Client::new(format!("https://{}", running.edge), papers, holder, &root);
        let token = |app: &str| {
            let certificate = papers.join(format!("{app}.pem"));
            let token = issuer.token(CITIZEN, &certificate, clock.now().as_second(), TOKEN_SECS)?;
            Ok::<_, StartFault>(format!("Bearer {token}"))
        };
        let mut callers = Vec::new();
        for holder in HOLDERS {
            let name = holder.trim_start_matches("self-test-").to_owned();
            let side = LETTERS.iter().position(|letter| name.ends_with(&format!("-{letter}")));
            let role = match name.split('-').next() {
                Some("city") => Some(Role::Municipality),
                Some("hospital") => Some(Role::Hospital),
                Some("app") => Some(Role::App),
                Some("operator") => Some(Role::Operator),
                _ => None,
            };
            let bearer = if role == Some(Role::App) { Some(token(holder)?) } else { None };
            let asks_others = name == "city-c";
            callers.push(Caller { name, role, side, asks_others, bearer, client: client(holder)? });
        }
        // The token of one app in the hands of the other, and none at all.
        let thief = |name: &str, bearer| {
            let (name, client) = (name.to_owned(), client("self-test-app-a")?);
            Ok::<_, StartFault>(Caller { name, role: Some(Role::App), side: None, asks_others: false, bearer, client })
        };
        callers.push(thief("app-a+token-b", Some(token("self-test-app-b")?))?);
        callers.push(thief("app-a-no-token", None)?);
        Ok(Self { running, clock: clock.clone(), callers })
    }

    /// Plants the canaries, tries everything and says what was seen.
    pub async fn play(&self, progress: &mut (dyn FnMut(usize, usize) + Send)) -> Result<Matrix, StartFault> {
        let mut canaries = Vec::new();
        for (side, letter) in LETTERS.iter().enumerate() {
            canaries.push(Canary::plant(self, side, *letter).await?);
        }
        // Receipts hold their proofs once they are sealed.
        crate::sealing::seal_all(&self.running.gateway).await;
        for (side, canary) in canaries.iter_mut().enumerate() {
            canary.ask(self, side).await?;
        }
        let clause = attempts::Clause::of(&self.running.gateway.tables.load(), &registry()?, self.clock.today())?;
        let mut cells = Vec::new();
        for (done, caller) in self.callers.iter().enumerate() {
            progress(done, self.callers.len());
            cells.extend(matrix::try_all(caller, &canaries, &clause, &self.clock).await?);
        }
        progress(self.callers.len(), self.callers.len());
        Ok(Matrix { cells })
    }

    /// Takes away what was planted, with the event that ends the test, and closes the listeners.
    pub async fn end(self, outcome: EventOutcome) -> Result<u64, StartFault> {
        let Self { running, clock, callers } = self;
        drop(callers);
        let removed = clear(running.gateway.store.as_ref(), &clock, outcome).await;
        running.drain().await;
        removed
    }

    fn caller(&self, role: Role, side: usize) -> Result<&Caller, StartFault> {
        let found = self.callers.iter().find(|caller| caller.role == Some(role) && caller.side == Some(side));
        found.ok_or_else(|| StartFault::Setting("nobody plays this part".to_owned()))
    }
}

/// Removes what this test, or an earlier one that was killed, has planted.
pub async fn clear(store: &dyn Storage, clock: &Clock, outcome: EventOutcome) -> Result<u64, StartFault> {
    let fault = |error: &dyn std::fmt::Display| StartFault::Setting(error.to_string());
    let senders = HOLDERS.iter().map(|id| ParticipantId::parse(id)).collect::<Result<Vec<_>, _>>();
    let senders = senders.map_err(|error| fault(&error))?;
    let event = AuditEvent::new(clock.now(), Action::SelfTestEnded, outcome, Agent::default());
    store.forget(tenants()?, senders, event).await.map_err(|error| fault(&error))
}

/// The configuration of the hub, but for what is the test's own.
fn own_config(config: &Config, papers: &Path) -> Result<Config, StartFault> {
    let mut own = config.clone();
    let free =
        "127.0.0.1:0".parse().map_err(|error: std::net::AddrParseError| StartFault::Setting(error.to_string()))?;
    own.edge.listen = free;
    own.operations_listen = free;
    own.edge.certificate_file = papers.join("server.pem");
    own.edge.key_file = papers.join("server.key");
    own.witness = None;
    own.coordinator = CoordinatorConfig::InProcess;
    let jwks_file = papers.join("issuer/jwks.json");
    own.issuers.push(RawIssuer { issuer: ISSUER.to_owned(), jwks_file, audience: ISSUER.to_owned() });
    // The test asks faster than any partner may.
    own.edge.rate.per_second = std::num::NonZeroU32::MAX;
    own.edge.rate.burst = std::num::NonZeroU32::MAX;
    own.edge.rates.clear();
    Ok(own)
}
