//! `tsunagi serve`

use tokio::signal::unix::{SignalKind, signal};

use super::{CommandFault, Context};
use crate::gateway::Running;
use crate::{guarded, telemetry};

/// Runs until SIGTERM or SIGINT, then drains. SIGHUP reloads, all or nothing.
pub(super) async fn run(context: &Context, refused: guarded::Refused) -> Result<(), CommandFault> {
    let config = context.config()?;
    telemetry::start_log(&config);
    telemetry::start_metrics();
    for why in refused {
        tracing::warn!("{why}");
    }
    guarded::allow_sockets(&config);
    // Before the word `ready` is out: whoever waits for it may send a signal at once.
    let (mut hangup, mut terminate, mut interrupt) =
        (signal(SignalKind::hangup())?, signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let running = Box::pin(Running::start(config, context.clock.clone())).await?;
    tracing::info!(edge = %running.edge, operations = %running.operations, "ready");
    loop {
        tokio::select! {
            _ = hangup.recv() => match running.gateway.reload() {
                Ok(()) => tracing::info!("reloaded"),
                Err(error) => tracing::error!(%error, "nothing was reloaded; what was there stays"),
            },
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    tracing::info!("draining");
    running.drain().await;
    tracing::info!("ended");
    Ok(())
}
