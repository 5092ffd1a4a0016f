//! Parsers for what may be too large for memory: `jobFinished` and build records, read as their bytes arrive.
//!
//! Both hold one small element at a time; the data of files passes through as it comes. The grammar and its
//! strictness are those of [`crate::Message::decode`] and [`crate::Record::decode`].

use crate::der::{DecodeError, Fault, Header, Reader, header, tag};
use crate::record::ConsoleLine;
use builder_model::{BuildId, Outcome, ScriptJob, Timestamp, limits};

/// Longest element that is held: a job or a console line, in bytes.
const ELEMENT_BYTES_MAX: u64 = limits::SCRIPT_BYTES_MAX as u64 + (64 << 10);
/// Longest path that is held, in bytes; a longer one is no artifact's.
const PATH_BYTES_MAX: u64 = 64 << 10;

/// Cuts a stream into elements, and checks that each lies within the one around it.
#[derive(Debug, Default)]
struct Scanner {
    /// How many bytes were taken so far.
    position: u64,
    /// Where the open elements end, the innermost last.
    ends: Vec<u64>,
    /// The element that is being collected, or was given out last.
    item: Vec<u8>,
    item_done: bool,
}

impl Scanner {
    fn error<T>(&self, fault: Fault) -> Result<T, DecodeError> {
        // An element that was given out already lies before the fault, not around it.
        let held = if self.item_done { 0 } else { self.item.len() as u64 };
        Err(DecodeError { offset: self.position - held, fault })
    }

    /// Moves bytes into `item` until it has `size`; says whether it has.
    fn collect(&mut self, input: &mut &[u8], size: usize) -> bool {
        let count = size.saturating_sub(self.item.len()).min(input.len());
        let (head, rest) = input.split_at(count);
        self.item.extend_from_slice(head);
        self.position += count as u64;
        *input = rest;
        self.item.len() >= size
    }

