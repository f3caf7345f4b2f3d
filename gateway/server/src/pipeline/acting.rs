//! Who acts behind a caller: the organisation, the subject in person, or a proxy whose term is looked at on every request.

use jiff::civil::Date;
use tsunagi_core::policy::{Acting, Flow, ProxyTerm};
use tsunagi_mappings::Tables;
use tsunagi_store::{Held, Relationship};

/// Nobody (`None`) where an app asks for a subject that its citizen is not, or no longer, linked to.
pub fn acting(tables: &Tables, flow: Flow, held: &Held, today: Date) -> Option<Acting> {
    let Some(link) = &held.link else {
        return (flow != Flow::AppReads).then_some(Acting::Organization);
    };
    match link.relationship {
        Relationship::Subject => {
            let is_open = link.from <= today && link.until.is_none_or(|last| today <= last);
            is_open.then_some(Acting::Subject)
        }
        Relationship::Proxy => {
            let until = [link.until, last_day_of_childhood(tables, held)].into_iter().flatten().min();
            Some(Acting::Proxy(ProxyTerm { from: link.from, until }))
        }
    }
}

/// The last day on which a proxy may act for the subject: the day before the birthday on which it comes of age. Taken
/// from any of its records, the earliest date of birth where they differ or are partial.
pub fn last_day_of_childhood(tables: &Tables, held: &Held) -> Option<Date> {
    let years = i16::from(tables.policy().proxy_ends_at_age);
    let births = held.records.iter().filter_map(|held| {
        let kind = tables.kind(held.record.kind())?;
        held.record.first(kind.subject.birth_date.as_ref()?)?.date()?.earliest()
    });
    births.min()?.checked_add(jiff::Span::new().years(years)).ok()?.yesterday().ok()
}
