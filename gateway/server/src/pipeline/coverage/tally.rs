//! What the rows of one exchange could not map, until it is known that they were taken in.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::civil::Date;
use tsunagi_core::coverage::Coverage;
use tsunagi_core::document::{Content, Document};
use tsunagi_core::fault::RowFault;
use tsunagi_core::id::{ChannelId, TenantId};
use tsunagi_core::kind::Kind;
use tsunagi_core::registry::{Channel, Registry};
use tsunagi_mappings::{Layout, Tables};

use crate::pipeline::place::place_named;

/// Counts of one exchange. Rows are counted one after the other; the lock is there for the compiler.
#[derive(Debug, Default)]
pub struct Tally(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    codes: Coverage,
    header: Option<Header>,
}

/// The columns of a file that its layout does not know.
#[derive(Debug)]
struct Header {
    columns: Arc<Vec<String>>,
    /// Where they are.
    strangers: Vec<usize>,
    /// False for a file without a header: then a person's data stands there.
    is_header: bool,
    /// Rows with something in them, in the order of `strangers`.
    rows: BTreeMap<ChannelId, Vec<u64>>,
}

/// What rows pass through on their way in.
pub struct Passing<'a> {
    /// The tables.
    pub tables: &'a Tables,
    /// Who is who.
    pub registry: &'a Registry,
    /// The sender's open channels of this wire format.
    pub channels: &'a [Arc<Channel>],
    /// The tenant that the sender controls.
    pub own: Option<&'a TenantId>,
    /// Today in Japan.
    pub today: Date,
}

impl Tally {
    /// Counts one row that came in through `channel`.
    pub fn accepted(&self, passing: &Passing<'_>, layout: &Layout, document: &Document, channel: Option<&ChannelId>) {
        let Some(channel) = channel else { return };
        self.row(passing, layout, document, channel, &[]);
    }

    /// Counts one row that was refused, if its channel can be told.
    pub fn refused(
        &self,
        passing: &Passing<'_>,
        (layout, kind): (&Layout, &Kind),
        document: &Document,
        faults: &[RowFault],
    ) {
        let Some(channel) = passing.channel_of(layout, kind, document) else { return };
        self.row(passing, layout, document, channel, faults);
    }

    /// All that was counted.
    pub fn into_coverage(self) -> Coverage {
        let Counts { codes: mut met, header } = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        header.into_iter().for_each(|header| header.count(&mut met));
        met
    }

    fn row(
        &self,
        passing: &Passing<'_>,
        layout: &Layout,
        document: &Document,
        channel: &ChannelId,
        faults: &[RowFault],
    ) {
        let Passing { tables, today, .. } = passing;
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for one in tables.unmapped_codes(layout, document, faults, *today) {
            counts.codes.code(channel, &one.column, one.code.as_deref());
        }
        for place in tables.kept_codes(layout, document, *today) {
            counts.codes.code(channel, place, None);
        }
        counts.columns(layout, document, channel);
    }
}

impl Counts {
    /// Notes the unknown columns in which the row has something.
    fn columns(&mut self, layout: &Layout, document: &Document, channel: &ChannelId) {
        let Content::Row(row) = &document.content else {
            // Names of members are the sender's own words: what is not a plain one is counted without it.
            for name in layout.unknown_members(document) {
                let is_plain = name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'/');
                self.codes.column(channel, if is_plain { &name } else { "" }, true, 1);
            }
            return;
        };
        if self.header.as_ref().is_none_or(|header| !Arc::ptr_eq(&header.columns, &row.columns)) {
            let (strangers, is_header) = layout.strangers(document);
            let new = Header { columns: row.columns.clone(), strangers, is_header, rows: BTreeMap::new() };
            let before = self.header.replace(new);
            before.into_iter().for_each(|header| header.count(&mut self.codes));
        }
        let Some(Header { strangers, rows, .. }) = self.header.as_mut().filter(|h| !h.strangers.is_empty()) else {
            return;
        };
        let is_filled = |at: &usize| row.cells.get(*at).is_some_and(|cell| !cell.trim().is_empty());
        if !rows.contains_key(channel) {
            rows.insert(channel.clone(), vec![0; strangers.len()]);
        }
        for (at, count) in strangers.iter().zip(rows.get_mut(channel).into_iter().flatten()) {
            *count += u64::from(is_filled(at));
        }
    }
}

impl Header {
    fn count(self, met: &mut Coverage) {
        for (channel, rows) in &self.rows {
            if !self.is_header {
                // Its columns have no names to tell them apart: each row counts once.
                let most = rows.iter().copied().max().filter(|most| *most > 0);
                most.into_iter().for_each(|most| met.column(channel, "", false, most));
                continue;
            }
            for (at, rows) in self.strangers.iter().zip(rows).filter(|(_, rows)| **rows > 0) {
                let name = self.columns.get(*at).map_or("", String::as_str);
                met.column(channel, name, true, *rows);
            }
        }
    }
}

impl<'a> Passing<'a> {
    /// The channel of a row of which no record came: the only one of the layout, or the one into the tenant that the
    /// row names. A guess would put one municipality's gap on another's list.
    fn channel_of(&self, layout: &Layout, kind: &Kind, document: &Document) -> Option<&'a ChannelId> {
        let fits = |channel: &&Arc<Channel>| channel.layout == *layout.id();
        let mut fitting = self.channels.iter().filter(fits);
        let channel = match (fitting.next()?, fitting.next()) {
            (only, None) => only,
            _ => {
                let named = self.tables.read_one(layout, document, &kind.responsible, self.today);
                let named = named.and_then(|value| value.plain());
                let history = self.tables.municipalities();
                let at = place_named(history, self.registry, kind, named, document.row, self.own, self.today).ok()?;
                self.channels.iter().filter(fits).find(|channel| channel.tenant == at.tenant)?
            }
        };
        Some(&channel.id)
    }
}
