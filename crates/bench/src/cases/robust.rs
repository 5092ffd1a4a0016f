//! Case i: whether others are served while some misbehave and one hands in a large artifact.
//!
//! The trouble has a thread of its own, so that what is measured is the server's delay and not the generator's.

use crate::bench::{Bench, within};
use crate::finished::Artifacts;
use crate::peer::{self, NOOP, Peer};
use crate::report::{Errors, Measurement};
use crate::samples::Samples;
use crate::{floor, jobs, machine};
use anyhow::{Context, Result, ensure};
use builder_wire::message::write_output_frame;
use builder_wire::{Message, Role};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How often a slow peer sends one octet.
const DRIP: Duration = Duration::from_millis(200);
/// How long a peer that sent half a message waits for the server to close before it looks whether all is over.
const LOOK: Duration = Duration::from_millis(200);
/// The receive buffer of an observer that reads nothing, in bytes.
const NARROW_BYTES: u32 = 64 << 10;
/// What the observed build says before it goes on at a walk.
const BURST_LINES: usize = 100_000;

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// How many peers send one octet at a time, and how many stop in the middle of a message
    #[arg(long, default_value_t = 64)]
    pub(crate) peers: usize,
    /// Size of the artifact in MB
    #[arg(long, default_value_t = 1000)]
    pub(crate) megabytes: u64,
    /// How many rounds are measured, without any trouble and with it; one artifact after the other is handed in
    #[arg(long, default_value_t = 1000)]
    pub(crate) rounds: usize,
}

/// Measures.
pub(crate) async fn run(bench: &mut Bench, options: &Options) -> Result<()> {
    let quiet = Served::measure(bench, options.rounds, None).await?;
    bench.report.add(quiet.measurement("quiet"))?;
    let trouble = Trouble::start(bench, options)?;
    let troubled = Served::measure(bench, options.rounds, bench.folder.clone()).await?;
    let trouble = trouble.stop()?;
    let memory = bench.pid.and_then(machine::memory).unwrap_or_default();
    let measurement = troubled
        .measurement("troubled")
        .with("peers_closed_by_server", trouble.closed)
        .with("artifacts", trouble.artifacts.len())
        .figure("artifact_p50_s", trouble.artifacts.median())
        .with("server_peak_kb", memory.peak_kb)
        .with("trouble_errors", trouble.errors.count);
    bench.report.add(measurement)
}

/// How others were served.
#[derive(Debug, Default)]
struct Served {
    /// Connect, `info`, answer: nothing that needs the disk.
    info: Samples,
    /// Connect, `schedule`, `success`: one transaction that is synced.
    schedule: Samples,
    /// `execute` to `jobSchedule` at a waiting worker: one transaction, too.
    dispatch: Samples,
    /// Beside them, 4 KiB that a plain program syncs on the same disk.
    sync: Samples,
    errors: Errors,
}

impl Served {
    /// Measures for so many rounds.
    async fn measure(bench: &Bench, rounds: usize, folder: Option<PathBuf>) -> Result<Self> {
        let platform = bench.platform("i");
        let (deadline, mut served) = (bench.deadline(), Self::default());
        for number in 0..rounds {
            let round = served.round(bench.address, &platform, number, folder.as_deref());
            if let Err(error) = within(deadline, "others to be served", round).await {
                served.errors.note(&error);
            }
            if tokio::time::Instant::now() >= deadline {
                break;
            }
        }
        jobs::clean(bench.address, &platform).await?;
        Ok(served)
    }

    async fn round(&mut self, address: SocketAddr, platform: &str, number: usize, folder: Option<&Path>) -> Result<()> {
        let name = jobs::name(platform, number);
        self.info.push(peer::info(address).await?.1);
        self.schedule.push(peer::command(address, &peer::schedule(&name, platform, NOOP)).await?);
        let mut worker = Peer::waiting_worker(address, platform).await?;
        let build = worker.job().await?;
        worker.finish(build).await?;
        let mut worker = Peer::waiting_worker(address, platform).await?;
        let mut client = Peer::connect(address, Role::Client).await?;
        tokio::time::sleep(Duration::from_millis(4)).await;
        let start = Instant::now();
        client.send(&peer::execute(&name)).await?;
        let build = worker.job().await?;
        self.dispatch.push(start.elapsed());
        worker.finish(build).await?;
        if let Some(folder) = folder {
            let folder = folder.to_owned();
            self.sync.append(tokio::task::spawn_blocking(move || floor::data_syncs(&folder, 1)).await??);
        }
        Ok(())
    }

    fn measurement(&self, phase: &str) -> Measurement {
        Measurement::new("robust")
            .with("phase", phase)
            .with("rounds", self.info.len())
            .latencies("info", &self.info)
            .latencies("schedule", &self.schedule)
            .latencies("dispatch", &self.dispatch)
            .latencies("plain_fdatasync", &self.sync)
            .errors(&self.errors)
    }
}

/// Peers that misbehave, on a thread of their own.
struct Trouble {
    over: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Result<Outcome>>,
}

