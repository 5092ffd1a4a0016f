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
use tempfile::TempDir;

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
        let artifacts = Artifacts { files, file_bytes: options.megabytes * 1_000_000 / files.max(1) };
        // Turn and turn about: a disk that gets slower while it is written to does so for both.
        let mut floor = Floor::new(bench, artifacts.total_bytes())?;
        let mut before = floor.measure().await?;
        for _ in 0..options.rounds {
            let (measurement, after) = ingest(bench, artifacts, &mut floor, before).await?;
            bench.report.add(measurement)?;
            before = after;
        }
    }
    if let Some(program) = &options.worker_program {
        let measurement = real_worker(bench, program.clone(), options.megabytes).await?;
        bench.report.add(measurement)?;
    }
    Ok(())
}

/// A plain program that does the same with the same bytes. Its files stay until the case is over, as the records of
/// the server do: where a file system lies on a disk that grows on demand, whoever writes where another has written
/// before is twice as fast.
struct Floor {
    kept: Option<TempDir>,
    bytes: u64,
    count: usize,
}

impl Floor {
    fn new(bench: &Bench, bytes: u64) -> Result<Self> {
        let kept = bench.folder.as_ref().map(tempfile::tempdir_in).transpose().context("make a folder")?;
        Ok(Self { kept, bytes, count: 0 })
    }

    /// How long it takes; none without a folder.
    async fn measure(&mut self) -> Result<Option<Duration>> {
        let Some(kept) = &self.kept else { return Ok(None) };
        self.count += 1;
        floor::copy(Some(&kept.path().join(self.count.to_string())), self.bytes).await.map(Some)
    }
}

/// Hands in one build; `before` is what the plain copy took before it. Gives what it took after it, too.
async fn ingest(
    bench: &Bench,
    artifacts: Artifacts,
    plain: &mut Floor,
    before: Option<Duration>,
) -> Result<(Measurement, Option<Duration>)> {
    let platform = bench.platform("e");
    let name = jobs::name(&platform, 0);
    peer::command(bench.address, &peer::schedule(&name, &platform, NOOP)).await?;
    let mut worker = Peer::waiting_worker(bench.address, &platform).await?;
    let build = worker.job().await?;
    let peak_is_fresh = bench.pid.is_some_and(machine::reset_peak);
    let (mut errors, start) = (Errors::default(), Instant::now());
    let hand_in = async {
        artifacts.send(&mut worker, &build).await?;
        worker.closed().await
    };
    if let Err(error) = within(bench.deadline(), "the artifact to be taken", hand_in).await {
        errors.note(&error);
    }
    let elapsed = start.elapsed();
    let memory = bench.pid.and_then(machine::memory).unwrap_or_default();
    let after = plain.measure().await?;
    jobs::clean(bench.address, &platform).await?;
    let floor = before.zip(after).map(|(before, after)| (before + after) / 2);
    let bytes = artifacts.total_bytes();
    let floor_rate = |time: Option<Duration>| time.map_or(f64::NAN, |time| rate(bytes, time));
    let measurement = Measurement::new("ingest")
        .with("files", artifacts.files)
        .figure("megabytes", bytes as f64 / 1e6)
        .figure("mb_per_s", rate(bytes, elapsed))
        .figure("floor_before_mb_per_s", floor_rate(before))
        .figure("floor_after_mb_per_s", floor_rate(after))
        .figure("of_floor", rate(bytes, elapsed) / floor_rate(floor))
        .with("server_peak_kb", memory.peak_kb)
        .with("server_after_kb", memory.now_kb)
        .with("peak_is_fresh", peak_is_fresh)
        .errors(&errors);
    Ok((measurement, after))
}

fn rate(bytes: u64, elapsed: Duration) -> f64 {
    bytes as f64 / 1e6 / elapsed.as_secs_f64()
}

/// A job of a real worker leaves a sparse file, so that reading it costs the worker's disk nothing.
async fn real_worker(bench: &Bench, program: PathBuf, megabytes: u64) -> Result<Measurement> {
    let platform = bench.platform("e-worker");
    let name = jobs::name(&platform, 0);
    let worker = Program::worker(&program, bench.address, &platform, &[])?;
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
