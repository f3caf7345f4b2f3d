//! `tsunagi exchanges`

use std::io::Write;

use clap::Subcommand;
use tsunagi_core::audit::{Action, Agent, AuditEvent, EventOutcome};
use tsunagi_core::exchange::{Exchange, RowState};
use tsunagi_core::id::TenantId;
use tsunagi_store::{ExchangeView, Note, RowPage, Storage};

use super::output::table;
use super::{CommandFault, Context};
use crate::gateway::load_tables;
use crate::pipeline::rejections::rejection_file;

/// `tsunagi exchanges …`
#[derive(Debug, Subcommand)]
pub(super) enum ExchangesCommand {
    /// The newest exchanges
    #[command(after_help = "Example:\n  tsunagi exchanges list --limit 20")]
    List {
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// One exchange: its rows and deliveries
    #[command(after_help = "Example:\n  tsunagi exchanges show ex-0199… --json")]
    Show {
        /// Its id
        id: String,
    },
    /// The refused rows, in the sender's own layout and charset, on standard output
    #[command(after_help = "Example:\n  tsunagi exchanges rejections ex-0199… > repair.csv")]
    Rejections {
        /// Its id
        id: String,
    },
}

/// Runs the command.
pub(super) async fn run(context: &Context, command: ExchangesCommand) -> Result<(), CommandFault> {
    let store = context.store().await?;
    match command {
        ExchangesCommand::List { limit } => {
            let list = store.exchanges(limit).await?;
            context.output.print(&list, |list| {
                let rows: Vec<Vec<String>> = list
                    .iter()
                    .map(|exchange| {
                        let layout = exchange.layout.as_ref().map_or_else(String::new, ToString::to_string);
                        let state = crate::pipeline::lookup::word(&exchange.state);
                        let at = exchange.received_at.to_string();
                        vec![exchange.id.to_string(), exchange.sender.to_string(), at, layout, state]
                    })
                    .collect();
                table(&["exchange", "sender", "received", "layout", "state"], &rows)
            })
        }
        ExchangesCommand::Show { id } => {
            let exchange = find(context, store.as_ref(), &id).await?;
            let view = whole(context, store.as_ref(), &exchange).await?;
            context.output.print(&view, |view| people(context, view))
        }
        ExchangesCommand::Rejections { id } => {
            let exchange = find(context, store.as_ref(), &id).await?;
            let mut event =
                AuditEvent::new(context.clock.now(), Action::RejectionsReturned, EventOutcome::Done, Agent::default());
            event.exchange = Some(exchange.id.clone());
            store.note(&TenantId::hub(), Note { events: vec![event], rests_on: Vec::new(), directive: None }).await?;
            let tables = load_tables(&context.config()?)?;
            let file = rejection_file(store.as_ref(), &tables, &exchange, context.output.lang)
                .await
                .map_err(|refusal| CommandFault::Failed(context.output.pick(&refusal.words()).to_owned()))?;
            std::io::stdout().lock().write_all(&file.bytes)?;
            Ok(())
        }
    }
}

async fn find(context: &Context, store: &dyn Storage, id: &str) -> Result<Exchange, CommandFault> {
    let all = store.exchanges(usize::MAX).await?;
    all.into_iter().find(|exchange| exchange.id.as_str() == id).ok_or_else(|| unknown(context, id))
}

/// The exchange with all its rows, which are printed together.
async fn whole(context: &Context, store: &dyn Storage, exchange: &Exchange) -> Result<ExchangeView, CommandFault> {
    let (sender, id) = (&exchange.sender, &exchange.id);
    let mut page = RowPage { after: 0, limit: 10_000 };
    let mut view = store.exchange(sender, id, page).await?.ok_or_else(|| unknown(context, id.as_str()))?;
    while let Some(last) = view.next {
        page = page.following(last);
        let more = store.exchange(sender, id, page).await?.ok_or_else(|| unknown(context, id.as_str()))?;
        view.rows.extend(more.rows);
        view.deliveries.extend(more.deliveries);
        view.next = more.next;
    }
    Ok(view)
}

fn unknown(context: &Context, id: &str) -> CommandFault {
    CommandFault::Usage(context.output.say(&format!("連携 {id} はありません"), &format!("there is no exchange {id}")))
}

fn people(context: &Context, view: &ExchangeView) -> String {
    let mut rows = Vec::new();
    for row in &view.rows {
        let record = match &row.state {
            RowState::Accepted { record, version } | RowState::Unchanged { record, version } => {
                format!("{record} v{version}")
            }
            RowState::Refused | RowState::Waiting => String::new(),
        };
        let faults: Vec<String> = row
            .faults
            .iter()
            .map(|f| format!("{} {} {}", f.column, f.code.as_str(), context.output.pick(&f.reason)))
            .collect();
        let leaf = row.leaf.map_or_else(String::new, |leaf| leaf.to_string());
        rows.push(vec![row.row.to_string(), row.state.as_str().to_owned(), record, leaf, faults.join(" / ")]);
    }
    let deliveries: Vec<Vec<String>> = view
        .deliveries
        .iter()
        .map(|d| {
            let last = d.last_outcome.clone().unwrap_or_default();
            vec![d.id.to_string(), d.row.to_string(), d.channel.to_string(), d.state.as_str().to_owned(), last]
        })
        .collect();
    let exchange = &view.exchange;
    let head = format!("{} {} {}", exchange.id, exchange.sender, exchange.received_at);
    let rows = table(&["row", "state", "record", "leaf", "faults"], &rows);
    if deliveries.is_empty() {
        return format!("{head}\n\n{rows}");
    }
    format!("{head}\n\n{rows}\n\n{}", table(&["delivery", "row", "channel", "state", "last"], &deliveries))
}
