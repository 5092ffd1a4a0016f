//! Case d: lines of one build's console, from the worker to the disk and to observers, each of whom checks every line.

use crate::bench::{Bench, within};
use crate::peer::{self, NOOP, Peer};
use crate::report::{Errors, Measurement};
use crate::{jobs, machine};
use anyhow::{Result, bail, ensure};
use builder_model::{BuildId, Outcome};
use builder_wire::Message;
use builder_wire::message::write_output_frame;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Digits at the start of each line, by which observers know that none is missing.
const DIGITS: usize = 10;
/// How much is handed to the socket at once, in bytes.
const CHUNK_BYTES: usize = 256 << 10;

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// How many lines
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) lines: u64,
    /// Bytes of each line, at least 10
    #[arg(long, default_value_t = 80)]
    pub(crate) width: usize,
    /// How many observers follow
    #[arg(long, value_delimiter = ',', default_values_t = [0, 1, 10])]
    pub(crate) observers: Vec<usize>,
}

/// Measures.
pub(crate) async fn run(bench: &mut Bench, options: &Options) -> Result<()> {
    ensure!(options.width >= DIGITS, "--width is at least {DIGITS}");
    for &observers in &options.observers {
        let platform = bench.platform("d");
        let name = jobs::name(&platform, 0);
        peer::command(bench.address, &peer::schedule(&name, &platform, NOOP)).await?;
        let peak_is_fresh = bench.pid.is_some_and(machine::reset_peak);
        let before = bench.pid.and_then(machine::processor_seconds);
        let streamed = stream(bench, options, &platform, observers).await?;
        let after = bench.pid.and_then(machine::processor_seconds);
        let memory = bench.pid.and_then(machine::memory).unwrap_or_default();
        let lines = options.lines as f64;
        let rate = |elapsed: Option<Duration>| elapsed.map_or(f64::NAN, |elapsed| lines / elapsed.as_secs_f64());
        let processor = after.zip(before).map_or(f64::NAN, |(after, before)| after - before);
        let measurement = Measurement::new("console")
            .with("observers", observers)
            .with("lines", options.lines)
            .with("width", options.width)
            .figure("lines_per_s", rate(streamed.finished))
            .figure("lines_per_s_slowest_observer", rate(streamed.seen))
            .with("observers_complete", streamed.complete)
            .with("server_peak_kb", memory.peak_kb)
            .with("peak_is_fresh", peak_is_fresh)
            .figure("server_us_per_line", processor / lines * 1e6)
            .errors(&streamed.errors);
        bench.report.add(measurement)?;
        jobs::clean(bench.address, &platform).await?;
    }
    Ok(())
}

/// How one build went.
#[derive(Debug, Default)]
struct Streamed {
    /// Until the finish was acknowledged.
    finished: Option<Duration>,
    /// Until the slowest observer had all; none without observers, or when one has not.
    seen: Option<Duration>,
    /// How many observers saw every line in order, and the end.
    complete: usize,
    errors: Errors,
}

async fn stream(bench: &Bench, options: &Options, platform: &str, observers: usize) -> Result<Streamed> {
    let (deadline, mut streamed) = (bench.deadline(), Streamed::default());
    let mut worker = Peer::waiting_worker(bench.address, platform).await?;
    let build = worker.job().await?;
    let mut watching = JoinSet::new();
    for _ in 0..observers {
        let observer = Peer::observer(bench.address, build).await?;
        let watch = watch(observer, options.lines, options.width);
        watching.spawn(within(deadline, "lines at an observer", watch));
    }
    let start = Instant::now();
    match within(deadline, "lines to be taken", send(&mut worker, build, options)).await {
        Ok(()) => streamed.finished = Some(start.elapsed()),
        Err(error) => streamed.errors.note(&error),
    }
    drop(worker);
    while let Some(ended) = watching.join_next().await {
        match ended? {
            Ok(()) => streamed.complete += 1,
            Err(error) => streamed.errors.note(&error),
        }
    }
    let all = observers > 0 && streamed.complete == observers;
    streamed.seen = all.then(|| start.elapsed());
    Ok(streamed)
}

/// A worker's lines and its finish, until that is acknowledged.
async fn send(worker: &mut Peer, build: BuildId, options: &Options) -> Result<()> {
    let mut frame = Vec::new();
    write_output_frame(&mut frame, &build, &numbered_line(options.width), None);
    let digits = frame.len() - options.width..frame.len() - options.width + DIGITS;
    let mut chunk = Vec::with_capacity(CHUNK_BYTES + frame.len());
    for _ in 0..options.lines {
        chunk.extend_from_slice(&frame);
        count_up(&mut frame[digits.clone()]);
        if chunk.len() >= CHUNK_BYTES {
            worker.write(&chunk).await?;
            chunk.clear();
        }
    }
    let done = Message::JobFinished { build, outcome: Outcome::Exited(0), files: Vec::new() };
    chunk.extend_from_slice(&done.frame().to_vec());
    worker.write(&chunk).await?;
    worker.closed().await
}

/// Reads every line, checks it, and reads the end.
pub(crate) async fn watch(mut observer: Peer, lines: u64, width: usize) -> Result<()> {
    let (mut expected, mut seen) = (numbered_line(width), 0_u64);
    loop {
        let ended = observer.drain(|message| {
            if matches!(message, Message::Success) {
                return Ok(Some(()));
            }
            let Message::Output { line, .. } = message else { bail!("{:?} among the lines", message.kind()) };
            let right = if seen == lines { b"exited 0" } else { &expected[..] };
            if line != right {
                bail!("line {seen} of {lines} is {}", builder_model::Shown(&line[..line.len().min(100)]));
            }
            seen += 1;
            count_up(&mut expected[..DIGITS]);
            Ok(None)
        })?;
        if ended.is_some() {
            ensure!(seen == lines + 1, "the end came after {seen} of {lines} lines");
            return Ok(());
        }
        ensure!(observer.fill().await?, "the server closed after {seen} of {lines} lines");
    }
}

fn numbered_line(width: usize) -> Vec<u8> {
    let mut line = vec![b'0'; DIGITS];
    line.extend((DIGITS..width).map(|at| b' ' + (at % 90) as u8));
    line
}

/// Adds one to a number that stands there in decimal.
fn count_up(digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_numbered() {
        let mut line = numbered_line(12);
        assert_eq!(line, b"0000000000*+");
        for _ in 0..1000 {
            count_up(&mut line[..DIGITS]);
        }
        assert_eq!(line, b"0000001000*+");
    }
}
