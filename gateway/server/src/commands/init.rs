//! `tsunagi init`: a hub's folder from nothing. Refuses to overwrite.

use std::path::{Path, PathBuf};

use clap::Args;
use tsunagi_certs::{Authority, CertsError, Holder, Issued, Order, Passphrase};

use super::certs::leaves;
use super::{CommandFault, Context};
use crate::clock::Clock;
use crate::config::{Config, DEFAULT};
use crate::gateway::{make_private_folder, open_store};

/// How long the first certificates last.
const DAYS: u32 = 397;

/// Where what is trusted beside the hub's own CA is put.
const TRUST: [&str; 5] = ["trust/hub-ca", "trust/foreign-ca", "trust/known", "trust/crl", "trust/destination-ca"];

/// The line of the reference that names no file of a passphrase.
const NO_PASSPHRASE: &str = "passphrase_file = \"\"";

/// `tsunagi init`
#[derive(Debug, Args)]
pub struct InitArguments {
    /// The hub's folder
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// DNS names and addresses of the server's certificate
    #[arg(long = "name", value_name = "NAME", default_values = ["localhost", "127.0.0.1"])]
    names: Vec<String>,
    /// Put the CA's keys under the passphrase on this file's first line; tsunagi.toml then names the file
    #[arg(long, value_name = "FILE")]
    ca_passphrase_file: Option<PathBuf>,
}

/// Runs the command.
pub(super) async fn run(context: &Context, arguments: &InitArguments) -> Result<(), CommandFault> {
    init(&arguments.dir, &arguments.names, arguments.ca_passphrase_file.as_deref(), &context.clock).await?;
    let dir = arguments.dir.display();
    context.output.line(
        &format!(
            "{dir} にハブを用意しました。次: tsunagi --config {dir}/tsunagi.toml registry import FILE、続いて serve"
        ),
        &format!("a hub is ready in {dir}; next: tsunagi --config {dir}/tsunagi.toml registry import FILE, then serve"),
    )
}

/// Makes configuration, keys, store, CA, server and operator certificates under `dir`. Keys and store come first, so that
/// the log has a leaf of the CA and of each certificate: see the head of `commands/certs/mod.rs`.
pub async fn init(
    dir: &Path,
    names: &[String],
    ca_passphrase_file: Option<&Path>,
    clock: &Clock,
) -> Result<(), CommandFault> {
    let file = dir.join("tsunagi.toml");
    for path in [file.clone(), dir.join("ca"), dir.join("certs"), dir.join("keys"), dir.join("data/tsunagi.db")] {
        if path.exists() {
            return Err(CommandFault::Failed(format!("{} exists already; nothing was changed", path.display())));
        }
    }
    let passphrase = ca_passphrase_file.map(Passphrase::read).transpose().map_err(failed)?;
    let settings = settings(dir, ca_passphrase_file)?;
    let config = Config::parse(&settings, "tsunagi.toml", dir, std::iter::empty())
        .map_err(|faults| CommandFault::Failed(format!("{faults:?}")))?;
    for folder in ["certs", "keys", "data"].into_iter().chain(TRUST) {
        make_private_folder(&dir.join(folder))?;
    }
    for key in [&config.master_key_file, &config.checkpoint_key_file] {
        tsunagi_certs::write_key(key, &hex::encode(clock.key_bytes())).map_err(failed)?;
    }
    let store = open_store(&config).await?;
    store.migrate().await?;
    let now = clock.now();
    let mut authority =
        Authority::init_under(&config.ca_folder, "tsunagi", now.as_second(), passphrase).map_err(failed)?;
    leaves::write(store.as_ref(), leaves::made(&authority, now)?).await?;
    let first = [
        ("server", Holder::Server(names)),
        ("server-client", Holder::Participant("hub")),
        ("operator", Holder::Participant("operator")),
    ];
    for (name, holder) in first {
        let order = Order { holder, csr: None, days: DAYS };
        let prepared = authority.prepare(&order, now.as_second()).map_err(failed)?;
        leaves::write(store.as_ref(), vec![leaves::issued(prepared.entry(), now)]).await?;
        write_pair(&dir.join("certs"), name, &authority.record(prepared).map_err(failed)?)?;
    }
    // Last, so that a run that broke off is not taken for a hub.
    std::fs::write(file, settings)?;
    Ok(())
}

/// The reference, with the file of the CA's passphrase if there is one: told from the hub's folder if it lies inside, so
/// that the folder may be moved.
fn settings(dir: &Path, ca_passphrase_file: Option<&Path>) -> Result<String, CommandFault> {
    let Some(file) = ca_passphrase_file else { return Ok(DEFAULT.to_owned()) };
    let (dir, file) = (std::path::absolute(dir)?, std::path::absolute(file)?);
    let told = file.strip_prefix(&dir).unwrap_or(&file).to_str();
    let told = told.ok_or_else(|| CommandFault::Usage(format!("{}: not UTF-8", file.display())))?;
    Ok(DEFAULT.replacen(NO_PASSPHRASE, &format!("passphrase_file = {}", toml::Value::from(told)), 1))
}

/// Writes certificate and key beside each other; the key for its owner only.
pub fn write_pair(dir: &Path, name: &str, issued: &Issued) -> Result<(), CommandFault> {
    write_pair_under(dir, name, issued, None)
}

/// The same, with the key under a passphrase if there is one.
pub fn write_pair_under(
    dir: &Path,
    name: &str,
    issued: &Issued,
    passphrase: Option<&Passphrase>,
) -> Result<(), CommandFault> {
    let file = dir.join(format!("{name}.key"));
    match (&issued.key_pem, passphrase) {
        (Some(key), Some(passphrase)) => {
            let key = tsunagi_certs::encrypt_key(key, passphrase).map_err(failed)?;
            tsunagi_certs::write_key(&file, &key).map_err(failed)?;
        }
        (Some(key), None) => tsunagi_certs::write_key(&file, key).map_err(failed)?,
        (None, _) => {}
    }
    std::fs::write(dir.join(format!("{name}.pem")), &issued.certificate_pem)?;
    Ok(())
}

/// A fault of the CA as a command's.
pub fn failed(error: CertsError) -> CommandFault {
    CommandFault::Failed(error.to_string())
}
