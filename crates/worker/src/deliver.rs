//! Handing a build in: its outcome, and its files straight from disk, one at a time.

use crate::collect::{Found, open_regular};
use crate::connection::Connection;
use crate::error::Error;
use builder_model::{BuildId, Outcome};
use builder_wire::record::{FileHead, finished_head};
use std::io::{self, Read};

/// How many bytes are gathered before they are sent.
const BUFFER_BYTES: usize = 256 << 10;
const DOING: &str = "while we handed in the build";

/// Sends `jobFinished`. A file that has become shorter breaks it off, because its length has been promised.
pub(crate) fn deliver(
    connection: &Connection<'_>,
    build: &BuildId,
    outcome: &Outcome,
    files: &[Found],
) -> Result<(), Error> {
    let content_bytes = files.iter().map(|file| head_of(file).size()).sum();
    let mut buffer = finished_head(build, outcome, content_bytes);
    for found in files {
        let head = head_of(found);
        buffer.extend_from_slice(&head.header);
        let failed = |source| Error::Artifact { path: found.path.to_string(), source };
        let (file, _) = open_regular(&found.place).map_err(failed)?;
        let mut left = head.data_bytes;
        while left > 0 {
            if buffer.len() >= BUFFER_BYTES {
                connection.send(&buffer, DOING)?;
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
            connection.send(&buffer, DOING)?;
            buffer.clear();
        }
    }
    connection.send(&buffer, DOING)
}

fn head_of(found: &Found) -> FileHead {
    FileHead::new(found.path.as_str().as_bytes(), found.bytes)
}
