//! Case f: workers that wait, as many as descriptors allow: what one costs in memory, and what it costs to wake one.

use crate::bench::{Bench, within};
use crate::farm::Server;
use crate::peer::{self, NOOP, Peer};
use crate::report::{Errors, Measurement};
use crate::samples::Samples;
use crate::{jobs, machine};
use anyhow::{Context, Result, bail};
use builder_wire::Role;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// How many workers wait at the server of reference.
const FEW: usize = 10;
/// How many workers connect at once: fewer than any server's backlog.
const CONNECTING: usize = 128;
/// A server keeps a part of its descriptors for files; of the others, a few are for whoever else connects. When all
/// are taken by workers, no client gets in, and the case measures nothing.
const KEPT_FOR_FILES: usize = 8;
const SPARE_DESCRIPTORS: usize = 300;
/// How long the server has to put a worker in its place, and to come to rest before its memory is read.
const SETTLE: Duration = Duration::from_millis(4);
const REST: Duration = Duration::from_millis(500);

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// How many workers wait, growing; 0 is as many as descriptors allow
    #[arg(long, value_delimiter = ',', default_values_t = [10, 100, 1000, 0])]
    pub(crate) workers: Vec<usize>,
    /// How many are woken at each size
    #[arg(long, default_value_t = 300)]
    pub(crate) rounds: usize,
    /// A builder-server to be started as the reference: 10 workers wait there, and are woken in turn with the others
    #[arg(long, value_name = "PATH")]
    pub(crate) server_program: Option<PathBuf>,
}

/// What a waiting worker tells.
#[derive(Debug)]
enum Event {
    Waits,
    Woken(Instant),
    Failed(anyhow::Error),
}

/// Measures.
pub(crate) async fn run(bench: &mut Bench, options: &Options) -> Result<()> {
    let descriptors = machine::raise_descriptor_limit().context("raise the limit on descriptors")?;
    let most = (descriptors - descriptors / KEPT_FOR_FILES).saturating_sub(SPARE_DESCRIPTORS);
    let mut crowd = Crowd::start(bench, bench.address).await?;
    let mut reference = match &options.server_program {
        Some(program) => {
            let (server, dir) = Server::reference(program, bench.folder.as_deref()).await?;
            let mut few = Crowd::start(bench, server.address).await?;
            few.grow(FEW).await?;
            Some((few, server, dir))
        }
        None => None,
    };
    let mut base = None;
    for &workers in &options.workers {
        let workers = if workers == 0 { most } else { workers.min(most) };
        let (mut errors, start) = (Errors::default(), Instant::now());
        if let Err(error) = within(bench.deadline(), "workers to connect", crowd.grow(workers)).await {
            errors.note(&error);
        }
        let (elapsed, waiting) = (start.elapsed(), crowd.workers.len());
        tokio::time::sleep(REST).await;
        let memory = bench.pid.and_then(machine::memory).unwrap_or_default();
        let (base_workers, base_kb) = *base.get_or_insert((waiting, memory.now_kb));
        let each = memory.now_kb.saturating_sub(base_kb) as f64 / (waiting - base_workers) as f64;
        let few = reference.as_mut().map(|(few, ..)| few);
        let woken = wake(&mut crowd, few, options.rounds, bench.deadline(), &mut errors).await;
        errors.add(std::mem::take(&mut crowd.surplus), "more than one worker was woken for a job");
        let measurement = Measurement::new("idle")
            .with("workers", waiting)
            .figure("grown_in_s", elapsed.as_secs_f64())
            .with("server_kb", memory.now_kb)
            .figure("kb_per_worker", each)
            .latencies("wake", &woken.crowd)
            .figure("reference_wake_p50_ms", woken.few.median() * 1000.0)
            .figure("slower_than_reference", woken.crowd.median() / woken.few.median())
            .errors(&errors);
        bench.report.add(measurement)?;
    }
    if let Some((few, server, _dir)) = reference {
        drop(few);
        server.program.stop().await?;
    }
    jobs::clean(bench.address, &crowd.platform).await
}

