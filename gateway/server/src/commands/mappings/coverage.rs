//! `tsunagi mappings coverage`

use jiff::civil::Date;
use tsunagi_core::coverage::{CoverageLine, GapKind};

use super::{CommandFault, Context};
use crate::commands::Output;
use crate::commands::output::table;

/// Prints what live traffic could not map, the most rows first.
pub(super) async fn run(context: &Context, since: Option<Date>) -> Result<(), CommandFault> {
    let lines = context.store().await?.coverage(since).await?;
    context.output.print(&lines, |lines| people(&context.output, lines, since))
}

fn people(output: &Output, lines: &[CoverageLine], since: Option<Date>) -> String {
    if lines.is_empty() {
        return nothing(output, since);
    }
    let is_shown = |line: &&CoverageLine| place_of(line).is_some() && what_of(line).is_some();
    let untold = output.say("（非表示）", "(not shown)");
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|line| {
            vec![
                line.rows.to_string(),
                line.gap.kind.as_str().to_owned(),
                line.gap.channel.to_string(),
                place_of(line).unwrap_or(&untold).to_owned(),
                what_of(line).unwrap_or(&untold).to_owned(),
                line.first.to_string(),
                line.last.to_string(),
            ]
        })
        .collect();
    let table = table(&["rows", "kind", "channel", "place", "what", "first", "last"], &rows);
    if lines.iter().all(|line| is_shown(&line)) {
        return table;
    }
    let why = output.say(
        "個人のことを表しうるもの、またはチャネルごとの上限を超えたものは、件数だけを数えています",
        "what could be a person's, and what is beyond the most that a channel may have, is counted without being shown",
    );
    format!("{table}\n\n{untold}: {why}")
}

/// Where; `None` if it is not shown.
fn place_of(line: &CoverageLine) -> Option<&str> {
    Some(line.gap.place.as_str()).filter(|place| !place.is_empty())
}

/// What stands there; a column is its own place.
fn what_of(line: &CoverageLine) -> Option<&str> {
    match line.gap.kind {
        GapKind::Column => Some(""),
        GapKind::Character | GapKind::Code => line.gap.what.as_deref(),
    }
}

/// Why the list is empty, in words.
fn nothing(output: &Output, since: Option<Date>) -> String {
    let (ja, en) = match since {
        Some(day) => (format!("{day}以降、対応漏れはありません"), format!("nothing went unmapped since {day}")),
        None => ("対応漏れはありません".to_owned(), "nothing has gone unmapped so far".to_owned()),
    };
    output.say(
        &format!("{ja}。動いているゲートウェイが、通ったものだけを数え、数秒ごとに書き込みます"),
        &format!("{en}; a running gateway counts what passes through it, and writes the counts every few seconds"),
    )
}
