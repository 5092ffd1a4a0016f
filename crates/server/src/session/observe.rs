//! An observer: every line of a build from the first on, then its outcome.
//!
//! Lines are read from the log on disk, as fast as the observer takes them; of a finished build, from its record, or
//! from the log where no record could be written.

use super::client::fail;
use crate::Shared;
use crate::connection::{Connection, ConnectionError};
use crate::consoles::{Ended, News};
use builder_model::BuildId;
use builder_store::StoreError;
use builder_store::console::ConsoleReader;
use builder_store::record::ConsoleReplay;
use builder_store::small::RecordPlace;
use builder_wire::Message;
use builder_wire::message::write_output_frame;
use tokio::sync::watch;

/// Lines are sent in pieces of about this many bytes.
const PIECE_BYTES: usize = 128 << 10;

pub(super) async fn serve(connection: &mut Connection, build: BuildId, shared: &Shared) -> Result<(), ConnectionError> {
    let mut sent = 0;
    if let Some(feed) = shared.consoles.find(&build) {
        let mut news = feed.subscribe();
        drop(feed);
        match follow(connection, build, shared, &mut news, &mut sent).await? {
            Followed::Ended(ended) => return end(connection, build, &ended).await,
            Followed::Stopping => return fail(connection, "the server is stopping").await,
            Followed::InRecord => {}
            Followed::Unreadable(error) => return fail(connection, &error).await,
        }
    }
    match find_record(build, shared).await {
        Ok(Some((place, ended))) => replay(connection, build, place, ended, sent, shared).await,
        Ok(None) => fail(connection, "uuid not found").await,
        Err(error) => {
            tracing::error!("{error}");
            fail(connection, "the history cannot be read").await
        }
    }
}

enum Followed {
    Ended(Ended),
    Stopping,
    /// The build ended before all of its lines could be read from the log: the rest is in its record.
    InRecord,
    Unreadable(String),
}

/// Follows the log of a build that has no record yet.
async fn follow(
    connection: &mut Connection,
    build: BuildId,
    shared: &Shared,
    news: &mut watch::Receiver<News>,
    sent: &mut u64,
) -> Result<Followed, ConnectionError> {
    let mut stopping = shared.stopping.clone();
    let mut reader = None;
    loop {
        let known = news.borrow_and_update().clone();
        if known.log_bytes > 0 && reader.is_none() {
            reader = ConsoleReader::open(&shared.folder.console(&build)).ok();
            if reader.is_none() {
                return Ok(Followed::InRecord);
            }
        }
        if let Some(reader) = &mut reader
            && let Err(error) = send_lines(connection, build, reader, known.log_bytes, sent).await
        {
            return match error {
                SendError::Connection(error) => Err(error),
                SendError::Log(error) => Ok(Followed::Unreadable(error)),
            };
        }
        if let Some(ended) = known.ended {
            return Ok(if known.rest_is_in_record { Followed::InRecord } else { Followed::Ended(ended) });
        }
        tokio::select! {
            changed = news.changed() => {
                // The sender lives as long as the build has no record, unless the whole server ends.
                if changed.is_err() && news.borrow().ended.is_none() {
                    return Ok(Followed::Stopping);
                }
            }
            _ = stopping.wait_for(|stopping| *stopping) => return Ok(Followed::Stopping),
            filled = connection.fill() => {
                filled?;
                // An observer has nothing more to say; what it says is thrown away.
                let count = connection.inbox.bytes().len();
                connection.inbox.consume(count);
                connection.inbox.release();
            }
        }
    }
}

enum SendError {
    Connection(ConnectionError),
    Log(String),
}

async fn send_lines(
    connection: &mut Connection,
    build: BuildId,
    reader: &mut ConsoleReader,
    log_bytes: u64,
    sent: &mut u64,
) -> Result<(), SendError> {
    let mut frames = Vec::new();
    loop {
        while frames.len() < PIECE_BYTES {
            match reader.next(log_bytes) {
                Ok(Some(line)) => write_output_frame(&mut frames, &build, line.line, Some(line.delta)),
                Ok(None) => break,
                Err(error) => return Err(SendError::Log(format!("the console log cannot be read: {error}"))),
            }
            *sent += 1;
        }
        if frames.is_empty() {
            return Ok(());
        }
        connection.send_frames(&frames).await.map_err(SendError::Connection)?;
        frames.clear();
    }
}

