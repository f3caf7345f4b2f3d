//! `tsunagi audit`

mod evidence;
mod export;
mod held_against;
mod offline;
mod proof;
mod store;

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};
use tsunagi_core::id::TenantId;

use super::output::at;
use super::{CommandFault, Context};
use crate::gateway::{open_signer, open_witness};
pub(crate) use store::describe;

/// `tsunagi audit …`
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Write a log, or a part of it, to a file that anybody with the hub's public key can verify
    #[command(after_help = "Example:\n  tsunagi audit export --tenant aoi aoi.jsonl")]
    Export {
        /// The tenant (`hub` for the hub's own log)
        #[arg(long, value_name = "TENANT")]
        tenant: TenantId,
        /// From this leaf on
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// Up to this leaf, itself left out [default: all that are sealed]
        #[arg(long)]
        to: Option<u64>,
        /// The file; it must not be there yet
        file: PathBuf,
    },
    /// Print the public key that verifies the hub's checkpoints, as C2SP signed notes have it
    #[command(after_help = "Example:\n  tsunagi audit key > hub.key")]
    Key {
        /// The key of the cosignatures that this hub gives as a witness
        #[arg(long)]
        witness: bool,
    },
    /// Print the proof of a leaf (C2SP tlog-proof), or that a log only grew between two of its checkpoints
    #[command(after_help = "Example:\n  tsunagi audit proof aoi/12\n  tsunagi audit proof aoi/5..40")]
    Proof {
        /// TENANT/INDEX, a leaf's hash in hexadecimal, or TENANT/SIZE..SIZE of two checkpoints
        leaf: String,
    },
    /// Re-read every log: each leaf, each checkpoint; names the first leaf that is not as it was written. With --export: a
    /// file, on any machine, with no more than the hub's public key
    #[command(
        after_help = "Example:\n  tsunagi audit verify\n  tsunagi audit verify --export receipt.json --key hub.key"
    )]
    Verify {
        /// Only this tenant's log (`hub` for the hub's own)
        #[arg(long, value_name = "TENANT", conflicts_with = "export")]
        tenant: Option<TenantId>,
        /// An export, a proof, a receipt, a checkpoint, or a proof that a log grew; no store is needed
        #[arg(long, value_name = "FILE", requires = "key")]
        export: Option<PathBuf>,
        /// What `tsunagi audit key` printed, on a day when there was no doubt of it
        #[arg(long, value_name = "FILE", requires = "export")]
        key: Option<PathBuf>,
        /// Such a file from an earlier day: the log must have gone on from there
        #[arg(long, value_name = "FILE", requires = "export")]
        earlier: Option<PathBuf>,
    },
    /// The events of one log
    #[command(after_help = "Example:\n  tsunagi audit show --tenant aoi --from 0 --limit 20")]
    Show {
        /// The tenant (`hub` for the hub's own log)
        #[arg(long, value_name = "TENANT")]
        tenant: TenantId,
        /// From this leaf on
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
}

/// Runs the command.
pub(crate) async fn run(context: &Context, command: AuditCommand) -> Result<(), CommandFault> {
    match command {
        AuditCommand::Export { tenant, from, to, file } => export::run(context, &tenant, (from, to), &file).await,
        AuditCommand::Key { witness } => key(context, witness),
        AuditCommand::Proof { leaf } => proof::run(context, &leaf).await,
        AuditCommand::Verify { export: Some(export), key: Some(key), earlier, .. } => {
            offline::run(&context.output, &export, &key, earlier.as_deref())
        }
        AuditCommand::Verify { tenant, .. } => store::verify(context, tenant).await,
        AuditCommand::Show { tenant, from, limit } => {
            let leaves = context.store().await?.audit_page(&tenant, from, limit).await?;
            let events: Vec<Value> = leaves
                .iter()
                .map(|leaf| {
                    let event: Value = serde_json::from_slice(&leaf.bytes).unwrap_or(Value::Null);
                    json!({ "leaf": leaf.index, "hash": hex::encode(leaf.hash), "event": event })
                })
                .collect();
            context.output.print(&events, |events| {
                events
                    .iter()
                    .map(|event| format!("{} {}", at(event, "/leaf"), at(event, "/event")))
                    .collect::<Vec<_>>()
                    .join("\n")
            })
        }
    }
}

fn key(context: &Context, witness: bool) -> Result<(), CommandFault> {
    let config = context.config()?;
    let key = match (witness, open_witness(&config)?) {
        (false, _) => open_signer(&config)?.verifier_key(),
        (true, Some(witness)) => witness.cosigner.verifier_key(),
        (true, None) => {
            return Err(CommandFault::Usage(context.output.say(
                "このハブは証人ではありません（witness.name が空です）",
                "this hub is no witness: witness.name is empty",
            )));
        }
    };
    context.output.print(&json!({ "key": key }), |_| key.clone())
}
