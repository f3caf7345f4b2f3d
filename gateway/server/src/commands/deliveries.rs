//! `tsunagi deliveries`

use clap::Subcommand;
use tsunagi_core::audit::{Action, Agent, AuditEvent, EventOutcome};
use tsunagi_core::exchange::{DeliveryState, DeliveryView};
use tsunagi_core::id::{DeliveryId, TenantId};
use tsunagi_store::coordinator::Notice;
use tsunagi_store::{DeliveryFilter, Storage};

use super::output::table;
use super::{CommandFault, Context};
use crate::coordination::tell_others;

/// `tsunagi deliveries …`
#[derive(Debug, Subcommand)]
pub(super) enum DeliveriesCommand {
    /// Deliveries, newest first
    #[command(after_help = "Example:\n  tsunagi deliveries list --state dead")]
    List {
        /// pending, delivered, rejected, held or dead
        #[arg(long, value_parser = ["pending", "delivered", "rejected", "held", "dead"])]
        state: Option<String>,
        /// At most so many for each tenant
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// One delivery
    #[command(after_help = "Example:\n  tsunagi deliveries show dl-0199…")]
    Show {
        /// Its id
        id: String,
    },
    /// Put dead or held deliveries back with a fresh schedule
    #[command(after_help = "Example:\n  tsunagi deliveries redrive dl-0199… dl-019a…")]
    Redrive {
        /// Their ids
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

/// Runs the command.
pub(super) async fn run(context: &Context, command: DeliveriesCommand) -> Result<(), CommandFault> {
    let store = context.store().await?;
    let (_, entries) = store.registry().await?;
    let tenants: Vec<TenantId> = entries.tenant.into_iter().map(|tenant| tenant.id).collect();
    match command {
        DeliveriesCommand::List { state, limit } => {
            let state = state.as_deref().and_then(state_of);
            let mut list = Vec::new();
            for tenant in &tenants {
                list.extend(store.deliveries(tenant, &DeliveryFilter { state, limit }).await?);
            }
            context.output.print(&list, |list| shown(list))
        }
        DeliveriesCommand::Show { id } => {
            let (_, found) = find(context, store.as_ref(), &tenants, &id).await?;
            context.output.print(&found, |found| shown(std::slice::from_ref(found)))
        }
        DeliveriesCommand::Redrive { ids } => {
            for id in ids {
                let (tenant, found) = find(context, store.as_ref(), &tenants, &id).await?;
                let now = context.clock.now();
                let mut event = AuditEvent::new(now, Action::DeliveryRedriven, EventOutcome::Done, Agent::default());
                event.delivery = Some(found.id.clone());
                event.channel = Some(found.channel.clone());
                event.exchange = Some(found.exchange.clone());
                store.redrive(&tenant, &found.id, now, event).await.map_err(|error| match error {
                    tsunagi_store::StoreError::NotFound => CommandFault::Failed(context.output.say(
                        &format!("{id} は配信不能でも保留でもありません"),
                        &format!("{id} is neither dead nor held"),
                    )),
                    other => other.into(),
                })?;
                context.output.line(&format!("{id} を再投入しました"), &format!("{id} was put back"))?;
            }
            tell_others(&context.config()?, Notice::OutboxGrew).await;
            Ok(())
        }
    }
}

async fn find(
    context: &Context,
    store: &dyn Storage,
    tenants: &[TenantId],
    id: &str,
) -> Result<(TenantId, DeliveryView), CommandFault> {
    let unknown = || {
        CommandFault::Usage(
            context.output.say(&format!("配信 {id} はありません"), &format!("there is no delivery {id}")),
        )
    };
    let id = DeliveryId::parse(id).map_err(|_| unknown())?;
    for tenant in tenants {
        if let Some(found) = store.delivery(tenant, &id).await? {
            return Ok((tenant.clone(), found));
        }
    }
    Err(unknown())
}

fn state_of(word: &str) -> Option<DeliveryState> {
    use DeliveryState::{Dead, Delivered, Held, Pending, Rejected};
    [Dead, Delivered, Held, Pending, Rejected].into_iter().find(|state| state.as_str() == word)
}

fn shown(list: &[DeliveryView]) -> String {
    let rows: Vec<Vec<String>> = list
        .iter()
        .map(|d| {
            vec![
                d.id.to_string(),
                d.tenant.to_string(),
                d.channel.to_string(),
                d.state.as_str().to_owned(),
                d.attempts.to_string(),
                d.next_at.to_string(),
                d.last_outcome.clone().unwrap_or_default(),
            ]
        })
        .collect();
    table(&["delivery", "tenant", "channel", "state", "attempts", "next", "last"], &rows)
}
