//! Case c: what a job costs when the schedule has grown. The jobs that run are the same at every size.

use crate::bench::Bench;
use crate::peer::{self, NOOP};
use crate::report::{Errors, Measurement};
use crate::samples::Samples;
use crate::{jobs, machine};
use anyhow::Result;
use std::ops::Range;
use std::time::Duration;

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
}

/// Measures.
pub(crate) async fn run(bench: &mut Bench, options: &Options) -> Result<()> {
    let (running, filler) = (bench.platform("c"), bench.platform("c-fill"));
    let mut have = 0;
    let mut rates = Vec::new();
    for &entries in &options.entries {
        let wanted = entries.saturating_sub(RUNNING);
        let level = Level { bench, options, running: &running, entries };
        let (measurement, rate) = level.measure(&filler, have..wanted).await?;
        bench.report.add(measurement)?;
        rates.push(rate);
        have = wanted;
        jobs::clean(bench.address, &running).await?;
    }
    if have > 0 {
        jobs::clean(bench.address, &filler).await?;
    }
    // Once more with the smallest schedule: what else slows the machine down shows here.
    let level = Level { bench, options, running: &running, entries: RUNNING };
    let (measurement, again) = level.measure(&filler, 0..0).await?;
    bench.report.add(measurement.with("again", true))?;
    jobs::clean(bench.address, &running).await?;
    if let (Some(first), Some(last)) = (rates.first(), rates.last()) {
        let summary = Measurement::new("growth-ratio")
            .with("entries_smallest", options.entries.first().copied())
            .with("entries_largest", options.entries.last().copied())
            .figure("slower", (first + again) / 2.0 / last);
        bench.report.add(summary)?;
    }
    Ok(())
}

/// One size of the schedule.
struct Level<'a> {
    bench: &'a Bench,
    options: &'a Options,
    running: &'a str,
    entries: usize,
}

impl Level<'_> {
    async fn measure(self, filler: &str, fill: Range<usize>) -> Result<(Measurement, f64)> {
        let Self { bench, options, running, entries } = self;
        let filled = jobs::schedule(bench.address, filler, fill, CONNECTIONS, bench.deadline()).await;
        let mut errors = filled.errors.clone();
        let mut latencies = Samples::default();
        for number in 0..RUNNING {
            let name = jobs::name(running, number);
            latencies.push(peer::command(bench.address, &peer::schedule(&name, running, NOOP)).await?);
        }
        let (_, info) = peer::info(bench.address).await?;
        let (elapsed, median) = self.drain(&mut errors).await;
        let rate = (options.rounds * RUNNING) as f64 / elapsed.as_secs_f64();
        let memory = bench.pid.and_then(machine::memory).unwrap_or_default();
        let measurement = Measurement::new("growth")
            .with("entries", entries)
            .with("workers", options.workers)
            .figure("jobs_per_s", rate)
            .figure("jobs_per_s_median", median)
            .latencies("schedule", &latencies)
            .figure("info_ms", info.as_secs_f64() * 1000.0)
            .figure("fill_per_s", filled.rate())
            .with("server_kb", memory.now_kb)
            .errors(&errors);
        Ok((measurement, median))
    }

    /// Runs the jobs again and again; gives how long that took in all, and the median of jobs a second.
    async fn drain(&self, errors: &mut Errors) -> (Duration, f64) {
        let Self { bench, options, running, .. } = self;
        let (mut elapsed, mut rates) = (Duration::ZERO, Vec::new());
        for round in 0..options.rounds {
            if round > 0 {
                let queued = jobs::execute(bench.address, running, RUNNING, CONNECTIONS).await;
                errors.append(queued.errors);
            }
            let done = jobs::work(bench.address, running, RUNNING, options.workers, bench.deadline()).await;
            elapsed += done.elapsed;
            rates.push(done.rate());
            errors.append(done.errors);
        }
        (elapsed, rates.into_iter().collect::<Samples>().median())
    }
}
