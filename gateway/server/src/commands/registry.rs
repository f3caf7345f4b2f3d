//! `tsunagi registry`

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;
use serde_json::{Value, json};
use tsunagi_core::audit::{Action, Agent, AuditEvent, EventOutcome};
use tsunagi_core::registry::{Registry, RegistryEntries};
use tsunagi_mappings::Tables;
use tsunagi_store::coordinator::Notice;

use super::output::table;
use super::{CommandFault, Context, read_text};
use crate::coordination::tell_others;
use crate::gateway::load_tables;

/// `tsunagi registry …`
#[derive(Debug, Subcommand)]
pub(super) enum RegistryCommand {
    /// Add or replace entries from TOML, or from CSV with a column `entry`
    #[command(after_help = "Example:\n  tsunagi registry import registry.toml --dry-run")]
    Import {
        /// The file
        file: PathBuf,
        /// Check and say what would change; change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// All entries
    #[command(after_help = "Example:\n  tsunagi registry list")]
    List,
    /// One entry
    #[command(after_help = "Example:\n  tsunagi registry show hospital-1")]
    Show {
        /// Its id
        id: String,
    },
}

/// Runs the command.
pub(super) async fn run(context: &Context, command: RegistryCommand) -> Result<(), CommandFault> {
    match command {
        RegistryCommand::Import { file, dry_run } => import(context, &file, dry_run).await,
        RegistryCommand::List => {
            let (_, entries) = context.store().await?.registry().await?;
            context.output.print(&entries, people)
        }
        RegistryCommand::Show { id } => {
            let (_, entries) = context.store().await?.registry().await?;
            let found = flat(&entries).into_iter().find(|(_, entry_id, _)| *entry_id == id);
            let (kind, _, value) = found.ok_or_else(|| {
                CommandFault::Usage(
                    context.output.say(&format!("{id} はありません"), &format!("there is no entry {id}")),
                )
            })?;
            context
                .output
                .print(&json!({ kind: value }), |shown| serde_json::to_string_pretty(shown).unwrap_or_default())
        }
    }
}

async fn import(context: &Context, file: &Path, dry_run: bool) -> Result<(), CommandFault> {
    let text = read_text(file)?;
    let entries = if file.extension().is_some_and(|extension| extension == "csv") {
        read_csv(&text)
    } else {
        toml::from_str(&text).map_err(|error| error.to_string())
    };
    let entries: RegistryEntries =
        entries.map_err(|error| CommandFault::Refused(format!("{}: {error}", file.display())))?;
    let config = context.config()?;
    let tables = load_tables(&config)?;
    // The first import of a hub makes its store.
    let store = crate::gateway::open_store(&config).await?;
    store.migrate().await?;
    let (_, before) = store.registry().await?;
    check(&tables, before, &entries).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(|fault| context.output.pick(fault).to_owned()).collect();
        CommandFault::Refused(format!("{}:\n{}", file.display(), lines.join("\n")))
    })?;
    let (tenants, participants, endpoints, channels) =
        (entries.tenant.len(), entries.participant.len(), entries.endpoint.len(), entries.channel.len());
    if !dry_run {
        let event =
            AuditEvent::new(context.clock.now(), Action::RegistryImported, EventOutcome::Done, Agent::default());
        store.import_registry(entries, event).await?;
        tell_others(&config, Notice::RegistryChanged).await;
    }
    let done = if dry_run {
        context.output.say("検査のみ", "dry run")
    } else {
        context.output.say("取込済", "imported")
    };
    let value = json!({
        "dry_run": dry_run, "tenants": tenants, "participants": participants, "endpoints": endpoints,
        "channels": channels,
    });
    context.output.print(&value, |_| {
        format!("{done}: tenants {tenants}, participants {participants}, endpoints {endpoints}, channels {channels}")
    })
}

