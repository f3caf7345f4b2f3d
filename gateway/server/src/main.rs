//! The binary `tsunagi`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tsunagi_gateway::commands::run(std::env::args_os())
}