    /// The header of the next element, when it is there; it stays at the start of `item`.
    fn header(&mut self, input: &mut &[u8]) -> Result<Option<Header>, DecodeError> {
        if self.item_done {
            self.item.clear();
            self.item_done = false;
        }
        loop {
            match header(&self.item) {
                Err(fault) => return self.error(fault),
                Ok(Some(header)) => {
                    let start = self.position - self.item.len() as u64;
                    let end = start.checked_add(header.size as u64).and_then(|at| at.checked_add(header.length));
                    let limit = self.ends.last().copied().unwrap_or(u64::MAX);
                    if end.is_none_or(|end| end > limit) {
                        return self.error(Fault::Overrun);
                    }
                    return Ok(Some(header));
                }
                Ok(None) => {
                    let within = self.ends.last().is_none_or(|end| self.position < *end);
                    if !within {
                        return self.error(Fault::Truncated);
                    }
                    if !self.collect(input, self.item.len() + 1) {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Goes into the next element, which must have this tag; gives the size of its content.
    fn open(&mut self, input: &mut &[u8], tag: u8, expected: &'static str) -> Result<Option<Header>, DecodeError> {
        let Some(header) = self.header(input)? else { return Ok(None) };
        if header.tag != tag {
            return self.error(Fault::Tag { expected, found: header.tag });
        }
        self.item_done = true;
        self.ends.push(self.position + header.length);
        Ok(Some(header))
    }

    /// A whole element of at most `limit` bytes, and where it starts.
    fn element(
        &mut self,
        input: &mut &[u8],
        what: &'static str,
        limit: u64,
    ) -> Result<Option<Reader<'_>>, DecodeError> {
        let Some(header) = self.header(input)? else { return Ok(None) };
        if header.length > limit {
            return self.error(Fault::Limit { what, limit });
        }
        let size = header.size + usize::try_from(header.length).unwrap_or(usize::MAX);
        if !self.collect(input, size) {
            return Ok(None);
        }
        self.item_done = true;
        Ok(Some(Reader::at(&self.item, self.position - size as u64)))
    }

    /// Whether the innermost open element is at its end.
    fn at_end(&self) -> bool {
        self.ends.last() == Some(&self.position) && (self.item.is_empty() || self.item_done)
    }

    /// Leaves the innermost open element, which must be at its end.
    fn close(&mut self) -> Result<(), DecodeError> {
        if !self.at_end() {
            return Err(DecodeError { offset: self.position, fault: Fault::Surplus });
        }
        self.ends.pop();
        Ok(())
    }

    /// Data of the innermost open element; empty when there is no input.
    fn data<'b>(&mut self, input: &mut &'b [u8]) -> &'b [u8] {
        let left = self.ends.last().map_or(0, |end| end - self.position);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        let (data, rest) = input.split_at(count);
        self.position += count as u64;
        *input = rest;
        data
    }
}

/// What comes out of a list of files.
#[derive(Debug, PartialEq, Eq)]
pub enum FileEvent<'a> {
    /// A file begins.
    Start {
        /// Its path, as it came, with repeated slashes collapsed.
        path: Vec<u8>,
        /// The size of its data in bytes.
        data_bytes: u64,
    },
    /// More of its data.
    Data(&'a [u8]),
    /// The file is complete.
    End,
    /// The list is complete.
    ListEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileState {
    Next,
    Path,
    DataHeader,
    Data,
}

/// The grammar of `SEQUENCE OF File`, after its header.
#[derive(Debug)]
struct Files {
    state: FileState,
    /// Where in the stream the last complete file ends, or the list begins.
    complete_to: u64,
    path: Vec<u8>,
}

impl Files {
    fn at(position: u64) -> Self {
        Self { state: FileState::Next, complete_to: position, path: Vec::new() }
    }

    fn next<'b>(&mut self, scanner: &mut Scanner, input: &mut &'b [u8]) -> Result<Option<FileEvent<'b>>, DecodeError> {
        loop {
            match self.state {
                FileState::Next if scanner.at_end() => {
                    scanner.close()?;
                    return Ok(Some(FileEvent::ListEnd));
                }
                FileState::Next => {
                    if scanner.open(input, tag::SEQUENCE, "a file")?.is_none() {
                        return Ok(None);
                    }
                    self.state = FileState::Path;
                }
                FileState::Path => {
                    let Some(mut reader) = scanner.element(input, "the path of a file", PATH_BYTES_MAX)? else {
                        return Ok(None);
                    };
                    self.path = reader.path()?.into_owned();
                    self.state = FileState::DataHeader;
                }
                FileState::DataHeader => {
                    let Some(header) = scanner.open(input, tag::UTF8_STRING, "the data of a file")? else {
                        return Ok(None);
                    };
                    self.state = FileState::Data;
                    let path = std::mem::take(&mut self.path);
                    return Ok(Some(FileEvent::Start { path, data_bytes: header.length }));
                }
                FileState::Data if scanner.at_end() => {
                    scanner.close()?;
                    scanner.close()?;
                    self.complete_to = scanner.position;
                    self.state = FileState::Next;
                    return Ok(Some(FileEvent::End));
                }
                FileState::Data => {
                    let data = scanner.data(input);
                    return Ok((!data.is_empty()).then_some(FileEvent::Data(data)));
                }
            }
        }
    }
}

/// What comes out of a `jobFinished`.
#[derive(Debug, PartialEq, Eq)]
pub enum FinishedEvent<'a> {
    /// Which build, how it ended, and the size in bytes of the `SEQUENCE OF File`, whose bytes come from here on.
    Start {
        /// Which build.
        build: BuildId,
        /// How it ended.
        outcome: Outcome,
        /// The size of the whole `SEQUENCE OF File`, with its header, which has been read.
        files_bytes: u64,
        /// That header, in its shortest form.
        files_header: Vec<u8>,
    },
    /// Files.
    File(FileEvent<'a>),
    /// The message is complete.
    End,
}

#[derive(Debug)]
enum FinishedState {
    Message,
    Body,
    Build,
    Outcome(BuildId),
    FilesHeader(BuildId, Outcome),
    Files(Files),
    Tail,
    Done,
}

/// Reads a `jobFinished` message as it arrives.
#[derive(Debug)]
pub struct FinishedParser {
    scanner: Scanner,
    state: FinishedState,
}

impl FinishedParser {
    /// A parser for a message of `length` bytes.
    pub fn new(length: u64) -> Self {
        Self { scanner: Scanner { ends: vec![length], ..Scanner::default() }, state: FinishedState::Message }
    }

    /// How many bytes of the message were taken.
    pub fn position(&self) -> u64 {
        self.scanner.position
    }

