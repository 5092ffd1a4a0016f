//! A client: commands, pictures of the farm, and observers.

use crate::peer::Peer;
use builder_model::{BuildId, Period};
use builder_wire::session::client::HELLO;
use builder_wire::{Info, Job, Message, MessageKind, ScriptJob};
use std::net::SocketAddr;

async fn greeted(address: SocketAddr) -> Peer {
    let mut peer = Peer::connect(address).await;
    peer.send(&HELLO).await;
    peer.expect(&Message::ServerHello).await;
    peer
}

/// The answer to a command: why not, if not.
async fn answer(peer: &mut Peer) -> Result<(), String> {
    let Some(bytes) = peer.next().await else { panic!("the server closed without an answer") };
    answer_of(&Message::decode(&bytes).unwrap())
}

fn answer_of(message: &Message<'_>) -> Result<(), String> {
    if let Message::Failure { reason } = message {
        return Err(String::from_utf8(reason.to_vec()).unwrap());
    }
    assert_eq!(*message, Message::Success);
    Ok(())
}

/// Gives a server one command.
pub async fn command(address: SocketAddr, command: &Message<'_>) -> Result<(), String> {
    let mut peer = greeted(address).await;
    peer.send(command).await;
    let answer = answer(&mut peer).await;
    peer.closed().await;
    answer
}

/// Sends a server any bytes where it expects a client's command; none when it closes without an answer.
pub async fn command_bytes(address: SocketAddr, bytes: &[u8]) -> Option<Result<(), String>> {
    let mut peer = greeted(address).await;
    peer.offer_bytes(bytes).await;
    peer.end_of_words().await;
    let answer = peer.next().await?;
    let answer = answer_of(&Message::decode(&answer).unwrap());
    peer.closed().await;
    Some(answer)
}

/// Puts a script on the schedule.
pub async fn schedule(address: SocketAddr, name: &str, platform: &str, period: Period) -> Result<(), String> {
    let script = format!("echo {name}\n");
    let job = ScriptJob { name: name.as_bytes(), platform: platform.as_bytes(), script: script.as_bytes() };
    command(address, &Message::Schedule { period, job }).await
}

/// The answer to `info` as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Such as `a daily 2026-01-01T00:00:00Z`.
    pub schedule: Vec<String>,
    /// Such as `p: a b`.
    pub queues: Vec<String>,
    /// Such as `a on p`.
    pub running: Vec<String>,
    /// Platforms.
    pub dropped: Vec<String>,
    /// The builds of `running`.
    pub builds: Vec<BuildId>,
}

/// What a server says of itself.
pub async fn info(address: SocketAddr) -> Seen {
    let mut peer = greeted(address).await;
    peer.send(&Message::Info).await;
    let Some(bytes) = peer.next().await else { panic!("no answer to info") };
    let message = Message::decode(&bytes).unwrap();
    let Message::InfoReply(info) = &message else { panic!("{message:?} is no answer to info") };
    peer.expect(&Message::Success).await;
    peer.closed().await;
    seen(info)
}

fn seen(info: &Info<'_>) -> Seen {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let name = |job: &Job<'_>| match job {
        Job::Script(job) => text(job.name),
        Job::Templated { name, .. } => text(name),
        Job::Parameter(job) => text(job.name),
    };
    let schedule = info.schedule.iter().map(|entry| format!("{} {} {}", name(&entry.job), entry.period, entry.next));
    let queues = info.queues.iter().map(|queue| {
        let jobs: Vec<String> = queue.jobs.iter().map(name).collect();
        format!("{}: {}", text(queue.platform), jobs.join(" ")).trim_end().to_owned()
    });
    let running = info.running.iter().map(|run| format!("{} on {}", text(run.job.name), text(run.job.platform)));
    Seen {
        schedule: schedule.collect(),
        queues: queues.collect(),
        running: running.collect(),
        dropped: info.dropped.iter().map(|platform| text(platform)).collect(),
        builds: info.running.iter().map(|running| running.build).collect(),
    }
}

/// A client that watches a build.
#[derive(Debug)]
pub struct Observer {
    peer: Peer,
    build: BuildId,
}

/// All that an observer saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The lines, the outcome included.
    pub lines: Vec<String>,
    /// Their times in nanoseconds.
    pub deltas: Vec<i64>,
    /// How it ended.
    pub answer: Result<(), String>,
}

impl Observed {
    /// Whether the lines came in the order of their times. That of the outcome is known to the millisecond only, so it
    /// may seem to come before the last line.
    pub fn is_in_order(&self) -> bool {
        self.deltas.split_last().is_none_or(|(_, lines)| lines.is_sorted())
    }
}

impl Observer {
    /// Begins to watch.
    pub async fn of(address: SocketAddr, build: BuildId) -> Self {
        let mut peer = greeted(address).await;
        peer.send(&Message::Observe { build }).await;
        Self { peer, build }
    }

    /// The next line and its time, or the answer that ends it.
    async fn next(&mut self) -> Result<(String, i64), Result<(), String>> {
        let Some(bytes) = self.peer.next().await else { panic!("an observer was left without an answer") };
        let message = Message::decode(&bytes).unwrap();
        if message.kind() != MessageKind::Output {
            return Err(answer_of(&message));
        }
        let Message::Output { build, line, delta } = message else { unreachable!("that is its kind") };
        assert_eq!(build, self.build);
        Ok((String::from_utf8_lossy(line).into_owned(), delta.unwrap()))
    }

    /// The next line.
    pub async fn line(&mut self) -> String {
        match self.next().await {
            Ok((line, _)) => line,
            Err(answer) => panic!("the end instead of a line: {answer:?}"),
        }
    }

    /// Everything up to the end.
    pub async fn rest(mut self) -> Observed {
        let (mut lines, mut deltas) = (Vec::new(), Vec::new());
        loop {
            match self.next().await {
                Ok((line, delta)) => {
                    lines.push(line);
                    deltas.push(delta);
                }
                Err(answer) => {
                    self.peer.closed().await;
                    return Observed { lines, deltas, answer };
                }
            }
        }
    }
}
