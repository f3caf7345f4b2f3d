//! `tsunagi municipalities`

mod import;

use std::path::PathBuf;

use clap::Subcommand;
use jiff::civil::Date;
use serde_json::json;
use tsunagi_core::municipality::{MunicipalityCode, Resolution};

use super::{CommandFault, Context};
use crate::gateway::load_tables;

/// `tsunagi municipalities …`
#[derive(Debug, Subcommand)]
pub(super) enum MunicipalitiesCommand {
    /// Lay the official list of changes (廃置分合等情報, CSV in UTF-8 or CP932) over the table of municipalities
    #[command(
        after_help = "Writes municipalities/builtin.csv below the folder that `[tables] folder` names; a running gateway \
                      takes it over on SIGHUP.\n\nExample:\n  tsunagi municipalities import changes.csv --dry-run"
    )]
    Import {
        /// The list, as e-Stat gives it
        file: PathBuf,
        /// Read everything and say what would be written; write nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Which municipality is in charge today for a code: current, moved, ambiguous or unknown, with the hops
    #[command(after_help = "Example:\n  tsunagi municipalities resolve 383244 --as-of 1970-06-01\n  \
                      tsunagi municipalities resolve 193411 --area 大字本栖")]
    Resolve {
        /// Six digits with the check digit, or five without
        code: String,
        /// The day the code was meant for [default: today]
        #[arg(long, value_name = "DATE")]
        as_of: Option<Date>,
        /// The 大字 or 町, where the municipality was divided
        #[arg(long, value_name = "NAME")]
        area: Option<String>,
    },
}

/// Runs the command.
pub(super) fn run(context: &Context, command: &MunicipalitiesCommand) -> Result<(), CommandFault> {
    match command {
        MunicipalitiesCommand::Import { file, dry_run } => import::run(context, file, *dry_run),
        MunicipalitiesCommand::Resolve { code, as_of, area } => resolve(context, code, *as_of, area.as_deref()),
    }
}

fn resolve(context: &Context, code: &str, as_of: Option<Date>, area: Option<&str>) -> Result<(), CommandFault> {
    let tables = load_tables(&context.config()?)?;
    let output = context.output;
    let parsed = MunicipalityCode::parse(code).or_else(|_| MunicipalityCode::from_five(code)).map_err(|fault| {
        CommandFault::Refused(
            output.say(&format!("団体コードではありません: {fault}"), &format!("not a municipality code: {fault}")),
        )
    })?;
    let today = context.clock.today();
    let (history, as_of) = (tables.municipalities(), as_of.unwrap_or(today));
    let resolution = match area {
        Some(area) => history.resolve_area_city(&parsed, area, as_of, today),
        None => history.resolve_city(&parsed, as_of, today),
    };
    let hops = resolution.hops().to_vec();
    let (state, codes, name) = match &resolution {
        Resolution::Ambiguous { candidates, .. } => ("ambiguous", candidates.clone(), None),
        Resolution::Current { code, name, .. } => ("current", vec![code.clone()], Some(name.clone())),
        Resolution::Moved { to, name, .. } => ("moved", vec![to.clone()], Some(name.clone())),
        Resolution::Unknown => ("unknown", Vec::new(), None),
    };
    let outside = resolution.is_outside_validity();
    let value = json!({
        "code": parsed, "as_of": as_of, "area": area, "state": state, "codes": codes, "name": name, "hops": hops,
        "outside_validity": outside,
    });
    output.print(&value, |_| {
        let list = |codes: &[MunicipalityCode]| codes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let mut text = format!("{state} {} {}", list(&codes), name.unwrap_or_default()).trim_end().to_owned();
        if !hops.is_empty() {
            text.push_str(&format!("\n{} {}", output.say("経路:", "hops:"), list(&hops)));
        }
        if outside {
            text.push('\n');
            text.push_str(
                &output.say(
                    "注意: このコードはその日には使われていません",
                    "warning: the code was not in use on that day",
                ),
            );
        }
        text
    })?;
    match resolution {
        Resolution::Current { .. } | Resolution::Moved { .. } => Ok(()),
        Resolution::Ambiguous { .. } | Resolution::Unknown => Err(CommandFault::Failed(String::new())),
    }
}
