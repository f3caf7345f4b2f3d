//! `tsunagi certs forecast`.

use clap::Args;
use jiff::civil::Date;
use tsunagi_core::registry::Registry;

use super::super::init::failed;
use super::super::output::table;
use super::super::{CommandFault, Context};
use crate::clock::start_in_japan;
use crate::config::Config;
use crate::forecast::{Line, State, What, forecast, gather};
use crate::gateway::has_store;

/// `tsunagi certs forecast`
#[derive(Debug, Args)]
pub(in super::super) struct ForecastArguments {
    /// Rehearse: what it will look like at the beginning of this day if nothing is done
    #[arg(long, value_name = "DATE")]
    as_of: Option<Date>,
    /// The window in days; what ends later is not listed
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    within: u32,
}

/// Runs the command. Ends with 1 if anything ends within the window or a participant has no certificate, so that a
/// nightly job can act on it.
pub(super) async fn run(context: &Context, config: &Config, arguments: &ForecastArguments) -> Result<(), CommandFault> {
    let as_of = match arguments.as_of {
        Some(date) => {
            start_in_japan(date).ok_or_else(|| CommandFault::Usage(format!("--as-of {date}: out of range")))?
        }
        None => context.clock.now(),
    };
    let mut lines = forecast(&facts(context, config).await?, as_of);
    lines.retain(|line| line.is_within(arguments.within) || matches!(line.state, State::None | State::Unknown));
    // Whoever has none that holds is dark already; the suspended have no line.
    let is_dark = lines.iter().any(|line| line.is_within(arguments.within) || line.state == State::None);
    context.output.print(&lines, |lines| shown(context, lines, arguments.within))?;
    // Nothing failed; the exit code is the answer, and there is nothing to say on standard error.
    if is_dark { Err(CommandFault::Failed(String::new())) } else { Ok(()) }
}

async fn facts(context: &Context, config: &Config) -> Result<crate::forecast::Facts, CommandFault> {
    // A CA without a hub has no store.
    if !has_store(config).await? {
        return gather::read(config, Registry::default()).map_err(failed);
    }
    let store = context.store().await?;
    let (_, entries) = store.registry().await?;
    let registry = Registry::parse(entries).map_err(|faults| {
        CommandFault::Failed(faults.iter().map(|fault| context.output.pick(fault)).collect::<Vec<_>>().join("; "))
    })?;
    let pending = gather::pending(store.as_ref(), &registry).await?;
    let facts = gather::read(config, registry).map_err(failed)?;
    Ok(crate::forecast::Facts { pending, ..facts })
}

fn shown(context: &Context, lines: &[Line], within: u32) -> String {
    let say = |ja: &str, en: &str| context.output.say(ja, en);
    if lines.is_empty() {
        return say(&format!("{within} 日以内に切れるものはありません"), &format!("nothing ends within {within} days"));
    }
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|line| {
            let day = match (line.state, line.day) {
                (State::None, _) => say("証明書なし", "no certificate"),
                (_, Some(day)) => day.to_string(),
                (_, None) => say("不明", "unknown"),
            };
            vec![
                day,
                line.days_left.map(|days| days.to_string()).unwrap_or_default(),
                named(context, line.what),
                line.name.clone(),
                line.pending_deliveries.to_string(),
                channels(line),
            ]
        })
        .collect();
    let header = [
        say("期限日", "day"),
        say("残り日数", "days left"),
        say("種類", "what"),
        say("対象", "of"),
        say("待ちの配信", "pending"),
        say("止まるチャネル", "channels"),
    ];
    table(&header.each_ref().map(String::as_str), &rows)
}

/// The first few; all of them are in the JSON.
fn channels(line: &Line) -> String {
    let mut text = line.channels.iter().take(SHOWN).map(|channel| channel.as_str()).collect::<Vec<_>>().join(" ");
    if line.channels.len() > SHOWN {
        text.push_str(&format!(" … ({})", line.channels.len()));
    }
    text
}

const SHOWN: usize = 4;

fn named(context: &Context, what: What) -> String {
    let (ja, en) = match what {
        What::Client => ("配信用クライアント証明書", "client certificate for push"),
        What::Crl => ("失効リスト", "revocation list"),
        What::DestinationCa => ("配信先の認証局", "CA of destinations"),
        What::ForeignCa => ("外部の認証局", "foreign CA"),
        What::IssuingCa => ("発行認証局", "issuing CA"),
        What::Participant => ("参加機関", "participant"),
        What::RootCa => ("ルート認証局", "root CA"),
        What::Server => ("サーバー証明書", "server certificate"),
    };
    context.output.say(ja, en)
}
