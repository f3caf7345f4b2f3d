//! Names of bodies, and the cities that wards belong to.

use std::collections::BTreeMap;

use jiff::civil::Date;
use tsunagi_core::municipality::{History, MunicipalityCode, MunicipalityEntry};

use crate::fault::{Faults, Place};

use super::event::Party;
use super::row::Row;

/// What the rows and the known table tell of a code besides its changes.
pub(super) struct Names<'a> {
    rows: BTreeMap<(&'a MunicipalityCode, &'a str), &'a Row>,
    known: BTreeMap<(&'a MunicipalityCode, &'a str), &'a MunicipalityEntry>,
    /// By the two digits of their codes.
    prefectures: BTreeMap<String, String>,
}

impl<'a> Names<'a> {
    pub(super) fn new(rows: &'a [Row], known: &'a History) -> Self {
        let of_rows = rows.iter().map(|row| (row.code.prefecture().to_owned(), row.prefecture.clone()));
        let of_known =
            known.entries().iter().map(|entry| (entry.code.prefecture().to_owned(), entry.prefecture.clone()));
        Self {
            rows: rows.iter().map(|row| ((&row.code, row.name.as_str()), row)).collect(),
            known: known.entries().iter().map(|entry| ((&entry.code, entry.name.as_str()), entry)).collect(),
            prefectures: of_known.chain(of_rows).filter(|(_, name)| !name.is_empty()).collect(),
        }
    }

    /// An entry that begins on a day, or before the list, and goes on.
    pub(super) fn entry(&self, party: &Party, from: Option<Date>) -> MunicipalityEntry {
        let key = (&party.code, party.name.as_str());
        // Two bodies of one code and name can differ in how the name is read: then the statement says it.
        let kana = match (&party.kana, self.rows.get(&key), self.known.get(&key)) {
            (Some(kana), ..) => kana.clone(),
            (None, Some(row), _) if !row.kana.is_empty() => row.kana.clone(),
            (None, _, known) => known.map(|entry| entry.kana.clone()).unwrap_or_default(),
        };
        MunicipalityEntry {
            code: party.code.clone(),
            name: party.name.clone(),
            kana,
            prefecture: self.prefecture(&party.code),
            from,
            until: None,
            successors: Vec::new(),
            folds_to: None,
            areas: Vec::new(),
        }
    }

    fn prefecture(&self, code: &MunicipalityCode) -> String {
        self.prefectures.get(code.prefecture()).cloned().unwrap_or_default()
    }

    /// The city that the rows say a ward belongs to, with its reading.
    fn city_of(&self, ward: &MunicipalityEntry) -> Option<(&'a str, &'a str)> {
        let row = self.rows.get(&(&ward.code, ward.name.as_str()))?;
        row.district.ends_with('市').then_some((row.district.as_str(), row.district_kana.as_str()))
    }
}

/// Ties every ward to its city: by the name that the rows give, else by the place of the code among those of the
/// prefecture's designated cities. A city that was designated before 1970 and never changed stands in no list; it is
/// put into the table and noted.
pub(super) fn fold(
    file: &str,
    table: &mut Vec<MunicipalityEntry>,
    names: &Names<'_>,
    faults: &mut Faults,
    notes: &mut Faults,
) {
    let mut cities: BTreeMap<MunicipalityCode, String> = table
        .iter()
        .filter(|entry| is_of_designated(&entry.code) && entry.name.ends_with('市'))
        .map(|entry| (entry.code.clone(), entry.name.clone()))
        .collect();
    let mut new = Vec::new();
    for ward in table.iter_mut().filter(|entry| entry.folds_to.is_none()) {
        if !is_of_designated(&ward.code) || !ward.name.ends_with('区') {
            continue;
        }
        let named = names.city_of(ward);
        let in_prefecture = |code: &MunicipalityCode| code.prefecture() == ward.code.prefecture();
        let by_name = || {
            let (name, _) = named?;
            cities.iter().find(|(code, city)| in_prefecture(code) && *city == name).map(|(code, _)| code.clone())
        };
        let by_code = || match named {
            // Named, and not there: it is another than those that are.
            Some(_) => None,
            None => {
                cities.range(..&ward.code).next_back().map(|(code, _)| code.clone()).filter(|code| in_prefecture(code))
            }
        };
        let city = by_name().or_else(by_code).or_else(|| base(&ward.code));
        let Some(city) = city else {
            let place = Place::whole(file);
            let (code, name) = (ward.code.five(), &ward.name);
            faults.say(
                &place,
                format!("{name}({code})の属する市が分かりません"),
                format!("nothing tells the city of {name} ({code})"),
            );
            continue;
        };
        if !cities.contains_key(&city)
            && let Some((name, kana)) = named
        {
            cities.insert(city.clone(), name.to_owned());
            new.push(designated_before(city.clone(), name, kana, ward.prefecture.clone()));
        }
        ward.folds_to = Some(city);
    }
    for city in &new {
        let (code, name) = (city.code.five(), &city.name);
        notes.say(
            &Place::whole(file),
            format!("{name}({code})は一覧にないため、区のコードから補いました"),
            format!("{name} ({code}) is not in the list and was put in by the codes of its wards"),
        );
    }
    table.extend(new);
}

fn designated_before(code: MunicipalityCode, name: &str, kana: &str, prefecture: String) -> MunicipalityEntry {
    MunicipalityEntry {
        code,
        name: name.to_owned(),
        kana: kana.to_owned(),
        prefecture,
        from: None,
        until: None,
        successors: Vec::new(),
        folds_to: None,
        areas: Vec::new(),
    }
}

/// 100 to 199, outside Tokyo whose wards there are municipalities.
fn is_of_designated(code: &MunicipalityCode) -> bool {
    code.prefecture() != "13" && code.five().get(2..3) == Some("1")
}

/// The code of a designated city by that of its ward: 100, 130, 140 or 150.
fn base(ward: &MunicipalityCode) -> Option<MunicipalityCode> {
    let number: u16 = ward.five().get(2..)?.parse().ok()?;
    let base = [150, 140, 130, 100].into_iter().find(|base| *base < number)?;
    MunicipalityCode::from_five(&format!("{}{base}", ward.prefecture())).ok()
}
