//! The data is compiled in: a new or removed file must cause a new build, which the compiler alone does not see.

fn main() {
    for place in [
        "kinds",
        "tables",
        "codes",
        "policy",
        "municipalities",
        "calendars",
        "schedules",
        "schemes",
        "cases",
        "identifiers.toml",
    ] {
        println!("cargo:rerun-if-changed={place}");
    }
}