/// Where the record of a finished build is, or was, and how the build ended.
pub(super) async fn find_record(build: BuildId, shared: &Shared) -> Result<Option<(RecordPlace, Ended)>, StoreError> {
    let (shared_history, folder) = (shared.history.clone(), shared.folder.clone());
    let found = tokio::task::spawn_blocking(move || {
        let history = shared_history.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(finished) = history.find(&build)? else { return Ok(None) };
        Ok(Some((history.record(&folder, &finished.job, &build)?, Ended::from(&finished))))
    })
    .await;
    found.unwrap_or(Ok(None))
}

/// Sends the console of a finished build, but for the lines that were sent before. No thread waits for the observer: a
/// block is read when the one before is sent.
async fn replay(
    connection: &mut Connection,
    build: BuildId,
    place: RecordPlace,
    ended: Ended,
    sent: u64,
    shared: &Shared,
) -> Result<(), ConnectionError> {
    let opened = blocking(move || ConsoleReplay::open(&place)).await;
    let mut replay = match opened {
        Ok(Ok(console)) => Replay { console, build, passed: 0, sent },
        Ok(Err(StoreError::Io { source, .. })) if source.kind() == std::io::ErrorKind::NotFound => {
            return replay_log(connection, build, ended, sent, shared).await;
        }
        Ok(Err(error)) => return unreadable(connection, &error.to_string()).await,
        Err(error) => return fail(connection, &error).await,
    };
    loop {
        let read = blocking(move || {
            let frames = replay.next_frames();
            (replay, frames)
        });
        let frames = match read.await {
            Ok((next, frames)) => {
                replay = next;
                frames
            }
            Err(error) => return fail(connection, &error).await,
        };
        match frames {
            Ok(Some(frames)) => connection.send_frames(&frames).await?,
            Ok(None) => return end(connection, build, &ended).await,
            Err(error) => return unreadable(connection, &error.to_string()).await,
        }
    }
}

/// Runs what blocks on a thread that may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())
}

async fn unreadable(connection: &mut Connection, error: &str) -> Result<(), ConnectionError> {
    tracing::error!("{error}");
    fail(connection, "the record of the build cannot be read").await
}

/// The console of a record on its way to one observer.
struct Replay {
    console: ConsoleReplay,
    build: BuildId,
    /// How many lines were read.
    passed: u64,
    /// How many of the first were sent before.
    sent: u64,
}

impl Replay {
    /// The next block as frames; none at the end.
    fn next_frames(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        let mut frames = Vec::new();
        let there_was_one = self.console.next_block(|line| {
            self.passed += 1;
            if self.passed > self.sent {
                write_output_frame(&mut frames, &self.build, line.line, Some(line.delta));
            }
        })?;
        Ok(there_was_one.then_some(frames))
    }
}

/// The same of a build that ended without a record: its log was kept.
async fn replay_log(
    connection: &mut Connection,
    build: BuildId,
    ended: Ended,
    already_sent: u64,
    shared: &Shared,
) -> Result<(), ConnectionError> {
    let path = shared.folder.console(&build);
    let log_bytes = std::fs::metadata(&path).map(|metadata| metadata.len());
    let (Ok(mut reader), Ok(log_bytes)) = (ConsoleReader::open(&path), log_bytes) else {
        return fail(connection, &not_kept(&ended)).await;
    };
    let unreadable = |error| format!("the console log cannot be read: {error}");
    for _ in 0..already_sent {
        if let Err(error) = reader.next(log_bytes) {
            return fail(connection, &unreadable(error)).await;
        }
    }
    let mut sent = already_sent;
    match send_lines(connection, build, &mut reader, log_bytes, &mut sent).await {
        Ok(()) => end(connection, build, &ended).await,
        Err(SendError::Connection(error)) => Err(error),
        Err(SendError::Log(error)) => fail(connection, &error).await,
    }
}

/// What is said of a build whose record is gone.
pub(super) fn not_kept(ended: &Ended) -> String {
    format!("the build ended ({}), but its record is not kept here any more", ended.outcome)
}

/// The last line is the outcome, as the original renders it; then the end.
async fn end(connection: &mut Connection, build: BuildId, ended: &Ended) -> Result<(), ConnectionError> {
    let text = ended.outcome.to_string();
    connection.send(&Message::Output { build, line: text.as_bytes(), delta: Some(ended.delta) }).await?;
    connection.send(&Message::Success).await
}
