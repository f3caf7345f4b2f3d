//! Who plays: two municipalities, two hospitals, an app and the operator, each with a certificate of its own, and the
//! registry that says what leads where.

use std::path::{Path, PathBuf};

use tsunagi_certs::Authority;
use tsunagi_core::registry::RegistryEntries;

use super::client::Client;
use super::issuer::Issuer;
use super::stage::Flop;
use crate::clock::Clock;
use crate::commands::init::{init, write_pair};
use crate::config::Config;

/// Participants with certificates of their own.
pub(super) const PARTNERS: [&str; 6] =
    ["city-oita", "city-hakodate", "hospital-oita", "hospital-hakodate", "app-techo", "hospital-closed"];

/// 医療機関コード of the two hospitals, invented, with valid check digits.
pub(super) const HOSPITAL_OITA: &str = "4419929999";
/// See [`HOSPITAL_OITA`].
pub(super) const HOSPITAL_HAKODATE: &str = "0119929990";

/// The issuer of the citizens' tokens in the play.
pub(super) const ISSUER: &str = "https://id.example.jp";
/// The audience of those tokens.
pub(super) const AUDIENCE: &str = "tsunagi-demo";

/// The registry of the play.
pub(super) const REGISTRY: &str = include_str!("registry.toml");

/// How long the partners' certificates and the citizen's token last.
const DAYS: u32 = 397;

/// A hub's folder with its cast.
pub(super) struct Cast {
    /// The hub's folder.
    pub folder: PathBuf,
    /// Its configuration, on ports that are free.
    pub config: Config,
    /// The registry to import.
    pub registry: RegistryEntries,
}

impl Cast {
    /// Makes the hub, the certificates and keys of all partners, and the token issuer.
    pub(super) async fn assemble(folder: &Path, clock: &Clock) -> Result<Self, Flop> {
        init(folder, &["localhost".to_owned(), "127.0.0.1".to_owned()], None, clock).await?;
        let now = clock.now().as_second();
        let mut authority = Authority::open(&folder.join("ca")).map_err(|error| Flop(error.to_string()))?;
        for partner in PARTNERS {
            let dir = folder.join("partners").join(partner);
            std::fs::create_dir_all(&dir)?;
            let issued = authority.issue_participant(partner, now, DAYS).map_err(|error| Flop(error.to_string()))?;
            write_pair(&dir, partner, &issued)?;
        }
        // Released, so that `tsunagi certs` works beside a kept hub.
        drop(authority);
        let issuer = "partners/issuer/jwks.json";
        Issuer { dir: &folder.join("partners/issuer"), name: ISSUER, audience: AUDIENCE }.make()?;
        let file = folder.join("tsunagi.toml");
        let trusted =
            format!("issuers = [{{ issuer = \"{ISSUER}\", jwks_file = \"{issuer}\", audience = \"{AUDIENCE}\" }}]");
        let settings = crate::config::DEFAULT.replace("issuers = []", &trusted);
        std::fs::write(&file, settings)?;
        let ports = [("TSUNAGI__EDGE__LISTEN", "127.0.0.1:0"), ("TSUNAGI__OPERATIONS__LISTEN", "127.0.0.1:0")];
        let ports = ports.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = Config::load(Some(&file), ports).map_err(|faults| Flop(format!("{faults:?}")))?;
        let registry = toml::from_str(REGISTRY).map_err(|error: toml::de::Error| Flop(error.to_string()))?;
        Ok(Self { folder: folder.to_owned(), config, registry })
    }

    /// The client of one partner.
    pub(super) fn client(&self, edge: std::net::SocketAddr, partner: &str) -> Result<Client, Flop> {
        let dir = self.folder.join("partners").join(partner);
        Ok(Client::new(format!("https://{edge}"), &dir, partner, &self.folder.join("ca/root.pem"))?)
    }

    /// A token that the issuer gives to a citizen for use by the app alone: it names the app's certificate.
    pub(super) fn token(&self, sub: &str, clock: &Clock) -> Result<String, Flop> {
        let leaf = self.folder.join("partners/app-techo/app-techo.pem");
        let issuer = Issuer { dir: &self.folder.join("partners/issuer"), name: ISSUER, audience: AUDIENCE };
        Ok(issuer.token(sub, &leaf, clock.now().as_second(), i64::from(DAYS) * 86_400)?)
    }
}
