//! Handing a build in: its outcome, and its files straight from disk, one at a time.

use crate::collect::{Found, Source, open_regular};
use crate::connection::Connection;
use crate::error::Error;
use builder_model::{BuildId, Outcome};
use builder_wire::record::{FileHead, finished_head};
use std::cell::Cell;
use std::io::{self, Read};

/// How many bytes are gathered before they are sent.
const BUFFER_BYTES: usize = 256 << 10;
const DOING: &str = "while we handed in the build";

/// Sends `jobFinished`. A file that has become shorter breaks it off, because its length has been promised.
///
/// When it is broken off after its first byte, the connection is abandoned: whatever came next would be taken for the
/// rest of it. Before that, the connection can still be used.
pub(crate) fn deliver(
    connection: &Connection<'_>,
    build: &BuildId,
    outcome: &Outcome,
    files: &[Found],
) -> Result<(), Error> {
    let content_bytes = files.iter().map(|file| head_of(file).size()).sum();
    let mut buffer = finished_head(build, outcome, content_bytes);
    let is_begun = Cell::new(false);
    let send = |bytes: &[u8]| {
        is_begun.set(true);
        connection.send(bytes, DOING)
    };
    for found in files {
        let head = head_of(found);
        buffer.extend_from_slice(&head.header);
        let failed = |source| {
            if is_begun.get() {
                connection.abandon();
            }
            Error::Artifact { path: found.path.to_string(), source }
        };
        let place = match &found.source {
            Source::Disk(place) => place,
            Source::Memory(content) => {
                buffer.extend_from_slice(content);
                continue;
            }
        };
        let (file, _) = open_regular(place).map_err(failed)?;
        let mut left = head.data_bytes;
        while left > 0 {
            if buffer.len() >= BUFFER_BYTES {
                send(&buffer)?;
                buffer.clear();
            }
            let room = (BUFFER_BYTES - buffer.len()) as u64;
            let count = (&file).take(left.min(room)).read_to_end(&mut buffer).map_err(failed)?;
            if count == 0 {
                let message = format!("it became {left} bytes shorter while it was sent");
                return Err(failed(io::Error::new(io::ErrorKind::UnexpectedEof, message)));
            }
            left -= count as u64;
        }
        if buffer.len() >= BUFFER_BYTES {
            send(&buffer)?;
            buffer.clear();
        }
    }
    send(&buffer)
}

fn head_of(found: &Found) -> FileHead {
    FileHead::new(found.path.as_str().as_bytes(), found.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Console;
    use crate::signals::Stop;
    use builder_model::ArtifactPath;
    use builder_wire::{Message, WorkerVersion};
    use std::io::Write;
    use std::net::TcpListener;

    /// What a server gets of a build with one file that is one byte shorter than promised, and of a line after that.
    fn sent_of_a_file(bytes: usize) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("file");
        std::fs::write(&place, vec![b'x'; bytes - 1]).unwrap();
        let found =
            Found { path: ArtifactPath::parse(b"file").unwrap(), source: Source::Disk(place), bytes: bytes as u64 };
        let (listener, stop) = (TcpListener::bind("127.0.0.1:0").unwrap(), Stop::new().unwrap());
        let remote = listener.local_addr().unwrap().to_string().parse().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, mut sent) = (listener.accept().unwrap().0, Vec::new());
            stream.write_all(&Message::ServerHello.frame().to_vec()).unwrap();
            stream.read_to_end(&mut sent).unwrap();
            sent
        });
        let connection = Connection::open(&remote, &stop, WorkerVersion::Five).unwrap();
        let build = BuildId::from_bytes([7; 16]);
        let result = deliver(&connection, &build, &Outcome::Exited(0), &[found]);
        assert!(matches!(result, Err(Error::Artifact { .. })), "{result:?}");
        let mut console = Console::new(&connection, build);
        console.note("what is wrong");
        let is_told = console.finish().is_ok();
        drop(connection);
        let sent = server.join().unwrap();
        assert_eq!(sent.ends_with(b"builder-worker: what is wrong"), is_told);
        sent
    }

    #[test]
    fn nothing_follows_half_a_message() {
        // The line fits in where the last byte of the file is missing: it must not get there.
        let sent = sent_of_a_file(2 * BUFFER_BYTES);
        assert!(sent.len() > BUFFER_BYTES && sent.ends_with(b"xxx"), "{}", sent.len());
        // Nothing of the message has been sent, so that the line comes right after our hello.
        assert!(sent_of_a_file(10).ends_with(b"what is wrong"));
    }
}
