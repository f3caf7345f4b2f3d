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
//! A CA itself has its leaves as soon as it is there, before it issues anything: `tsunagi init` makes the store first.
//! Where there is no store at all, as for a CA that `certs init` makes without a hub, the ledger is the only record.

mod bundle;
mod forecast;
mod issue;
pub(crate) mod leaves;
pub(super) mod revocations;
mod revoke;

use clap::Subcommand;
use tsunagi_certs::{Authority, Passphrase};
use tsunagi_core::audit::AuditEvent;
use tsunagi_core::id::ParticipantId;

use super::init::failed;
use super::output::table;
use super::{CommandFault, Context};
use crate::config::Config;
use crate::gateway::has_store;

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
    #[command(
        after_help = "Example:\n  tsunagi certs revoke 5f3a… --reason keyCompromise\n  tsunagi certs revoke --certificate hospital-1.pem --reason keyCompromise"
    )]
    Revoke(revoke::RevokeArguments),
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
            let mut authority = open(&config)?;
            revocations::check(context, &authority).await?;
            authority.publish_crl(now, days).map_err(failed)?;
            note(context, vec![leaves::lists(days, context.clock.now())]).await?;
            output.line(
                "失効リストを書きました。稼働中のハブは1秒ほどで取り込みます",
                "the CRLs are written; a running hub takes them over within a second",
            )
        }
        CertsCommand::Forecast(arguments) => forecast::run(context, &config, &arguments).await,
        CertsCommand::Init => {
            init(context, &config).await?;
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
        CertsCommand::Revoke(arguments) => revoke::run(context, &config, &arguments).await,
    }
}

/// `init`
async fn init(context: &Context, config: &Config) -> Result<(), CommandFault> {
    // A store that does not open is to show before anything is made.
    if has_store(config).await? {
        context.store().await?;
    }
    let now = context.clock.now();
    let authority = Authority::init_under(&config.ca_folder, "tsunagi", now.as_second(), passphrase(config)?);
    let events = leaves::made(&authority.map_err(failed)?, now)?;
    note(context, events).await.map_err(|fault| {
        let (folder, why) = (config.ca_folder.display(), fault.message());
        CommandFault::Unavailable(context.output.say(
            &format!("{folder} に認証局ができましたが、監査記録に残せませんでした。まだ何も発行していません。フォルダーを消してもう一度実行してください: {why}"),
            &format!("the CA is made in {folder}, but the audit log could not be written; nothing was issued yet, remove the folder and run the command again: {why}"),
        ))
    })
}

/// Opens the CA, with the passphrase that the configuration names.
pub(super) fn open(config: &Config) -> Result<Authority, CommandFault> {
    Authority::open_under(&config.ca_folder, passphrase(config)?).map_err(failed)
}

fn passphrase(config: &Config) -> Result<Option<Passphrase>, CommandFault> {
    config.ca_passphrase_file.as_deref().map(Passphrase::read).transpose().map_err(failed)
}

/// Keeps events in the hub's log, where there is a store already.
async fn note(context: &Context, events: Vec<AuditEvent>) -> Result<(), CommandFault> {
    if !has_store(&context.config()?).await? {
        return Ok(());
    }
    leaves::write(context.store().await?.as_ref(), events).await
}

fn parse(id: &str) -> Result<ParticipantId, CommandFault> {
    ParticipantId::parse(id).map_err(|fault| CommandFault::Usage(fault.to_string()))
}

fn day(unix: i64) -> String {
    jiff::Timestamp::from_second(unix).map(|at| crate::clock::date_in_japan(at).to_string()).unwrap_or_default()
}
