//! No target: writes the seeds of the others below the folder that `FUZZ_SEEDS` names, and fuzzes nothing. It is built
//! like the others because only such a build has what the seeds are made with.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(
    init: {
        let to = std::env::var_os("FUZZ_SEEDS").expect("FUZZ_SEEDS names the folder to write to");
        tsunagi_fuzz::seeds::write_all(to.as_ref());
    },
    |_data: &[u8]| {}
);
