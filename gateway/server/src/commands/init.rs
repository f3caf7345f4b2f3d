//! `tsunagi init`: a hub's folder from nothing. Refuses to overwrite.

use std::path::{Path, PathBuf};

use clap::Args;
use tsunagi_certs::{Authority, CertsError, Issued, Passphrase};

use super::{CommandFault, Context};
use crate::clock::Clock;
use crate::config::DEFAULT;
use crate::gateway::make_private_folder;

/// How long the first certificates last.
const DAYS: u32 = 397;

/// `tsunagi init`
#[derive(Debug, Args)]
pub struct InitArguments {
    /// The hub's folder
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// DNS names and addresses of the server's certificate
    #[arg(long = "name", value_name = "NAME", default_values = ["localhost", "127.0.0.1"])]
    names: Vec<String>,
}

/// Runs the command.
pub fn run(context: &Context, arguments: &InitArguments) -> Result<(), CommandFault> {
    init(&arguments.dir, &arguments.names, &context.clock)?;
    let dir = arguments.dir.display();
    context.output.line(
        &format!(
            "{dir} にハブを用意しました。次: tsunagi --config {dir}/tsunagi.toml registry import FILE、続いて serve"
        ),
        &format!("a hub is ready in {dir}; next: tsunagi --config {dir}/tsunagi.toml registry import FILE, then serve"),
    )
}

/// Makes configuration, CA, keys, server and operator certificates under `dir`.
pub fn init(dir: &Path, names: &[String], clock: &Clock) -> Result<(), CommandFault> {
    let config = dir.join("tsunagi.toml");
    for path in [config.clone(), dir.join("ca"), dir.join("certs"), dir.join("keys")] {
        if path.exists() {
            return Err(CommandFault::Failed(format!("{} exists already; nothing was changed", path.display())));
        }
    }
    for folder in ["certs", "keys", "data"] {
        make_private_folder(&dir.join(folder))?;
    }
    let now = clock.now().as_second();
    let mut authority = Authority::init(&dir.join("ca"), "tsunagi", now).map_err(failed)?;
    let server = authority.issue_server(names, now, DAYS).map_err(failed)?;
    write_pair(&dir.join("certs"), "server", &server)?;
    let client = authority.issue_participant("hub", now, DAYS).map_err(failed)?;
    write_pair(&dir.join("certs"), "server-client", &client)?;
    let operator = authority.issue_participant("operator", now, DAYS).map_err(failed)?;
    write_pair(&dir.join("certs"), "operator", &operator)?;
    for key in ["master.key", "checkpoint.key"] {
        let digits = hex::encode(clock.key_bytes());
        tsunagi_certs::write_key(&dir.join("keys").join(key), &digits).map_err(failed)?;
    }
    // Last, so that a run that broke off is not taken for a hub.
    std::fs::write(config, DEFAULT)?;
    Ok(())
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
