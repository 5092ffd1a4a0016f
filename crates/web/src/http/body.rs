//! Bodies that are larger than memory: a file as it is read, and what a thread writes.

use crate::limits::SEND_PAUSE_MAX;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::JoinHandle;

/// How much of a file is read at once, in bytes: so little that it is sent while a processor's cache still holds it.
const READ_BYTES: usize = 256 << 10;
/// How many of these buffers one answer uses in turn: what waits in memory for a peer that is slow.
const READ_BUFFERS_MAX: usize = 4;
/// Pieces that wait between a thread that writes and the socket.
const PIECES_QUEUED_MAX: usize = 4;
/// How large a piece gets, in bytes.
const PIECE_BYTES: usize = 128 << 10;

/// So many bytes of a file from this place on. What the system has in memory is read where it is sent, for to hand it
/// from thread to thread costs more than to copy it; only the disk is waited for by a thread, and no thread waits for a
/// peer that is slow.
pub(crate) fn of_file(file: File, from: u64, bytes: u64) -> Body {
    let file = FilePieces { file: Arc::new(file), from, left: bytes, read: None, buffers: VecDeque::new() };
    Body::new(Sized { body: Body::new(file), left: bytes })
}

/// A file, piece by piece.
struct FilePieces {
    file: Arc<File>,
    /// Where the next piece begins.
    from: u64,
    /// How many bytes are still to come.
    left: u64,
    /// The next piece, where the disk is waited for.
    read: Option<JoinHandle<io::Result<Read>>>,
    /// Buffers that hold pieces on their way, the oldest first.
    buffers: VecDeque<Bytes>,
}

/// A buffer, and how much of it was read.
type Read = (Bytes, usize);

impl FilePieces {
    /// A buffer for the next piece: that of one that was sent, which was no shorter, or a new one.
    fn buffer(&mut self) -> BytesMut {
        let wanted = usize::try_from(self.left).unwrap_or(READ_BYTES).min(READ_BYTES);
        match self.buffers.pop_front().map(Bytes::try_into_mut) {
            Some(Ok(mut sent)) => {
                sent.truncate(wanted);
                return sent;
            }
            Some(Err(unsent)) if self.buffers.len() + 1 < READ_BUFFERS_MAX => self.buffers.push_front(unsent),
            Some(Err(_)) | None => {}
        }
        BytesMut::zeroed(wanted)
    }

    /// Reads the next piece: at once if that takes no waiting, else a thread does it.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Read>> {
        let mut thread = if let Some(thread) = self.read.take() {
            thread
        } else {
            let (mut buffer, from) = (self.buffer(), self.from);
            if let Some(count) = read_from_memory(&self.file, &mut buffer, from) {
                return Poll::Ready(Ok((buffer.freeze(), count)));
            }
            let file = self.file.clone();
            tokio::task::spawn_blocking(move || {
                // Fails where it was cut off since it was looked at.
                file.read_exact_at(&mut buffer, from)?;
                let count = buffer.len();
                Ok((buffer.freeze(), count))
            })
        };
        let polled = Pin::new(&mut thread).poll(context);
        if polled.is_pending() {
            self.read = Some(thread);
        }
        polled.map(|done| done.map_err(io::Error::other).flatten())
    }
}

/// What the system has in memory of a file from this place on; none where it has nothing, or cannot tell.
#[cfg(target_os = "linux")]
fn read_from_memory(file: &File, into: &mut [u8], from: u64) -> Option<usize> {
    use rustix::io::{ReadWriteFlags, preadv2};
    let read = preadv2(file, &mut [io::IoSliceMut::new(into)], from, ReadWriteFlags::NOWAIT);
    // Whatever is wrong is told when a thread reads.
    read.ok().filter(|count| *count > 0)
}

/// Other systems have no such call.
#[cfg(not(target_os = "linux"))]
fn read_from_memory(_: &File, _: &mut [u8], _: u64) -> Option<usize> {
    None
}

impl http_body::Body for FilePieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let (buffer, count) = ready!(self.poll_read(context))?;
        self.from += count as u64;
        self.left -= count as u64;
        let piece = buffer.slice(..count);
        self.buffers.push_back(buffer);
        Poll::Ready(Some(Ok(Frame::data(piece))))
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
    let (end, ended) = oneshot::channel();
    tokio::task::spawn_blocking(move || {
        let _place = place;
        let mut pieces = Pieces { to, piece: Vec::with_capacity(PIECE_BYTES) };
        let done = work(&mut pieces).and_then(|()| pieces.flush());
        if let Err(error) = &done {
            // The peer went, or reads nothing; anything else is trouble of ours.
            if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::TimedOut) {
                tracing::debug!("an answer was cut off: {error}");
            } else {
                tracing::error!("an answer was cut off: {error}");
            }
        }
        if end.send(done).is_err() {
            tracing::debug!("nobody waits for it");
        }
    });
    let body = Body::new(Written { from, ended: Some(ended) });
    match bytes {
        Some(left) => Body::new(Sized { body, left }),
        None => body,
    }
}