/// The registry as it would be, all faults at once.
pub(super) fn check(
    tables: &Tables,
    before: RegistryEntries,
    new: &RegistryEntries,
) -> Result<(), Vec<tsunagi_core::fault::Bilingual>> {
    let mut faults = Vec::new();
    for channel in &new.channel {
        let fits = tables.layout(&channel.layout).is_some_and(|layout| *layout.kind() == channel.kind);
        if !fits {
            faults.push(tsunagi_core::fault::Bilingual::new(
                format!(
                    "{}: 項目対応表 {} は記録種別 {} のものではないか、ありません",
                    channel.id, channel.layout, channel.kind
                ),
                format!(
                    "{}: the layout {} does not exist or is not of the kind {}",
                    channel.id, channel.layout, channel.kind
                ),
            ));
        }
    }
    for tenant in new.tenant.iter().filter(|tenant| !tenant.municipality.is_municipality()) {
        faults.push(tsunagi_core::fault::Bilingual::new(
            format!("{}: {} は市区町村のコードではありません", tenant.id, tenant.municipality),
            format!("{}: {} is not the code of a municipality", tenant.id, tenant.municipality),
        ));
    }
    if let Err(more) = Registry::parse(merge(before, new.clone())) {
        faults.extend(more);
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// New entries replace those with the same id.
fn merge(before: RegistryEntries, new: RegistryEntries) -> RegistryEntries {
    fn over<T, K: PartialEq>(mut before: Vec<T>, new: Vec<T>, id: impl Fn(&T) -> K) -> Vec<T> {
        before.retain(|old| !new.iter().any(|entry| id(entry) == id(old)));
        before.extend(new);
        before
    }
    RegistryEntries {
        tenant: over(before.tenant, new.tenant, |entry| entry.id.clone()),
        participant: over(before.participant, new.participant, |entry| entry.id.clone()),
        endpoint: over(before.endpoint, new.endpoint, |entry| entry.id.clone()),
        channel: over(before.channel, new.channel, |entry| entry.id.clone()),
    }
}

/// CSV: the column `entry` says tenant, participant, endpoint or channel; the others are its keys; empty cells are absent.
fn read_csv(text: &str) -> Result<RegistryEntries, String> {
    let mut reader = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let header = reader.headers().map_err(|error| error.to_string())?.clone();
    let mut lists: toml::Table = toml::Table::new();
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        let mut entry = toml::Table::new();
        let mut list = None;
        for (name, cell) in header.iter().zip(record.iter()).filter(|(_, cell)| !cell.is_empty()) {
            match name {
                "entry" => list = Some(cell.to_owned()),
                "fingerprints" => {
                    let all = cell.split_whitespace().map(|one| toml::Value::String(one.to_owned())).collect();
                    entry.insert(name.to_owned(), toml::Value::Array(all));
                }
                "max_body_bytes" | "suspended" | "check_digits_are_errors" => {
                    let value =
                        cell.parse().map(toml::Value::Integer).or_else(|_| cell.parse().map(toml::Value::Boolean));
                    entry.insert(name.to_owned(), value.map_err(|_| format!("{name}: not a number, true or false"))?);
                }
                _ => {
                    entry.insert(name.to_owned(), toml::Value::String(cell.to_owned()));
                }
            }
        }
        let line = record.position().map_or(0, csv::Position::line);
        let list = list.ok_or_else(|| format!("line {line}: the column `entry` is empty"))?;
        match lists.entry(list).or_insert_with(|| toml::Value::Array(Vec::new())) {
            toml::Value::Array(entries) => entries.push(toml::Value::Table(entry)),
            _ => return Err(format!("line {line}: cannot be read")),
        }
    }
    lists.try_into().map_err(|error: toml::de::Error| error.message().to_owned())
}

fn flat(entries: &RegistryEntries) -> Vec<(&'static str, String, Value)> {
    fn all<T: Serialize>(
        kind: &'static str,
        list: &[T],
        id: impl Fn(&T) -> String,
    ) -> Vec<(&'static str, String, Value)> {
        list.iter().map(|entry| (kind, id(entry), serde_json::to_value(entry).unwrap_or_default())).collect()
    }
    let mut rows = all("tenant", &entries.tenant, |entry| entry.id.to_string());
    rows.extend(all("participant", &entries.participant, |entry| entry.id.to_string()));
    rows.extend(all("endpoint", &entries.endpoint, |entry| entry.id.to_string()));
    rows.extend(all("channel", &entries.channel, |entry| entry.id.to_string()));
    rows
}

fn people(entries: &RegistryEntries) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for t in &entries.tenant {
        rows.push(vec!["tenant".into(), t.id.to_string(), t.municipality.to_string(), t.name.clone()]);
    }
    for p in &entries.participant {
        let state = if p.suspended { "suspended" } else { "" };
        rows.push(vec![
            "participant".into(),
            p.id.to_string(),
            crate::pipeline::lookup::word(&p.role),
            format!("{} {state}", p.name),
        ]);
    }
    for e in &entries.endpoint {
        rows.push(vec!["endpoint".into(), e.id.to_string(), e.participant.to_string(), e.url.clone()]);
    }
    for c in &entries.channel {
        let path = format!("{} → {} {} {}", c.participant, c.tenant, c.kind, c.layout);
        rows.push(vec!["channel".into(), c.id.to_string(), crate::pipeline::lookup::word(&c.mode), path]);
    }
    table(&["entry", "id", "what", ""], &rows)
}
