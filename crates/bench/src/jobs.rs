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

#[cfg(test)]
mod tests {
    use super::*;
    use builder_model::BuildId;
    use builder_wire::message::ScriptJob;
    use builder_wire::{Inbox, MessageKind};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    /// What a fake server does after the hello.
    #[derive(Debug, Clone, Copy)]
    enum Fake {
        /// Serves one worker or command.
        Serves,
        /// Closes.
        Closes,
    }

    async fn next(stream: &mut TcpStream, inbox: &mut Inbox) -> MessageKind {
        loop {
            if let Some(head) = inbox.head().unwrap()
                && inbox.message(head).is_some()
            {
                inbox.message_done(head);
                return head.kind;
            }
            let count = stream.read(inbox.room()).await.unwrap();
            assert!(count > 0, "the generator closed in the middle of a dialogue");
            inbox.filled(count);
        }
    }

    async fn serve(mut stream: TcpStream, fake: Fake) {
        let mut inbox = Inbox::new();
        assert_eq!(next(&mut stream, &mut inbox).await, MessageKind::ClientHello);
        stream.write_all(&Message::ServerHello.frame().to_vec()).await.unwrap();
        if matches!(fake, Fake::Closes) {
            return;
        }
        if next(&mut stream, &mut inbox).await == MessageKind::JobRequested {
            let job = ScriptJob { name: b"j", platform: b"p", script: NOOP };
            let job = Message::JobSchedule { build: BuildId::from_bytes([1; 16]), job };
            stream.write_all(&job.frame().to_vec()).await.unwrap();
            assert_eq!(next(&mut stream, &mut inbox).await, MessageKind::Output);
            assert_eq!(next(&mut stream, &mut inbox).await, MessageKind::JobFinished);
        } else {
            stream.write_all(&Message::Success.frame().to_vec()).await.unwrap();
        }
    }

    /// A server that gives the first connections to `first`, and serves the others.
    async fn fake(first: usize, then: Fake) -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, if number < first { then } else { Fake::Serves }));
            }
        });
        address
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[tokio::test]
    async fn a_crowd_does_each_number_once() {
        let address = fake(0, Fake::Serves).await;
        let scheduled = schedule(address, "p", 3..10, 4, soon()).await;
        let worked = work(address, "p", 20, 8, soon()).await;
        assert_eq!((scheduled.count(), scheduled.errors.count), (7, 0));
        assert_eq!((worked.count(), worked.errors.count), (20, 0));
        clean(address, "p").await.unwrap();
    }

    #[tokio::test]
    async fn errors_are_counted_and_the_job_is_tried_again() {
        let address = fake(3, Fake::Closes).await;
        let worked = work(address, "p", 5, 1, soon()).await;
        assert_eq!((worked.count(), worked.errors.count), (5, 3));
    }

    #[tokio::test]
    async fn a_server_that_never_answers_is_given_up() {
        let address = fake(usize::MAX, Fake::Closes).await;
        let worked = work(address, "p", 5, 2, soon()).await;
        assert_eq!(worked.count(), 0);
        assert!(worked.errors.count > 2 * ERRORS_MAX, "{worked:?}");
        let cut_off = work(address, "p", 5, 2, Instant::now()).await;
        assert_eq!((cut_off.count(), cut_off.errors.count), (0, 2));
    }
}