struct Written {
    from: mpsc::Receiver<Bytes>,
    /// How the writing ended. A peer that paused for too long gets what was written before, and then this: without it,
    /// it would take a part for the whole.
    ended: Option<oneshot::Receiver<io::Result<()>>>,
}

impl http_body::Body for Written {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(piece) = ready!(self.from.poll_recv(context)) {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        // What compresses asks once more behind the end.
        let Some(ended) = &mut self.ended else { return Poll::Ready(None) };
        let ended = ready!(Pin::new(ended).poll(context));
        self.ended = None;
        Poll::Ready(match ended {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Err(error)),
            Err(panicked) => Some(Err(io::Error::other(panicked))),
        })
    }
}

struct Pieces {
    to: mpsc::Sender<Bytes>,
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
        let send = tokio::time::timeout(SEND_PAUSE_MAX, self.to.send(piece.into()));
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

    /// A file of some pieces and a bit, and what is in it.
    fn some_pieces() -> (tempfile::NamedTempFile, Vec<u8>) {
        let numbers = u32::try_from(READ_BYTES).unwrap() * 2 + 1;
        let content: Vec<u8> = (0..numbers).flat_map(u32::to_le_bytes).collect();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&content).unwrap();
        (file, content)
    }

    async fn sent(file: &tempfile::NamedTempFile, from: usize, bytes: usize) -> Option<Bytes> {
        let body = of_file(File::open(file.path()).unwrap(), from as u64, bytes as u64);
        assert_eq!(http_body::Body::size_hint(&body).exact(), Some(bytes as u64));
        body.collect().await.ok().map(http_body_util::Collected::to_bytes)
    }

    #[tokio::test]
    async fn a_file_comes_whole_and_one_that_was_cut_off_ends_in_an_error() {
        let (file, content) = some_pieces();
        assert!(sent(&file, 0, content.len()).await.unwrap() == content);
        assert!(sent(&file, 7, READ_BYTES).await.unwrap() == content[7..7 + READ_BYTES]);
        assert_eq!(sent(&file, 0, content.len() + 1).await, None);
        assert_eq!(sent(&file, 1, content.len()).await, None);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_file_that_is_on_the_disk_alone_comes_whole_too() {
        let (file, content) = some_pieces();
        file.as_file().sync_all().unwrap();
        let all = std::num::NonZero::new(content.len() as u64);
        rustix::fs::fadvise(file.as_file(), 0, all, rustix::fs::Advice::DontNeed).unwrap();
        assert!(sent(&file, 0, content.len()).await.unwrap() == content);
    }

    #[tokio::test]
    async fn a_peer_that_is_slow_costs_no_more_than_its_buffers() {
        let (file, content) = some_pieces();
        let opened = Arc::new(File::open(file.path()).unwrap());
        let mut pieces =
            FilePieces { file: opened, from: 0, left: content.len() as u64, read: None, buffers: VecDeque::new() };
        let mut unsent = Vec::new();
        while let Some(piece) = pieces.frame().await {
            unsent.push(piece.unwrap().into_data().unwrap());
            assert!(pieces.buffers.len() <= READ_BUFFERS_MAX, "{}", pieces.buffers.len());
        }
        assert!(unsent.concat() == content);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_pauses_for_too_long_sees_that_it_lacks_the_end() {
        let places = Arc::new(tokio::sync::Semaphore::new(1));
        let write = |size: usize| {
            let place = places.clone().try_acquire_owned().unwrap();
            written_by(None, place, move |to| to.write_all(&vec![7; size]))
        };
        let whole = write(3 * PIECE_BYTES).collect().await.unwrap().to_bytes();
        assert_eq!(whole.len(), 3 * PIECE_BYTES);
        drop(places.acquire().await.unwrap());
        let mut body = write(100 * PIECE_BYTES);
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), PIECE_BYTES);
        // Nothing is asked for until the thread has given up, whenever it begins to wait.
        while places.try_acquire().is_err() {
            tokio::time::advance(SEND_PAUSE_MAX).await;
        }
        let error = body.collect().await.unwrap_err();
        assert!(error.to_string().contains("timed out"), "{error}");
    }
}
