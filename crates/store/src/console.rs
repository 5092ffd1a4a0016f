//! The console of a build while it has no record: a log that is appended to, followed by observers, and read backwards
//! when the record is written. There is no file before the first line has to be seen: many builds end before that, and
//! a file system does not like to make files only to remove them.
//!
//! Each line is the DER `ConsoleLine` that the record will hold, followed by the length of that DER in 4 bytes, big
//! endian. So the log can be walked from both ends, and a tail that a power cut tore is told from a whole line.

use crate::error::{StoreError, Tried};
use builder_model::limits::LINE_BYTES_MAX;
use builder_wire::record::ConsoleLine;
use nix::unistd::{AccessFlags, access};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Lines are written to the file when this many bytes wait, or earlier when asked.
const BUFFER_BYTES: usize = 256 << 10;
/// How much is read at once, in bytes; more when a single line is longer.
const BLOCK_BYTES: usize = 256 << 10;
/// The length behind each line, in bytes.
const TRAILER_BYTES: usize = 4;
/// Longest entry of a log, in bytes: what announces to be longer is none, and no room is made for it.
const ENTRY_BYTES_MAX: usize = LINE_BYTES_MAX + (64 << 10);

/// How much a log holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// How many lines.
    pub lines: u64,
    /// The size of the DER of all lines, in bytes.
    pub der_bytes: u64,
}

impl Extent {
    /// The size of the log itself, in bytes.
    pub fn log_bytes(&self) -> u64 {
        self.der_bytes + self.lines * TRAILER_BYTES as u64
    }
}

/// The one writer of a log.
#[derive(Debug)]
pub struct ConsoleWriter {
    /// The file, once there is something in it.
    file: Option<File>,
    path: PathBuf,
    /// Lines that are not in the file yet.
    buffer: Vec<u8>,
    extent: Extent,
}

impl ConsoleWriter {
    /// Opens a log, or begins one where a file can be made when it is needed. A torn tail is cut off.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let (mut file, mut extent) = (None, Extent::default());
        match OpenOptions::new().read(true).write(true).open(path) {
            Ok(found) => {
                let length = found.metadata().tried("read", path)?.len();
                if length > 0 {
                    extent = measure(&found).tried("read", path)?;
                }
                if length > extent.log_bytes() {
                    found.set_len(extent.log_bytes()).tried("mend", path)?;
                }
                file = Some(found);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().unwrap_or(path);
                access(folder, AccessFlags::W_OK).map_err(io::Error::from).tried("write to", folder)?;
            }
            Err(error) => return Err(error).tried("open", path),
        }
        Ok(Self { file, path: path.to_owned(), buffer: Vec::new(), extent })
    }

    /// Adds a line; it is in the file after [`ConsoleWriter::flush`] at the latest.
    pub fn append(&mut self, line: ConsoleLine<'_>) {
        let der_bytes = line.write(&mut self.buffer);
        self.buffer.extend_from_slice(&u32::try_from(der_bytes).unwrap_or(u32::MAX).to_be_bytes());
        self.extent.lines += 1;
        self.extent.der_bytes += der_bytes as u64;
    }

    /// Whether so much waits that it should be flushed.
    pub fn is_full(&self) -> bool {
        self.buffer.len() >= BUFFER_BYTES
    }

    /// Writes what waits to the file, where observers see it. After an error, as when the disk is full, a part of it
    /// may be there; it still waits, and the next call writes it in the same place.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let flushed = self.flushed_bytes();
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let mut options = OpenOptions::new();
                let options = options.read(true).write(true).create(true).truncate(false).mode(0o640);
                none.insert(options.open(&self.path).tried("create", &self.path)?)
            }
        };
        file.write_all_at(&self.buffer, flushed).tried("write", &self.path)?;
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_BYTES);
        Ok(())
    }

    /// Makes sure that what was flushed survives a power cut.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        self.file.as_ref().map_or(Ok(()), |file| file.sync_data().tried("sync", &self.path))
    }

    /// Whether lines wait that only this knows.
    pub fn has_unflushed_lines(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Whether there is a file.
    pub fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// How many bytes of the log are in the file.
    fn flushed_bytes(&self) -> u64 {
        self.extent.log_bytes() - self.buffer.len() as u64
    }

    /// How much the log holds, with what waits to be flushed.
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Copies the DER of all lines, the newest first, which is their order in a record.
    pub fn copy_newest_first(&self, to: &mut impl Write) -> io::Result<()> {
        let mut rest = &self.buffer[..];
        while let Some((before, trailer)) = rest.split_last_chunk::<TRAILER_BYTES>() {
            let size = usize::try_from(u32::from_be_bytes(*trailer)).unwrap_or(usize::MAX);
            let (before, der) = before.split_at_checked(before.len().wrapping_sub(size)).ok_or_else(torn)?;
            to.write_all(der)?;
            rest = before;
        }
        self.file.as_ref().map_or(Ok(()), |file| copy_newest_first(file, self.flushed_bytes(), to))
    }

    /// Removes the file, if there is one.
    pub fn remove(self) -> Result<(), StoreError> {
        self.file.map_or(Ok(()), |_| std::fs::remove_file(&self.path).tried("remove", &self.path))
    }
}

