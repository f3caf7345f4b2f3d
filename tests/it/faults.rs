//! What fails, fails on purpose here: writes, processes, nodes, the server, the disk, the clock, destinations. Afterwards
//! everything is read again. docs/faults.md lists fault by fault what is held, and by which test.

mod clock;
mod disk;
mod kills;
mod ledger;
mod load;
mod page;
mod races;
mod restored;
mod rolling;
mod sends;
mod server;
mod shaky;
mod sheets;
mod town;
mod writes;

/// A number that the environment may name, for a longer run.
fn number_of(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// The store that hubs stand on in this run.
fn backend() -> String {
    std::env::var("TSUNAGI_TEST_STORE").unwrap_or_else(|_| "sqlite".to_owned())
}
