//! The binary `tsunagi`.

use std::process::ExitCode;

/// A request is some hundred small pieces of memory, most of them freed on another thread than they were taken on.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    tsunagi_gateway::commands::run(std::env::args_os())
}
