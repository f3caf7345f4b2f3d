//! `tsunagi schedules`: the rules of when a dose may be given, and what they come to for one person. No store is needed.

use clap::{Args, Subcommand};
use jiff::civil::Date;
use serde_json::{Value, json};
use tsunagi_core::fault::Bilingual;
use tsunagi_core::partial_date::PartialDate;
use tsunagi_core::schedule::{Booking, Dose, DoseRule, Gestation, NotBookable, Recipient, Schedule, Series, Whose};

use super::output::table;
use super::{CommandFault, Context};
use crate::gateway::load_tables;

/// `tsunagi schedules …`
#[derive(Debug, Subcommand)]
pub(super) enum SchedulesCommand {
    /// The rules of every series: ages, intervals, where they come from
    #[command(after_help = "Example:\n  tsunagi schedules show hepatitis_b")]
    Show {
        /// Only the series of this vaccine
        vaccine: Option<String>,
    },
    /// When the next dose of a vaccine may be given, and until when
    #[command(after_help = "Example:\n  tsunagi schedules next hepatitis_b --born 2026-01-15 --given 2026-04-01 \
                            --given 2026-04-29 --as-of 2026-05-01")]
    Next(NextArguments),
}

#[derive(Debug, Args)]
pub(super) struct NextArguments {
    /// The hub's code of the vaccine (tsunagi schedules show)
    vaccine: String,
    /// Date of birth of the one it is given to
    #[arg(long, value_name = "DATE")]
    born: Option<Date>,
    /// The day of an earlier dose of the same vaccine, first to last
    #[arg(long, value_name = "DATE")]
    given: Vec<Date>,
    /// The hub's code of the sex: male or female
    #[arg(long, value_parser = ["male", "female"])]
    sex: Option<String>,
    /// How far the pregnancy is on the day it is seen from, like 28+0
    #[arg(long, value_name = "WEEKS+DAYS", value_parser = gestation)]
    gestation: Option<Gestation>,
    /// The day it is seen from [default: today]
    #[arg(long, value_name = "DATE")]
    as_of: Option<Date>,
}

fn gestation(text: &str) -> Result<Gestation, String> {
    let parts = text.split_once('+').and_then(|(weeks, days)| Some((weeks.parse().ok()?, days.parse().ok()?)));
    match parts {
        Some((weeks, days)) if days < 7 => Ok(Gestation { weeks, days: Some(days) }),
        _ => Err("weeks+days, like 28+0".to_owned()),
    }
}

/// Runs the command.
pub(super) fn run(context: &Context, command: &SchedulesCommand) -> Result<(), CommandFault> {
    let tables = load_tables(&context.config()?)?;
    let schedules: Vec<(&str, &Schedule)> = tables.schedules().collect();
    match command {
        SchedulesCommand::Show { vaccine } => show(context, &schedules, vaccine.as_deref()),
        SchedulesCommand::Next(arguments) => {
            let has = |(_, schedule): &&(&str, &Schedule)| of(schedule, Some(&arguments.vaccine)).next().is_some();
            let (_, schedule) = schedules.iter().find(has).ok_or_else(|| unknown(context, &arguments.vaccine))?;
            next(context, schedule, arguments)
        }
    }
}

fn unknown(context: &Context, vaccine: &str) -> CommandFault {
    CommandFault::Usage(context.output.say(
        &format!("{vaccine} の予防接種スケジュールはありません（tsunagi schedules show）"),
        &format!("there is no schedule for {vaccine} (tsunagi schedules show)"),
    ))
}

fn of<'s>(schedule: &'s Schedule, vaccine: Option<&str>) -> impl Iterator<Item = &'s Series> {
    let vaccine = vaccine.map(str::to_owned);
    schedule.series.iter().filter(move |series| vaccine.as_ref().is_none_or(|v| series.vaccines.contains(v)))
}

fn show(context: &Context, schedules: &[(&str, &Schedule)], vaccine: Option<&str>) -> Result<(), CommandFault> {
    let output = context.output;
    let series: Vec<(&str, &Series)> =
        schedules.iter().flat_map(|(name, schedule)| of(schedule, vaccine).map(|series| (*name, series))).collect();
    if let (true, Some(vaccine)) = (series.is_empty(), vaccine) {
        return Err(unknown(context, vaccine));
    }
    let value: Vec<Value> = series.iter().map(|(schedule, series)| shown(schedule, series)).collect();
    output.print(&value, |_| {
        let rows: Vec<Vec<String>> = series
            .iter()
            .flat_map(|(_, series)| {
                (1usize..).zip(&series.doses).map(move |(at, rule)| {
                    let ages: Vec<String> =
                        ages(rule).into_iter().map(|(_, text)| output.pick(&text).to_owned()).collect();
                    let after: Vec<String> = rule
                        .after
                        .iter()
                        .map(|after| format!("{}: {}", after.dose, output.pick(&after.at_least.as_interval())))
                        .collect();
                    let source = if series.confirmed {
                        output.say("確認済み", "confirmed")
                    } else {
                        output.say("未確認", "unconfirmed")
                    };
                    let vaccines: Vec<&str> = series.vaccines.iter().map(String::as_str).collect();
                    vec![
                        vaccines.join(" "),
                        output.pick(&series.label).to_owned(),
                        at.to_string(),
                        ages.join(", "),
                        after.join(", "),
                        source,
                    ]
                })
            })
            .collect();
        let header = ["vaccine", "label", "dose", "when", "after dose", "source"];
        table(&header, &rows)
    })
}

