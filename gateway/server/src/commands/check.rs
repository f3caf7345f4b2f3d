//! `tsunagi check`: the pure half of a start. Touches nothing.

use std::path::{Path, PathBuf};

use serde_json::json;
use tsunagi_mappings::Tables;

use super::{CommandFault, Context};
use crate::config::Config;

/// Prints every fault of configuration and tables; exit code 64 if there is one.
pub(super) fn run(context: &Context) -> Result<(), CommandFault> {
    let mut faults: Vec<(String, String)> = Vec::new();
    let config = match Config::load(context.config_file.as_deref(), std::env::vars()) {
        Ok(config) => Some(config),
        Err(list) => {
            faults.extend(list.into_iter().map(|fault| (fault.place, fault.reason)));
            None
        }
    };
    // A faulty configuration does not hide the faults of the tables it names.
    let folder = match &config {
        Some(config) => config.tables_folder.clone(),
        None => context.config_file.as_deref().and_then(named_tables),
    };
    let tables = folder.as_deref().map_or_else(Tables::builtin, Tables::with_folder);
    match &tables {
        Ok(tables) => faults.extend(
            tables
                .run_cases()
                .into_iter()
                .map(|failure| (format!("{} {}", failure.file, failure.case), failure.reason)),
        ),
        Err(list) => faults.extend(list.iter().map(|fault| {
            let line = fault.line.map_or_else(String::new, |line| format!(":{line}"));
            (format!("{}{line} {}", fault.file, fault.place), context.output.pick(&fault.reason).to_owned())
        })),
    }
    let list: Vec<_> = faults.iter().map(|(place, reason)| json!({ "place": place, "reason": reason })).collect();
    context.output.print(&json!({ "faults": list }), |_| {
        if faults.is_empty() {
            return context.output.say("誤りはありません", "no faults");
        }
        faults.iter().map(|(place, reason)| format!("{place}: {reason}")).collect::<Vec<_>>().join("\n")
    })?;
    if faults.is_empty() { Ok(()) } else { Err(CommandFault::Usage(String::new())) }
}

/// The tables folder that a configuration names, as far as the file can be read.
fn named_tables(file: &Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(file).ok()?;
    let table: toml::Table = text.parse().ok()?;
    let folder = table.get("tables")?.get("folder")?.as_str().filter(|folder| !folder.is_empty())?;
    Some(file.parent()?.join(folder))
}
