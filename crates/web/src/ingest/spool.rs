//! The console of a record comes newest line first and is stored oldest line first. Its lines are spooled to disk as
//! they come, each followed by its length, and read back from the end: no console is held in memory.

use crate::error::{Tried, WebError};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// How much of the spool is read at once, in bytes.
const WINDOW_BYTES: u64 = 1 << 20;
/// What follows each line in the spool: its length as a big endian number.
const TRAILER_BYTES: u64 = 8;

/// The lines of a console, newest first, on disk.
#[derive(Debug)]
pub(crate) struct Spool {
    to: BufWriter<File>,
    path: PathBuf,
    bytes: u64,
}

/// A console as it was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredConsole {
    /// How many lines it has.
    pub(crate) lines: u64,
    /// The size of the file in bytes.
    pub(crate) bytes: u64,
}

impl Spool {
    pub(crate) fn create(path: PathBuf) -> Result<Self, WebError> {
        let file = File::options().read(true).write(true).create_new(true).open(&path).tried("create", &path)?;
        Ok(Self { to: BufWriter::with_capacity(256 << 10, file), path, bytes: 0 })
    }

    /// Adds a line that is older than all before it.
    pub(crate) fn push(&mut self, delta_nanoseconds: i64, line: &[u8]) -> Result<(), WebError> {
        let text = stored_line(delta_nanoseconds, line);
        self.bytes += text.len() as u64 + TRAILER_BYTES;
        let written = self.to.write_all(&text).and_then(|()| self.to.write_all(&(text.len() as u64).to_be_bytes()));
        written.tried("write", &self.path)
    }

    /// Writes the lines oldest first into a new file, and removes the spool.
    pub(crate) fn write_oldest_first(self, to: &Path) -> Result<StoredConsole, WebError> {
        let spool = self.to.into_inner().map_err(io::IntoInnerError::into_error).tried("write", &self.path)?;
        let mut backwards = Backwards { file: spool, window: Vec::new(), window_at: self.bytes };
        let file = File::create_new(to).tried("create", to)?;
        let mut out = BufWriter::with_capacity(256 << 10, file);
        let (mut at, mut lines, mut bytes) = (self.bytes, 0, 0);
        while at > 0 {
            let trailer = backwards.slice(at - TRAILER_BYTES, at).tried("read", &self.path)?;
            let length = trailer.iter().fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
            let (start, end) = (at - TRAILER_BYTES - length, at - TRAILER_BYTES);
            out.write_all(backwards.slice(start, end).tried("read", &self.path)?).tried("write", to)?;
            (at, lines, bytes) = (start, lines + 1, bytes + length);
        }
        out.into_inner().map_err(io::IntoInnerError::into_error).tried("write", to)?;
        std::fs::remove_file(&self.path).tried("remove", &self.path)?;
        Ok(StoredConsole { lines, bytes })
    }
}

/// Reads a file from its end to its start, a window at a time.
struct Backwards {
    file: File,
    window: Vec<u8>,
    window_at: u64,
}

impl Backwards {
    fn slice(&mut self, start: u64, end: u64) -> io::Result<&[u8]> {
        if start < self.window_at || end > self.window_at + self.window.len() as u64 {
            let from = start.min(end.saturating_sub(WINDOW_BYTES));
            self.window.resize(usize::try_from(end - from).map_err(io::Error::other)?, 0);
            self.window_at = from;
            self.file.read_exact_at(&mut self.window, from)?;
        }
        let within = |at: u64| usize::try_from(at - self.window_at).map_err(io::Error::other);
        Ok(self.window.get(within(start)?..within(end)?).unwrap_or_default())
    }
}

/// A line of `console.txt`: seconds with three decimals, `s:`, the text, a newline. A newline within the text, which
/// would look like another line, is shown as a symbol.
fn stored_line(delta_nanoseconds: i64, line: &[u8]) -> Vec<u8> {
    let milliseconds = (delta_nanoseconds.unsigned_abs() + 500_000) / 1_000_000;
    let sign = if delta_nanoseconds < 0 && milliseconds > 0 { "-" } else { "" };
    let mut text = format!("{sign}{}.{:03}s:", milliseconds / 1000, milliseconds % 1000).into_bytes();
    let mut pieces = line.split(|byte| *byte == b'\n');
    text.extend_from_slice(pieces.next().unwrap_or_default());
    for piece in pieces {
        text.extend_from_slice("\u{2424}".as_bytes());
        text.extend_from_slice(piece);
    }
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_line_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::create(folder.path().join("spool")).unwrap();
        spool.push(1_500_000_000, b"b").unwrap();
        spool.push(0, b"a").unwrap();
        let console = folder.path().join("console.txt");
        let stored = spool.write_oldest_first(&console).unwrap();
        let text = std::fs::read_to_string(&console).unwrap();
        assert_eq!(text, "0.000s:a\n1.500s:b\n");
        assert_eq!(stored, StoredConsole { lines: 2, bytes: 18 });
        assert!(!folder.path().join("spool").exists());
    }

    #[test]
    fn consoles_larger_than_the_window_come_back_whole() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::create(folder.path().join("spool")).unwrap();
        let long = vec![b'x'; 3 << 20];
        for number in (0..100_000_i64).rev() {
            let line = if number == 50_000 { long.clone() } else { number.to_string().into_bytes() };
            spool.push(number * 1_000_000, &line).unwrap();
        }
        let console = folder.path().join("console.txt");
        assert_eq!(spool.write_oldest_first(&console).unwrap().lines, 100_000);
        let text = std::fs::read_to_string(&console).unwrap();
        for (number, line) in text.lines().enumerate().filter(|(number, _)| *number != 50_000) {
            assert_eq!(line.split_once(':').unwrap().1, number.to_string());
        }
        assert!(text.contains(std::str::from_utf8(&long).unwrap()));
    }

    #[test]
    fn lines_look_as_the_original_writes_them() {
        let text = |delta, line: &[u8]| String::from_utf8(stored_line(delta, line)).unwrap();
        assert_eq!(text(1_234_499_999, b"x"), "1.234s:x\n");
        assert_eq!(text(61_000_500_000, b""), "61.001s:\n");
        assert_eq!(text(-1_500_000_000, b"x"), "-1.500s:x\n");
        assert_eq!(text(-1, b"x"), "0.000s:x\n");
        assert_eq!(text(0, b"a\nb"), "0.000s:a\u{2424}b\n");
    }
}
