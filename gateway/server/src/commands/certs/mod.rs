//! `tsunagi certs`: the hub's CA.
//!
//! # What comes first
//!
//! A certificate is signed, then its leaf is written to the hub's audit log, then the CA's ledger gets its line, then the
//! files are written. Until the last step nobody has the certificate, so whatever stops the command before it, nobody
//! holds one that log and ledger do not know; the log may then tell of one that nobody has. A revocation goes the other
//! way round: ledger and list come first, for it must not wait for a store that is down. If its leaf cannot be written the
//! command says so and ends with a fault; the same command again writes it.
//!
//! Where there is no store yet, as between `init` and the first `serve`, the ledger is the only record.

mod bundle;
mod forecast;
mod issue;

use clap::Subcommand;
use tsunagi_certs::{Authority, Passphrase, Reason, Usage};
use tsunagi_core::audit::{Action, Agent, AuditEvent, EventOutcome};
use tsunagi_core::id::{ParticipantId, TenantId};
use tsunagi_store::Note;

use super::init::failed;
use super::output::table;
use super::{CommandFault, Context};
use crate::config::Config;

/// `tsunagi certs …`
#[derive(Debug, Subcommand)]
pub(super) enum CertsCommand {
    /// Make the CA: root, issuing CAs and their first CRLs
    #[command(after_help = "Example:\n  tsunagi certs init")]
    Init,
    /// Issue a certificate for a participant or a server
    #[command(
        after_help = "Example:\n  tsunagi certs issue --participant hospital-1 --out .\n  tsunagi certs issue --participant hospital-1 --csr hospital-1.csr --out .\n  tsunagi certs issue --server hub.example.jp --out ."
    )]
    Issue(issue::IssueArguments),
    /// Issue a new certificate for the holder of one that ends; the old one holds until its end
    #[command(
        after_help = "Example:\n  tsunagi certs renew 5f3a… --out new\n  tsunagi certs renew 5f3a… --csr hospital-1.csr --out new\n  tsunagi certs renew --all-within 30 --out new"
    )]
    Renew(issue::RenewArguments),
    /// Revoke a certificate and write a new CRL
    #[command(after_help = "Example:\n  tsunagi certs revoke 5f3a… --reason keyCompromise")]
    Revoke {
        /// The certificate's serial number (tsunagi certs list)
        serial: String,
        /// unspecified, keyCompromise, affiliationChanged, superseded or cessationOfOperation
        #[arg(long, default_value = "unspecified")]
        reason: String,
    },
    /// Write fresh CRLs
    #[command(after_help = "Example:\n  tsunagi certs crl --days 7")]
    Crl {
        /// Days until the next one is due at the latest
        #[arg(long, default_value_t = 7)]
        days: u32,
    },
    /// Everything issued
    #[command(after_help = "Example:\n  tsunagi certs list --json")]
    List,
    /// Who goes dark on which day: certificates, CAs and CRLs that end. Exit code 1 if any does within the window
    #[command(
        after_help = "Example:\n  tsunagi certs forecast --within 60\n  tsunagi certs forecast --as-of 2027-04-01 --json"
    )]
    Forecast(forecast::ForecastArguments),
    /// Certificate, chain and key in one PKCS#12 file under a password
    #[command(
        after_help = "Example:\n  tsunagi certs bundle hospital-1.pem --key hospital-1.key --password-file password --out hospital-1.p12"
    )]
    Bundle(bundle::BundleArguments),
}

/// Runs the command.
pub(super) async fn run(context: &Context, command: CertsCommand) -> Result<(), CommandFault> {
    let config = context.config()?;
    let now = context.clock.now().as_second();
    let output = context.output;
    match command {
        CertsCommand::Bundle(arguments) => bundle::run(context, &config, &arguments),
        CertsCommand::Crl { days } => {
            open(&config)?.publish_crl(now, days).map_err(failed)?;
            note(context, Action::CrlPublished, None, format!("days:{days}")).await?;
            output.line(
                "失効リストを書きました。稼働中のハブは1秒ほどで取り込みます",
                "the CRLs are written; a running hub takes them over within a second",
            )
        }
        CertsCommand::Forecast(arguments) => forecast::run(context, &config, &arguments).await,
        CertsCommand::Init => {
            Authority::init_under(&config.ca_folder, "tsunagi", now, passphrase(&config)?).map_err(failed)?;
            let folder = config.ca_folder.display();
            output.line(&format!("{folder} に認証局を用意しました"), &format!("the CA is ready in {folder}"))
        }
        CertsCommand::Issue(arguments) => issue::issue(context, &config, &arguments).await,
        CertsCommand::List => {
            let list = open(&config)?.list().map_err(failed)?;
            output.print(&list, |list| {
                let rows: Vec<Vec<String>> = list
                    .iter()
                    .map(|entry| {
                        let state = entry.reason.as_ref().map_or_else(|| "valid".to_owned(), ToString::to_string);
                        vec![entry.serial.clone(), entry.names.join(" "), day(entry.not_after), state]
                    })
                    .collect();
                table(&["serial", "for", "until", "state"], &rows)
            })
        }
        CertsCommand::Renew(arguments) => issue::renew(context, &config, &arguments).await,
        CertsCommand::Revoke { serial, reason } => {
            let reason: Reason = reason.parse().map_err(|fault| CommandFault::Usage(format!("{fault}")))?;
            let mut authority = open(&config)?;
            authority.revoke(&serial, reason, now).map_err(failed)?;
            let entry = authority.entry(&serial).map_err(failed)?;
            let holder = holder_of(entry.usage, &entry.names);
            let said =
                note(context, Action::CertificateRevoked, holder, format!("serial:{} reason:{reason}", entry.serial));
            said.await.map_err(|fault| unnoted(context, &fault))?;
            output.line(
                "失効しました。稼働中のハブは1秒ほどで拒否し始めます",
                "revoked; a running hub refuses it within a second",
            )
        }
    }
}

/// Opens the CA, with the passphrase that the configuration names.
fn open(config: &Config) -> Result<Authority, CommandFault> {
    Authority::open_under(&config.ca_folder, passphrase(config)?).map_err(failed)
}

fn passphrase(config: &Config) -> Result<Option<Passphrase>, CommandFault> {
    config.ca_passphrase_file.as_deref().map(Passphrase::read).transpose().map_err(failed)
}

/// The participant that a certificate names.
fn holder_of(usage: Usage, names: &[String]) -> Option<ParticipantId> {
    match usage {
        Usage::Participant => names.first().and_then(|id| ParticipantId::parse(id).ok()),
        Usage::Server => None,
    }
}

/// Keeps the event in the hub's log, where there is a store already.
async fn note(
    context: &Context,
    action: Action,
    participant: Option<ParticipantId>,
    reason: String,
) -> Result<(), CommandFault> {
    if !context.config()?.store_path.exists() {
        return Ok(());
    }
    let store = context.store().await?;
    let agent = Agent { participant, ..Agent::default() };
    let mut event = AuditEvent::new(context.clock.now(), action, EventOutcome::Done, agent);
    event.reason = Some(reason);
    store.note(&TenantId::hub(), Note { events: vec![event], rests_on: Vec::new(), directive: None }).await?;
    Ok(())
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

fn parse(id: &str) -> Result<ParticipantId, CommandFault> {
    ParticipantId::parse(id).map_err(|fault| CommandFault::Usage(fault.to_string()))
}

fn day(unix: i64) -> String {
    jiff::Timestamp::from_second(unix).map(|at| crate::clock::date_in_japan(at).to_string()).unwrap_or_default()
}
