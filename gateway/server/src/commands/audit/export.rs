//! `tsunagi audit export`: a log, or a part of it, as a file. The first line is its head; then comes a line for each leaf,
//! with the event's own bytes and its proof: a line that was changed is told from all others.

use std::io::{BufWriter, Write};
use std::path::Path;

use indicatif::ProgressBar;
use tsunagi_core::id::TenantId;

use super::evidence::{ExportHead, ExportLine};
use crate::commands::{CommandFault, Context};
use crate::receipts::Prover;
use crate::sealing::origin;

/// How many leaves are read at once.
const PAGE: usize = 1024;

/// Runs the command.
pub(super) async fn run(
    context: &Context,
    tenant: &TenantId,
    (from, to): (u64, Option<u64>),
    file: &Path,
) -> Result<(), CommandFault> {
    let output = &context.output;
    let store = context.store().await?;
    let mut prover = Prover::open(store.as_ref(), tenant).await?;
    let Some(checkpoint) = prover.checkpoint().cloned() else {
        return Err(CommandFault::Failed(
            output.say(&format!("{tenant}: 封印された葉はまだありません"), &format!("{tenant}: nothing is sealed yet")),
        ));
    };
    let to = to.unwrap_or(checkpoint.size);
    if from >= to || to > checkpoint.size {
        let size = checkpoint.size;
        return Err(CommandFault::Usage(output.say(
            &format!("--from と --to は 0 から {size} までの範囲です（封印された葉 {size}）"),
            &format!("--from and --to are a range within 0 to {size}, the leaves that are sealed"),
        )));
    }
    let created = std::fs::OpenOptions::new().write(true).create_new(true).open(file);
    let created = created.map_err(|error| CommandFault::Failed(format!("{}: {error}", file.display())))?;
    let mut writer = BufWriter::new(created);
    write(&mut writer, &ExportHead { origin: origin(tenant), from, to, checkpoint: checkpoint.note })?;
    let bar = ProgressBar::new(to - from);
    let mut next = from;
    while next < to {
        let page = store.audit_page(tenant, next, PAGE).await?;
        if page.is_empty() {
            return Err(CommandFault::Failed(format!("leaf {next} of {tenant} is gone; see `tsunagi audit verify`")));
        }
        for leaf in page.into_iter().take_while(|leaf| leaf.index < to) {
            let proof = prover.proof(leaf.index).await?.ok_or_else(|| {
                CommandFault::Failed(output.say(
                    "証明に必要なハッシュをまだ作成中です。serve を動かして少し待ってください",
                    "the hashes that proofs are made of are still being worked out; let serve run a little",
                ))
            })?;
            let event = String::from_utf8(leaf.bytes).map_err(|error| CommandFault::Failed(error.to_string()))?;
            write(&mut writer, &ExportLine::of(leaf.index, event, &proof))?;
            next = leaf.index + 1;
            bar.set_position(next - from);
        }
        prover.forget_leaves_before(next);
    }
    bar.finish_and_clear();
    let file_written = writer.into_inner().map_err(|error| CommandFault::Failed(error.to_string()))?;
    file_written.sync_all()?;
    let (leaves, file) = (to - from, file.display());
    output.line(
        &format!("{tenant}: 葉 {leaves} 件を {file} に書き出しました"),
        &format!("{tenant}: {leaves} leaves written to {file}"),
    )
}

fn write(writer: &mut impl Write, line: &impl serde::Serialize) -> Result<(), CommandFault> {
    serde_json::to_writer(&mut *writer, line).map_err(|error| CommandFault::Failed(error.to_string()))?;
    Ok(writer.write_all(b"\n")?)
}
