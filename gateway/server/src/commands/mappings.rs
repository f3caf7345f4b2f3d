//! `tsunagi mappings`

mod check;
mod coverage;
mod loss;
mod try_file;

use std::path::PathBuf;

use clap::Subcommand;
use jiff::civil::Date;
use tsunagi_core::id::LayoutId;
use tsunagi_mappings::{Layout, Tables};

use super::{CommandFault, Context};
use crate::gateway::load_tables;

/// `tsunagi mappings …`
#[derive(Debug, Subcommand)]
pub(super) enum MappingsCommand {
    /// All faults of all tables, every case, codes and pairs without effect, and the proof of every layout
    #[command(after_help = "The proof sends generated records through every layout and back; what does not come back \
                            must be in its loss certificate.\n\nExample:\n  tsunagi mappings check")]
    Check,
    /// What live traffic could not map: columns, codes and characters by channel, those that hold up most rows first
    #[command(after_help = "The gateway counts as it runs and writes the counts every few seconds. What could be a \
                            person's is counted without being shown. A row with two of them counts for both.\n\n\
                            Example:\n  tsunagi mappings coverage --since 2026-04-01")]
    Coverage {
        /// The first day that counts, in Japan [default: since counting began]
        #[arg(long, value_name = "DATE")]
        since: Option<Date>,
    },
    /// The loss certificate of a layout: what of a record does not come back from it
    #[command(after_help = "Example:\n  tsunagi mappings loss municipal_csv/vaccination_legacy")]
    Loss {
        /// The layout, format/name
        layout: LayoutId,
    },
    /// Read a file through a layout, row by row: cell → converter → code → field; stores nothing
    #[command(
        after_help = "Of a file with more than 100 rows only the rows with a fault or a warning are shown, then \
                            the counts; the file is read piece by piece, whatever its size.\n\nExample:\n  \
                            tsunagi mappings try municipal_csv/vaccination_legacy file.csv"
    )]
    Try {
        /// The layout, format/name
        layout: LayoutId,
        /// The file
        file: PathBuf,
    },
}

/// Runs the command.
pub(super) async fn run(context: &Context, command: &MappingsCommand) -> Result<(), CommandFault> {
    match command {
        MappingsCommand::Check => check::run(context),
        MappingsCommand::Coverage { since } => coverage::run(context, *since).await,
        MappingsCommand::Loss { layout } => loss::run(context, layout),
        MappingsCommand::Try { layout, file } => try_file::run(context, layout, file),
    }
}

fn tables(context: &Context) -> Result<Tables, CommandFault> {
    Ok(load_tables(&context.config()?)?)
}

fn find<'a>(context: &Context, tables: &'a Tables, id: &LayoutId) -> Result<&'a Layout, CommandFault> {
    tables.layout(id).ok_or_else(|| {
        let known: Vec<String> = tables.layouts().map(|layout| layout.id().to_string()).collect();
        let words = context
            .output
            .say(&format!("項目対応表 {id} はありません。あるもの:"), &format!("there is no layout {id}; there are:"));
        CommandFault::Usage(format!("{words}\n{}", known.join("\n")))
    })
}
