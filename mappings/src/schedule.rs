//! Records held against the schedule of their kind.

use jiff::civil::Date;
use tsunagi_core::fault::{RowCode, RowFault};
use tsunagi_core::kind::Kind;
use tsunagi_core::record::Record;
use tsunagi_core::schedule::{Booking, Dose, NotBookable, Recipient, Schedule, ScheduleFlag};

use crate::layout::Layout;
use crate::tables::Tables;

impl Tables {
    /// All schedules, by name.
    pub fn schedules(&self) -> impl Iterator<Item = (&str, &Schedule)> {
        self.schedules.iter().map(|(name, schedule)| (name.as_str(), schedule))
    }

    /// A schedule, by its name.
    pub fn schedule(&self, name: &str) -> Option<&Schedule> {
        self.schedules.get(name)
    }

    /// The rules that the dose of a record certainly broke, given the person's other records of the kind; the record
    /// itself may be among them. Empty for a kind without a schedule. A flag is no refusal: the dose happened.
    pub fn schedule_flags(&self, history: &[Record], record: &Record) -> Vec<ScheduleFlag> {
        let Some((kind, schedule)) = self.scheduled(record) else { return Vec::new() };
        let Some((dose, recipient)) = kind.dose_of(record) else { return Vec::new() };
        schedule.flags(&doses(kind, history), &dose, &recipient)
    }

    /// When the next dose of a vaccine may be given to the person of these records, and until when. `None` for a kind
    /// without a schedule.
    pub fn earliest_next_dose(
        &self,
        kind: &Kind,
        history: &[Record],
        vaccine: &str,
        recipient: &Recipient,
        today: Date,
    ) -> Option<Result<Booking, NotBookable>> {
        let schedule = self.schedule(&kind.schedule.as_ref()?.name)?;
        Some(schedule.earliest_next(&doses(kind, history), vaccine, recipient, today))
    }

    /// What a record breaks by itself, as warnings of its row: the sender sees at once that an age or a week is wrong.
    pub(crate) fn schedule_warnings(&self, layout: &Layout, row: u64, record: &Record) -> Vec<RowFault> {
        let Some((kind, schedule)) = self.scheduled(record) else { return Vec::new() };
        let Some((dose, recipient)) = kind.dose_of(record) else { return Vec::new() };
        self.schedule_faults(layout, row, schedule.own_flags(&dose, &recipient))
    }

    /// Broken rules as warnings of the row that the dose came in, each at the column of the day it was given.
    pub fn schedule_faults(&self, layout: &Layout, row: u64, flags: Vec<ScheduleFlag>) -> Vec<RowFault> {
        let rule = self.kind(layout.kind()).and_then(|kind| kind.schedule.as_ref());
        let column = rule.and_then(|rule| layout.rows.iter().find(|row| row.field.key == rule.given_on));
        let column = column.map(|row| row.column.clone()).unwrap_or_default();
        let warning = |flag: ScheduleFlag| RowFault {
            row,
            column: column.clone(),
            code: RowCode::ScheduleBroken,
            reason: flag.reason,
        };
        flags.into_iter().map(warning).collect()
    }

    fn scheduled(&self, record: &Record) -> Option<(&Kind, &Schedule)> {
        let kind = self.kind(record.kind())?;
        Some((kind, self.schedule(&kind.schedule.as_ref()?.name)?))
    }
}

fn doses(kind: &Kind, history: &[Record]) -> Vec<Dose> {
    history.iter().filter_map(|record| Some(kind.dose_of(record)?.0)).collect()
}

#[cfg(test)]
mod tests;
