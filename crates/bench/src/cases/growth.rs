//! Case c: what a job costs when the schedule has grown. The jobs that run are the same at every size.

use crate::bench::Bench;
use crate::farm::Server;
use crate::peer::{self, NOOP};
use crate::report::{Errors, Measurement};
use crate::samples::Samples;
use crate::{jobs, machine};
use anyhow::{Result, ensure};
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Connections over which the schedule is filled.
const CONNECTIONS: usize = 64;
/// How many entries are scheduled one after the other at each size, to see how long one takes; they are the ones
/// that run, too.
const RUNNING: usize = 100;

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// The sizes of the schedule, growing; at least 100
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1000, 10_000, 100_000])]
    pub(crate) entries: Vec<usize>,
    /// How many workers run jobs at once
    #[arg(long, default_value_t = 8)]
    pub(crate) workers: usize,
    /// How often the 100 jobs are run at each size
    #[arg(long, default_value_t = 20)]
    pub(crate) rounds: usize,
    /// A builder-server to be started as the reference: it has the 100 jobs only, and runs them in turn with the other
    #[arg(long, value_name = "PATH")]
    pub(crate) server_program: Option<PathBuf>,
}

/// A second server whose schedule stays small: the same jobs run there, turn and turn about, so that what else slows
/// the machine down slows both.
struct Reference {
    server: Server,
    _dir: TempDir,
}

/// One size of the schedule.
struct Level<'a> {
    bench: &'a Bench,
    options: &'a Options,
    running: &'a str,
    reference: Option<SocketAddr>,
    entries: usize,
}

/// How fast the jobs of a level ran.
#[derive(Debug, Default)]
struct Drained {
    /// Jobs a second in each round.
    rates: Samples,
    /// How many times faster the reference was in the same round.
    slower: Samples,
    errors: Errors,
}

/// Measures.
pub(crate) async fn run(bench: &mut Bench, options: &Options) -> Result<()> {
    let (running, filler) = (bench.platform("c"), bench.platform("c-fill"));
    let reference = match &options.server_program {
        Some(program) => Some(Reference::start(bench, program, &running).await?),
        None => None,
    };
    let mut have = 0;
    let (mut first, mut last) = (None, None);
    for &entries in &options.entries {
        let wanted = entries.saturating_sub(RUNNING);
        let reference = reference.as_ref().map(|reference| reference.server.address);
        let level = Level { bench, options, running: &running, reference, entries };
        let (measurement, drained) = level.measure(&filler, have..wanted).await?;
        bench.report.add(measurement)?;
        first.get_or_insert(drained.rates.median());
        last = Some(drained);
        have = wanted;
        jobs::clean(bench.address, &running).await?;
    }
    if have > 0 {
        jobs::clean(bench.address, &filler).await?;
    }
    if let (Some(first), Some(last)) = (first, last) {
        let alone = first / last.rates.median();
        let summary = Measurement::new("growth-ratio")
            .with("entries_smallest", options.entries.first().copied())
            .with("entries_largest", options.entries.last().copied())
            .figure("slower", last.slower.percentile(50).unwrap_or(alone))
            .with("side_by_side", reference.is_some());
        bench.report.add(summary)?;
    }
    if let Some(reference) = reference {
        reference.server.program.stop().await?;
    }
    Ok(())
}

impl Reference {
    async fn start(bench: &Bench, program: &Path, platform: &str) -> Result<Self> {
        let (server, dir) = Server::reference(program, bench.folder.as_deref()).await?;
        let filled = jobs::schedule(server.address, platform, 0..RUNNING, CONNECTIONS, bench.deadline()).await;
        ensure!(filled.count() == RUNNING, "the server of reference took {} jobs", filled.count());
        Ok(Self { server, _dir: dir })
    }
}

impl Level<'_> {
    async fn measure(self, filler: &str, fill: Range<usize>) -> Result<(Measurement, Drained)> {
        let Self { bench, options, running, entries, .. } = self;
        let mut filled = jobs::schedule(bench.address, filler, fill, CONNECTIONS, bench.deadline()).await;
        let mut latencies = Samples::default();
        for number in 0..RUNNING {
            let name = jobs::name(running, number);
            latencies.push(peer::command(bench.address, &peer::schedule(&name, running, NOOP)).await?);
        }
        let (_, info) = peer::info(bench.address).await?;
        let drained = self.drain().await;
        let memory = bench.pid.and_then(machine::memory).unwrap_or_default();
        filled.errors.append(drained.errors.clone());
        let measurement = Measurement::new("growth")
            .with("entries", entries)
            .with("workers", options.workers)
            .figure("jobs_per_s_median", drained.rates.median())
            .figure("slower_than_reference", drained.slower.median())
            .latencies("schedule", &latencies)
            .figure("info_ms", info.as_secs_f64() * 1000.0)
            .figure("fill_per_s", filled.rate())
            .with("server_kb", memory.now_kb)
            .errors(&filled.errors);
        Ok((measurement, drained))
    }

    /// Runs the jobs again and again.
    async fn drain(&self) -> Drained {
        let mut drained = Drained::default();
        for _ in 0..self.options.rounds {
            let rate = self.round(self.bench.address, &mut drained.errors).await;
            drained.rates.add(rate);
            if let Some(reference) = self.reference {
                drained.slower.add(self.round(reference, &mut drained.errors).await / rate);
            }
        }
        drained
    }

    /// Queues the jobs of a server once more and runs them; gives jobs a second.
    async fn round(&self, server: SocketAddr, errors: &mut Errors) -> f64 {
        let queued = jobs::execute(server, self.running, RUNNING, CONNECTIONS).await;
        errors.append(queued.errors);
        let done = jobs::work(server, self.running, RUNNING, self.options.workers, self.bench.deadline()).await;
        errors.append(done.errors.clone());
        done.rate()
    }
}
