//! builder-simulator: many seeds, or one with its transcript.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use builder_simulator::{STEPS, Summary, run};
use clap::Parser;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Examples:
  builder-simulator                    a thousand seeds
  builder-simulator --seed 42          one seed, with everything that happens
  builder-simulator --from 5000 --seeds 100000

Exit status: 0 nothing was lost, doubled or stuck · 1 something was; its seed and transcript are shown · 2 wrong usage";

/// Drives the server's engine through seeded faults, and checks that nothing is lost, doubled or stuck.
#[derive(Parser)]
#[command(version, after_help = AFTER_HELP)]
struct Cli {
    /// How many seeds to run
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run only this seed, and show what happens
    #[arg(long)]
    seed: Option<u64>,
    /// How many steps a run has before it drains
    #[arg(long, default_value_t = STEPS)]
    steps: usize,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // A run that fails says so itself, and power cuts are a part of it.
    std::panic::set_hook(Box::new(|_| {}));
    let seeds = cli.seed.map_or(cli.from..cli.from + cli.seeds, |seed| seed..seed + 1);
    let count = seeds.end - seeds.start;
    let mut total = Summary::default();
    for seed in seeds {
        match run(seed, cli.steps) {
            Ok((summary, transcript)) => {
                if cli.seed.is_some() {
                    transcript.iter().for_each(|line| println!("{line}"));
                }
                total.faults += summary.faults;
                total.crashes += summary.crashes;
                total.builds += summary.builds;
                total.attempts += summary.attempts;
            }
            Err(failure) => {
                failure.transcript.iter().for_each(|line| println!("{line}"));
                println!("{}", failure.what);
                println!(
                    "seed {} after {} good ones; again with: builder-simulator --seed {0}",
                    failure.seed,
                    failure.seed - cli.from.min(failure.seed)
                );
                return ExitCode::FAILURE;
            }
        }
    }
    let Summary { faults, crashes, builds, attempts } = total;
    println!(
        "simulator: {count} seeds, {faults} faults injected ({crashes} crashes), {builds} builds in {attempts} attempts: \
         lost 0, doubled 0, stuck 0"
    );
    ExitCode::SUCCESS
}
