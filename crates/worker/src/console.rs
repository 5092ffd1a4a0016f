//! The console of a job: what it prints, cut into lines, on its way to the server.

use crate::connection::Connection;
use crate::error::Error;
use crate::wait;
use builder_model::BuildId;
use builder_model::limits::LINE_BYTES_CUT;
use builder_wire::message::write_output_frame;
use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

/// What is read at once, in bytes: all that a pipe holds on Linux.
const READ_BYTES: usize = 64 << 10;
/// Lines are gathered up to this many bytes while more of them wait in the pipe.
const GATHER_BYTES: usize = 64 << 10;
/// And never more than this many, which many short lines would make of one read.
const GATHER_BYTES_MAX: usize = 256 << 10;
/// What goes in front of the lines that are the worker's own.
const NOTE_PREFIX: &str = "builder-worker: ";

/// Cuts a stream of bytes at its newlines, and long lines at [`LINE_BYTES_CUT`].
#[derive(Debug, Default)]
struct Splitter {
    /// The start of a line whose end has not come; shorter than the cut.
    pending: Vec<u8>,
    /// The last line was cut: a newline that follows at once is its end, not an empty line.
    after_cut: bool,
}

impl Splitter {
    fn feed(&mut self, mut bytes: &[u8], mut line: impl FnMut(&[u8])) {
        while let Some(at) = bytes.iter().position(|&byte| byte == b'\n') {
            self.part(&bytes[..at], &mut line);
            if self.pending.is_empty() && self.after_cut {
                self.after_cut = false;
            } else {
                line(&self.pending);
                self.pending.clear();
                self.after_cut = false;
            }
            bytes = &bytes[at + 1..];
            // The lines that lie whole in these bytes need not be copied.
            while let Some(at) = bytes.iter().take(LINE_BYTES_CUT).position(|&byte| byte == b'\n') {
                line(&bytes[..at]);
                bytes = &bytes[at + 1..];
            }
        }
        self.part(bytes, &mut line);
    }

    /// Takes bytes without a newline.
    fn part(&mut self, mut bytes: &[u8], line: &mut impl FnMut(&[u8])) {
        while !bytes.is_empty() {
            let count = bytes.len().min(LINE_BYTES_CUT - self.pending.len());
            self.pending.extend_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            self.after_cut = self.pending.len() == LINE_BYTES_CUT;
            if self.after_cut {
                line(&self.pending);
                self.pending.clear();
            }
        }
    }

    /// The last line, when it had no newline.
    fn finish(&mut self, mut line: impl FnMut(&[u8])) {
        if !self.pending.is_empty() {
            line(&self.pending);
            self.pending.clear();
        }
    }
}

/// Where the lines of one build go. After a failure it takes lines and forgets them, so that a job can still be ended
/// in peace; [`Console::finish`] tells.
pub(crate) struct Console<'a> {
    connection: &'a Connection<'a>,
    build: BuildId,
    gathered: Vec<u8>,
    failure: Option<Error>,
}

impl<'a> Console<'a> {
    pub(crate) fn new(connection: &'a Connection<'a>, build: BuildId) -> Self {
        Self { connection, build, gathered: Vec::new(), failure: None }
    }

    /// Reads the pipe to its end. When `finish` ends, everybody who could have written is dead: then what is in the
    /// pipe is all there will be, even if somebody who got away still holds it open.
    pub(crate) fn pump(&mut self, mut pipe: PipeReader, finish: &UnixStream) -> io::Result<()> {
        let mut splitter = Splitter::default();
        let mut buffer = vec![0; READ_BYTES];
        loop {
            if self.gathered.is_empty() || !wait::is_readable(pipe.as_fd())? {
                self.flush();
                let mut fds = [wait::to_read(pipe.as_fd()), wait::to_read(finish.as_fd())];
                wait::poll_until(&mut fds, None)?;
                if !wait::happened(&fds[0]) {
                    break;
                }
            }
            match pipe.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => splitter.feed(&buffer[..count], |line| self.line(line)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if self.gathered.len() >= GATHER_BYTES {
                self.flush();
            }
        }
        splitter.finish(|line| self.line(line));
        self.flush();
        Ok(())
    }

    /// One line of the job.
    fn line(&mut self, line: &[u8]) {
        if self.failure.is_some() {
            return;
        }
        write_output_frame(&mut self.gathered, &self.build, line, None);
        if self.gathered.len() >= GATHER_BYTES_MAX {
            self.flush();
        }
    }

    /// One line of the worker itself.
    pub(crate) fn note(&mut self, text: &str) {
        self.line(format!("{NOTE_PREFIX}{text}").as_bytes());
    }

    fn flush(&mut self) {
        if self.failure.is_none()
            && !self.gathered.is_empty()
            && let Err(error) = self.connection.send(&self.gathered, "while we sent the console")
        {
            self.failure = Some(error);
            // Whoever watches the connection while the job runs learns of it this way.
            self.connection.abandon();
        }
        self.gathered.clear();
    }

    /// Sends what is gathered; gives the first failure, if there was one.
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        self.flush();
        self.failure.take().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut splitter, mut lines) = (Splitter::default(), Vec::new());
        for chunk in chunks {
            splitter.feed(chunk, |line| lines.push(line.to_vec()));
        }
        splitter.finish(|line| lines.push(line.to_vec()));
        lines
    }

    #[test]
    fn lines_are_the_same_whatever_the_reads() {
        let text = b"one\n\n\xfftwo\r\nthree\0\nend";
        let expected: Vec<&[u8]> = vec![b"one", b"", b"\xfftwo\r", b"three\0", b"end"];
        assert_eq!(split(&[text]), expected);
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(split(&bytes), expected);
        for at in 0..text.len() {
            assert_eq!(split(&[&text[..at], &text[at..]]), expected);
        }
        assert_eq!(split(&[b""]), Vec::<Vec<u8>>::new());
        assert_eq!(split(&[b"\n"]), [b""]);
    }

    #[test]
    fn endless_lines_are_cut() {
        let lengths = |text: &[u8], chunk: usize| -> Vec<usize> {
            let chunks: Vec<&[u8]> = text.chunks(chunk).collect();
            split(&chunks).iter().map(Vec::len).collect()
        };
        let long = |count: usize| vec![b'x'; count];
        for chunk in [1000, READ_BYTES, 1 << 20] {
            assert_eq!(lengths(&long(2 * LINE_BYTES_CUT + 5), chunk), [LINE_BYTES_CUT, LINE_BYTES_CUT, 5]);
            let exactly = [long(LINE_BYTES_CUT), b"\n\na\n".to_vec()].concat();
            assert_eq!(lengths(&exactly, chunk), [LINE_BYTES_CUT, 0, 1]);
            let second = [b"a\n".to_vec(), long(LINE_BYTES_CUT + 1), b"\nb".to_vec()].concat();
            assert_eq!(lengths(&second, chunk), [1, LINE_BYTES_CUT, 1, 1]);
            let just_below = [b"a\n".to_vec(), long(LINE_BYTES_CUT - 1), b"\n".to_vec()].concat();
            assert_eq!(lengths(&just_below, chunk), [1, LINE_BYTES_CUT - 1]);
        }
    }
}
