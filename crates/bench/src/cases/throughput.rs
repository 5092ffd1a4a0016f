//! Case a: how many trivial jobs a second the server brings to disk, with few and with many workers at once.

use crate::bench::Bench;
use crate::report::Measurement;
use crate::{jobs, machine};
use anyhow::Result;

/// Connections over which the jobs are scheduled.
const CONNECTIONS: usize = 32;

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// How many jobs each number of workers runs
    #[arg(long, default_value_t = 2000)]
    pub(crate) jobs: usize,
    /// How many workers there are at once
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 64])]
    pub(crate) workers: Vec<usize>,
}

/// Measures.
pub(crate) async fn run(bench: &mut Bench, options: &Options) -> Result<()> {
    for &workers in &options.workers {
        let platform = bench.platform("a");
        let filled = jobs::schedule(bench.address, &platform, 0..options.jobs, CONNECTIONS, bench.deadline()).await;
        let before = bench.pid.and_then(machine::processor_seconds);
        let done = jobs::work(bench.address, &platform, filled.count(), workers, bench.deadline()).await;
        let after = bench.pid.and_then(machine::processor_seconds);
        let mut errors = filled.errors.clone();
        errors.append(done.errors.clone());
        let processor = after.zip(before).map_or(f64::NAN, |(after, before)| after - before);
        let measurement = Measurement::new("throughput")
            .with("workers", workers)
            .with("jobs", done.count())
            .figure("jobs_per_s", done.rate())
            .latencies("job", &done.latencies)
            .figure("schedules_per_s", filled.rate())
            .figure("server_us_per_job", processor / done.count() as f64 * 1e6)
            .errors(&errors);
        bench.report.add(measurement)?;
        jobs::clean(bench.address, &platform).await?;
    }
    Ok(())
}
