//! The load generator: drives any server that speaks the protocol, measures what it does, and checks all that it says.
//!
//! One program, one thread for the load (a second one where the load must not disturb the measuring). Each case lies
//! in `cases/`; `suite` runs all of them against servers that it starts, and holds them against the goals.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the terminal is what this program is for")]

mod bench;
mod cases;
mod cli;
mod farm;
mod finished;
mod floor;
mod goals;
mod jobs;
mod machine;
mod peer;
mod plot;
mod report;
mod samples;
mod suite;
mod web;

fn main() -> std::process::ExitCode {
    cli::main()
}
