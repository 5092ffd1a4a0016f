//! A socket that speaks frames: reads what is announced, within limits of size and time, and writes without copying
//! payloads.

use crate::metrics::Metrics;
use builder_wire::frame::Head;
use builder_wire::{Encoded, FrameError, Inbox, Message};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// How long a peer may take until more of a message that it began has come.
pub(crate) const PROGRESS_LIMIT: Duration = Duration::from_secs(60);
/// How long a peer may take to take what is written to it.
pub(crate) const WRITE_LIMIT: Duration = Duration::from_secs(60);
/// How long we wait for a peer to close its end after we closed ours.
const LINGER_LIMIT: Duration = Duration::from_secs(2);
/// Most bytes that are thrown away meanwhile.
const LINGER_BYTES_MAX: usize = 1 << 20;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    /// The peer closed it.
    #[error("the peer closed the connection")]
    Closed,
    /// The peer closed it within a message.
    #[error("the peer closed the connection within a message")]
    Truncated,
    /// The network failed.
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    /// What came is no frame of ours.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Nothing came, or nothing was taken, for too long.
    #[error("nothing moved for {} seconds", .0.as_secs())]
    Slow(Duration),
}

/// A connection to a client or a worker.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    /// What came and is not yet used.
    pub(crate) inbox: Inbox,
    /// Who it is, for the log.
    pub(crate) peer: SocketAddr,
    metrics: Arc<Metrics>,
}

impl Connection {
    /// Takes over a socket.
    pub(crate) fn new(stream: TcpStream, peer: SocketAddr, metrics: Arc<Metrics>) -> Self {
        Self { stream, inbox: Inbox::new(), peer, metrics }
    }

    /// Waits until more bytes came, and takes them. Nothing is lost when this is dropped. Memory is only used once
    /// there is something to read.
    pub(crate) async fn fill(&mut self) -> Result<(), ConnectionError> {
        loop {
            self.stream.readable().await?;
            match self.stream.try_read(self.inbox.room()) {
                Ok(0) if self.inbox.bytes().is_empty() => return Err(ConnectionError::Closed),
                Ok(0) => return Err(ConnectionError::Truncated),
                Ok(count) => {
                    self.inbox.filled(count);
                    self.metrics.received(count);
                    return Ok(());
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// As [`Connection::fill`], but not for longer than `limit`.
    pub(crate) async fn fill_within(&mut self, limit: Duration) -> Result<(), ConnectionError> {
        tokio::time::timeout(limit, self.fill()).await.map_err(|_| ConnectionError::Slow(limit))?
    }

    /// Waits for the next message to begin.
    pub(crate) async fn head_within(&mut self, limit: Duration) -> Result<Head, ConnectionError> {
        loop {
            if let Some(head) = self.inbox.head()? {
                return Ok(head);
            }
            self.fill_within(limit).await?;
        }
    }

    /// Waits for all of a message that began; it is then in the inbox.
    pub(crate) async fn whole(&mut self, head: Head) -> Result<(), ConnectionError> {
        while self.inbox.message(head).is_none() {
            self.fill_within(PROGRESS_LIMIT).await?;
        }
        Ok(())
    }

    /// Sends a message.
    pub(crate) async fn send(&mut self, message: &Message<'_>) -> Result<(), ConnectionError> {
        self.write_encoded(&message.frame()).await
    }

    async fn write_encoded(&mut self, encoded: &Encoded<'_>) -> Result<(), ConnectionError> {
        let mut pieces: Vec<IoSlice<'_>> = encoded.pieces().map(IoSlice::new).collect();
        let mut rest = &mut pieces[..];
        while !rest.is_empty() {
            let written = within(self.stream.write_vectored(rest)).await?;
            if written == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
            IoSlice::advance_slices(&mut rest, written);
        }
        Ok(())
    }

    /// Sends bytes that are frames already.
    pub(crate) async fn send_frames(&mut self, frames: &[u8]) -> Result<(), ConnectionError> {
        let mut rest = frames;
        while !rest.is_empty() {
            let written = within(self.stream.write(rest)).await?;
            if written == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
            rest = &rest[written..];
        }
        Ok(())
    }

    /// Closes our end, and waits a little for the peer to close its own: a socket that is closed while bytes come in
    /// is reset, and the peer may then lose what we said last.
    pub(crate) async fn close(mut self) {
        let linger = async {
            self.stream.shutdown().await?;
            let mut left = LINGER_BYTES_MAX;
            while left > 0 {
                self.stream.readable().await?;
                let mut waste = [0; 4096];
                match self.stream.try_read(&mut waste) {
                    Ok(0) => break,
                    Ok(count) => left = left.saturating_sub(count),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
            io::Result::Ok(())
        };
        // Whatever goes wrong now concerns nobody: all was said.
        if let Ok(Err(error)) = tokio::time::timeout(LINGER_LIMIT, linger).await {
            tracing::trace!(peer = %self.peer, "closing: {error}");
        }
    }
}

async fn within<T>(write: impl Future<Output = io::Result<T>>) -> Result<T, ConnectionError> {
    match tokio::time::timeout(WRITE_LIMIT, write).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(ConnectionError::Slow(WRITE_LIMIT)),
    }
}
