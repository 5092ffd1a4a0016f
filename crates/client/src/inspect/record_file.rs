//! Reading a record. The console is stored newest line first and wanted oldest first, so it takes two passes: the
//! first checks the whole record and notes where blocks of lines begin, the second reads the blocks from the last to
//! the first.

use builder_model::{BuildId, Outcome, ScriptJob, Timestamp};
use builder_wire::DecodeError;
use builder_wire::record::ConsoleLine;
use builder_wire::stream::{FileEvent, RecordEvent, RecordParser};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// How much of the file is read at once, in bytes.
const READ_BYTES: usize = 256 << 10;
/// A block of the console ends after this many lines …
const BLOCK_LINES: u64 = 4096;
/// … or this many bytes, whichever comes first.
const BLOCK_BYTES: u64 = 1 << 20;

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be read.
    #[error("cannot read: {0}")]
    Read(io::Error),
    /// The bytes are no record.
    #[error("not a build record: {0}")]
    Decode(#[from] DecodeError),
    /// The file ends within the record.
    #[error("the record is cut off: the file ends at byte {offset}, within the record")]
    Truncated {
        /// The size of the file in bytes.
        offset: u64,
    },
    /// The file is not what it was a moment ago.
    #[error("the file changed while it was read, near byte {offset}")]
    Changed {
        /// Where, in bytes.
        offset: u64,
    },
    /// The one who wanted the contents does not take them.
    #[error("cannot write: {0}")]
    Sink(io::Error),
}

impl RecordError {
    /// What to do about it, if we know something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Decode(_) => Some("records are the files named `full` below the data folder of a server"),
            Self::Truncated { .. } => Some("the file was copied in part, or is still being copied"),
            Self::Read(_) | Self::Changed { .. } | Self::Sink(_) => None,
        }
    }
}

/// A record in a file.
#[derive(Debug)]
pub struct RecordFile {
    file: File,
}

/// What a record says, without its console and its artifacts.
#[derive(Debug, Clone)]
pub struct Summary {
    /// What ran.
    pub job: ScriptJob,
    /// As which build.
    pub build: BuildId,
    /// When it was handed out.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// Where its console lies.
    pub console: ConsoleIndex,
}

/// Where in a record the lines of its console lie.
#[derive(Debug, Clone, Default)]
pub struct ConsoleIndex {
    lines: u64,
    /// Where the last line ends.
    end: u64,
    /// Where blocks of lines begin, in bytes from the start of the file; the first one with the console's header.
    marks: Vec<u64>,
}

impl ConsoleIndex {
    /// How many lines the console has.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    fn line_ends(&mut self, at: u64) {
        self.lines += 1;
        self.end = at;
        let begin = self.marks.last().copied().unwrap_or(0);
        if self.lines.is_multiple_of(BLOCK_LINES) || at - begin >= BLOCK_BYTES {
            self.marks.push(at);
        }
    }
}

