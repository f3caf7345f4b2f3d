//! From a layout file to a layout: every name resolved, every path and chain parsed, every fault reported.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tsunagi_core::fault::Bilingual;
use tsunagi_core::id::{CodeTableName, FieldKey, LayoutId};
use tsunagi_core::kind::{Field, Kind};
use tsunagi_core::value::ValueType;

use crate::code_list::CodeList;
use crate::code_table::CodeTable;
use crate::convert::{Chain, Noted, Setting};
use crate::fault::{Faults, Place};
use crate::identifier_file::OidForm;
use crate::layout::{Constant, Layout, LayoutRow, Lost, Match, Scalar};
use crate::layout_file::{Charset, LayoutFile, Newline, RawRow, Unmapped};
use crate::layout_paths::{self, Placed};
use crate::path::{Notation, Path};
use crate::shorthand::{self, HOLE};
use crate::shrink::ShrinkTable;
use crate::toml_file::Entry;
use crate::unit::{self, UnitPlace};

/// What layouts name.
pub(crate) struct Names<'a> {
    pub(crate) code_lists: &'a BTreeMap<CodeTableName, Arc<CodeList>>,
    pub(crate) code_tables: &'a BTreeMap<CodeTableName, Arc<CodeTable>>,
    pub(crate) oid_forms: &'a [OidForm],
    pub(crate) shrinks: &'a BTreeMap<String, Arc<ShrinkTable>>,
}

/// Builds a layout of `kind`. Faults are reported; what comes back is used only if there are none at all.
pub(crate) fn build(
    file: &str,
    id: LayoutId,
    raw: LayoutFile,
    kind: &Kind,
    names: &Names<'_>,
    faults: &mut Faults,
) -> Option<Layout> {
    let whole = Place::whole(file);
    let Some(notation) = notation(raw.head.format.as_str()) else {
        faults.say(
            &whole.key("format"),
            "形式は fhir_r4・municipal_csv・pmh_api のどれかです",
            "the format is one of fhir_r4, municipal_csv, pmh_api",
        );
        return None;
    };
    if !id.as_str().starts_with(&format!("{}/", raw.head.format)) {
        faults.say(&whole.key("format"), "置き場所の形式と一致しません", "not the format of the folder it is in");
    }
    let mut builder =
        Builder { file, kind, names, notation, raw: &raw, columns: Vec::new(), placed: Placed::default(), faults };
    builder.check_options();
    builder.place_columns();
    let constants = builder.constants();
    let rows = builder.rows();
    let matches = builder.matches();
    let lost = builder.lost();
    let ignored = builder.ignored();
    let shrink = builder.shrink();
    builder.placed.report(builder.faults);
    if raw.is_whole {
        builder.check_coverage(&rows, &lost);
    }
    let columns = builder.columns.into_iter().map(|(_, name)| name).collect();
    let head = raw.head;
    let layout = Layout {
        id,
        kind: head.kind,
        format: head.format,
        label: head.label,
        charset: head.charset.unwrap_or(Charset::Utf8).as_str().to_owned(),
        crlf: head.newline == Some(Newline::Crlf),
        shrink,
        resource_type: head.resource_type,
        serves: head.serves,
        domain: head.domain,
        is_line: notation == Notation::Column,
        matches,
        constants,
        rows,
        lost,
        ignored,
        columns: Arc::new(columns),
        members: BTreeSet::new(),
        shorthand: head.shorthand,
    };
    Some(if notation == Notation::Pointer { layout.with_members() } else { layout })
}

fn notation(format: &str) -> Option<Notation> {
    match format {
        "fhir_r4" => Some(Notation::Element),
        "municipal_csv" => Some(Notation::Column),
        "pmh_api" => Some(Notation::Pointer),
        _ => None,
    }
}

struct Builder<'a, 'f> {
    file: &'a str,
    kind: &'a Kind,
    names: &'a Names<'a>,
    notation: Notation,
    raw: &'a LayoutFile,
    /// The columns of the layout's own files, in the order in which rows and constants stand in the file.
    columns: Vec<(usize, String)>,
    placed: Placed<'a>,
    faults: &'f mut Faults,
}

