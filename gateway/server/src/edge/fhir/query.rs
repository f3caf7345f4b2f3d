//! Search parameters. What is not known is refused, not passed over: a search that ignores a filter answers too much.

use std::ops::RangeInclusive;

use jiff::civil::Date;
use tsunagi_core::fault::Bilingual;
use tsunagi_core::my_number;
use tsunagi_core::refusal::Refusal;
use tsunagi_core::sensitive::Sensitive;
use tsunagi_core::value::ValueType;
use tsunagi_mappings::Tables;
use tsunagi_store::Identifier;

use super::resource;

/// What a search asks.
#[derive(Debug, Default)]
pub(in crate::edge) struct Search {
    /// `patient.identifier=SYSTEM|VALUE`; several must all be the same person's.
    identifiers: Vec<(String, Sensitive<String>)>,
    /// `date=ge…`
    pub(in crate::edge) from: Option<Date>,
    /// `date=le…`
    pub(in crate::edge) until: Option<Date>,
}

impl Search {
    /// Whom it names: by one identifier, or by the parts of one, each in a system of its own (公費負担者番号 and 受給者番号).
    pub(in crate::edge) fn subject(&self, tables: &Tables) -> Option<Identifier> {
        match self.identifiers.as_slice() {
            [(system, value)] => identifier(tables, system, value),
            several => {
                let pairs: Vec<(&str, &str)> =
                    several.iter().map(|(system, value)| (system.as_str(), value.expose().as_str())).collect();
                resource::joined(tables, &pairs).filter(|_| pairs.len() == 2)
            }
        }
    }
}

/// Reads a query string.
pub(in crate::edge) fn parse(query: Option<&str>) -> Result<Search, Refusal> {
    let mut search = Search::default();
    for (name, value) in pairs(query.unwrap_or("")) {
        read(&mut search, &name, &value)?;
    }
    Ok(search)
}

/// Reads one parameter.
pub(in crate::edge) fn read(search: &mut Search, name: &str, value: &str) -> Result<(), Refusal> {
    match name {
        "patient.identifier" | "subject.identifier" | "beneficiary.identifier" => {
            let (system, value) = value.split_once('|').ok_or_else(|| bad("patient.identifier"))?;
            search.identifiers.push((system.to_owned(), Sensitive::new(value.to_owned())));
        }
        "date" => narrow(search, value)?,
        "_format" => {}
        _ => return Err(bad(name)),
    }
    Ok(())
}

/// The pairs of a query string, percent-decoded.
pub(in crate::edge) fn pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    let decode =
        |text: &str| percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    query.split('&').filter(|pair| !pair.is_empty()).map(move |pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

/// A number of the query, or what stands for it where it is left out.
pub(in crate::edge) fn number(
    raw: Option<&str>,
    name: &str,
    otherwise: u64,
    range: RangeInclusive<u64>,
) -> Result<u64, Refusal> {
    let Some((_, text)) = raw.and_then(|raw| pairs(raw).find(|(found, _)| found == name)) else {
        return Ok(otherwise);
    };
    text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        Refusal::Malformed(Bilingual::new(
            format!("{name} は {least} から {most} までです"),
            format!("{name} is {least} to {most}"),
        ))
    })
}

/// An identifier in the hub's terms. 個人番号 is not taken here: it has no place in a URL or a FHIR resource.
pub(in crate::edge) fn identifier(tables: &Tables, system: &str, value: &Sensitive<String>) -> Option<Identifier> {
    let system = &tables.identifier_system(system)?.name;
    let is_my_number = tables.kinds().any(|kind| {
        kind.subject.identifiers.iter().filter(|id| id.system == *system).any(|id| {
            id.fields.iter().filter_map(|key| kind.field(key)).any(|field| field.value_type == ValueType::MyNumber)
        })
    });
    (!is_my_number && !value.expose().is_empty()).then(|| Identifier { system: system.clone(), value: value.clone() })
}

fn narrow(search: &mut Search, text: &str) -> Result<(), Refusal> {
    let (prefix, date) = match text.get(..2) {
        Some(prefix @ ("eq" | "ge" | "gt" | "le" | "lt")) => (prefix, text.get(2..).unwrap_or("")),
        _ => ("eq", text),
    };
    let date: Date = date.parse().map_err(|_| bad("date"))?;
    let beyond = || bad("date");
    match prefix {
        "ge" => search.from = Some(date),
        "gt" => search.from = Some(date.tomorrow().map_err(|_| beyond())?),
        "le" => search.until = Some(date),
        "lt" => search.until = Some(date.yesterday().map_err(|_| beyond())?),
        _ => (search.from, search.until) = (Some(date), Some(date)),
    }
    Ok(())
}

/// The refusal of a parameter.
pub(in crate::edge) fn bad(name: &str) -> Refusal {
    // A parameter's name is the caller's own text: only names of a plain shape are quoted.
    let plain = name.len() <= 40 && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    let plain = plain && !my_number::stands_in(name);
    let name = if plain { name } else { "?" };
    Refusal::Malformed(Bilingual::new(
        format!("検索パラメーター {name} は受け付けていないか、正しくありません"),
        format!("the search parameter {name} is not supported or not well formed"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_narrow_and_unknown_parameters_are_refused() {
        let search =
            parse(Some("patient.identifier=urn%3Ax%7Cy%7C1&date=ge2026-04-01&date=lt2026-05-01")).expect("reads");
        assert_eq!(search.from, Date::new(2026, 4, 1).ok());
        assert_eq!(search.until, Date::new(2026, 4, 30).ok());
        let [(system, value)] = &search.identifiers[..] else { panic!("one identifier") };
        assert_eq!((system.as_str(), value.expose().as_str()), ("urn:x", "y|1"));
        for query in ["name=x", "date=gestern", "patient.identifier=1"] {
            assert!(parse(Some(query)).is_err(), "{query}");
        }
    }
}
