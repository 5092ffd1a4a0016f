//! Case e: an artifact from a worker to the disk, beside a plain program that copies and syncs the same bytes; and
//! the same from a real worker.

use crate::bench::{Bench, within};
use crate::farm::Program;
use crate::finished::Artifacts;
use crate::peer::{self, NOOP, Peer};
use crate::report::{Errors, Measurement};
use crate::{floor, jobs, machine};
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Size of the artifact in MB, a million bytes each
    #[arg(long, default_value_t = 1000)]
    pub(crate) megabytes: u64,
    /// Into how many files it is cut
    #[arg(long, value_delimiter = ',', default_values_t = [1, 1000])]
    pub(crate) files: Vec<u64>,
    /// How often each is done
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// A builder-worker to be measured with an artifact of the same size, too
    #[arg(long, value_name = "PATH")]
    pub(crate) worker_program: Option<PathBuf>,
}

/// Measures.
pub(crate) async fn run(bench: &mut Bench, options: &Options) -> Result<()> {
    for &files in &options.files {
        for _ in 0..options.rounds {
            let artifacts = Artifacts { files, file_bytes: options.megabytes * 1_000_000 / files.max(1) };
            let measurement = ingest(bench, artifacts).await?;
            bench.report.add(measurement)?;
        }
    }
    if let Some(program) = &options.worker_program {
        let measurement = real_worker(bench, program.clone(), options.megabytes).await?;
        bench.report.add(measurement)?;
    }
    Ok(())
}

async fn ingest(bench: &Bench, artifacts: Artifacts) -> Result<Measurement> {
    let platform = bench.platform("e");
    let name = jobs::name(&platform, 0);
    peer::command(bench.address, &peer::schedule(&name, &platform, NOOP)).await?;
    let mut worker = Peer::waiting_worker(bench.address, &platform).await?;
    let build = worker.job().await?;
    let before = floor_rate(bench, artifacts.total_bytes()).await?;
    let peak_is_fresh = bench.pid.is_some_and(machine::reset_peak);
    let (mut errors, start) = (Errors::default(), Instant::now());
    let hand_in = async {
        artifacts.send(&mut worker, &build).await?;
        worker.closed().await
    };
    if let Err(error) = within(bench.deadline(), "the artifact to be taken", hand_in).await {
        errors.note(&error);
    }
    let rate = rate(artifacts.total_bytes(), start.elapsed());
    let memory = bench.pid.and_then(machine::memory).unwrap_or_default();
    let after = floor_rate(bench, artifacts.total_bytes()).await?;
    jobs::clean(bench.address, &platform).await?;
    // The better of the two: what disturbed the other was not the copy.
    let floor = before.max(after);
    Ok(Measurement::new("ingest")
        .with("files", artifacts.files)
        .figure("megabytes", artifacts.total_bytes() as f64 / 1e6)
        .figure("mb_per_s", rate)
        .figure("floor_before_mb_per_s", before)
        .figure("floor_after_mb_per_s", after)
        .figure("of_floor", rate / floor)
        .with("server_peak_kb", memory.peak_kb)
        .with("server_after_kb", memory.now_kb)
        .with("peak_is_fresh", peak_is_fresh)
        .errors(&errors))
}

/// MB/s of a plain program; not a number without a folder.
async fn floor_rate(bench: &Bench, bytes: u64) -> Result<f64> {
    let Some(folder) = &bench.folder else { return Ok(f64::NAN) };
    Ok(rate(bytes, floor::copy(Some(folder), bytes).await?))
}

fn rate(bytes: u64, elapsed: Duration) -> f64 {
    bytes as f64 / 1e6 / elapsed.as_secs_f64()
}

/// A job of a real worker leaves a sparse file, so that reading it costs the worker's disk nothing.
async fn real_worker(bench: &Bench, program: PathBuf, megabytes: u64) -> Result<Measurement> {
    let platform = bench.platform("e-worker");
    let name = jobs::name(&platform, 0);
    let worker = Program::worker(&program, bench.address, &platform)?;
    let script = format!("#!/bin/sh\ntruncate -s {} artifact.bin\n", megabytes * 1_000_000);
    let peak_is_fresh = bench.pid.is_some_and(machine::reset_peak);
    let start = Instant::now();
    peer::command(bench.address, &peer::schedule(&name, &platform, script.as_bytes())).await?;
    let mut errors = Errors::default();
    let finished = super::noop::finished(bench.address, &platform);
    if let Err(error) = within(bench.deadline(), "the artifact of a real worker", finished).await {
        errors.note(&error);
    }
    let elapsed = start.elapsed();
    let server = bench.pid.and_then(machine::memory).unwrap_or_default();
    let tree = std::iter::once(worker.pid()).chain(machine::children(worker.pid()));
    let worker_kb = tree.filter_map(machine::memory).map(|memory| memory.peak_kb).max();
    worker.stop().await.context("stop the worker")?;
    jobs::clean(bench.address, &platform).await?;
    Ok(Measurement::new("ingest-worker")
        .with("megabytes", megabytes)
        .figure("mb_per_s", rate(megabytes * 1_000_000, elapsed))
        .with("server_peak_kb", server.peak_kb)
        .with("worker_peak_kb", worker_kb)
        .with("peak_is_fresh", peak_is_fresh)
        .errors(&errors))
}
