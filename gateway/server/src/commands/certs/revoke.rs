//! `tsunagi certs revoke`.

use std::path::PathBuf;

use clap::Args;
use tsunagi_certs::Reason;

use super::super::init::failed;
use super::super::{CommandFault, Context, read_text};
use super::{leaves, note, open, revocations};
use crate::config::Config;

/// `tsunagi certs revoke`
#[derive(Debug, Args)]
pub(in super::super) struct RevokeArguments {
    /// The certificate's serial number (tsunagi certs list)
    #[arg(required_unless_present = "certificate")]
    serial: Option<String>,
    /// Instead of it: the certificate itself, PEM. Works if the ledger has lost it too
    #[arg(long, value_name = "FILE", conflicts_with = "serial")]
    certificate: Option<PathBuf>,
    /// unspecified, keyCompromise, affiliationChanged, superseded or cessationOfOperation
    #[arg(long, default_value = "unspecified")]
    reason: String,
}

/// Runs the command.
pub(super) async fn run(context: &Context, config: &Config, arguments: &RevokeArguments) -> Result<(), CommandFault> {
    let reason: Reason = arguments.reason.parse().map_err(|fault| CommandFault::Usage(format!("{fault}")))?;
    let pem = arguments.certificate.as_deref().map(read_text).transpose()?;
    let now = context.clock.now();
    let mut authority = open(config)?;
    let serial = match &pem {
        Some(pem) => authority.restore(pem).map_err(failed)?.serial,
        None => arguments.serial.clone().unwrap_or_default(),
    };
    authority.revoke(&serial, reason, now.as_second()).map_err(failed)?;
    let entry = authority.entry(&serial).map_err(failed)?;
    let mut events = vec![leaves::revoked(&authority, &entry, reason, now)?];
    // Told each time, for the command is run again if the log could not be written.
    if authority.was_restored(&entry.serial).map_err(failed)? {
        events.insert(0, leaves::restored(&entry, now));
    }
    note(context, events).await.map_err(|fault| unnoted(context, &fault))?;
    // Only now: what is to be revoked does not wait for what else the ledger has lost.
    revocations::check(context, &authority).await.map_err(|fault| others_lost(context, &fault))?;
    context.output.line(
        "失効しました。稼働中のハブは1秒ほどで拒否し始めます",
        "revoked; a running hub refuses it within a second",
    )
}

/// The certificate is revoked, and the ledger lacks another one that was.
fn others_lost(context: &Context, fault: &CommandFault) -> CommandFault {
    let why = fault.message();
    CommandFault::Failed(context.output.say(
        &format!("この証明書は失効しましたが、ほかの失効が台帳から失われています: {why}"),
        &format!("this certificate is revoked; another revocation is lost: {why}"),
    ))
}

/// The certificate is revoked, and the log does not know it.
fn unnoted(context: &Context, fault: &CommandFault) -> CommandFault {
    CommandFault::Unavailable(context.output.say(
        &format!(
            "失効しましたが、監査記録に残せませんでした。同じコマンドをもう一度実行してください: {}",
            fault.message()
        ),
        &format!("revoked, but the audit log could not be written; run the same command again: {}", fault.message()),
    ))
}
