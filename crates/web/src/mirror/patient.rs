//! A record that comes, with an end to the patience for each piece of it. What a record is, and what to do without it, is
//! the business of others.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// Pieces that were read and are not taken yet.
const PIECES_WAITING_MAX: usize = 4;

/// Reads in a thread of its own, which is left behind where nothing comes: it ends with its connection.
pub(super) struct Patient {
    pieces: Receiver<io::Result<Vec<u8>>>,
    pause: Duration,
}

impl Patient {
    /// Takes pieces of at most so many bytes from a reader, and waits at most so long for each.
    pub(super) fn new(from: impl Read + Send + 'static, piece_bytes: usize, pause: Duration) -> io::Result<Self> {
        let (to, pieces) = sync_channel(PIECES_WAITING_MAX);
        thread::Builder::new().name("record".into()).spawn(move || read(from, piece_bytes, &to))?;
        Ok(Self { pieces, pause })
    }

    /// The next piece; none at the end.
    pub(super) fn next(&self) -> io::Result<Option<Vec<u8>>> {
        match self.pieces.recv_timeout(self.pause) {
            Ok(Ok(piece)) => Ok((!piece.is_empty()).then_some(piece)),
            Ok(Err(error)) => Err(error),
            Err(RecvTimeoutError::Timeout) => {
                let text = format!("nothing came for {} seconds", self.pause.as_secs());
                Err(io::Error::new(io::ErrorKind::TimedOut, text))
            }
            // It said that it is at its end, or why it is not, before it went; somebody asks again.
            Err(RecvTimeoutError::Disconnected) => Ok(None),
        }
    }
}

/// Reads to the end, which is an empty piece, or to an error, or until nobody takes what comes.
fn read(mut from: impl Read, piece_bytes: usize, to: &SyncSender<io::Result<Vec<u8>>>) {
    let mut buffer = vec![0; piece_bytes];
    loop {
        let piece = match from.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result.map(|count| buffer.split_at(count).0.to_vec()),
        };
        let is_last = piece.as_ref().map_or(true, Vec::is_empty);
        if to.send(piece).is_err() || is_last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_comes_and_an_error_is_told() {
        let content: Vec<u8> = (0..100_u8).collect();
        let patient = Patient::new(io::Cursor::new(content.clone()), 7, Duration::from_secs(60)).unwrap();
        let mut came = Vec::new();
        while let Some(piece) = patient.next().unwrap() {
            assert!(piece.len() <= 7);
            came.extend(piece);
        }
        assert_eq!(came, content);
        assert_eq!(patient.next().unwrap(), None);
        let (read, write) = io::pipe().unwrap();
        drop(write);
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
        let patient = Patient::new(read.chain(Broken), 7, Duration::from_secs(60)).unwrap();
        assert_eq!(patient.next().unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn what_stops_coming_is_not_waited_for() {
        let (read, write) = io::pipe().unwrap();
        let patient = Patient::new(read, 7, Duration::from_millis(10)).unwrap();
        assert_eq!(patient.next().unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(write);
    }
}