/// Walks a log from the start to the last whole line.
fn measure(file: &File) -> io::Result<Extent> {
    let mut reader = ConsoleReader { file: file.try_clone()?, offset: 0, block: Vec::new(), used: 0 };
    let mut extent = Extent::default();
    let end = file.metadata()?.len();
    loop {
        let size = match reader.next_entry(end) {
            Ok(Some(size)) => size,
            Ok(None) => break,
            // What is no entry of a log is a torn tail.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => break,
            Err(error) => return Err(error),
        };
        let entry = &reader.block[reader.used - size..reader.used];
        let (der, trailer) = entry.split_at(size - TRAILER_BYTES);
        let whole = u32::from_be_bytes(trailer.try_into().unwrap_or_default()) as usize == der.len();
        if !whole || ConsoleLine::decode(der).is_err() {
            break;
        }
        extent.lines += 1;
        extent.der_bytes += der.len() as u64;
    }
    Ok(extent)
}

fn torn() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the console log is not what was written")
}

fn copy_newest_first(file: &File, log_bytes: u64, to: &mut impl Write) -> io::Result<()> {
    let mut block = Vec::new();
    let mut block_start = log_bytes;
    let mut end = log_bytes;
    while end > 0 {
        let local = usize::try_from(end - block_start).map_err(|_| torn())?;
        let trailer = block.get(local.saturating_sub(TRAILER_BYTES)..local).unwrap_or_default();
        let size = <[u8; TRAILER_BYTES]>::try_from(trailer).ok().map(|trailer| {
            usize::try_from(u32::from_be_bytes(trailer)).unwrap_or(usize::MAX).saturating_add(TRAILER_BYTES)
        });
        match size {
            Some(size) if size <= local => {
                to.write_all(&block[local - size..local - TRAILER_BYTES])?;
                end -= size as u64;
            }
            _ => {
                let wanted = size.unwrap_or(0).max(BLOCK_BYTES) as u64;
                if size.is_some_and(|size| size as u64 > end) {
                    return Err(torn());
                }
                block_start = end.saturating_sub(wanted);
                block.resize(usize::try_from(end - block_start).map_err(|_| torn())?, 0);
                file.read_exact_at(&mut block, block_start)?;
            }
        }
    }
    Ok(())
}

/// A follower of a log: reads lines from the oldest on, as far as they are known to be in the file.
#[derive(Debug)]
pub struct ConsoleReader {
    file: File,
    /// Where in the file the block ends.
    offset: u64,
    block: Vec<u8>,
    /// How much of the block was given out.
    used: usize,
}

impl ConsoleReader {
    /// A reader at the start of a log.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { file: File::open(path).tried("open", path)?, offset: 0, block: Vec::new(), used: 0 })
    }

    /// The next line that lies before `end`, which is the size of a log as its writer knows it ([`Extent::log_bytes`]).
    pub fn next(&mut self, end: u64) -> io::Result<Option<ConsoleLine<'_>>> {
        let Some(size) = self.next_entry(end)? else { return Ok(None) };
        let der = &self.block[self.used - size..self.used - TRAILER_BYTES];
        ConsoleLine::decode(der).map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Moves over the next entry, and gives its size with its trailer.
    fn next_entry(&mut self, end: u64) -> io::Result<Option<usize>> {
        loop {
            let rest = &self.block[self.used..];
            let size = entry_size(rest)?;
            if let Some(size) = size
                && size <= rest.len()
            {
                self.used += size;
                return Ok(Some(size));
            }
            let wanted = size.unwrap_or(0).max(BLOCK_BYTES).saturating_sub(rest.len());
            let available = end.saturating_sub(self.offset);
            let count = usize::try_from(available).unwrap_or(usize::MAX).min(wanted);
            if count == 0 {
                return Ok(None);
            }
            self.block.drain(..self.used);
            self.used = 0;
            let before = self.block.len();
            self.block.resize(before + count, 0);
            self.file.seek(SeekFrom::Start(self.offset))?;
            self.file.read_exact(&mut self.block[before..])?;
            self.offset += count as u64;
        }
    }
}

