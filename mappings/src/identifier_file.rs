//! `identifiers.toml`: the systems of subject identifiers.

use serde::Deserialize;
use tsunagi_core::fault::Bilingual;

use crate::fault::{Faults, Place};
use crate::toml_file::{Entry, SyntaxVersion, TomlFile};

/// A system of subject identifiers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentifierSystem {
    /// Its name, as kinds use it.
    pub name: tsunagi_core::id::IdentifierSystem,
    /// Its name for people.
    pub label: Bilingual,
    /// What a FHIR search `patient.identifier=URI|VALUE` may call it; the value is in the form joined with `:`.
    pub uris: Vec<String>,
    /// The systems that its parts stand in when a resource gives them one by one, in the order of the joined form.
    #[serde(default)]
    pub parts: Vec<String>,
    /// A person has one value at a time; a second one is another person, or a mistake, and is never joined.
    #[serde(default)]
    pub single_valued: bool,
}

/// A system that goes by a URL and by OIDs: all of them are read, the URL is written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OidForm {
    pub(crate) url: String,
    pub(crate) oids: Vec<String>,
}

/// What the file says.
#[derive(Debug, Default)]
pub(crate) struct IdentifierFile {
    pub(crate) systems: Vec<IdentifierSystem>,
    pub(crate) oid_forms: Vec<OidForm>,
}

pub(crate) const FILE: &str = "identifiers.toml";

/// `None` if the file says too little to check names against it.
pub(crate) fn read(text: &str, faults: &mut Faults) -> Option<IdentifierFile> {
    let mut toml = TomlFile::parse(FILE, text, faults)?;
    let before = faults.count();
    let systems: Vec<Entry<IdentifierSystem>> = toml.list("system", faults);
    let is_whole = faults.count() == before;
    let Head { oid_form, .. } = toml.head(faults)?;
    let place = Place::whole(FILE).key("oid_form");
    for (at, form) in oid_form.iter().enumerate() {
        let mut earlier = oid_form.iter().take(at);
        let is_twice =
            earlier.any(|other| other.url == form.url || other.oids.iter().any(|oid| form.oids.contains(oid)));
        if is_twice {
            let url = &form.url;
            faults.say(
                &place,
                format!("{url} またはそのOIDが重複しています"),
                format!("{url} or an OID of it is here twice"),
            );
        }
        if let Some(other) = form.oids.iter().find(|oid| !oid.starts_with("urn:oid:")) {
            faults.say(&place, format!("{other} は urn:oid: で始まりません"), format!("{other} is no urn:oid:"));
        }
    }
    for (at, system) in systems.iter().enumerate() {
        let earlier = || systems.iter().take(at);
        let name = &system.value.name;
        let place = system.place(FILE);
        if earlier().any(|other| other.value.name == *name) {
            faults.say(&place.key("name"), format!("{name} が重複しています"), format!("{name} is here twice"));
        }
        for uri in &system.value.uris {
            if earlier().any(|other| other.value.uris.contains(uri)) {
                faults.say(&place.key("uris"), format!("{uri} が重複しています"), format!("{uri} is here twice"));
            }
        }
    }
    is_whole.then(|| IdentifierFile {
        systems: systems.into_iter().map(|entry: Entry<IdentifierSystem>| entry.value).collect(),
        oid_forms: oid_form,
    })
}

/// Reports that the file is not there.
pub(crate) fn missing(faults: &mut Faults) {
    faults.say(&Place::whole(FILE), "ファイルがありません", "the file is missing");
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    #[serde(rename = "version")]
    _version: SyntaxVersion,
    #[serde(default)]
    oid_form: Vec<OidForm>,
}
