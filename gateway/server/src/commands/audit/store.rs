//! `tsunagi audit verify` on a store: with its keys each leaf is checked by itself.

use std::collections::BTreeSet;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tsunagi_core::id::TenantId;
use tsunagi_store::{Verdict, VerifyFault};

use crate::commands::{CommandFault, Context, Output, write_line};
use crate::gateway::open_signer;

/// Re-reads every log, or one.
pub(super) async fn verify(context: &Context, only: Option<TenantId>) -> Result<(), CommandFault> {
    let store = context.store().await?;
    let public_key = open_signer(&context.config()?)?.public_key();
    let tenants = match only {
        Some(tenant) => vec![tenant],
        None => {
            // Every log that there is, not only those that the registry still names.
            let (_, entries) = store.registry().await?;
            let registered = entries.tenant.into_iter().map(|tenant| tenant.id).chain([TenantId::hub()]);
            registered.chain(store.logs().await?).collect::<BTreeSet<_>>().into_iter().collect()
        }
    };
    let mut verdicts = Vec::new();
    for tenant in tenants {
        let bar =
            ProgressBar::new_spinner().with_style(ProgressStyle::default_spinner()).with_message(tenant.to_string());
        let verdict = store.verify(&tenant, &public_key, &|read| bar.set_position(read)).await?;
        bar.finish_and_clear();
        verdicts.push(verdict);
    }
    let all_well = verdicts.iter().all(|verdict| verdict.fault.is_none());
    let shown: Vec<Value> = verdicts
        .iter()
        .map(|v| {
            let fault = v.fault.as_ref().map(|fault| describe(&Output { lang: tsunagi_core::fault::Lang::En, json: true }, fault));
            json!({ "tenant": v.tenant, "leaves": v.leaves, "sealed": v.sealed, "verified": v.fault.is_none(), "fault": fault })
        })
        .collect();
    if context.output.json {
        context.output.print(&shown, |_| String::new())?;
    } else {
        for verdict in &verdicts {
            write_line(&line(&context.output, verdict))?;
        }
    }
    if all_well { Ok(()) } else { Err(CommandFault::Failed(String::new())) }
}

fn line(output: &Output, verdict: &Verdict) -> String {
    let Verdict { tenant, leaves, sealed, fault } = verdict;
    match fault {
        None => output.say(
            &format!("{tenant}: 検証済 葉 {leaves}（封印 {sealed}）"),
            &format!("{tenant}: verified, {leaves} leaves ({sealed} sealed)"),
        ),
        Some(fault) => format!("{tenant}: {}", describe(output, fault)),
    }
}

/// A fault in words, with the leaf or checkpoint it is about.
pub(crate) fn describe(output: &Output, fault: &VerifyFault) -> String {
    match fault {
        VerifyFault::Added(leaf) => output.say(
            &format!("葉 {leaf} はゲートウェイが書いたものではありません"),
            &format!("leaf {leaf} was added behind the gateway's back"),
        ),
        VerifyFault::Changed(leaf) => {
            output.say(&format!("葉 {leaf} が書き換えられています"), &format!("leaf {leaf} was changed"))
        }
        VerifyFault::Checkpoint(size) => output.say(
            &format!("大きさ {size} の検査点が葉と一致しないか、署名が正しくありません"),
            &format!("the checkpoint of size {size} does not fit its leaves, or its signature is wrong"),
        ),
        VerifyFault::Removed(leaf) => {
            output.say(&format!("葉 {leaf} が取り除かれています"), &format!("leaf {leaf} was removed"))
        }
        VerifyFault::Reordered(leaf) => {
            output.say(&format!("葉 {leaf} の順序が変えられています"), &format!("leaf {leaf} was moved"))
        }
    }
}
