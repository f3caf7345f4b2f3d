//! Act 8: every log verifies; then one byte of a copy is changed, and the verification names the leaf.

use std::path::Path;
use std::time::Instant;

use tsunagi_core::id::TenantId;
use tsunagi_store::VerifyFault;

use super::cast::Cast;
use super::stage::{Flop, Stage};
use crate::commands::Output;
use crate::config::Config;
use crate::gateway::{open_signer, open_store};

/// Act 8.
pub(super) async fn play(stage: &mut Stage, cast: &Cast, output: Output) -> Result<(), Flop> {
    stage.act(
        "すべての監査記録を検証し、写しの1バイトを変えて見破る",
        "Every audit log verifies; one changed byte is found",
    );
    let public_key = open_signer(&cast.config)?.public_key();
    let oita = TenantId::parse("oita").map_err(|fault| Flop(fault.to_string()))?;
    let before = {
        let store = open_store(&cast.config).await?;
        let (_, entries) = store.registry().await?;
        for tenant in entries.tenant.into_iter().map(|tenant| tenant.id).chain([TenantId::hub()]) {
            let started = Instant::now();
            let verdict = store.verify(&tenant, &public_key, &|_| {}).await?;
            let came = format!("{} leaves, {} sealed", verdict.leaves, verdict.sealed);
            stage.row("operator", &format!("audit verify {tenant}"), &came, started.elapsed());
            stage.expect(
                verdict.fault.is_none() && verdict.leaves == verdict.sealed,
                &format!("{tenant}: 検証済"),
                &format!("{tenant}: verified"),
            )?;
        }
        store.audit_page(&oita, 0, 100_000).await?
    };

    let copy = cast.folder.join("data/copy.db");
    change_one_byte(&cast.config.store_path, &copy)?;
    let config = Config { store_path: copy.clone(), ..cast.config.clone() };
    let started = Instant::now();
    let (verdict, after) = {
        let store = open_store(&config).await?;
        (store.verify(&oita, &public_key, &|_| {}).await?, store.audit_page(&oita, 0, 100_000).await?)
    };
    for file in ["copy.db", "copy.db-wal", "copy.db-shm"] {
        let path = cast.folder.join("data").join(file);
        if path.exists() {
            std::fs::remove_file(path)?;
        }
    }
    let changed = before.iter().zip(&after).find(|(old, new)| old != new).map(|(old, _)| old.index);
    let fault = verdict.fault.ok_or_else(|| Flop("the change was not found".to_owned()))?;
    let words = crate::commands::audit::describe(&output, &fault);
    stage.row("operator", "audit verify oita (copy)", &words, started.elapsed());
    stage.expect(
        changed.is_some_and(|index| fault == VerifyFault::Changed(index)),
        "変えた葉の番号を名指しした",
        "it names the very leaf that was changed",
    )
}

/// Copies a store and changes one letter of one audit event in the copy, as somebody with the disk in hand would.
fn change_one_byte(from: &Path, to: &Path) -> Result<(), Flop> {
    // The store was closed: everything is in the one file.
    let mut bytes = std::fs::read(from)?;
    let mark = br#""action":"LookupAnswered","outcome":"denied""#;
    let at = bytes.windows(mark.len()).position(|window| window == mark);
    let letter = at.and_then(|at| bytes.get_mut(at + mark.len() - 2));
    *letter.ok_or_else(|| Flop("there is no such event in the store".to_owned()))? = b'x';
    Ok(std::fs::write(to, bytes)?)
}
