//! `tsunagi mappings loss`

use serde_json::json;
use tsunagi_core::fault::Bilingual;
use tsunagi_core::id::LayoutId;
use tsunagi_mappings::Certificate;

use super::{CommandFault, Context, find, tables};
use crate::commands::Output;
use crate::commands::output::table;

/// Prints the loss certificate of a layout as of today.
pub(super) fn run(context: &Context, id: &LayoutId) -> Result<(), CommandFault> {
    let tables = tables(context)?;
    let layout = find(context, &tables, id)?;
    let today = context.clock.today();
    let certificate = tables.certificate(layout, today).ok_or_else(|| {
        CommandFault::Failed(context.output.say("記録種別が読み込まれていません", "its kind is not loaded"))
    })?;
    let data = json!({ "as_of": today, "losses_in_all": certificate.count(), "certificate": certificate });
    context.output.print(&data, |_| people(&context.output, &certificate))
}

fn people(output: &Output, certificate: &Certificate) -> String {
    let Certificate { layout, label, charset, carried, fields, lost, losses, required, .. } = certificate;
    let pick = |text: &Bilingual| output.pick(text).to_owned();
    let mut parts = vec![
        format!("{layout}  {}", pick(label)),
        output.say(
            &format!("{fields}項目のうち{carried}項目を運びます（文字コード {charset}）"),
            &format!("carries {carried} of {fields} fields, charset {charset}"),
        ),
    ];
    let mut section = |ja: &str, en: &str, header: &[&str], rows: Vec<Vec<String>>| {
        if !rows.is_empty() {
            let heading = output.say(&format!("{ja}（{}）", rows.len()), &format!("{en} ({})", rows.len()));
            parts.push(format!("\n{heading}\n{}", table(header, &rows)));
        }
    };
    let rows = lost.iter().map(|one| vec![one.field.to_string(), pick(&one.label), pick(&one.reason)]).collect();
    section("運ばない項目", "Fields that are not carried", &["field", "label", "reason"], rows);
    let rows = losses.iter().map(|one| {
        let field = one.field.as_ref().map_or_else(|| "*".to_owned(), ToString::to_string);
        let label = one.label.as_ref().map_or_else(|| output.say("すべての文字列", "all text"), pick);
        vec![field, label, pick(&one.words)]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    section("運ぶ項目で失われるもの", "What is lost of fields that are carried", &["field", "label", "loss"], rows);
    let rows = required.iter().map(|one| vec![one.field.to_string(), pick(&one.label), one.path.clone()]).collect();
    section(
        "記録種別では任意でも、この様式では必須の項目",
        "Required here though the kind leaves them open",
        &["field", "label", "path"],
        rows,
    );
    if lost.is_empty() && losses.is_empty() {
        parts.push(output.say("失われるものはありません", "nothing is lost"));
    }
    parts.join("\n")
}