    /// Where in the message the last complete file ends, or the list of files begins.
    pub fn files_complete_to(&self) -> u64 {
        match &self.state {
            FinishedState::Files(files) => files.complete_to,
            FinishedState::Message
            | FinishedState::Body
            | FinishedState::Build
            | FinishedState::Outcome(_)
            | FinishedState::FilesHeader(..)
            | FinishedState::Tail
            | FinishedState::Done => self.scanner.position,
        }
    }

    /// The next event out of `input`, which it moves on; `None` when more input is needed.
    pub fn next<'b>(&mut self, input: &mut &'b [u8]) -> Result<Option<FinishedEvent<'b>>, DecodeError> {
        loop {
            match &mut self.state {
                FinishedState::Message => {
                    let number = crate::MessageKind::JobFinished as u8;
                    if self.scanner.open(input, tag::context(number), "jobFinished")?.is_none() {
                        return Ok(None);
                    }
                    self.state = FinishedState::Body;
                }
                FinishedState::Body => {
                    if self.scanner.open(input, tag::SEQUENCE, "SEQUENCE")?.is_none() {
                        return Ok(None);
                    }
                    self.state = FinishedState::Build;
                }
                FinishedState::Build => {
                    let Some(mut reader) = self.scanner.element(input, "a UUID", 1024)? else { return Ok(None) };
                    self.state = FinishedState::Outcome(reader.build_id()?);
                }
                FinishedState::Outcome(build) => {
                    let limit = limits::REASON_BYTES_MAX as u64;
                    let Some(mut reader) = self.scanner.element(input, "a result", limit)? else { return Ok(None) };
                    self.state = FinishedState::FilesHeader(*build, reader.outcome()?);
                }
                FinishedState::FilesHeader(build, outcome) => {
                    let Some(header) = self.scanner.open(input, tag::SEQUENCE, "the files")? else { return Ok(None) };
                    // A length of 127 may come in long form; in the record it has the short one.
                    let files_header = crate::record::files_header(header.length);
                    let event = FinishedEvent::Start {
                        build: *build,
                        outcome: outcome.clone(),
                        files_bytes: files_header.len() as u64 + header.length,
                        files_header,
                    };
                    self.state = FinishedState::Files(Files::at(self.scanner.position));
                    return Ok(Some(event));
                }
                FinishedState::Files(files) => {
                    let event = files.next(&mut self.scanner, input)?;
                    if event == Some(FileEvent::ListEnd) {
                        self.state = FinishedState::Tail;
                    }
                    return Ok(event.map(FinishedEvent::File));
                }
                FinishedState::Tail => {
                    // The sequence, the message, and the frame must all end here.
                    (0..3).try_for_each(|_| self.scanner.close())?;
                    self.state = FinishedState::Done;
                    return Ok(Some(FinishedEvent::End));
                }
                FinishedState::Done => return Ok(None),
            }
        }
    }
}

/// What comes out of a build record.
#[derive(Debug, PartialEq, Eq)]
pub enum RecordEvent<'a> {
    /// What ran, and as which build.
    Start {
        /// What ran.
        job: ScriptJob,
        /// As which build.
        build: BuildId,
    },
    /// A line of the console; the newest comes first.
    Line {
        /// Nanoseconds since the start.
        delta: i64,
        /// The line without its newline.
        line: Vec<u8>,
    },
    /// The console is complete: when the build ran, and how it ended.
    Ended {
        /// When it was handed out.
        started: Timestamp,
        /// When it ended.
        finished: Timestamp,
        /// How it ended.
        outcome: Outcome,
    },
    /// Files.
    File(FileEvent<'a>),
    /// The record is complete.
    End,
}

#[derive(Debug)]
enum RecordState {
    Record,
    Body,
    Job,
    Build(ScriptJob),
    ConsoleHeader,
    Console,
    Times,
    Outcome(Timestamp, Timestamp),
    FilesHeader,
    Files(Files),
    Tail,
    Done,
}

/// Reads a build record as it arrives.
#[derive(Debug)]
pub struct RecordParser {
    scanner: Scanner,
    state: RecordState,
}

impl Default for RecordParser {
    fn default() -> Self {
        Self::new()
    }
}

impl RecordParser {
    /// A parser at the start of a record.
    pub fn new() -> Self {
        Self { scanner: Scanner::default(), state: RecordState::Record }
    }

