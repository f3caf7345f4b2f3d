//! `tsunagi consent`: why a decision came out as it did, what it would be, and what another policy would have said.

mod decide;
mod explain;
mod what_if;

use std::path::PathBuf;

use clap::Subcommand;
use tsunagi_core::id::{ExchangeId, KindName, ParticipantId, TenantId};
use tsunagi_core::policy::Purpose;

use super::{CommandFault, Context};

/// `tsunagi consent …`
#[derive(Debug, Subcommand)]
pub(super) enum ConsentCommand {
    /// Why each decision of an exchange came out as it did, and what would have to change; as its events tell it
    #[command(after_help = "Example:\n  tsunagi consent explain ex-0199…")]
    Explain {
        /// The exchange, as `Tsunagi-Exchange` names it
        #[arg(value_parser = exchange)]
        exchange: ExchangeId,
        /// Only in this tenant's log
        #[arg(long, value_name = "TENANT")]
        tenant: Option<TenantId>,
    },
    /// What the decision would be for a subject, by the directives on file; that it was asked is in the tenant's log
    #[command(
        after_help = "Example:\n  tsunagi consent decide --tenant aoi --subject 'recipient|80131016:0000001' --kind vaccination --participant hospital-1 --as-of 2026-04-01"
    )]
    Decide(Asked),
    /// Which of the newest recorded decisions would be others under changed tables, before they are put in force
    #[command(after_help = "Example:\n  tsunagi consent what-if --tables ./tables-next --last 1000")]
    WhatIf {
        /// A folder as `[tables] folder` names it, with the changed policy/default.toml
        #[arg(long, value_name = "FOLDER")]
        tables: PathBuf,
        /// So many decisions of each log
        #[arg(long, default_value_t = 1_000)]
        last: usize,
        /// Only in this tenant's log
        #[arg(long, value_name = "TENANT")]
        tenant: Option<TenantId>,
    },
}

/// What `decide` asks.
#[derive(Debug, clap::Args)]
pub(super) struct Asked {
    /// The tenant that holds the records
    #[arg(long)]
    tenant: TenantId,
    /// Whose: SYSTEM|VALUE, the system by name or URI
    #[arg(long, value_name = "SYSTEM|VALUE")]
    subject: String,
    /// The record kind
    #[arg(long)]
    kind: KindName,
    /// Who would receive
    #[arg(long)]
    participant: ParticipantId,
    /// What for: TREAT, HPAYMT, … [default: none stated]
    #[arg(long, value_parser = purpose)]
    purpose: Option<Purpose>,
    /// The legal basis that would be stated
    #[arg(long, value_name = "CLAUSE")]
    basis: Option<String>,
    /// A moment, or the day at whose beginning [default: now]
    #[arg(long, value_name = "DATE")]
    as_of: Option<String>,
    /// By a proxy; an app else asks for the subject in person
    #[arg(long)]
    proxy: bool,
}

/// Runs the command.
pub(super) async fn run(context: &Context, command: ConsentCommand) -> Result<(), CommandFault> {
    match command {
        ConsentCommand::Decide(asked) => decide::run(context, &asked).await,
        ConsentCommand::Explain { exchange, tenant } => explain::run(context, &exchange, tenant).await,
        ConsentCommand::WhatIf { tables, last, tenant } => what_if::run(context, &tables, last, tenant).await,
    }
}

fn exchange(text: &str) -> Result<ExchangeId, String> {
    ExchangeId::parse(text).map_err(|fault| fault.to_string())
}

fn purpose(text: &str) -> Result<Purpose, String> {
    Purpose::parse(text).ok_or_else(|| {
        let all: Vec<_> = Purpose::ALL.iter().map(|purpose| purpose.as_str()).collect();
        format!("none of {}", all.join(", "))
    })
}
