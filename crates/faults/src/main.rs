//! `builder-faults`: breaks the real programs in many ways while they work, and counts what they lose.
//!
//! This file reads the arguments and gives the exit code. The run itself lies in `run`, what goes wrong in `plan`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the terminal is what this program is for")]

mod chance;
mod farm;
mod frames;
mod inject;
mod jobs;
mod ledger;
mod load;
mod mounts;
mod plan;
mod processes;
mod programs;
mod proxy;
mod report;
mod run;
mod verify;
mod wait;

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Breaks builder's programs while they work, and counts what they lose: kills, freezes, cut networks, full and
/// read-only disks, exhausted descriptors.
#[derive(Debug, Parser)]
#[command(
    name = "builder-faults",
    after_help = "\
Exit status: 0 nothing was lost, doubled, stuck, orphaned or damaged · 1 something was, or the run could not be made \
                 · 2 wrong usage"
)]
struct Arguments {
    /// How many rounds, each with a fault
    #[arg(long, default_value_t = 300)]
    rounds: usize,
    /// What the faults follow from: the same seed, the same faults [default: another one each time]
    #[arg(long)]
    seed: Option<u64>,
    /// After how many seconds no further round begins
    #[arg(long, value_name = "MAX")]
    seconds: Option<u64>,
    /// Where builder-server and builder-worker are [default: beside this program]
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
}

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == programs::BECOME) {
        eprintln!("builder-faults: {:#}", programs::become_program(words));
        return ExitCode::FAILURE;
    }
    let arguments = Arguments::parse();
    match faults(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("builder-faults: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn faults(arguments: &Arguments) -> anyhow::Result<bool> {
    // While there is only this thread: the others, and all programs, are then in the same namespace.
    let may_mount = mounts::enter_namespace();
    nix::sys::prctl::set_child_subreaper(true)?;
    wait::heed_signals()?;
    let beside = std::env::current_exe()?.parent().map(PathBuf::from).unwrap_or_default();
    let settings = run::Settings {
        rounds: arguments.rounds,
        seed: arguments.seed.unwrap_or_else(fresh_seed),
        limit: arguments.seconds.map(Duration::from_secs),
        programs: arguments.programs.clone().unwrap_or(beside),
    };
    println!("seed {}, {} rounds", settings.seed, settings.rounds);
    let report = run::run(&settings, may_mount, |line| println!("{line}"))?;
    print!("{report}");
    Ok(report.is_good())
}

fn fresh_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_nanos()) ^ now.as_secs().rotate_left(20) & 0xffff_ffff
}
