//! Everything loaded and cross-checked, and the questions it answers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tsunagi_core::calendar::Calendar;
use tsunagi_core::id::{CodeTableName, KindName, LayoutId};
use tsunagi_core::kind::Kind;
use tsunagi_core::municipality::History;
use tsunagi_core::policy::Policy;
use tsunagi_core::schedule::Schedule;

use crate::case::Case;
use crate::code_list::CodeList;
use crate::code_table::CodeTable;
use crate::fault::{Faults, TableFault};
use crate::identifier_file::{IdentifierSystem, OidForm};
use crate::layout::Layout;
use crate::load;
use crate::scheme_file::Scheme;
use crate::source::Files;

/// Kinds, layouts, codes, policy, municipalities, calendars, schedules, schemes, identifier systems and cases: parsed, and every name in
/// them known to lead somewhere. Immutable; a reload makes a new one.
#[derive(Debug)]
pub struct Tables {
    pub(crate) kinds: BTreeMap<KindName, Kind>,
    pub(crate) layouts: BTreeMap<LayoutId, Layout>,
    pub(crate) policy: Policy,
    pub(crate) municipalities: History,
    pub(crate) systems: Vec<IdentifierSystem>,
    pub(crate) oid_forms: Vec<OidForm>,
    pub(crate) calendars: BTreeMap<String, Calendar>,
    pub(crate) schedules: BTreeMap<String, Schedule>,
    pub(crate) schemes: Vec<Scheme>,
    pub(crate) code_lists: BTreeMap<CodeTableName, Arc<CodeList>>,
    pub(crate) code_tables: BTreeMap<CodeTableName, Arc<CodeTable>>,
    pub(crate) cases: Vec<Case>,
}

impl Tables {
    /// The set that is compiled in.
    pub fn builtin() -> Result<Self, Vec<TableFault>> {
        let mut faults = Faults::default();
        let files = Files::builtin(&mut faults);
        load::load(&files, faults)
    }

    /// The compiled-in set with a folder of the same shape laid over it: a file of the same name replaces, a new name
    /// adds. All faults of all files come at once.
    pub fn with_folder(folder: &Path) -> Result<Self, Vec<TableFault>> {
        let mut faults = Faults::default();
        let mut files = Files::builtin(&mut faults);
        files.overlay(folder, &mut faults);
        load::load(&files, faults)
    }

    /// The version of the policy, kept in every audit event that rests on it.
    pub fn version(&self) -> &str {
        &self.policy.version
    }

    /// All kinds, by name.
    pub fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.kinds.values()
    }

    /// One kind.
    pub fn kind(&self, name: &KindName) -> Option<&Kind> {
        self.kinds.get(name)
    }

    /// All layouts, by id.
    pub fn layouts(&self) -> impl Iterator<Item = &Layout> {
        self.layouts.values()
    }

    /// One layout.
    pub fn layout(&self, id: &LayoutId) -> Option<&Layout> {
        self.layouts.get(id)
    }

    /// The policy of the hub.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The municipalities and what became of them.
    pub fn municipalities(&self) -> &History {
        &self.municipalities
    }

    /// All systems of subject identifiers.
    pub fn identifier_systems(&self) -> &[IdentifierSystem] {
        &self.systems
    }

    /// A system of subject identifiers, by its name or one of its URIs.
    pub fn identifier_system(&self, uri_or_name: &str) -> Option<&IdentifierSystem> {
        let wanted = self.url_of(uri_or_name);
        self.systems
            .iter()
            .find(|system| system.name.as_str() == wanted || system.uris.iter().any(|uri| self.url_of(uri) == wanted))
    }

    /// The URL of a system that may be called by an OID; any other name as it is.
    pub fn url_of<'a>(&'a self, uri: &'a str) -> &'a str {
        let form = self.oid_forms.iter().find(|form| form.oids.iter().any(|oid| oid == uri));
        form.map_or(uri, |form| &form.url)
    }

    /// One of the hub's own code lists.
    pub fn code_list(&self, name: &CodeTableName) -> Option<&CodeList> {
        self.code_lists.get(name).map(AsRef::as_ref)
    }

    /// All code tables between participants' codes and the hub's.
    pub fn code_tables(&self) -> impl Iterator<Item = &CodeTable> {
        self.code_tables.values().map(AsRef::as_ref)
    }

    /// The closed days of an office.
    pub fn calendar(&self, name: &str) -> Option<&Calendar> {
        self.calendars.get(name)
    }
}

#[cfg(test)]
mod tests;