fn shown(schedule: &str, series: &Series) -> Value {
    let doses: Vec<Value> = (1usize..)
        .zip(&series.doses)
        .map(|(at, rule)| {
            let after: Vec<Value> = rule
                .after
                .iter()
                .map(|after| {
                    let doctor = after.by_doctor.map(|length| length.as_interval());
                    json!({ "dose": after.dose, "at_least": after.at_least.as_interval(), "by_doctor": doctor })
                })
                .collect();
            let ages: serde_json::Map<String, Value> =
                ages(rule).into_iter().map(|(name, text)| (name.to_owned(), json!(text))).collect();
            json!({ "dose": at, "terms": rule.terms, "number": rule.number, "when": ages, "after": after })
        })
        .collect();
    json!({
        "schedule": schedule, "series": series.id, "label": series.label, "vaccines": series.vaccines,
        "for": if series.subject == Whose::Mother { "mother" } else { "child" },
        "in_force_from": series.in_force_from, "in_force_until": series.in_force_until,
        "not_for_sex": series.not_for_sex, "confirmed": series.confirmed, "doses": doses,
    })
}

/// The bounds of a dose, each with its name.
fn ages(rule: &DoseRule) -> Vec<(&'static str, Bilingual)> {
    let window = &rule.window;
    let both = |ja: String, en: String| Bilingual::new(ja, en);
    let mut bounds = Vec::new();
    bounds.extend(
        window
            .from
            .map(|from| from.as_age())
            .map(|age| ("from", both(format!("{}から", age.ja), format!("from {}", age.en)))),
    );
    bounds.extend(
        window
            .under
            .map(|under| under.as_age())
            .map(|age| ("under", both(format!("{}に至るまで", age.ja), format!("under {}", age.en)))),
    );
    bounds.extend(
        window
            .through
            .map(|through| through.as_age())
            .map(|age| ("through", both(format!("{}まで", age.ja), format!("up to {}", age.en)))),
    );
    bounds.extend(window.grades.map(|(first, last)| {
        ("school_years", both(format!("学年 {first}〜{last}"), format!("school years {first} to {last}")))
    }));
    bounds.extend(window.gestation.map(|(first, last)| {
        ("gestation", both(format!("妊娠 {first}〜{last} 週"), format!("week {first} to {last} of pregnancy")))
    }));
    bounds
}

fn next(context: &Context, schedule: &Schedule, arguments: &NextArguments) -> Result<(), CommandFault> {
    let output = context.output;
    let as_of = arguments.as_of.unwrap_or_else(|| context.clock.today());
    let doses: Vec<Dose> = (1u32..)
        .zip(&arguments.given)
        .map(|(number, day)| Dose {
            vaccine: arguments.vaccine.clone(),
            term: None,
            number,
            given_on: PartialDate::Full(*day),
            gestation: None,
        })
        .collect();
    let recipient = Recipient {
        birth: arguments.born.map(PartialDate::Full),
        sex: arguments.sex.clone(),
        gestation: arguments.gestation.map(|gestation| (gestation, as_of)),
    };
    match schedule.earliest_next(&doses, &arguments.vaccine, &recipient, as_of) {
        Ok(booking) => {
            let value = json!({
                "vaccine": arguments.vaccine, "as_of": as_of, "state": "bookable", "series": booking.series,
                "dose": booking.dose, "earliest": booking.earliest, "earliest_by_doctor": booking.earliest_by_doctor,
                "latest": booking.latest, "usual": booking.usual.map(|(from, to)| [from, to]),
            });
            output.print(&value, |_| people(context, &booking))
        }
        Err(why) => {
            let (state, words) = (why.as_str(), why.words());
            let last = if let NotBookable::Closed { last } = why { Some(last) } else { None };
            let value = json!({ "vaccine": arguments.vaccine, "as_of": as_of, "state": state, "latest": last });
            output.print(&value, |_| format!("{state}: {}", output.pick(&words)))?;
            Err(CommandFault::Failed(String::new()))
        }
    }
}

fn people(context: &Context, booking: &Booking) -> String {
    let output = context.output;
    let mut lines = vec![output.say(
        &format!("{} {}回目: {} から", booking.series, booking.dose, booking.earliest),
        &format!("{}, dose {}: from {}", booking.series, booking.dose, booking.earliest),
    )];
    if let Some(last) = booking.latest {
        lines.push(output.say(&format!("{last} まで"), &format!("until {last}")));
    }
    if let Some((from, to)) = booking.usual {
        lines.push(output.say(&format!("標準: {from} 〜 {to}"), &format!("usually: {from} to {to}")));
    }
    if let Some(sooner) = booking.earliest_by_doctor {
        lines.push(output.say(
            &format!("医師が必要と認めた場合は {sooner} から"),
            &format!("from {sooner} where the doctor finds it necessary"),
        ));
    }
    lines.join("\n")
}
