//! `tsunagi mappings check`

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tsunagi_core::id::LayoutId;
use tsunagi_mappings::{Proof, Tables};

use super::{CommandFault, Context};
use crate::commands::check::{Finding, findings, shown};
use crate::proof::through_bytes;

/// Records that each layout is proved with.
const RECORDS: u32 = 200;

/// What the whole set amounts to.
#[derive(Debug, Default)]
struct Totals {
    layouts: usize,
    fields: usize,
    losses: usize,
    proof: Proof,
    /// Layouts of which not one generated record came back.
    unread: Vec<LayoutId>,
}

/// Prints every fault there is, and what was proved; exit code 64 if there is one.
pub(super) fn run(context: &Context) -> Result<(), CommandFault> {
    let (mut faults, tables) = findings(context);
    let mut totals = Totals::default();
    if let Some(tables) = &tables {
        totals = prove(context, tables);
        faults.extend(totals.unread.iter().map(|layout| Finding {
            place: layout.to_string(),
            reason: context.output.say(
                "この様式からは記録を作れません。必須項目が [[lost]] にないか確かめてください",
                "no record can be read from this layout: see whether a required field is in a [[lost]]",
            ),
        }));
        faults.extend(totals.proof.failures.iter().map(|failure| {
            let field = failure.field.as_ref().map_or_else(String::new, |key| format!(" {key}"));
            Finding { place: format!("{}{field}", failure.layout), reason: failure.reason.clone() }
        }));
    }
    let Totals { layouts, fields, losses, proof, .. } = &totals;
    let data = json!({
        "faults": faults, "layouts": layouts, "fields": fields, "losses": losses,
        "proved": { "returned": proof.equal, "held": proof.held },
    });
    context.output.print(&data, |_| {
        let (equal, held) = (proof.equal, proof.held);
        let counted = context.output.say(
            &format!("項目対応表 {layouts}、項目 {fields}、申告された損失 {losses}。往復検証: 戻った記録 {equal}、保留された記録 {held}"),
            &format!("{layouts} layouts, {fields} fields, {losses} declared losses; proof: {equal} records came back, {held} were held"),
        );
        format!("{}\n{counted}", shown(context, &faults))
    })?;
    if faults.is_empty() { Ok(()) } else { Err(CommandFault::Usage(String::new())) }
}

fn prove(context: &Context, tables: &Tables) -> Totals {
    let today = context.clock.today();
    let bar = ProgressBar::new(u64::try_from(tables.layouts().count()).unwrap_or(0));
    bar.set_style(ProgressStyle::default_bar());
    let mut totals = Totals::default();
    for layout in tables.layouts() {
        totals.layouts += 1;
        if let Some(certificate) = tables.certificate(layout, today) {
            totals.fields += certificate.carried;
            totals.losses += certificate.count();
        }
        let proof = tables.prove(layout, RECORDS, today, &through_bytes);
        if proof.equal == 0 && proof.failures.is_empty() {
            totals.unread.push(layout.id().clone());
        }
        totals.proof.equal += proof.equal;
        totals.proof.held += proof.held;
        totals.proof.failures.extend(proof.failures);
        bar.inc(1);
    }
    bar.finish_and_clear();
    totals
}
