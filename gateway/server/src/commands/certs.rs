//! `tsunagi certs`: the hub's CA.

use std::path::PathBuf;

use clap::Subcommand;
use tsunagi_certs::{Authority, Reason};
use tsunagi_core::audit::{Action, Agent, AuditEvent, EventOutcome};
use tsunagi_core::id::{ParticipantId, TenantId};
use tsunagi_store::Note;

use super::init::{failed, write_pair};
use super::output::table;
use super::{CommandFault, Context, read_text};

/// `tsunagi certs …`
#[derive(Debug, Subcommand)]
pub(super) enum CertsCommand {
    /// Make the CA: root, issuing CA and their first CRLs
    #[command(after_help = "Example:\n  tsunagi certs init")]
    Init,
    /// Issue a certificate for a participant or a server
    #[command(
        after_help = "Example:\n  tsunagi certs issue --participant hospital-1 --out .\n  tsunagi certs issue --participant hospital-1 --csr hospital-1.csr --out .\n  tsunagi certs issue --server hub.example.jp --out ."
    )]
    Issue {
        /// The participant's id
        #[arg(long, value_name = "ID", required_unless_present = "server")]
        participant: Option<String>,
        /// DNS names and addresses of a server
        #[arg(long, value_name = "NAME", conflicts_with = "participant")]
        server: Vec<String>,
        /// Take the key from this signing request instead of making one
        #[arg(long, value_name = "FILE", requires = "participant")]
        csr: Option<PathBuf>,
        /// How long it lasts
        #[arg(long, default_value_t = 397)]
        days: u32,
        /// Where certificate and key are written
        #[arg(long, value_name = "DIR", default_value = ".")]
        out: PathBuf,
    },
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
}

/// Runs the command.
pub(super) async fn run(context: &Context, command: CertsCommand) -> Result<(), CommandFault> {
    let config = context.config()?;
    let now = context.clock.now().as_second();
    let output = context.output;
    if matches!(command, CertsCommand::Init) {
        Authority::init(&config.ca_folder, "tsunagi", now).map_err(failed)?;
        let folder = config.ca_folder.display();
        return output.line(&format!("{folder} に認証局を用意しました"), &format!("the CA is ready in {folder}"));
    }
    let mut authority = Authority::open(&config.ca_folder).map_err(failed)?;
    match command {
        CertsCommand::Init => Ok(()),
        CertsCommand::Issue { participant, server, csr, days, out } => {
            std::fs::create_dir_all(&out)?;
            let (name, issued) = match (&participant, csr) {
                (Some(id), Some(csr)) => {
                    let id = parse(id)?;
                    let csr = read_text(&csr)?;
                    (
                        id.to_string(),
                        authority.issue_participant_from_csr(&csr, id.as_str(), now, days).map_err(failed)?,
                    )
                }
                (Some(id), None) => {
                    let id = parse(id)?;
                    (id.to_string(), authority.issue_participant(id.as_str(), now, days).map_err(failed)?)
                }
                (None, _) => ("server".to_owned(), authority.issue_server(&server, now, days).map_err(failed)?),
            };
            let id = participant.as_deref().and_then(|id| ParticipantId::parse(id).ok());
            note(context, Action::CertificateIssued, id, &issued.serial).await?;
            write_pair(&out, &name, &issued)?;
            let path = out.join(format!("{name}.pem"));
            output.print(&serde_json::json!({ "serial": issued.serial, "certificate": path }), |_| {
                format!("{} {}", issued.serial, path.display())
            })
        }
        CertsCommand::Revoke { serial, reason } => {
            let reason: Reason = reason.parse().map_err(|fault| CommandFault::Usage(format!("{fault}")))?;
            authority.revoke(&serial, reason, now).map_err(failed)?;
            note(context, Action::CertificateRevoked, None, &serial).await?;
            output
                .line("失効しました。稼働中のハブには SIGHUP を送ってください", "revoked; send SIGHUP to a running hub")
        }
        CertsCommand::Crl { days } => {
            authority.publish_crl(now, days).map_err(failed)?;
            output.line("失効リストを書きました", "the CRLs are written")
        }
        CertsCommand::List => {
            let list = authority.list().map_err(failed)?;
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
    }
}

/// Keeps the event in the hub's log, where there is a store already.
async fn note(
    context: &Context,
    action: Action,
    participant: Option<ParticipantId>,
    serial: &str,
) -> Result<(), CommandFault> {
    if !context.config()?.store_path.exists() {
        return Ok(());
    }
    let store = context.store().await?;
    let agent = Agent { participant, ..Agent::default() };
    let mut event = AuditEvent::new(context.clock.now(), action, EventOutcome::Done, agent);
    event.reason = Some(format!("serial:{serial}"));
    store.note(&TenantId::hub(), Note { events: vec![event], rests_on: Vec::new(), directive: None }).await?;
    Ok(())
}

fn parse(id: &str) -> Result<ParticipantId, CommandFault> {
    ParticipantId::parse(id).map_err(|fault| CommandFault::Usage(fault.to_string()))
}

fn day(unix: i64) -> String {
    jiff::Timestamp::from_second(unix).map(|at| crate::clock::date_in_japan(at).to_string()).unwrap_or_default()
}