/// The size of the entry at the start of `bytes`, with its trailer, once its header is there.
fn entry_size(bytes: &[u8]) -> io::Result<Option<usize>> {
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let size = builder_wire::der::element_size(bytes).map_err(|fault| invalid(fault.to_string()))?;
    let size = size.map(|size| usize::try_from(size).unwrap_or(usize::MAX).saturating_add(TRAILER_BYTES));
    if let Some(size) = size.filter(|size| *size > ENTRY_BYTES_MAX) {
        return Err(invalid(format!("a line of {size} bytes is over the limit of {ENTRY_BYTES_MAX}")));
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(delta: i64, text: &str) -> ConsoleLine<'_> {
        ConsoleLine { delta, line: text.as_bytes() }
    }

    fn lines(path: &Path, extent: Extent) -> Vec<String> {
        let mut reader = ConsoleReader::open(path).unwrap();
        let mut lines = Vec::new();
        while let Some(line) = reader.next(extent.log_bytes()).unwrap() {
            lines.push(format!("{} {}", line.delta, String::from_utf8_lossy(&line.line[..line.line.len().min(9)])));
        }
        lines
    }

    #[test]
    fn followed_forwards_and_copied_backwards() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.log");
        let mut writer = ConsoleWriter::open(&path).unwrap();
        let long = "long".repeat(200_000);
        let texts = ["one", "two", &long, "", "five"];
        for (index, text) in texts.iter().enumerate() {
            writer.append(line(index as i64, text));
        }
        writer.flush().unwrap();
        let extent = writer.extent();
        assert_eq!(lines(&path, extent), ["0 one", "1 two", "2 longlongl", "3 ", "4 five"]);
        let (mut backwards, mut expected) = (Vec::new(), Vec::new());
        writer.copy_newest_first(&mut backwards).unwrap();
        for (index, text) in texts.iter().enumerate().rev() {
            line(index as i64, text).write(&mut expected);
        }
        assert!(backwards == expected);
        assert_eq!(expected.len() as u64, extent.der_bytes);
    }

    #[test]
    fn a_torn_tail_is_cut_at_every_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.log");
        let mut writer = ConsoleWriter::open(&path).unwrap();
        writer.append(line(1, "whole"));
        writer.flush().unwrap();
        let whole = writer.extent();
        writer.append(line(300, "torn line"));
        writer.flush().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for cut in usize::try_from(whole.log_bytes()).unwrap()..bytes.len() {
            // Nothing, zeros, and what is no DER or announces too much.
            for tail in [&[][..], &[0; 40], &[0xff; 40], &[0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 0x02]] {
                std::fs::write(&path, [&bytes[..cut], tail].concat()).unwrap();
                let mut healed = ConsoleWriter::open(&path).unwrap();
                assert_eq!(healed.extent(), whole, "cut at {cut}");
                healed.append(line(2, "next"));
                healed.flush().unwrap();
                assert_eq!(lines(&path, healed.extent()), ["1 whole", "2 next"]);
            }
        }
    }

    /// The variable with which this program becomes the one that finds no room.
    const NO_ROOM: &str = "BUILDER_STORE_NO_ROOM";

    /// In a process of its own, as the limit on the size of files is one of the process.
    #[test]
    fn what_found_no_room_is_written_once_there_is_some() {
        if let Some(path) = std::env::var_os(NO_ROOM) {
            return fill_and_go_on(Path::new(&path));
        }
        let folder = tempfile::tempdir().unwrap();
        let name = "console::tests::what_found_no_room_is_written_once_there_is_some";
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" --exact \"$1\" --nocapture"]);
        command.arg(std::env::current_exe().unwrap()).arg(name).env(NO_ROOM, folder.path().join("c.log"));
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }

    fn fill_and_go_on(path: &Path) {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        let (room, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
        let mut writer = ConsoleWriter::open(path).unwrap();
        setrlimit(Resource::RLIMIT_FSIZE, 1000, hard).unwrap();
        for delta in 0..3 {
            writer.append(line(delta, &"x".repeat(450)));
            let has_room = delta < 2;
            assert_eq!(writer.flush().is_ok(), has_room, "{delta}");
        }
        assert_eq!(std::fs::metadata(path).unwrap().len(), 1000, "a part of the last line is there");
        setrlimit(Resource::RLIMIT_FSIZE, room, hard).unwrap();
        writer.append(line(3, "more"));
        writer.flush().unwrap();
        assert_eq!(lines(path, writer.extent()), ["0 xxxxxxxxx", "1 xxxxxxxxx", "2 xxxxxxxxx", "3 more"]);
        assert_eq!(ConsoleWriter::open(path).unwrap().extent(), writer.extent());
    }
}
