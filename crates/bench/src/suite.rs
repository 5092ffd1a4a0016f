//! Every case in one run, each against a fresh server on a folder of its own, and how the figures compare with the goals.

use crate::bench::Bench;
use crate::cases::{console, dispatch, growth, idle, ingest, noop, robust, start, throughput};
use crate::farm::Server;
use crate::{floor, goals};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::time::Instant;

/// What is run.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// The builder-server
    #[arg(long, value_name = "PATH")]
    pub(crate) server_program: PathBuf,
    /// The builder-worker
    #[arg(long, value_name = "PATH")]
    pub(crate) worker_program: PathBuf,
    /// Small sizes, for a look in two minutes instead of fifteen
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only these, by their names
    #[arg(long, value_delimiter = ',', value_name = "CASE")]
    pub(crate) only: Vec<String>,
}

/// One case with its sizes.
#[derive(Debug)]
enum Step {
    Floor(floor::Options),
    Throughput(throughput::Options),
    Dispatch(dispatch::Options),
    Growth(growth::Options),
    Console(console::Options),
    Ingest(ingest::Options),
    Idle(idle::Options),
    Noop(noop::Options),
    Start(start::Options),
    Robust(robust::Options),
}

impl Step {
    fn name(&self) -> &'static str {
        match self {
            Self::Floor(_) => "floor",
            Self::Throughput(_) => "throughput",
            Self::Dispatch(_) => "dispatch",
            Self::Growth(_) => "growth",
            Self::Console(_) => "console",
            Self::Ingest(_) => "ingest",
            Self::Idle(_) => "idle",
            Self::Noop(_) => "noop",
            Self::Start(_) => "start",
            Self::Robust(_) => "robust",
        }
    }

    async fn run(&self, bench: &mut Bench) -> Result<()> {
        match self {
            Self::Floor(options) => floor::run(bench, options).await,
            Self::Throughput(options) => throughput::run(bench, options).await,
            Self::Dispatch(options) => dispatch::run(bench, options).await,
            Self::Growth(options) => growth::run(bench, options).await,
            Self::Console(options) => console::run(bench, options).await,
            Self::Ingest(options) => ingest::run(bench, options).await,
            Self::Idle(options) => idle::run(bench, options).await,
            Self::Noop(options) => noop::run(bench, options).await,
            Self::Start(options) => start::run(bench, options).await,
            Self::Robust(options) => robust::run(bench, options).await,
        }
    }
}

/// The sizes of the goals.
fn full(options: &Options) -> Vec<Step> {
    let worker_program = options.worker_program.clone();
    let server_program = options.server_program.clone();
    let growth = |entries, rounds| {
        let server_program = Some(options.server_program.clone());
        Step::Growth(growth::Options { entries, workers: 8, rounds, server_program })
    };
    let console = |lines, observers: &[usize]| console::Options { lines, width: 80, observers: observers.to_vec() };
    let idle = |workers, rounds| {
        let server_program = Some(options.server_program.clone());
        Step::Idle(idle::Options { workers, rounds, server_program })
    };
    let ingest = |megabytes, files, rounds, worker_program| {
        Step::Ingest(ingest::Options { megabytes, files: vec![files], rounds, worker_program })
    };
    vec![
        Step::Floor(floor::Options { rounds: 300, megabytes: 2000 }),
        Step::Throughput(throughput::Options { jobs: 2000, workers: vec![1, 8, 64, 1, 8, 64, 1, 8, 64] }),
        Step::Dispatch(dispatch::Options { rounds: 1000 }),
        growth([100, 1000, 10_000, 100_000].to_vec(), 20),
        Step::Console(console(100_000, &[0])),
        Step::Console(console(1_000_000, &[0, 1, 10])),
        Step::Console(console(10_000_000, &[0])),
        ingest(100, 1, 5, None),
        ingest(1000, 1000, 3, None),
        ingest(4000, 1, 2, Some(worker_program.clone())),
        idle([10, 100, 1000, 0].to_vec(), 300),
        Step::Noop(noop::Options { rounds: 200, worker_program }),
        Step::Start(start::Options { builds: 1_000_000, rounds: 3, server_program }),
        Step::Robust(robust::Options { peers: 64, megabytes: 1000, rounds: 1000 }),
    ]
}

/// Small sizes: whether all of it works, and roughly where it stands.
fn quick(options: &Options) -> Vec<Step> {
    let worker_program = options.worker_program.clone();
    let server_program = options.server_program.clone();
    let growth = |entries, rounds| {
        let server_program = Some(options.server_program.clone());
        Step::Growth(growth::Options { entries, workers: 8, rounds, server_program })
    };
    let idle = |workers, rounds| {
        let server_program = Some(options.server_program.clone());
        Step::Idle(idle::Options { workers, rounds, server_program })
    };
    let ingest = |megabytes, files, worker_program| {
        Step::Ingest(ingest::Options { megabytes, files: vec![files], rounds: 1, worker_program })
    };
    vec![
        Step::Floor(floor::Options { rounds: 100, megabytes: 200 }),
        Step::Throughput(throughput::Options { jobs: 1000, workers: vec![1, 8, 64] }),
        Step::Dispatch(dispatch::Options { rounds: 200 }),
        growth([100, 1000, 10_000].to_vec(), 5),
        Step::Console(console::Options { lines: 1_000_000, width: 80, observers: vec![0, 10] }),
        ingest(100, 1000, None),
        ingest(500, 1, Some(worker_program.clone())),
        idle([10, 1000, 0].to_vec(), 100),
        Step::Noop(noop::Options { rounds: 50, worker_program }),
        Step::Start(start::Options { builds: 200_000, rounds: 1, server_program }),
        Step::Robust(robust::Options { peers: 32, megabytes: 500, rounds: 100 }),
    ]
}

/// Runs all of it. A case that fails is told of, and the others go on.
pub(crate) async fn run(bench: &mut Bench, options: &Options) -> Result<()> {
    let start = Instant::now();
    let parent = bench.folder.clone().unwrap_or_else(std::env::temp_dir);
    let steps = if options.quick { quick(options) } else { full(options) };
    let mut failed = Vec::new();
    for step in steps {
        if !options.only.is_empty() && !options.only.iter().any(|name| name == step.name()) {
            continue;
        }
        let (before, dir) = (Instant::now(), tempfile::tempdir_in(&parent).context("make a data folder")?);
        let ran = against_a_server(bench, options, &step, dir.path().to_owned()).await;
        bench.report.end_case()?;
        bench.report.say(&format!("  ({} took {:.1} s)", step.name(), before.elapsed().as_secs_f64()));
        if let Err(error) = ran {
            eprintln!("builder-bench: {} failed: {error:#}", step.name());
            failed.push(step.name());
        }
    }
    let compared = goals::compare(bench.report.all());
    bench.report.say(&format!("\n{}", goals::markdown(&compared)));
    let load = crate::machine::load().unwrap_or(f64::NAN);
    let seconds = start.elapsed().as_secs_f64();
    bench
        .report
        .say(&format!("in {seconds:.0} s; ratio: how many times better than the goal; load at the end {load:.1}"));
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

async fn against_a_server(bench: &mut Bench, options: &Options, step: &Step, dir: PathBuf) -> Result<()> {
    let data = dir.join("data");
    std::fs::create_dir(&data).context("make a data folder")?;
    let mut server = Server::start(&options.server_program, &data)?;
    server.listening().await?;
    bench.address = server.address;
    bench.pid = Some(server.program.pid());
    bench.folder = Some(dir);
    step.run(bench).await?;
    server.program.stop().await
}
