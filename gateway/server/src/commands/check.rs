//! `tsunagi check`: what a start reads, without the store. Touches nothing.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;
use tsunagi_mappings::{TableFault, Tables};

use super::{CommandFault, Context};
use crate::config::Config;
use crate::gateway::Material;
use crate::trust::{InForce, Terms};

/// One fault, for people.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    /// Which key, or which file and line.
    pub(super) place: String,
    /// What is wrong.
    pub(super) reason: String,
}

/// Prints every fault of configuration and tables; exit code 64 if there is one.
pub(super) fn run(context: &Context) -> Result<(), CommandFault> {
    let (faults, _) = findings(context);
    context.output.print(&json!({ "faults": faults }), |_| shown(context, &faults))?;
    if faults.is_empty() { Ok(()) } else { Err(CommandFault::Usage(String::new())) }
}

/// Every fault of configuration and tables, and the tables if they could be loaded.
pub(super) fn findings(context: &Context) -> (Vec<Finding>, Option<Tables>) {
    let mut faults: Vec<Finding> = Vec::new();
    let config = match Config::load(context.config_file.as_deref(), std::env::vars()) {
        Ok(config) => Some(config),
        Err(list) => {
            faults.extend(list.into_iter().map(|fault| Finding { place: fault.place, reason: fault.reason }));
            None
        }
    };
    // Without a file of its own a configuration is that of no hub yet.
    if let Some(config) = config.as_ref().filter(|_| context.config_file.is_some()) {
        faults.extend(of_trust(config, context));
    }
    // A faulty configuration does not hide the faults of the tables it names.
    let folder = match &config {
        Some(config) => config.tables_folder.clone(),
        None => context.config_file.as_deref().and_then(named_tables),
    };
    let of_table = |fault: &TableFault| {
        let line = fault.line.map_or_else(String::new, |line| format!(":{line}"));
        let place = format!("{}{line} {}", fault.file, fault.place).trim_end().to_owned();
        Finding { place, reason: context.output.pick(&fault.reason).to_owned() }
    };
    match folder.as_deref().map_or_else(Tables::builtin, Tables::with_folder) {
        Ok(tables) => {
            let failures = tables.run_cases().into_iter();
            faults.extend(failures.map(|failure| Finding {
                place: format!("{} {}", failure.file, failure.case),
                reason: failure.reason,
            }));
            faults.extend(tables.review().iter().map(of_table));
            (faults, Some(tables))
        }
        Err(list) => {
            faults.extend(list.iter().map(of_table));
            (faults, None)
        }
    }
}

/// What a running hub would not take over: certificates, keys, CAs and lists.
fn of_trust(config: &Config, context: &Context) -> Option<Finding> {
    let (now, nothing) = (context.clock.now().as_second(), InForce::default());
    let fault = Material::load(config, now, Terms::Against(&nothing)).err()?;
    // The fault begins with its file.
    let text = fault.to_string();
    let (place, reason) = text.split_once(": ").unwrap_or(("edge", text.as_str()));
    Some(Finding { place: place.to_owned(), reason: reason.to_owned() })
}

/// A line for each fault, or that there is none.
pub(super) fn shown(context: &Context, faults: &[Finding]) -> String {
    if faults.is_empty() {
        return context.output.say("誤りはありません", "no faults");
    }
    faults.iter().map(|fault| format!("{}: {}", fault.place, fault.reason)).collect::<Vec<_>>().join("\n")
}

/// The tables folder that a configuration names, as far as the file can be read.
fn named_tables(file: &Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(file).ok()?;
    let table: toml::Table = text.parse().ok()?;
    let folder = table.get("tables")?.get("folder")?.as_str().filter(|folder| !folder.is_empty())?;
    Some(file.parent()?.join(folder))
}
