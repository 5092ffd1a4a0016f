//! A connection to the server under test, as a worker or a client of the protocol has it.

use anyhow::{Context, Result, bail};
use builder_model::{BuildId, Outcome, Period};
use builder_wire::message::write_output_frame;
use builder_wire::{CLIENT_VERSION, Inbox, Message, Role, ScriptJob, WORKER_VERSION};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// The script of a job that does nothing.
pub(crate) const NOOP: &[u8] = b"#!/bin/sh\ntrue\n";

/// An open connection.
#[derive(Debug)]
pub(crate) struct Peer {
    stream: TcpStream,
    inbox: Inbox,
}

impl Peer {
    /// Connects and exchanges the hellos.
    pub(crate) async fn connect(address: SocketAddr, role: Role) -> Result<Self> {
        let stream = TcpStream::connect(address).await.context("connect")?;
        Self::greet(stream, role).await
    }

    /// Connects with a small window, as a peer that does not read may have it.
    pub(crate) async fn connect_narrow(address: SocketAddr, role: Role, receive_bytes: u32) -> Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.context("connect")?;
        socket.set_recv_buffer_size(receive_bytes).context("connect")?;
        Self::greet(socket.connect(address).await.context("connect")?, role).await
    }

    async fn greet(stream: TcpStream, role: Role) -> Result<Self> {
        stream.set_nodelay(true).context("connect")?;
        let mut peer = Self { stream, inbox: Inbox::new() };
        let version = match role {
            Role::Client => CLIENT_VERSION,
            Role::Worker => WORKER_VERSION,
        };
        peer.send(&Message::ClientHello { role, version }).await?;
        peer.expect("a hello", |message| matches!(message, Message::ServerHello).then_some(())).await?;
        Ok(peer)
    }

    /// A worker that has asked for a job.
    pub(crate) async fn waiting_worker(address: SocketAddr, platform: &str) -> Result<Self> {
        let mut worker = Self::connect(address, Role::Worker).await?;
        worker.send(&Message::JobRequested { platform: platform.as_bytes() }).await?;
        Ok(worker)
    }

    /// A client that follows a build.
    pub(crate) async fn observer(address: SocketAddr, build: BuildId) -> Result<Self> {
        let mut client = Self::connect(address, Role::Client).await?;
        client.send(&Message::Observe { build }).await?;
        Ok(client)
    }

    /// Sends a small message.
    pub(crate) async fn send(&mut self, message: &Message<'_>) -> Result<()> {
        self.write(&message.frame().to_vec()).await
    }

    /// Sends bytes.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await.context("send")
    }

    /// Waits for more bytes; false when the peer has closed. Holds no memory while it waits.
    pub(crate) async fn fill(&mut self) -> Result<bool> {
        self.stream.readable().await.context("receive")?;
        let count = self.stream.read(self.inbox.room()).await.context("receive")?;
        self.inbox.filled(count);
        Ok(count > 0)
    }

    /// Shows each whole message that is there to `each`, until that gives something.
    pub(crate) fn drain<T>(&mut self, mut each: impl FnMut(Message<'_>) -> Result<Option<T>>) -> Result<Option<T>> {
        while let Some(head) = self.inbox.head()? {
            let Some(bytes) = self.inbox.message(head) else { break };
            let found = each(Message::decode(bytes)?)?;
            self.inbox.message_done(head);
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Receives the next message, which `read` has to know.
    pub(crate) async fn expect<T>(&mut self, what: &str, mut read: impl FnMut(&Message<'_>) -> Option<T>) -> Result<T> {
        loop {
            let found = self.drain(|message| match read(&message) {
                Some(found) => Ok(Some(found)),
                None => bail!("{} came where {what} was expected", described(&message)),
            })?;
            if let Some(found) = found {
                self.inbox.release();
                return Ok(found);
            }
            if !self.fill().await? {
                bail!("the server closed the connection where {what} was expected");
            }
        }
    }

    /// Receives a job.
    pub(crate) async fn job(&mut self) -> Result<BuildId> {
        let build =
            |message: &Message<'_>| if let Message::JobSchedule { build, .. } = message { Some(*build) } else { None };
        self.expect("a job", build).await
    }

    /// Receives the success of a command.
    pub(crate) async fn success(&mut self) -> Result<()> {
        self.expect("success", |message| matches!(message, Message::Success).then_some(())).await
    }

    /// Waits until the server closes: for a worker the sign that its result is on disk.
    pub(crate) async fn closed(&mut self) -> Result<()> {
        if self.fill().await? || !self.inbox.bytes().is_empty() {
            bail!("the server spoke where it should have closed");
        }
        Ok(())
    }

    /// Ends the job with one line of output, no files and success, and waits until that is on disk.
    pub(crate) async fn finish(&mut self, build: BuildId) -> Result<()> {
        let mut bytes = Vec::with_capacity(256);
        write_output_frame(&mut bytes, &build, b"one line of output", None);
        let done = Message::JobFinished { build, outcome: Outcome::Exited(0), files: Vec::new() };
        bytes.extend_from_slice(&done.frame().to_vec());
        self.write(&bytes).await?;
        self.closed().await
    }
}

fn described(message: &Message<'_>) -> String {
    if let Message::Failure { reason } = message {
        return format!("a failure ({})", builder_model::Shown(reason));
    }
    format!("{:?}", message.kind())
}

/// A message that puts a job without a period on the schedule, and in its queue.
pub(crate) fn schedule<'a>(name: &'a str, platform: &'a str, script: &'a [u8]) -> Message<'a> {
    let job = ScriptJob { name: name.as_bytes(), platform: platform.as_bytes(), script };
    Message::Schedule { period: Period::Never, job }
}

/// A message that puts a job at the front of its queue.
pub(crate) fn execute(name: &str) -> Message<'_> {
    Message::Execute { name: name.as_bytes(), platform: None }
}

/// Sends a command on a connection of its own; gives how long that took with everything.
pub(crate) async fn command(address: SocketAddr, message: &Message<'_>) -> Result<Duration> {
    let start = Instant::now();
    let mut client = Peer::connect(address, Role::Client).await?;
    client.send(message).await?;
    client.success().await?;
    Ok(start.elapsed())
}

/// What `info` says in numbers.
#[derive(Debug, Default)]
pub(crate) struct Overview {
    /// The builds that run, with the platform of each.
    pub(crate) running: Vec<(BuildId, Vec<u8>)>,
    /// The platforms of queued jobs, one for each job.
    pub(crate) queued: Vec<Vec<u8>>,
}

/// Asks for an overview; gives how long that took, too.
pub(crate) async fn info(address: SocketAddr) -> Result<(Overview, Duration)> {
    let start = Instant::now();
    let mut client = Peer::connect(address, Role::Client).await?;
    client.send(&Message::Info).await?;
    let overview = client.expect("an info reply", overview).await?;
    client.success().await?;
    Ok((overview, start.elapsed()))
}

fn overview(message: &Message<'_>) -> Option<Overview> {
    let Message::InfoReply(info) = message else { return None };
    let running = info.running.iter().map(|running| (running.build, running.job.platform.to_vec())).collect();
    let queued = info.queues.iter().flat_map(|queue| queue.jobs.iter().map(|_| queue.platform.to_vec())).collect();
    Some(Overview { running, queued })
}