impl<'a> Builder<'a, '_> {
    /// Options that belong to another format would be without effect; one that its format needs must be there.
    fn check_options(&mut self) {
        let head = &self.raw.head;
        let (csv, fhir, pmh) = (Notation::Column, Notation::Element, Notation::Pointer);
        for (key, is_there, belongs, is_needed) in [
            ("charset", head.charset.is_some(), csv, false),
            ("newline", head.newline.is_some(), csv, false),
            ("shrink", head.shrink.is_some(), csv, false),
            ("ignored", !self.raw.ignored.is_empty(), csv, false),
            ("resource_type", head.resource_type.is_some(), fhir, true),
            ("serves", !head.serves.is_empty(), fhir, false),
            ("shorthand", !head.shorthand.is_empty(), fhir, false),
            ("domain", head.domain.is_some(), pmh, true),
        ] {
            let place = Place::whole(self.file).key(key);
            if is_there && belongs != self.notation {
                self.faults.say(&place, "この形式では使えません", "has no meaning in this format");
            }
            if !is_there && is_needed && belongs == self.notation {
                self.faults.say(&place, "この形式では必須です", "must be said in this format");
            }
        }
        for (name, text) in &head.shorthand {
            if text.matches(HOLE).count() != 1 {
                let place = Place::whole(self.file).key("shorthand").key(name);
                self.faults.say(&place, "穴 {} は1つです", "exactly one hole {} is needed");
            }
        }
    }

    /// The columns of a file that the layout itself writes, in the order in which rows and constants stand.
    fn place_columns(&mut self) {
        if self.notation == Notation::Column {
            self.columns.extend(self.raw.rows.iter().map(|row| (row.line, row.value.path.clone())));
            self.columns.extend(self.raw.constants.iter().map(|one| (one.line, one.value.path.clone())));
            self.columns.sort_by_key(|(line, _)| *line);
        }
    }

    fn constants(&mut self) -> Vec<Constant> {
        let mut constants = Vec::new();
        for raw in &self.raw.constants {
            let place = raw.place(self.file);
            if let Some((path, _)) = self.path(&raw.value.path, &place) {
                let at = self.position(&raw.value.path);
                self.placed.writes(&path, place.key("path"));
                constants.push(Constant { path, at, value: raw.value.value.node() });
            }
        }
        constants
    }

    fn matches(&mut self) -> Vec<Match> {
        let mut matches = Vec::new();
        for raw in &self.raw.matches {
            let place = raw.place(self.file);
            if let Some((path, _)) = self.path(&raw.value.path, &place) {
                matches.push(Match { path, equals: raw.value.equals.text() });
            }
        }
        matches
    }

    fn rows(&mut self) -> Vec<LayoutRow> {
        let mut rows: Vec<LayoutRow> = Vec::new();
        for raw in &self.raw.rows {
            let place = raw.place(self.file);
            let key = &raw.value.field;
            let Some(field) = self.kind.field(key) else {
                self.unknown_field(key, &place);
                continue;
            };
            let nth = rows.iter().filter(|row| row.field.key == *key).count();
            if nth > 0 && !(field.many && self.notation == Notation::Column) {
                self.faults.say(
                    &place.key("field"),
                    format!("{key} の行が重複しています"),
                    format!("{key} has a row already"),
                );
                continue;
            }
            rows.extend(self.row(raw, field, nth));
        }
        rows
    }

    fn row(&mut self, raw: &'a Entry<RawRow>, field: &Field, nth: usize) -> Option<LayoutRow> {
        let place = raw.place(self.file);
        layout_paths::report_idle_requirement(self.file, raw, self.faults);
        let raw = &raw.value;
        let path = self.path(&raw.path, &place);
        let chain = self.chain(raw, field, &place);
        let codes = self.codes(raw, field, &place);
        if raw.unmapped == Unmapped::KeepAsText && (field.value_type != ValueType::Text || field.required) {
            self.faults.say(
                &place.key("unmapped"),
                "keep_as_text は任意の文字列項目にだけ使えます",
                "keep_as_text is for optional text fields only",
            );
        }
        if raw.json.is_some() && self.notation == Notation::Column {
            self.faults.say(&place.key("json"), "この形式では使えません", "has no meaning in this format");
        }
        let said: Vec<(Path, String)> =
            raw.also.iter().filter_map(|text| self.path(text, &place.key("also"))).collect();
        let (path, column) = path?;
        self.placed.writes(&path, place.key("path"));
        said.iter().for_each(|(path, _)| self.placed.reads(path, place.key("also")));
        let in_full = std::iter::once(&column).chain(said.iter().map(|(_, full)| full));
        let by_oid: Vec<Path> = in_full.flat_map(|full| self.by_oid(full)).collect();
        let mut also: Vec<Path> = said.into_iter().map(|(path, _)| path).collect();
        by_oid.into_iter().for_each(|path| {
            if !also.contains(&path) {
                also.push(path);
            }
        });
        let chain = chain?;
        if let Some(default) = &raw.default
            && chain.read(default.as_str().into(), &mut Noted::default()).is_err()
        {
            self.faults.say(&place.key("default"), "既定値が読めません", "the default cannot be read");
        }
        let json = raw.json.unwrap_or(if chain.takes_bool() { Scalar::Bool } else { Scalar::Text });
        let wants_list = codes.is_none() && field.value_type == ValueType::Code;
        let hub_codes = field.code_system.as_ref().filter(|_| wants_list);
        let unit = field.unit.as_ref().and_then(|_| self.unit_place(&column));
        Some(LayoutRow {
            field: field.clone(),
            is_name: self.is_name(&field.key),
            column,
            path,
            also,
            at: self.position(&raw.path),
            nth,
            chain,
            codes,
            hub_codes: hub_codes.and_then(|name| self.names.code_lists.get(name)).cloned(),
            keeps_unmapped: raw.unmapped == Unmapped::KeepAsText,
            default: raw.default.clone(),
            required: raw.required,
            json,
            unit,
        })
    }

    /// Where a quantity has its unit: in a condition of its path, or in a constant beside it.
    fn unit_place(&self, full: &str) -> Option<UnitPlace> {
        if self.notation != Notation::Element {
            return None;
        }
        let parsed = |text: &str| Path::parse(self.notation, text, 0).ok();
        if let Some(text) = unit::without_condition(full) {
            return parsed(&text).map(UnitPlace::OnTheWay);
        }
        let text = unit::beside(full)?;
        let is_written =
            self.raw.constants.iter().any(|one| self.expanded(&one.value.path).is_ok_and(|path| path == text));
        if is_written { parsed(&text).map(UnitPlace::Beside) } else { None }
    }

    fn chain(&mut self, raw: &RawRow, field: &Field, place: &Place<'_>) -> Option<Chain> {
        let setting = Setting {
            value_type: field.value_type,
            unit: field.unit.as_deref(),
            is_fhir: self.notation == Notation::Element,
            is_line: self.notation == Notation::Column,
        };
        match Chain::parse(raw.convert.as_deref(), setting) {
            Ok(chain) => Some(chain),
            Err(reasons) => {
                for reason in reasons {
                    self.faults.add(&place.key("convert"), reason);
                }
                None
            }
        }
    }

    fn codes(&mut self, raw: &RawRow, field: &Field, place: &Place<'_>) -> Option<Arc<CodeTable>> {
        let name = raw.codes.as_ref()?;
        let place = place.key("codes");
        if !matches!(field.value_type, ValueType::Code | ValueType::Text) {
            self.faults.say(&place, "コードの項目ではありません", "the field holds no code");
        }
        let Some(table) = self.names.code_tables.get(name) else {
            self.faults.say(&place, format!("codes/{name}.csv はありません"), format!("there is no codes/{name}.csv"));
            return None;
        };
        if field.code_system.as_ref().is_some_and(|system| system != table.target()) {
            self.faults.say(
                &place,
                "対応表の先が項目のコード体系ではありません",
                "the table does not lead to the code system of the field",
            );
        }
        Some(table.clone())
    }

    fn lost(&mut self) -> Vec<Lost> {
        let mut lost: Vec<Lost> = Vec::new();
        for raw in &self.raw.lost {
            let place = raw.place(self.file);
            let key = &raw.value.field;
            if self.kind.field(key).is_none() {
                self.unknown_field(key, &place);
            } else if self.raw.rows.iter().any(|row| row.value.field == *key) {
                self.faults.say(
                    &place.key("field"),
                    format!("{key} には行があり、失われません"),
                    format!("{key} has a row and is not lost"),
                );
            } else if lost.iter().any(|other| other.field == *key) {
                self.faults.say(&place.key("field"), format!("{key} が重複しています"), format!("{key} is here twice"));
            } else {
                lost.push(Lost { field: key.clone(), reason: raw.value.reason.clone() });
            }
        }
        lost
    }

    fn shrink(&mut self) -> Option<Arc<ShrinkTable>> {
        let name = self.raw.head.shrink.as_ref()?;
        let found = self.names.shrinks.get(name).cloned();
        if found.is_none() {
            let (ja, en) =
                (format!("characters/{name}.csv はありません"), format!("there is no characters/{name}.csv"));
            self.faults.say(&Place::whole(self.file).key("shrink"), ja, en);
        }
        found
    }

    fn is_name(&self, key: &FieldKey) -> bool {
        let identifiers = &self.kind.subject.identifiers;
        self.kind.business_key.contains(key) || identifiers.iter().any(|one| one.fields.contains(key))
    }

    fn ignored(&mut self) -> Vec<String> {
        let mut ignored = Vec::new();
        layout_paths::report_twins(self.file, self.raw.ignored.iter(), |raw| &raw.path, self.faults);
        for raw in &self.raw.ignored {
            if self.columns.iter().any(|(_, name)| *name == raw.value.path) {
                let place = raw.place(self.file).key("path");
                self.faults.say(&place, "行のある列です", "a row reads this column");
            }
            ignored.push(raw.value.path.clone());
        }
        ignored
    }

    /// A field that is neither placed nor listed as lost would be lost without anybody having said so.
    fn check_coverage(&mut self, rows: &[LayoutRow], lost: &[Lost]) {
        let named: BTreeSet<&FieldKey> = rows
            .iter()
            .map(|row| &row.field.key)
            .chain(lost.iter().map(|lost| &lost.field))
            .chain(self.raw.rows.iter().map(|row| &row.value.field))
            .collect();
        for field in self.kind.fields.iter().filter(|field| !named.contains(&field.key)) {
            let key = &field.key;
            self.faults.say(
                &Place::whole(self.file),
                format!("{key} が [[row]] にも [[lost]] にもありません"),
                format!("{key} is neither in a [[row]] nor in a [[lost]]"),
            );
        }
    }

    /// The parsed path and its text without shorthand.
    fn path(&mut self, text: &str, place: &Place<'_>) -> Option<(Path, String)> {
        let parsed = self.expanded(text).and_then(|full| {
            let path = Path::parse(self.notation, &full, self.position(text))?;
            Ok((path, full))
        });
        match parsed {
            Ok(parsed) => Some(parsed),
            Err(reason) => {
                self.faults.add(&place.key("path"), reason);
                None
            }
        }
    }

    /// The same places where they are named by OIDs instead of URLs.
    fn by_oid(&self, full: &str) -> Vec<Path> {
        if self.notation != Notation::Element {
            return Vec::new();
        }
        let mut texts = vec![full.to_owned()];
        for form in self.names.oid_forms {
            let url = format!("={}]", form.url);
            let oids = form.oids.iter().map(|oid| format!("={oid}]"));
            let named = texts.iter().filter(|text| text.contains(&url));
            let more: Vec<String> =
                named.flat_map(|text| oids.clone().map(|oid| text.replace(&url, &oid)).collect::<Vec<_>>()).collect();
            texts.extend(more);
        }
        texts.iter().skip(1).filter_map(|text| Path::parse(self.notation, text, 0).ok()).collect()
    }

    fn expanded(&self, text: &str) -> Result<String, Bilingual> {
        match self.notation {
            Notation::Element => shorthand::expand(text, &self.raw.head.shorthand),
            Notation::Column | Notation::Pointer => Ok(text.to_owned()),
        }
    }

    fn position(&self, column: &str) -> usize {
        self.columns.iter().position(|(_, name)| name == column).unwrap_or(0)
    }

    fn unknown_field(&mut self, key: &FieldKey, place: &Place<'_>) {
        let kind = &self.kind.name;
        self.faults.say(
            &place.key("field"),
            format!("{kind} に項目 {key} はありません"),
            format!("{kind} has no field {key}"),
        );
    }
}