/// What came of the trouble.
#[derive(Debug, Default)]
struct Outcome {
    /// How many connections the server has ended by itself, as it should.
    closed: u64,
    /// How long the artifacts took.
    artifacts: Samples,
    errors: Errors,
}

impl Trouble {
    fn start(bench: &Bench, options: &Options) -> Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let maker = Maker {
            address: bench.address,
            watched: bench.platform("i-watched"),
            uploading: bench.platform("i-upload"),
            options: options.clone(),
            over: over.clone(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
        let thread = std::thread::spawn(move || runtime.block_on(maker.run()));
        Ok(Self { over, thread })
    }

    fn stop(self) -> Result<Outcome> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the thread of the trouble panicked"))?
    }
}

/// Makes the trouble.
struct Maker {
    address: SocketAddr,
    watched: String,
    uploading: String,
    options: Options,
    over: Arc<AtomicBool>,
}

impl Maker {
    async fn run(self) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let mut peers = JoinSet::new();
        for _ in 0..self.options.peers {
            peers.spawn(drip(self.address, self.over.clone()));
            peers.spawn(stop_half_way(self.address, self.over.clone()));
        }
        let chatter = tokio::spawn(chatter(self.address, self.watched.clone(), self.over.clone()));
        while !self.over.load(Ordering::Relaxed) {
            match self.upload(outcome.artifacts.len()).await {
                Ok(elapsed) => outcome.artifacts.push(elapsed),
                Err(error) => {
                    outcome.errors.note(&error);
                    break;
                }
            }
        }
        while let Some(peer) = peers.join_next().await {
            match peer? {
                Ok(closed) => outcome.closed += closed,
                Err(error) => outcome.errors.note(&error),
            }
        }
        if let Err(error) = chatter.await? {
            outcome.errors.note(&error);
        }
        for platform in [&self.watched, &self.uploading] {
            jobs::clean(self.address, platform).await?;
        }
        Ok(outcome)
    }

    async fn upload(&self, number: usize) -> Result<Duration> {
        let name = jobs::name(&self.uploading, number);
        peer::command(self.address, &peer::schedule(&name, &self.uploading, NOOP)).await?;
        let mut worker = Peer::waiting_worker(self.address, &self.uploading).await?;
        let build = worker.job().await?;
        let start = Instant::now();
        let artifacts = Artifacts { files: 1, file_bytes: self.options.megabytes * 1_000_000 };
        artifacts.send(&mut worker, &build).await?;
        worker.closed().await?;
        Ok(start.elapsed())
    }
}

/// Sends a hello one octet at a time, for ever; gives how often the server had enough of it.
async fn drip(address: SocketAddr, over: Arc<AtomicBool>) -> Result<u64> {
    let hello = Message::ClientHello { role: Role::Client, version: 13 }.frame().to_vec();
    let mut closed = 0;
    while !over.load(Ordering::Relaxed) {
        let mut stream = TcpStream::connect(address).await?;
        for octet in hello.chunks(1).cycle().take(hello.len() - 1) {
            tokio::time::sleep(DRIP).await;
            if over.load(Ordering::Relaxed) {
                return Ok(closed);
            }
            if stream.write_all(octet).await.is_err() {
                closed += 1;
                break;
            }
        }
    }
    Ok(closed)
}

/// Announces a large message, sends half of it, and falls silent.
async fn stop_half_way(address: SocketAddr, over: Arc<AtomicBool>) -> Result<u64> {
    let script = vec![b'#'; 1 << 20];
    let frame = peer::schedule("half", "half", &script).frame().to_vec();
    let mut closed = 0;
    while !over.load(Ordering::Relaxed) {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&Message::ClientHello { role: Role::Client, version: 13 }.frame().to_vec()).await?;
        stream.write_all(&frame[..frame.len() / 2]).await?;
        let mut answer = [0; 64];
        while !over.load(Ordering::Relaxed) {
            if let Ok(Ok(0) | Err(_)) = tokio::time::timeout(LOOK, stream.read(&mut answer)).await {
                closed += 1;
                break;
            }
        }
    }
    Ok(closed)
}

/// A build that talks all the time, watched by somebody who reads nothing.
async fn chatter(address: SocketAddr, platform: String, over: Arc<AtomicBool>) -> Result<()> {
    let name = jobs::name(&platform, 0);
    peer::command(address, &peer::schedule(&name, &platform, NOOP)).await?;
    let mut worker = Peer::waiting_worker(address, &platform).await?;
    let build = worker.job().await?;
    let mut observer = Peer::connect_narrow(address, Role::Client, NARROW_BYTES).await?;
    observer.send(&Message::Observe { build }).await?;
    let (mut line, mut burst) = (Vec::new(), Vec::new());
    write_output_frame(&mut line, &build, &[b'x'; 80], None);
    (0..BURST_LINES).for_each(|_| burst.extend_from_slice(&line));
    worker.write(&burst).await?;
    while !over.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(1)).await;
        worker.write(&line).await?;
    }
    worker.finish(build).await?;
    ensure!(observer.fill().await?, "the observer got nothing");
    Ok(())
}
