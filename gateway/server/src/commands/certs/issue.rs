//! `tsunagi certs issue` and `renew`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use tsunagi_certs::{Authority, Holder, Order, Passphrase, Prepared, Usage};
use tsunagi_core::id::ParticipantId;

use super::super::init::{failed, write_pair_under};
use super::super::{CommandFault, Context, read_file};
use super::{leaves, note, open, parse, revocations};
use crate::config::Config;
use crate::gateway::has_store;

/// `tsunagi certs issue`
#[derive(Debug, Args)]
pub(in super::super) struct IssueArguments {
    /// The participant's id
    #[arg(long, value_name = "ID", required_unless_present = "server")]
    participant: Option<String>,
    /// DNS names and addresses of a server
    #[arg(long, value_name = "NAME", conflicts_with = "participant")]
    server: Vec<String>,
    /// Take the key from this signing request, PEM or DER, instead of making one
    #[arg(long, value_name = "FILE")]
    csr: Option<PathBuf>,
    /// How long it lasts
    #[arg(long, default_value_t = 397)]
    days: u32,
    /// Where certificate and key are written
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// Put the key under the passphrase on this file's first line
    #[arg(long, value_name = "FILE", conflicts_with = "csr")]
    passphrase_file: Option<PathBuf>,
}

/// `tsunagi certs renew`
#[derive(Debug, Args)]
pub(in super::super) struct RenewArguments {
    /// The old certificate's serial number (tsunagi certs list)
    #[arg(required_unless_present = "all_within")]
    serial: Option<String>,
    /// Instead of one: every certificate that ends within so many days and has no successor
    #[arg(long, value_name = "DAYS", conflicts_with_all = ["serial", "csr"])]
    all_within: Option<u32>,
    /// Take the key from this signing request, PEM or DER, which may be the one of the first time
    #[arg(long, value_name = "FILE")]
    csr: Option<PathBuf>,
    /// How long the new one lasts
    #[arg(long, default_value_t = 397)]
    days: u32,
    /// Where certificate and key are written
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// Put the key under the passphrase on this file's first line
    #[arg(long, value_name = "FILE", conflicts_with = "csr")]
    passphrase_file: Option<PathBuf>,
}

/// What came of one certificate.
#[derive(Debug, Serialize)]
struct Made {
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    renews: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<PathBuf>,
    /// True if the key is with its owner, who must send a signing request.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    needs_request: bool,
}

/// Where certificates and keys go.
struct Place<'a> {
    dir: &'a Path,
    passphrase: Option<Passphrase>,
}

impl Place<'_> {
    fn open<'a>(dir: &'a Path, passphrase_file: Option<&Path>) -> Result<Place<'a>, CommandFault> {
        let passphrase = passphrase_file.map(Passphrase::read).transpose().map_err(failed)?;
        std::fs::create_dir_all(dir)?;
        Ok(Place { dir, passphrase })
    }

    /// Refuses a name that is taken before anything is signed, so that log and ledger tell of no certificate that
    /// could not be written.
    fn check_free(&self, name: &str) -> Result<(), CommandFault> {
        let taken = ["key", "pem"].map(|end| self.dir.join(format!("{name}.{end}"))).into_iter().find(|f| f.exists());
        match taken {
            Some(file) => Err(CommandFault::Failed(format!(
                "{} exists already and is not overwritten: name another folder with --out; nothing was issued",
                file.display()
            ))),
            None => Ok(()),
        }
    }
}

/// `issue`
pub(super) async fn issue(context: &Context, config: &Config, arguments: &IssueArguments) -> Result<(), CommandFault> {
    let id = arguments.participant.as_deref().map(parse).transpose()?;
    let place = Place::open(&arguments.out, arguments.passphrase_file.as_deref())?;
    let name = id.as_ref().map_or("server", |id| id.as_str());
    place.check_free(name)?;
    let csr = arguments.csr.as_deref().map(read_file).transpose()?;
    let holder = match &id {
        Some(id) => Holder::Participant(id.as_str()),
        None => Holder::Server(&arguments.server),
    };
    let is_missing = match &id {
        Some(id) => is_missing_from_registry(context, config, id).await?,
        None => false,
    };
    let mut authority = open(config)?;
    revocations::check(context, &authority).await?;
    let order = Order { holder, csr: csr.as_deref(), days: arguments.days };
    let prepared = authority.prepare(&order, context.clock.now().as_second()).map_err(failed)?;
    let made = hand_out(context, &mut authority, prepared, &place, name).await?;
    if is_missing {
        // Beside the result, not in it: with `--json` too.
        eprintln!(
            "{}",
            context.output.say(
                &format!("注意: {name} はまだ台帳にないため、この証明書は拒否されます。登録するには: tsunagi registry import FILE"),
                &format!("note: {name} is not in the registry yet, so its certificate is refused; register it: tsunagi registry import FILE"),
            )
        );
    }
    context.output.print(&made, |made| shown(context, made))
}

