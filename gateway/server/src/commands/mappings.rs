//! `tsunagi mappings`

use std::path::{Path, PathBuf};

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tsunagi_adapters::{Payload, adapter};
use tsunagi_core::fault::RowFault;
use tsunagi_core::id::LayoutId;
use tsunagi_mappings::{Context as MappingContext, Layout, Tables};

use super::output::{at, table, write_line};
use super::{CommandFault, Context, read_file};
use crate::gateway::load_tables;

/// `tsunagi mappings …`
#[derive(Debug, Subcommand)]
pub(super) enum MappingsCommand {
    /// All faults of all tables, and every case
    #[command(after_help = "Example:\n  tsunagi mappings check")]
    Check,
    /// Read a file through a layout, row by row: cell → converter → code → field; stores nothing
    #[command(after_help = "Example:\n  tsunagi mappings try municipal_csv/vaccination_legacy file.csv")]
    Try {
        /// The layout, format/name
        layout: LayoutId,
        /// The file
        file: PathBuf,
    },
}

/// Runs the command.
pub(super) fn run(context: &Context, command: &MappingsCommand) -> Result<(), CommandFault> {
    match command {
        MappingsCommand::Check => super::check::run(context),
        MappingsCommand::Try { layout, file } => explain(context, layout, file),
    }
}

fn explain(context: &Context, id: &LayoutId, file: &Path) -> Result<(), CommandFault> {
    let tables = load_tables(&context.config()?)?;
    let output = context.output;
    let layout = tables.layout(id).ok_or_else(|| {
        let known: Vec<String> = tables.layouts().map(|layout| layout.id().to_string()).collect();
        CommandFault::Usage(format!(
            "{}\n{}",
            output.say(
                &format!("項目対応表 {id} はありません。あるもの:"),
                &format!("there is no layout {id}; there are:")
            ),
            known.join("\n")
        ))
    })?;
    let bytes = read_file(file)?;
    let adapter = adapter(layout.format()).map_err(CommandFault::Usage)?;
    let payload = Payload { bytes: &bytes, charset: Some(layout.charset()) };
    let rows = adapter.decode(payload).map_err(|fault| CommandFault::Refused(output.pick(&fault.reason).to_owned()))?;
    let bar = ProgressBar::new_spinner().with_style(ProgressStyle::default_spinner());
    let mapping = MappingContext { today: context.clock.today(), check_digits_are_errors: false };
    let (mut accepted, mut refused) = (0u64, 0u64);
    let mut all = Vec::new();
    for row in rows {
        bar.inc(1);
        let (number, steps, faults) = match row {
            Err(fault) => (fault.row, Vec::new(), vec![fault]),
            Ok(document) => {
                let steps = steps(&tables, layout, &document, &mapping);
                match tables.canonicalize(layout, &document, &mapping) {
                    Ok(canonical) => {
                        accepted += 1;
                        (document.row, steps, canonical.warnings)
                    }
                    Err(faults) => {
                        refused += 1;
                        (document.row, steps, faults)
                    }
                }
            }
        };
        if output.json {
            all.push(json!({ "row": number, "steps": steps, "faults": faults }));
        } else {
            bar.suspend(|| write_line(&people(context, number, &steps, &faults)))?;
        }
    }
    bar.finish_and_clear();
    let summary = json!({ "accepted": accepted, "refused": refused, "rows": all });
    output.print(&summary, |_| {
        output.say(
            &format!("受付できる行 {accepted}、拒否される行 {refused}"),
            &format!("{accepted} rows fit, {refused} would be refused"),
        )
    })?;
    if refused == 0 { Ok(()) } else { Err(CommandFault::Refused(String::new())) }
}

fn steps(
    tables: &Tables,
    layout: &Layout,
    document: &tsunagi_core::document::Document,
    mapping: &MappingContext,
) -> Vec<Value> {
    let explained = tables.explain(layout, document, mapping);
    explained
        .into_iter()
        .map(|step| {
            json!({
                "column": step.path, "cell": step.cell, "converted": step.converted, "code": step.code,
                "field": step.field, "value": step.value,
                "fault": step.faults.iter().chain(&step.warnings).next().map(|fault| fault.code),
            })
        })
        .collect()
}

fn people(context: &Context, row: u64, steps: &[Value], faults: &[RowFault]) -> String {
    let cell = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let rows: Vec<Vec<String>> = steps
        .iter()
        .filter(|step| !at(step, "/cell").is_null() || !at(step, "/fault").is_null())
        .map(|step| {
            ["column", "cell", "converted", "code", "field", "value", "fault"]
                .map(|name| cell(step.get(name).unwrap_or(&Value::Null)))
                .to_vec()
        })
        .collect();
    let mut text = format!("── {} {row}\n", context.output.say("行", "row"));
    text.push_str(&table(&["column", "cell", "converted", "code", "field", "value", "fault"], &rows));
    for fault in faults {
        text.push_str(&format!("\n{} [{}] {}", fault.column, fault.code.as_str(), context.output.pick(&fault.reason)));
    }
    text
}
