//! `tsunagi demo`: the whole main job over real mTLS sockets, on an embedded store in a fresh folder.

mod acts;
mod cast;
pub(crate) mod client;
pub(crate) mod issuer;
mod papers;
mod proof;
mod stage;

use std::path::PathBuf;

use clap::Args;
use tsunagi_core::audit::{Action, Agent, AuditEvent, EventOutcome};

use crate::commands::{CommandFault, Context};
use crate::gateway::{Running, open_store};
use cast::Cast;
use stage::{Flop, Stage};

/// `tsunagi demo`
#[derive(Debug, Args)]
pub struct DemoArguments {
    /// Leave the hub in this folder, which must be new or empty, with certificates and keys of all partners
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Runs the command.
pub async fn run(context: &Context, arguments: DemoArguments) -> Result<(), CommandFault> {
    let scratch = tempfile::tempdir()?;
    let folder = match &arguments.keep {
        Some(keep) => keep.clone(),
        None => scratch.path().join("hub"),
    };
    let mut stage = Stage::new(context.output);
    Box::pin(play(context, &mut stage, &folder)).await.map_err(|flop| CommandFault::Failed(flop.0))?;
    stage.curtain(arguments.keep.as_deref())
}

async fn play(context: &Context, stage: &mut Stage, folder: &std::path::Path) -> Result<(), Flop> {
    let clock = &context.clock;
    let cast = Cast::assemble(folder, clock).await?;
    {
        let store = open_store(&cast.config).await?;
        store.migrate().await?;
        let event = AuditEvent::new(clock.now(), Action::RegistryImported, EventOutcome::Done, Agent::default());
        store.import_registry(cast.registry.clone(), event).await?;
    }
    acts::write_samples(&cast, clock)?;
    let running = Box::pin(Running::start(cast.config.clone(), clock.clone())).await?;
    let played = Box::pin(acts::play(stage, &cast, &running, clock)).await;
    running.drain().await;
    played?;
    proof::play(stage, &cast, context.output).await
}
