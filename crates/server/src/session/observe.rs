//! An observer: every line of a build from the first on, then its outcome.
//!
//! Lines are read from the log on disk, as fast as the observer takes them; of a finished build, from its record.

use super::client::fail;
use crate::Shared;
use crate::connection::{Connection, ConnectionError};
use crate::consoles::{Ended, News};
use builder_model::BuildId;
use builder_store::console::ConsoleReader;
use builder_store::{StoreError, record};
use builder_wire::Message;
use builder_wire::message::write_output_frame;
use std::path::PathBuf;
use tokio::sync::{mpsc, watch};

/// Lines are sent in pieces of about this many bytes.
const PIECE_BYTES: usize = 128 << 10;
/// How many pieces of a finished build wait to be sent.
const PIECES_WAITING: usize = 2;

pub(super) async fn serve(connection: &mut Connection, build: BuildId, shared: &Shared) -> Result<(), ConnectionError> {
    let mut sent = 0;
    if let Some(feed) = shared.consoles.find(&build) {
        let mut news = feed.subscribe();
        drop(feed);
        match follow(connection, build, shared, &mut news, &mut sent).await? {
            Followed::Ended(ended) => return end(connection, build, &ended).await,
            Followed::Stopping => return fail(connection, "the server is stopping").await,
            // The build ended before its log was opened: the rest is in its record.
            Followed::LogGone => {}
            Followed::Unreadable(error) => return fail(connection, &error).await,
        }
    }
    match find_record(build, shared).await {
        Ok(Some((path, ended))) => replay(connection, build, path, ended, sent).await,
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
    LogGone,
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
                return Ok(Followed::LogGone);
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
            return Ok(Followed::Ended(ended));
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
pub(super) async fn find_record(build: BuildId, shared: &Shared) -> Result<Option<(PathBuf, Ended)>, StoreError> {
    let shared_history = shared.history.clone();
    let found = tokio::task::spawn_blocking(move || {
        let history = shared_history.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        history.find(&build)
    })
    .await;
    let found = match found {
        Ok(found) => found?,
        Err(_) => None,
    };
    Ok(found.map(|finished| (shared.folder.record(&finished.job, &build), Ended::from(&finished))))
}

/// Sends the console of a finished build, but for the lines that were sent before.
async fn replay(
    connection: &mut Connection,
    build: BuildId,
    path: PathBuf,
    ended: Ended,
    sent: u64,
) -> Result<(), ConnectionError> {
    let (pieces, mut waiting) = mpsc::channel::<Vec<u8>>(PIECES_WAITING);
    let reading = tokio::task::spawn_blocking(move || {
        let (mut frames, mut number) = (Vec::new(), 0);
        let read = record::replay(&path, |delta, line| {
            number += 1;
            if number > sent {
                write_output_frame(&mut frames, &build, line, Some(delta));
            }
            frames.len() < PIECE_BYTES || pieces.blocking_send(std::mem::take(&mut frames)).is_ok()
        });
        // The observer may have left: then nobody needs the rest.
        let _left: Result<(), _> = pieces.blocking_send(frames);
        read
    });
    while let Some(frames) = waiting.recv().await {
        connection.send_frames(&frames).await?;
    }
    match reading.await {
        Ok(Ok(_)) => end(connection, build, &ended).await,
        Ok(Err(StoreError::Io { source, .. })) if source.kind() == std::io::ErrorKind::NotFound => {
            fail(connection, &not_kept(&ended)).await
        }
        Ok(Err(error)) => {
            tracing::error!("{error}");
            fail(connection, "the record of the build cannot be read").await
        }
        Err(error) => fail(connection, &error.to_string()).await,
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