    /// How many bytes of the record were taken.
    pub fn position(&self) -> u64 {
        self.scanner.position
    }

    /// The size in bytes of the element that the last event was made of, such as a console line.
    pub fn last_element_bytes(&self) -> u64 {
        self.scanner.item.len() as u64
    }

    /// Whether the record is complete; what follows it then is surplus.
    pub fn is_done(&self) -> bool {
        matches!(self.state, RecordState::Done)
    }

    /// The next event out of `input`, which it moves on; `None` when more input is needed.
    #[expect(clippy::too_many_lines, reason = "the grammar, one arm for each of its elements")]
    pub fn next<'b>(&mut self, input: &mut &'b [u8]) -> Result<Option<RecordEvent<'b>>, DecodeError> {
        loop {
            let state = match &mut self.state {
                RecordState::Record => {
                    let header = self.scanner.header(input)?;
                    if header.is_some_and(|header| header.tag == tag::context(1)) {
                        return self.scanner.error(Fault::Reserved { tag: 1 });
                    }
                    let opened = self.scanner.open(input, tag::context(0), "a build record")?;
                    opened.map(|_| RecordState::Body)
                }
                RecordState::Body => self.scanner.open(input, tag::SEQUENCE, "SEQUENCE")?.map(|_| RecordState::Job),
                RecordState::Job => match self.scanner.element(input, "a job", ELEMENT_BYTES_MAX)? {
                    Some(mut reader) => Some(RecordState::Build(reader.script_job()?.to_model())),
                    None => None,
                },
                RecordState::Build(job) => {
                    let Some(mut reader) = self.scanner.element(input, "a UUID", 1024)? else { return Ok(None) };
                    let event = RecordEvent::Start { job: job.clone(), build: reader.build_id()? };
                    self.state = RecordState::ConsoleHeader;
                    return Ok(Some(event));
                }
                RecordState::ConsoleHeader => {
                    self.scanner.open(input, tag::SEQUENCE, "the console")?.map(|_| RecordState::Console)
                }
                RecordState::Console if self.scanner.at_end() => {
                    self.scanner.close()?;
                    Some(RecordState::Times)
                }
                RecordState::Console => {
                    let limit = ELEMENT_BYTES_MAX;
                    let Some(reader) = self.scanner.element(input, "a console line", limit)? else { return Ok(None) };
                    return line_event(reader).map(Some);
                }
                RecordState::Times => match self.scanner.element(input, "the times", 1024)? {
                    Some(mut reader) => {
                        let (started, finished) = reader.times()?;
                        Some(RecordState::Outcome(started, finished))
                    }
                    None => None,
                },
                RecordState::Outcome(started, finished) => {
                    let limit = limits::REASON_BYTES_MAX as u64;
                    let Some(mut reader) = self.scanner.element(input, "a result", limit)? else { return Ok(None) };
                    let outcome = reader.outcome()?;
                    let event = RecordEvent::Ended { started: *started, finished: *finished, outcome };
                    self.state = RecordState::FilesHeader;
                    return Ok(Some(event));
                }
                RecordState::FilesHeader => {
                    let opened = self.scanner.open(input, tag::SEQUENCE, "the files")?;
                    opened.map(|_| RecordState::Files(Files::at(self.scanner.position)))
                }
                RecordState::Files(files) => {
                    let event = files.next(&mut self.scanner, input)?;
                    if event == Some(FileEvent::ListEnd) {
                        self.state = RecordState::Tail;
                    }
                    return Ok(event.map(RecordEvent::File));
                }
                RecordState::Tail => {
                    (0..2).try_for_each(|_| self.scanner.close())?;
                    self.state = RecordState::Done;
                    return Ok(Some(RecordEvent::End));
                }
                RecordState::Done if input.is_empty() => return Ok(None),
                RecordState::Done => return self.scanner.error(Fault::Surplus),
            };
            match state {
                Some(state) => self.state = state,
                None => return Ok(None),
            }
        }
    }
}

fn line_event<'b>(reader: Reader<'_>) -> Result<RecordEvent<'b>, DecodeError> {
    let line = reader.whole_console_line()?;
    Ok(RecordEvent::Line { delta: line.delta, line: line.line.to_vec() })
}

impl<'a> Reader<'a> {
    fn whole_console_line(mut self) -> Result<ConsoleLine<'a>, DecodeError> {
        self.console_line()
    }
}
