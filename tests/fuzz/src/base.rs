//! A small set of tables in which every kind of file stands once: quick to load, and every name in it leads somewhere.

/// Path below the folder of tables, and text.
pub const FILES: [(&str, &str); 15] = [
    ("calendars/office.toml", include_str!("../base/calendars/office.toml")),
    ("cases/municipal_csv__visit.toml", include_str!("../base/cases/municipal_csv__visit.toml")),
    ("codes/sex.csv", include_str!("../base/codes/sex.csv")),
    ("codes/town_sex__sex.csv", include_str!("../base/codes/town_sex__sex.csv")),
    ("codes/vaccine.csv", include_str!("../base/codes/vaccine.csv")),
    ("identifiers.toml", include_str!("../base/identifiers.toml")),
    ("kinds/visit.toml", include_str!("../base/kinds/visit.toml")),
    ("municipalities/some.csv", include_str!("../base/municipalities/some.csv")),
    ("policy/default.toml", include_str!("../base/policy/default.toml")),
    ("schedules/doses.toml", include_str!("../base/schedules/doses.toml")),
    ("schemes/some.csv", include_str!("../base/schemes/some.csv")),
    ("tables/fhir_r4/visit.toml", include_str!("../base/tables/fhir_r4/visit.toml")),
    ("tables/municipal_csv/visit.toml", include_str!("../base/tables/municipal_csv/visit.toml")),
    ("tables/pmh_api/visit.toml", include_str!("../base/tables/pmh_api/visit.toml")),
    // No file of the set: what is read here is read beside all the others.
    ("tables/pmh_api/another.toml", include_str!("../base/tables/pmh_api/visit.toml")),
];

/// The files of the set itself.
pub fn files() -> Vec<(&'static str, &'static str)> {
    FILES.iter().copied().filter(|(file, _)| *file != "tables/pmh_api/another.toml").collect()
}
