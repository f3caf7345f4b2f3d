//! What no single file shows: codes that nothing can ever produce, and pairs of a code table that are never used.

use std::collections::BTreeSet;

use tsunagi_core::kind::Field;

use crate::code_list::CodeList;
use crate::code_table::CodeTable;
use crate::fault::{Faults, Place, TableFault};
use crate::tables::Tables;

impl Tables {
    /// Looks for what is there and can have no effect. None of it stops a gateway; `tsunagi mappings check` reports it.
    pub fn review(&self) -> Vec<TableFault> {
        let mut faults = Faults::default();
        for list in self.code_lists.values() {
            self.review_list(list, &mut faults);
        }
        for table in self.code_tables.values() {
            let file = format!("codes/{}.csv", table.name());
            table.report_idle_pairs(&file, &mut faults);
        }
        faults.finish().err().unwrap_or_default()
    }

    /// A code of the hub is reached if some layout reads it, by a code table or as it is.
    fn review_list(&self, list: &CodeList, faults: &mut Faults) {
        let file = format!("codes/{}.csv", list.name());
        let uses = |field: &&Field| field.code_system.as_ref() == Some(list.name());
        if !self.kinds.values().any(|kind| kind.fields.iter().any(|field| uses(&field))) {
            faults.say(
                &Place::whole(&file),
                "どの記録種別の項目もこのコード体系を使っていません",
                "no field of any kind uses this code list",
            );
            return;
        }
        let rows = || self.layouts.values().flat_map(|layout| &layout.rows).filter(|row| uses(&&row.field));
        if rows().next().is_none() || rows().any(|row| row.codes.is_none()) {
            return;
        }
        let reached: BTreeSet<&str> =
            rows().filter_map(|row| row.codes.as_deref()).flat_map(CodeTable::reached).collect();
        for (code, _) in list.codes().filter(|(code, _)| !reached.contains(code)) {
            let place = Place::whole(&file).key(code);
            faults.say(
                &place,
                format!("{code} を生む対応表がありません"),
                format!("{code} can never come in: no code table of any layout leads to it"),
            );
        }
    }
}

#[cfg(test)]
mod tests;
