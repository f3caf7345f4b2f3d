//! `tsunagi self-test`: what the hub promises, tried on the hub itself.

use clap::Subcommand;
use serde::Serialize;
use tsunagi_core::audit::EventOutcome;
use tsunagi_core::registry::RegistryEntries;

use super::certs::{open, revocations};
use super::output::table;
use super::{CommandFault, Context};
use crate::isolation::{self, Certificates, HOLDERS, Matrix, Trial};

/// `tsunagi self-test …`
#[derive(Debug, Subcommand)]
pub(super) enum SelfTestCommand {
    /// Tries every read path across tenants against canary records, and prints who saw what. Works beside `tsunagi
    /// serve`
    #[command(
        after_help = "Example:\n  tsunagi self-test isolation\n  tsunagi self-test isolation --json\n\nExit code 1 if anybody sees what is not theirs, or not what is theirs."
    )]
    Isolation,
}

/// What is printed.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    matrix: Matrix,
    /// Channels of the hub's own registry that send one municipality's records to another.
    leaking_channels: Vec<String>,
    leaks: usize,
    not_seen: usize,
    /// Rows of the store that were planted and taken away again.
    removed: u64,
    revoked: usize,
}

/// Runs the command.
pub(super) async fn run(context: &Context, command: SelfTestCommand) -> Result<(), CommandFault> {
    let SelfTestCommand::Isolation = command;
    let (config, store, clock) = (context.config()?, context.store().await?, &context.clock);
    let (_, entries) = store.registry().await?;
    refuse_namesakes(context, &entries)?;
    let mut authority = open(&config)?;
    revocations::check(context, &authority).await?;
    // What an earlier run has left that was killed.
    isolation::clear(store.as_ref(), clock, EventOutcome::Done).await?;
    let certificates = Certificates::issue(&mut authority, store.as_ref(), clock).await?;
    let played = play(context, &config, &store, &certificates).await;
    let revoked = certificates.revoke(&mut authority, store.as_ref(), clock).await;
    let (matrix, removed) = played?;
    let report = Report {
        leaking_channels: isolation::leaking_channels(&entries),
        leaks: matrix.leaks().count(),
        not_seen: matrix.blind().count(),
        removed,
        revoked: revoked?,
        matrix,
    };
    context.output.print(&report, |report| shown(context, report))?;
    match report.leaks + report.leaking_channels.len() + report.not_seen {
        0 => Ok(()),
        _ => Err(CommandFault::Failed(verdict(context, &report))),
    }
}

/// Plays, and takes away what was planted, whatever came of it.
async fn play(
    context: &Context,
    config: &crate::config::Config,
    store: &std::sync::Arc<dyn tsunagi_store::Storage>,
    certificates: &Certificates,
) -> Result<(Matrix, u64), CommandFault> {
    let (clock, folder) = (&context.clock, certificates.folder());
    let trial = Box::pin(Trial::start(config, clock, store.clone(), folder, isolation::registry()?)).await?;
    let bar = progress(context);
    let played = Box::pin(trial.play(&mut |done, _| bar.set_position(done as u64))).await;
    bar.finish_and_clear();
    let is_sound = played.as_ref().is_ok_and(|matrix| matrix.leaks().next().is_none());
    let removed = trial.end(if is_sound { EventOutcome::Done } else { EventOutcome::Failed }).await;
    let matrix = played.map_err(|fault| CommandFault::Failed(fault.to_string()))?;
    Ok((matrix, removed?))
}

/// A hub that has such names already has them for somebody: nothing is planted among what is theirs.
fn refuse_namesakes(context: &Context, entries: &RegistryEntries) -> Result<(), CommandFault> {
    let tenants = isolation::tenants()?;
    let tenant =
        entries.tenant.iter().map(|tenant| tenant.id.as_str()).find(|id| tenants.iter().any(|t| t.as_str() == *id));
    let participant = entries.participant.iter().map(|one| one.id.as_str()).find(|id| HOLDERS.contains(id));
    match tenant.or(participant) {
        None => Ok(()),
        Some(id) => Err(CommandFault::Usage(context.output.say(
            &format!("台帳に {id} があります。この名前は自己試験のものです"),
            &format!("the registry has {id}: that name is the self-test's own"),
        ))),
    }
}

fn progress(context: &Context) -> indicatif::ProgressBar {
    match context.output.json {
        true => indicatif::ProgressBar::hidden(),
        false => indicatif::ProgressBar::new(HOLDERS.len() as u64 + 2),
    }
}

fn shown(context: &Context, report: &Report) -> String {
    let say = |ja: &str, en: &str| context.output.say(ja, en);
    let (participants, rows) = report.matrix.table();
    let path = say("経路", "path");
    let header: Vec<&str> = std::iter::once(path.as_str()).chain(participants.iter().map(String::as_str)).collect();
    let requests: usize = report.matrix.cells.iter().map(|cell| cell.attempts).sum();
    let mut text = table(&header, &rows);
    text.push_str(&say(
        "\n\na・b: その自治体の記録が見えた  !: 見えてはならない  ~: 有無が区別できた  ?: 見えるべきものが見えない  -: 見えない\n",
        "\n\na, b: that municipality's records were seen   ! must not be   ~ there could be told from not there   ? should be and was not   - not seen\n",
    ));
    for channel in &report.leaking_channels {
        text.push_str(&say(
            &format!("台帳の {channel} は、ある自治体の記録を別の自治体に送ります\n"),
            &format!("the registry's channel {channel} sends one municipality's records to another\n"),
        ));
    }
    let Report { leaks, not_seen, removed, revoked, .. } = report;
    text.push_str(&say(
        &format!(
            "{requests}回試し、漏れ {leaks}、見えるべきで見えないもの {not_seen}\n\
             植えた記録・同意・紐付け・鍵 {removed}行を消し、証明書{revoked}枚を失効しました。残るのは、消せない監査記録の葉とそれを検証する自治体の鍵、認証局の台帳の行だけです"
        ),
        &format!(
            "{requests} answers looked through: {leaks} leaks, {not_seen} that should have been seen and were not\n\
             {removed} rows of records, consents, links and keys that were planted are removed and {revoked} certificates revoked; what stays is leaves of the audit logs with the tenants' keys that verify them, and lines of the CA's ledger, which only grow"
        ),
    ));
    text
}

fn verdict(context: &Context, report: &Report) -> String {
    let mut words: Vec<String> = report
        .matrix
        .cells
        .iter()
        .filter(|cell| cell.is_leak() || cell.is_blind())
        .map(|cell| format!("{} {} {}", cell.participant, cell.path, cell.tenant))
        .collect();
    words.extend(report.leaking_channels.iter().cloned());
    context.output.say(
        &format!("隔離が破れています: {}", words.join(", ")),
        &format!("isolation does not hold: {}", words.join(", ")),
    )
}
