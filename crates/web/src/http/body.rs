//! Bodies that are larger than memory: a file as it is read, and what a thread writes.

use crate::limits::SEND_PAUSE_MAX;
use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;

/// How much of a file is read at once at first, in bytes: as much waits in memory for each peer that is slow.
const READ_BYTES_MIN: u64 = 128 << 10;
/// How much of it is read at once for a peer that waits for us, in bytes. Each piece wakes a thread and is waited for,
/// which costs more than to copy so much.
const READ_BYTES_MAX: u64 = 2 << 20;
/// Pieces that wait between a thread that writes and the socket.
const PIECES_QUEUED_MAX: usize = 4;
/// How large a piece gets, in bytes.
const PIECE_BYTES: usize = 128 << 10;

/// So many bytes of a file from where it stands. Reads as fast as the peer takes it, one piece ahead, so that the disk
/// and the socket are busy at once; holds no thread while the peer is slow.
pub(crate) fn of_file(file: File, bytes: u64) -> Body {
    let file =
        FilePieces { next: Some(read_piece(file, bytes, READ_BYTES_MIN)), most: READ_BYTES_MIN, is_awaited: false };
    Body::new(Sized { body: Body::new(file), left: bytes })
}

/// A file, read a piece ahead.
struct FilePieces {
    /// The piece that is read just now; none at the end.
    next: Option<JoinHandle<io::Result<Piece>>>,
    /// How long that piece may be.
    most: u64,
    /// Whether the peer waits for that piece, rather than it for the peer.
    is_awaited: bool,
}

/// A piece of a file.
struct Piece {
    bytes: Bytes,
    file: File,
    /// How many bytes come after it.
    left: u64,
}

/// Reads the next of so many bytes that are left.
fn read_piece(mut file: File, left: u64, most: u64) -> JoinHandle<io::Result<Piece>> {
    tokio::task::spawn_blocking(move || {
        let wanted = left.min(most);
        let mut bytes = Vec::with_capacity(usize::try_from(wanted).map_err(io::Error::other)?);
        let count = io::Read::by_ref(&mut file).take(wanted).read_to_end(&mut bytes)? as u64;
        if count < wanted {
            // It was cut off since it was looked at.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Piece { bytes: bytes.into(), file, left: left - count })
    })
}

/// How long the next piece may be: longer for a peer that waited, shorter for one that let us wait.
fn next_length(most: u64, is_awaited: bool) -> u64 {
    let next = if is_awaited { most.saturating_mul(2) } else { most / 2 };
    next.clamp(READ_BYTES_MIN, READ_BYTES_MAX)
}

impl http_body::Body for FilePieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(next) = &mut self.next else { return Poll::Ready(None) };
        let Poll::Ready(read) = Pin::new(next).poll(context) else {
            self.is_awaited = true;
            return Poll::Pending;
        };
        self.next = None;
        let Piece { bytes, file, left } = read.map_err(io::Error::other).flatten()?;
        if left > 0 {
            self.most = next_length(self.most, self.is_awaited);
            self.is_awaited = false;
            self.next = Some(read_piece(file, left, self.most));
        }
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }
}

/// A body whose size is known, so that it gets a `Content-Length`.
struct Sized {
    body: Body,
    left: u64,
}

impl http_body::Body for Sized {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.left = self.left.saturating_sub(frame.data_ref().map_or(0, Bytes::len) as u64);
        }
        polled
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// What a thread writes, as it writes it; `bytes` where the size is known. An error ends the connection, so that nobody
/// takes what came for the whole. The thread holds its `place` until it is done, which a peer that reads nothing cannot
/// put off for ever.
pub(crate) fn written_by(
    bytes: Option<u64>,
    place: OwnedSemaphorePermit,
    work: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
) -> Body {
    let (to, from) = mpsc::channel(PIECES_QUEUED_MAX);
    tokio::task::spawn_blocking(move || {
        let _place = place;
        let mut pieces = Pieces { to: to.clone(), piece: Vec::with_capacity(PIECE_BYTES) };
        if let Err(error) = work(&mut pieces).and_then(|()| pieces.flush()) {
            // The peer went, or reads nothing; anything else is trouble of ours.
            if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::TimedOut) {
                tracing::debug!("an answer was cut off: {error}");
            } else {
                tracing::error!("an answer was cut off: {error}");
            }
            // A peer that is gone, or reads nothing, needs no error: its connection ends without the end of the body.
            if to.try_send(Err(error)).is_err() {
                tracing::debug!("nobody waits for it");
            }
        }
    });
    let body = Body::new(Written { from });
    match bytes {
        Some(left) => Body::new(Sized { body, left }),
        None => body,
    }
}

struct Written {
    from: mpsc::Receiver<io::Result<Bytes>>,
}

impl http_body::Body for Written {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.from.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

struct Pieces {
    to: mpsc::Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        let count = bytes.len().min(PIECE_BYTES - self.piece.len());
        self.piece.extend_from_slice(bytes.split_at(count).0);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        let send = tokio::time::timeout(SEND_PAUSE_MAX, self.to.send(Ok(piece.into())));
        match tokio::runtime::Handle::current().block_on(send) {
            Ok(sent) => sent.map_err(|_| io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    #[test]
    fn pieces_grow_for_a_peer_that_waits_and_shrink_for_one_that_does_not() {
        let after = |length, is_awaited| (0..10).fold(length, |length, _| next_length(length, is_awaited));
        assert_eq!(after(READ_BYTES_MIN, true), READ_BYTES_MAX);
        assert_eq!(after(READ_BYTES_MAX, false), READ_BYTES_MIN);
    }

    #[tokio::test]
    async fn a_file_comes_whole_and_one_that_was_cut_off_ends_in_an_error() {
        let content: Vec<u8> = (0..u32::try_from(READ_BYTES_MAX).unwrap() * 2).flat_map(u32::to_le_bytes).collect();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&content).unwrap();
        let body = |bytes: usize| of_file(File::open(file.path()).unwrap(), bytes as u64);
        assert_eq!(http_body::Body::size_hint(&body(content.len())).exact(), Some(content.len() as u64));
        let sent = body(content.len()).collect().await.unwrap().to_bytes();
        assert!(sent == content);
        assert!(body(content.len() + 1).collect().await.is_err());
    }
}
