//! `tsunagi audit proof`: of one leaf, or of a log's growth.

use indicatif::ProgressBar;
use serde_json::json;
use tsunagi_core::id::TenantId;
use tsunagi_core::merkle::{Hash, TILE, Tile};
use tsunagi_store::{Storage, StoreError};

use crate::commands::{CommandFault, Context, Output};
use crate::receipts::{Prover, growth};

/// Runs the command.
pub(super) async fn run(context: &Context, leaf: &str) -> Result<(), CommandFault> {
    let store = context.store().await?;
    let store = store.as_ref();
    let output = &context.output;
    if let Some((tenant, older, newer)) = sizes(leaf) {
        return grown(output, store, &tenant, older, newer).await;
    }
    let (tenant, index) = match place(leaf) {
        Some(place) => place,
        None => find(output, store, leaf).await?,
    };
    let mut prover = Prover::open(store, &tenant).await?;
    match prover.receipt(index).await {
        Err(StoreError::NotFound) => Err(missing(output, &format!("{tenant}/{index}"))),
        Err(error) => Err(error.into()),
        Ok(receipt) => match &receipt.proof {
            Some(proof) => output.print(&receipt, |_| proof.clone()),
            None => Err(CommandFault::Failed(output.say(
                &format!("葉 {tenant}/{index} はまだ封印されていません。少し待ってください"),
                &format!("leaf {tenant}/{index} is not sealed yet; wait a little"),
            ))),
        },
    }
}

/// That a log grew from the checkpoint of one size to that of another: also what a witness takes.
async fn grown(
    output: &Output,
    store: &dyn Storage,
    tenant: &TenantId,
    older: u64,
    newer: u64,
) -> Result<(), CommandFault> {
    let checkpoints = store.checkpoints(tenant).await?;
    let of_size = |size| checkpoints.iter().find(|checkpoint| checkpoint.size == size);
    let (Some(older), Some(newer)) = (of_size(older), of_size(newer)) else {
        let sizes: Vec<_> = checkpoints.iter().rev().take(8).map(|checkpoint| checkpoint.size.to_string()).collect();
        let sizes = sizes.join(" ");
        return Err(CommandFault::Failed(output.say(
            &format!("その大きさの検査点がありません。新しいものから: {sizes}"),
            &format!("there is no checkpoint of that size; the newest: {sizes}"),
        )));
    };
    let proof = growth(store, tenant, older, newer).await?.ok_or_else(|| missing(output, tenant.as_str()))?;
    output.print(&json!({ "old_checkpoint": older.note, "proof": proof.to_string() }), |_| proof.to_string())
}

/// Looks through all logs for a leaf with this hash: its place is not kept, for it would cost every leaf to be written.
async fn find(output: &Output, store: &dyn Storage, text: &str) -> Result<(TenantId, u64), CommandFault> {
    let mut wanted: Hash = [0; 32];
    hex::decode_to_slice(text, &mut wanted).map_err(|_| {
        CommandFault::Usage(output.say(
            &format!("{text}: 自治体/番号、または葉のハッシュ（16進数64桁）を指定してください"),
            &format!("{text}: give TENANT/INDEX, or a leaf's hash of 64 hexadecimal digits"),
        ))
    })?;
    let bar = ProgressBar::new_spinner();
    for tenant in store.logs().await? {
        bar.set_message(tenant.to_string());
        for index in 0.. {
            let tile = store.tile(&tenant, Tile { level: 0, index }).await?;
            if let Some(at) = (0..).zip(&tile).find_map(|(at, hash)| (*hash == wanted).then_some(at)) {
                bar.finish_and_clear();
                return Ok((tenant, index * TILE + at));
            }
            if (tile.len() as u64) < TILE {
                break;
            }
            bar.set_position((index + 1) * TILE);
        }
    }
    bar.finish_and_clear();
    Err(missing(output, text))
}

fn missing(output: &Output, leaf: &str) -> CommandFault {
    CommandFault::Failed(
        output.say(&format!("{leaf}: そのような葉はありません"), &format!("{leaf}: there is no such leaf")),
    )
}

fn place(text: &str) -> Option<(TenantId, u64)> {
    let (tenant, index) = text.split_once('/')?;
    let index = index.parse().ok().filter(|index: &u64| i64::try_from(*index).is_ok())?;
    Some((TenantId::parse(tenant).ok()?, index))
}

fn sizes(text: &str) -> Option<(TenantId, u64, u64)> {
    let (tenant, sizes) = text.split_once('/')?;
    let (older, newer) = sizes.split_once("..")?;
    Some((TenantId::parse(tenant).ok()?, older.parse().ok()?, newer.parse().ok()?))
}
