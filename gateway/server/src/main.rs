//! The binary `tsunagi`.

use std::process::ExitCode;

/// A request is some hundred small pieces of memory, most of them freed on another thread than they were taken on.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tsunagi_gateway::commands::run(std::env::args_os())
}
