//! Many jobs at once: putting them on the schedule over several connections, and running them with simulated workers.

use crate::bench::within;
use crate::peer::{self, NOOP, Peer};
use crate::report::Errors;
use crate::samples::Samples;
use anyhow::Result;
use builder_wire::Message;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// A simulated peer that fails more often than this gives up.
const ERRORS_MAX: u64 = 100;

/// What a crowd of simulated peers did.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// How long each of what succeeded took.
    pub(crate) latencies: Samples,
    /// How long all of it took.
    pub(crate) elapsed: Duration,
    /// What failed.
    pub(crate) errors: Errors,
}

impl Done {
    /// How many succeeded.
    pub(crate) fn count(&self) -> usize {
        self.latencies.len()
    }

    /// How many succeeded in a second.
    pub(crate) fn rate(&self) -> f64 {
        self.count() as f64 / self.elapsed.as_secs_f64()
    }
}

/// The numbers that a crowd shares among itself.
#[derive(Debug)]
struct Tickets {
    next: AtomicUsize,
    end: usize,
}

impl Tickets {
    fn take(&self) -> Option<usize> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (number < self.end).then_some(number)
    }
}

/// The name of a numbered job.
pub(crate) fn name(platform: &str, number: usize) -> String {
    format!("{platform}-{number:07}")
}

/// What each of a crowd does with one number.
#[derive(Debug, Clone)]
enum Task {
    /// Puts the job with the number on the schedule.
    Schedule,
    /// Puts it at the front of its queue again.
    Execute,
    /// Runs whatever job comes.
    Work,
}

impl Task {
    async fn run(&self, address: SocketAddr, platform: &str, number: usize) -> Result<()> {
        match self {
            Self::Schedule => {
                let name = name(platform, number);
                peer::command(address, &peer::schedule(&name, platform, NOOP)).await.map(drop)
            }
            Self::Execute => peer::command(address, &peer::execute(&name(platform, number))).await.map(drop),
            Self::Work => {
                let mut worker = Peer::waiting_worker(address, platform).await?;
                let build = worker.job().await?;
                worker.finish(build).await
            }
        }
    }
}

/// Schedules jobs over `connections` at once.
pub(crate) async fn schedule(
    address: SocketAddr,
    platform: &str,
    numbers: Range<usize>,
    connections: usize,
    deadline: Instant,
) -> Done {
    crowd(address, platform, Task::Schedule, numbers, connections, deadline).await
}

/// Queues jobs of the schedule again over `connections` at once.
pub(crate) async fn execute(address: SocketAddr, platform: &str, count: usize, connections: usize) -> Done {
    let deadline = Instant::now() + Duration::from_secs(60);
    crowd(address, platform, Task::Execute, 0..count, connections, deadline).await
}

/// Runs `count` jobs of a platform with `workers` at once. A job counts when the server has closed its connection.
pub(crate) async fn work(address: SocketAddr, platform: &str, count: usize, workers: usize, deadline: Instant) -> Done {
    crowd(address, platform, Task::Work, 0..count, workers, deadline).await
}

async fn crowd(
    address: SocketAddr,
    platform: &str,
    task: Task,
    numbers: Range<usize>,
    size: usize,
    deadline: Instant,
) -> Done {
    let tickets = Arc::new(Tickets { next: AtomicUsize::new(numbers.start), end: numbers.end });
    let start = Instant::now();
    let mut members = JoinSet::new();
    for _ in 0..size {
        members.spawn(member(address, platform.to_owned(), task.clone(), tickets.clone(), deadline));
    }
    let mut done = Done::default();
    while let Some(ended) = members.join_next().await {
        match ended {
            Ok((latencies, errors)) => {
                done.latencies.append(latencies);
                done.errors.append(errors);
            }
            Err(error) => done.errors.note(&error.into()),
        }
    }
    done.elapsed = start.elapsed();
    done
}

async fn member(
    address: SocketAddr,
    platform: String,
    task: Task,
    tickets: Arc<Tickets>,
    deadline: Instant,
) -> (Samples, Errors) {
    let (mut latencies, mut errors) = (Samples::default(), Errors::default());
    while let Some(number) = tickets.take() {
        loop {
            let start = Instant::now();
            match within(deadline, "a job", task.run(address, &platform, number)).await {
                Ok(()) => {
                    latencies.push(start.elapsed());
                    break;
                }
                Err(error) => errors.note(&error),
            }
            if errors.count > ERRORS_MAX || Instant::now() >= deadline {
                return (latencies, errors);
            }
        }
    }
    (latencies, errors)
}

/// Takes the jobs of a platform off the schedule. Its name stays known to the server, and is not refused.
pub(crate) async fn clean(address: SocketAddr, platform: &str) -> Result<()> {
    let platform = platform.as_bytes();
    peer::command(address, &Message::DropPlatform { platform }).await?;
    peer::command(address, &Message::UndropPlatform { platform }).await?;
    Ok(())
}