impl RecordFile {
    /// Opens a file; nothing is read yet.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        Ok(Self { file: File::open(path).map_err(RecordError::Read)? })
    }

    /// Reads and checks the whole record, and gives its files to `visit` as they pass.
    pub fn scan(&mut self, visit: &mut dyn FnMut(FileEvent<'_>) -> io::Result<()>) -> Result<Summary, RecordError> {
        self.file.seek(SeekFrom::Start(0)).map_err(RecordError::Read)?;
        let mut buffer = vec![0; READ_BYTES];
        let mut parser = RecordParser::new();
        let mut parts = Parts::default();
        loop {
            let count = read(&mut self.file, &mut buffer)?;
            let mut input = &buffer[..count];
            while let Some(event) = parser.next(&mut input)? {
                parts.take(event, parser.position(), visit).map_err(RecordError::Sink)?;
            }
            if count == 0 {
                return parts.summary().ok_or(RecordError::Truncated { offset: parser.position() });
            }
        }
    }

    /// Shows the lines of the console, oldest first, each with its nanoseconds since the start.
    pub fn console(
        &mut self,
        index: &ConsoleIndex,
        show: &mut dyn FnMut(ConsoleLine<'_>) -> io::Result<()>,
    ) -> Result<(), RecordError> {
        let mut block = Vec::new();
        let mut ends = Vec::new();
        let mut block_end = index.end;
        for (number, &mark) in index.marks.iter().enumerate().rev() {
            if mark >= block_end {
                continue;
            }
            self.file.seek(SeekFrom::Start(mark)).map_err(RecordError::Read)?;
            let begin = if number == 0 { mark + self.console_header(mark)? } else { mark };
            let changed = || RecordError::Changed { offset: begin };
            let size = block_end.checked_sub(begin).and_then(|size| usize::try_from(size).ok());
            block.resize(size.ok_or_else(changed)?, 0);
            self.file.read_exact(&mut block).map_err(RecordError::Read)?;
            block_end = mark;
            ends.clear();
            let mut at = 0;
            while at < block.len() {
                at += element_size(&block[at..]).ok_or_else(changed)?;
                ends.push(at);
            }
            for (line, &end) in ends.iter().enumerate().rev() {
                let start = line.checked_sub(1).map_or(0, |before| ends[before]);
                let bytes = block.get(start..end).ok_or_else(changed)?;
                let line = ConsoleLine::decode(bytes).map_err(|_| changed())?;
                show(line).map_err(RecordError::Sink)?;
            }
        }
        Ok(())
    }

    /// The size of the header of the console, which the first mark stands before.
    fn console_header(&mut self, at: u64) -> Result<u64, RecordError> {
        let mut start = [0; 2];
        self.file.read_exact(&mut start).map_err(RecordError::Read)?;
        let octets = if start[1] < 0x80 { 0 } else { u64::from(start[1] & 0x7f) };
        self.file.seek(SeekFrom::Start(at + 2 + octets)).map_err(RecordError::Read)?;
        Ok(2 + octets)
    }
}

fn read(file: &mut File, buffer: &mut [u8]) -> Result<usize, RecordError> {
    loop {
        match file.read(buffer) {
            Ok(count) => return Ok(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(RecordError::Read(error)),
        }
    }
}

/// The size of the DER element at the start of `bytes`, header and content; it was checked in the first pass.
fn element_size(bytes: &[u8]) -> Option<usize> {
    let first = *bytes.get(1)?;
    if first < 0x80 {
        return Some(2 + usize::from(first));
    }
    let octets = bytes.get(2..2 + usize::from(first & 0x7f))?;
    let length =
        octets.iter().try_fold(0_usize, |length, octet| Some(length.checked_mul(256)? | usize::from(*octet)))?;
    length.checked_add(2 + octets.len())
}

/// What has been read of a record so far.
#[derive(Default)]
struct Parts {
    start: Option<(ScriptJob, BuildId)>,
    console: ConsoleIndex,
    end: Option<(Timestamp, Timestamp, Outcome)>,
    complete: bool,
}

impl Parts {
    fn take(
        &mut self,
        event: RecordEvent<'_>,
        position: u64,
        visit: &mut dyn FnMut(FileEvent<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        match event {
            RecordEvent::Start { job, build } => {
                self.start = Some((job, build));
                // The console's header comes next, its first line behind it.
                self.console.marks.push(position);
            }
            RecordEvent::Line { .. } => self.console.line_ends(position),
            RecordEvent::Ended { started, finished, outcome } => self.end = Some((started, finished, outcome)),
            RecordEvent::File(event) => return visit(event),
            RecordEvent::End => self.complete = true,
        }
        Ok(())
    }

    fn summary(self) -> Option<Summary> {
        let ((job, build), (started, finished, outcome)) = (self.start?, self.end?);
        self.complete.then_some(Summary { job, build, started, finished, outcome, console: self.console })
    }
}
