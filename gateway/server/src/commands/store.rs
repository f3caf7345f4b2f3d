//! `tsunagi store`

mod copy;

use std::path::PathBuf;

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::output::table;
use super::{CommandFault, Context};
use crate::gateway::load_tables;
use crate::retention::Sweep;

/// `tsunagi store …`
#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Copy the store to the empty place that another configuration names: from SQLite to PostgreSQL, or back. No hub may
    /// run on either meanwhile; what was broken off is gone on with by the same command
    #[command(after_help = "Example:\n  tsunagi --config tsunagi.toml store copy --to postgres.toml")]
    Copy {
        /// The configuration with which the hub is to run on the copy; with the same keys
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Remove what has been kept for as long as its kind says, tenant by tenant, beside a hub that runs
    #[command(after_help = "Example:\n  tsunagi store purge --dry-run")]
    Purge {
        /// Count what is over; change nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// Runs the command.
pub(super) async fn run(context: &Context, command: &StoreCommand) -> Result<(), CommandFault> {
    match command {
        StoreCommand::Copy { to } => copy::run(context, to).await,
        StoreCommand::Purge { dry_run } => purge(context, *dry_run).await,
    }
}

async fn purge(context: &Context, is_rehearsal: bool) -> Result<(), CommandFault> {
    let store = context.store().await?;
    let config = context.config()?;
    let (tables, now) = (load_tables(&config)?, context.clock.now());
    let bar = ProgressBar::new_spinner().with_style(ProgressStyle::default_spinner());
    let sweep = Sweep { store: store.as_ref(), tables: &tables, config: &config.retention, now, is_rehearsal };
    let swept = sweep
        .run(|so_far| {
            bar.set_message(so_far.told());
            bar.tick();
            true
        })
        .await?;
    bar.finish_and_clear();
    let value = json!({ "dry_run": is_rehearsal, "tenants": swept });
    context.output.print(&value, |_| {
        let rows: Vec<Vec<String>> = swept
            .iter()
            .map(|(tenant, purged)| {
                let oldest = purged.oldest.map_or_else(String::new, |at| at.to_string());
                let counts = [purged.records, purged.versions, purged.refused_rows, purged.deliveries, purged.bytes];
                let counts = counts.map(|count| count.to_string());
                [tenant.to_string()].into_iter().chain(counts).chain([oldest]).collect()
            })
            .collect();
        let done = if is_rehearsal {
            context.output.say("集計のみ。何も消していません", "dry run: nothing was removed")
        } else {
            context.output.say("保存期間の終わったものを消しました", "what was over was removed")
        };
        let header = ["tenant", "records", "versions", "refused rows", "deliveries", "bytes", "oldest left"];
        format!("{done}\n{}", table(&header, &rows))
    })
}