/// True if there is a registry and it does not have this participant.
async fn is_missing_from_registry(
    context: &Context,
    config: &Config,
    id: &ParticipantId,
) -> Result<bool, CommandFault> {
    if !has_store(config).await? {
        return Ok(false);
    }
    let (version, entries) = context.store().await?.registry().await?;
    Ok(version > 0 && !entries.participant.iter().any(|participant| participant.id == *id))
}

/// `renew`
pub(super) async fn renew(context: &Context, config: &Config, arguments: &RenewArguments) -> Result<(), CommandFault> {
    let place = Place::open(&arguments.out, arguments.passphrase_file.as_deref())?;
    let csr = arguments.csr.as_deref().map(read_file).transpose()?;
    let mut authority = open(config)?;
    revocations::check(context, &authority).await?;
    let now = context.clock.now().as_second();
    if let Some(serial) = &arguments.serial {
        let prepared = authority.prepare_renewal(serial, csr.as_deref(), arguments.days, now).map_err(failed)?;
        let name = file_name(&prepared);
        place.check_free(&name)?;
        let made = hand_out(context, &mut authority, prepared, &place, &name).await?;
        return context.output.print(&made, |made| shown(context, made));
    }
    let mut all = Vec::new();
    for old in authority.due(arguments.all_within.unwrap_or_default(), now).map_err(failed)? {
        if old.key_from_request {
            all.push(Made { serial: None, renews: Some(old.serial), certificate: None, needs_request: true });
            continue;
        }
        let prepared = authority.prepare_renewal(&old.serial, None, arguments.days, now).map_err(failed)?;
        // A participant may have several, one for each of its terminals.
        let name = format!("{}-{}", file_name(&prepared), prepared.entry().serial.get(..8).unwrap_or_default());
        place.check_free(&name)?;
        all.push(hand_out(context, &mut authority, prepared, &place, &name).await?);
    }
    context.output.print(&all, |all| all.iter().map(|made| shown(context, made)).collect::<Vec<_>>().join("\n"))
}

/// Leaf, ledger, files: see the head of [`super`].
async fn hand_out(
    context: &Context,
    authority: &mut Authority,
    prepared: Prepared,
    place: &Place<'_>,
    name: &str,
) -> Result<Made, CommandFault> {
    let entry = prepared.entry().clone();
    note(context, vec![leaves::issued(&entry, context.clock.now())]).await?;
    let issued = authority.record(prepared).map_err(failed)?;
    write_pair_under(place.dir, name, &issued, place.passphrase.as_ref())?;
    let certificate = Some(place.dir.join(format!("{name}.pem")));
    Ok(Made { serial: Some(issued.serial), renews: entry.renews, certificate, needs_request: false })
}

fn file_name(prepared: &Prepared) -> String {
    let entry = prepared.entry();
    match (entry.usage, entry.names.first()) {
        (Usage::Participant, Some(id)) => id.clone(),
        (Usage::Participant | Usage::Server, _) => "server".to_owned(),
    }
}

fn shown(context: &Context, made: &Made) -> String {
    match (&made.serial, &made.certificate) {
        (Some(serial), Some(certificate)) => format!("{serial} {}", certificate.display()),
        _ => {
            let old = made.renews.as_deref().unwrap_or_default();
            context.output.say(
                &format!("{old} 鍵は持ち主にあります: certs renew {old} --csr FILE"),
                &format!("{old} its owner holds the key: certs renew {old} --csr FILE"),
            )
        }
    }
}