/// How long it took to wake one.
#[derive(Debug, Default)]
struct Woken {
    /// Of the workers that are measured.
    crowd: Samples,
    /// Of few, at the server of reference.
    few: Samples,
}

/// Wakes one after the other: of the crowd and of the few, turn and turn about.
async fn wake(
    crowd: &mut Crowd,
    mut few: Option<&mut Crowd>,
    rounds: usize,
    deadline: tokio::time::Instant,
    errors: &mut Errors,
) -> Woken {
    let mut woken = Woken::default();
    for _ in 0..rounds {
        let one = async {
            woken.crowd.push(crowd.wake_one().await?);
            if let Some(few) = &mut few {
                woken.few.push(few.wake_one().await?);
            }
            Ok(())
        };
        if let Err(error) = within(deadline, "a worker to wake", one).await {
            errors.note(&error);
            break;
        }
    }
    woken
}

/// Workers that wait, and come back after each job.
struct Crowd {
    address: SocketAddr,
    platform: String,
    name: String,
    workers: JoinSet<()>,
    events: mpsc::Sender<Event>,
    seen: mpsc::Receiver<Event>,
    /// How many were woken that should not have been.
    surplus: u64,
}

impl Crowd {
    /// A job, and nobody yet who waits for it.
    async fn start(bench: &Bench, address: SocketAddr) -> Result<Self> {
        let platform = bench.platform("f");
        let name = jobs::name(&platform, 0);
        peer::command(address, &peer::schedule(&name, &platform, NOOP)).await?;
        jobs::work(address, &platform, 1, 1, bench.deadline()).await;
        let (events, seen) = mpsc::channel(CONNECTING * 4);
        Ok(Self { address, platform, name, workers: JoinSet::new(), events, seen, surplus: 0 })
    }

    /// Adds workers until there are so many.
    async fn grow(&mut self, workers: usize) -> Result<()> {
        while self.workers.len() < workers {
            let more = CONNECTING.min(workers - self.workers.len());
            for _ in 0..more {
                self.workers.spawn(work(self.address, self.platform.clone(), self.events.clone()));
            }
            for _ in 0..more {
                match self.seen.recv().await {
                    Some(Event::Waits) => {}
                    Some(Event::Failed(error)) => return Err(error),
                    Some(Event::Woken(_)) | None => bail!("a worker was woken without a job"),
                }
            }
        }
        Ok(())
    }

    async fn wake_one(&mut self) -> Result<Duration> {
        tokio::time::sleep(SETTLE).await;
        while let Ok(event) = self.seen.try_recv() {
            self.surplus += u64::from(matches!(event, Event::Woken(_)));
        }
        let mut client = Peer::connect(self.address, Role::Client).await?;
        let start = Instant::now();
        client.send(&peer::execute(&self.name)).await?;
        let mut woken = None;
        // The worker is woken, hands in its job, and waits again.
        loop {
            match self.seen.recv().await.context("no workers are left")? {
                Event::Woken(at) => woken = Some(at),
                Event::Failed(error) => return Err(error),
                Event::Waits => break,
            }
        }
        client.success().await?;
        Ok(woken.context("a worker came back without a job")? - start)
    }
}

async fn work(address: SocketAddr, platform: String, events: mpsc::Sender<Event>) {
    loop {
        let event = match work_once(address, &platform, &events).await {
            Ok(()) => continue,
            Err(error) => Event::Failed(error),
        };
        // When nobody listens any more, the case is over.
        match events.send(event).await {
            Ok(()) | Err(_) => return,
        }
    }
}

async fn work_once(address: SocketAddr, platform: &str, events: &mpsc::Sender<Event>) -> Result<()> {
    let mut worker = Peer::waiting_worker(address, platform).await?;
    events.send(Event::Waits).await?;
    let build = worker.job().await?;
    events.send(Event::Woken(Instant::now())).await?;
    worker.finish(build).await
}
