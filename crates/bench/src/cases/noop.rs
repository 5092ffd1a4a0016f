//! Case g: a job that does nothing, on a real worker that waits: from a client's `execute` to the record on disk.

use crate::bench::{Bench, within};
use crate::farm::Program;
use crate::peer::{self, NOOP, Peer};
use crate::report::{Errors, Measurement};
use crate::samples::Samples;
use crate::{jobs, machine};
use anyhow::{Context, Result};
use builder_wire::{Message, Role};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a worker has to come back for its next job before the clock starts.
const SETTLE: Duration = Duration::from_millis(30);

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// How many jobs
    #[arg(long, default_value_t = 200)]
    pub(crate) rounds: usize,
    /// The builder-worker that runs them
    #[arg(long, value_name = "PATH")]
    pub(crate) worker_program: PathBuf,
}

/// A worker whose jobs run in one kind of sandbox.
struct Target {
    kind: &'static str,
    platform: String,
    name: String,
    worker: Program,
    samples: Samples,
}

impl Target {
    /// Starts it, and has it do its first job.
    async fn start(bench: &mut Bench, options: &Options, kind: &'static str) -> Result<Self> {
        let platform = bench.platform(&format!("g{kind}"));
        let name = jobs::name(&platform, 0);
        let worker = Program::worker(&options.worker_program, bench.address, &platform, &["--sandbox", kind])?;
        peer::command(bench.address, &peer::schedule(&name, &platform, NOOP)).await?;
        within(bench.deadline(), "the first job", finished(bench.address, &platform)).await?;
        Ok(Self { kind, platform, name, worker, samples: Samples::default() })
    }
}

/// Measures: without a sandbox, and in turn with it in bubblewrap where that is there, so that both have the same
/// machine.
pub(crate) async fn run(bench: &mut Bench, options: &Options) -> Result<()> {
    let mut targets = vec![Target::start(bench, options, "none").await?];
    if has_bubblewrap() {
        targets.push(Target::start(bench, options, "bubblewrap").await?);
    }
    let deadline = bench.deadline();
    let before = machine::processor_seconds(targets[0].worker.pid());
    let mut errors = Errors::default();
    for _ in 0..options.rounds {
        for Target { platform, name, samples, .. } in &mut targets {
            tokio::time::sleep(SETTLE).await;
            match within(deadline, "a job", round(bench.address, platform, name)).await {
                Ok(elapsed) => samples.push(elapsed),
                Err(error) => errors.note(&error),
            }
        }
        if tokio::time::Instant::now() >= deadline {
            break;
        }
    }
    let after = machine::processor_seconds(targets[0].worker.pid());
    let processor = after.zip(before).map_or(f64::NAN, |(after, before)| after - before);
    let rounds = targets[0].samples.len();
    let mut measurement = Measurement::new("noop")
        .with("rounds", rounds)
        .latencies("record", &targets[0].samples)
        .figure("worker_ms_per_job", processor / rounds as f64 * 1000.0);
    if let [bare, sandboxed] = &targets[..] {
        let costs = (sandboxed.samples.median() - bare.samples.median()) * 1000.0;
        measurement = measurement.latencies(sandboxed.kind, &sandboxed.samples).figure("bubblewrap_costs_ms", costs);
    }
    bench.report.add(measurement.errors(&errors))?;
    for Target { platform, worker, .. } in targets {
        worker.stop().await.context("stop the worker")?;
        jobs::clean(bench.address, &platform).await?;
    }
    Ok(())
}

fn has_bubblewrap() -> bool {
    std::process::Command::new("bwrap").arg("--version").output().is_ok_and(|output| output.status.success())
}

async fn round(address: SocketAddr, platform: &str, name: &str) -> Result<Duration> {
    let mut client = Peer::connect(address, Role::Client).await?;
    let start = Instant::now();
    client.send(&peer::execute(name)).await?;
    client.success().await?;
    finished(address, platform).await?;
    Ok(start.elapsed())
}

/// Waits until no job of a platform is queued or runs. A build is followed to its end, which comes when its record is
/// on disk; so this knows the moment to a round trip, and asks seldom.
pub(crate) async fn finished(address: SocketAddr, platform: &str) -> Result<()> {
    loop {
        let (overview, _) = peer::info(address).await?;
        let running = overview.running.iter().find(|(_, runs_on)| runs_on == platform.as_bytes());
        if let Some((build, _)) = running {
            follow(address, *build).await?;
        } else if overview.queued.iter().all(|queued| queued != platform.as_bytes()) {
            return Ok(());
        }
    }
}

async fn follow(address: SocketAddr, build: builder_model::BuildId) -> Result<()> {
    let mut observer = Peer::observer(address, build).await?;
    loop {
        let ended = observer.drain(|message| Ok(matches!(message, Message::Success).then_some(())))?;
        if ended.is_some() || !observer.fill().await? {
            return Ok(());
        }
    }
}
