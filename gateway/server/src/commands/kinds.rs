//! `tsunagi kinds`

use clap::Subcommand;
use serde_json::{Value, json};
use tsunagi_core::id::KindName;
use tsunagi_core::kind::Kind;

use super::output::table;
use super::{CommandFault, Context};
use crate::gateway::load_tables;

/// `tsunagi kinds …`
#[derive(Debug, Subcommand)]
pub(super) enum KindsCommand {
    /// All record kinds
    #[command(after_help = "Example:\n  tsunagi kinds list")]
    List,
    /// One kind: its fields, labels, types and disclosure classes
    #[command(after_help = "Example:\n  tsunagi kinds show subsidy_entitlement")]
    Show {
        /// The kind's name
        kind: String,
    },
}

/// Runs the command.
pub(super) fn run(context: &Context, command: &KindsCommand) -> Result<(), CommandFault> {
    let tables = load_tables(&context.config()?)?;
    let output = context.output;
    match command {
        KindsCommand::List => {
            let list: Vec<Value> = tables
                .kinds()
                .map(|kind| json!({ "kind": kind.name, "label": kind.label, "fields": kind.fields.len() }))
                .collect();
            output.print(&list, |_| {
                let rows: Vec<Vec<String>> = tables
                    .kinds()
                    .map(|kind| {
                        vec![kind.name.to_string(), output.pick(&kind.label).to_owned(), kind.fields.len().to_string()]
                    })
                    .collect();
                table(&["kind", "label", "fields"], &rows)
            })
        }
        KindsCommand::Show { kind } => {
            let found = KindName::parse(kind).ok().and_then(|name| tables.kind(&name).cloned());
            let kind = found.ok_or_else(|| {
                CommandFault::Usage(output.say(
                    &format!("記録種別 {kind} はありません（tsunagi kinds list）"),
                    &format!("there is no record kind {kind} (tsunagi kinds list)"),
                ))
            })?;
            output.print(&shown(&kind), |_| people(context, &kind))
        }
    }
}

fn shown(kind: &Kind) -> Value {
    let fields: Vec<Value> = kind
        .fields
        .iter()
        .map(|field| {
            json!({
                "key": field.key, "type": field.value_type, "cardinality": cardinality(field.required, field.many),
                "label": field.label, "disclosure": field.class, "example": field.example, "unit": field.unit,
                "code_system": field.code_system,
            })
        })
        .collect();
    json!({
        "kind": kind.name, "label": kind.label, "business_key": kind.business_key, "occurrence": kind.occurrence,
        "responsible": kind.responsible, "retention_years": kind.retention_years, "fields": fields,
    })
}

fn people(context: &Context, kind: &Kind) -> String {
    let rows: Vec<Vec<String>> = kind
        .fields
        .iter()
        .map(|field| {
            let value_type = crate::pipeline::lookup::word(&field.value_type);
            let unit = field.unit.as_ref().map_or_else(String::new, |unit| format!(" ({unit})"));
            vec![
                field.key.to_string(),
                format!("{value_type}{unit}"),
                cardinality(field.required, field.many).to_owned(),
                field.class.to_string(),
                context.output.pick(&field.label).to_owned(),
                field.example.clone(),
            ]
        })
        .collect();
    let head = format!("{} — {}", kind.name, context.output.pick(&kind.label));
    format!("{head}\n\n{}", table(&["key", "type", "card", "disclosure", "label", "example"], &rows))
}

fn cardinality(required: bool, many: bool) -> &'static str {
    match (required, many) {
        (false, false) => "0..1",
        (false, true) => "0..*",
        (true, false) => "1..1",
        (true, true) => "1..*",
    }
}
