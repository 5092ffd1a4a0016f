//! Build records: the `Exec` of the protocol, which is the file `full` and the body of an upload.
//!
//! Small ones are read and written whole with [`Record`]. A server writes large ones front to back with [`Frame`],
//! and everybody reads large ones with [`crate::stream::RecordParser`].

use crate::der::{DecodeError, Fault, Reader, tag};
use crate::element::{Element, Encoded, element_size, header_size, write_header};
use crate::message::{File, ScriptJob, files, outcome};
use crate::time;
use builder_model::{BuildId, Outcome, Timestamp};

/// A line of a console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsoleLine<'a> {
    /// Nanoseconds since the start of the build.
    pub delta: i64,
    /// The line without its newline.
    pub line: &'a [u8],
}

/// A finished build, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// What ran.
    pub job: ScriptJob<'a>,
    /// As which build.
    pub build: BuildId,
    /// What it printed: the NEWEST line first, as it is stored.
    pub console: Vec<ConsoleLine<'a>>,
    /// When it was handed out.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// What it left.
    pub files: Vec<File<'a>>,
}

impl<'a> Record<'a> {
    /// Reads one record from all of `bytes`.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let record = match reader.choice("a build record")? {
            0 => reader.explicit(0, |reader| reader.sequence(Self::read))?,
            1 => return reader.error(Fault::Reserved { tag: 1 }),
            _ => return reader.no_such_choice("a build record"),
        };
        reader.end()?;
        Ok(record)
    }

    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let (job, build) = (reader.script_job()?, reader.build_id()?);
        let console = reader.sequence_of(Reader::console_line)?;
        let (started, finished) = reader.times()?;
        let (outcome, files) = (reader.outcome()?, reader.sequence_of(Reader::file)?);
        Ok(Self { job, build, console, started, finished, outcome, files })
    }

    /// The DER of the record.
    pub fn encode(&self) -> Encoded<'_> {
        let console = self.console.iter().map(ConsoleLine::element).collect();
        let parts = vec![
            self.job.element(),
            Element::octets(&self.build.as_bytes()[..]),
            Element::sequence(console),
            Element::sequence(vec![time::element(self.started), time::element(self.finished)]),
            outcome(&self.outcome),
            files(&self.files),
        ];
        Element::explicit(0, Element::sequence(parts)).encode()
    }
}

impl<'a> ConsoleLine<'a> {
    fn element(&self) -> Element<'a> {
        Element::sequence(vec![Element::integer(self.delta), Element::octets(self.line)])
    }

    /// Reads one line from all of `bytes`.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let line = reader.console_line()?;
        reader.end()?;
        Ok(line)
    }

    /// Writes the line to the end of `out`; gives how many bytes that were.
    pub fn write(&self, out: &mut Vec<u8>) -> usize {
        let before = out.len();
        let delta = Element::integer(self.delta).encode().to_vec();
        let length = self.line.len() as u64;
        write_header(out, tag::SEQUENCE, delta.len() as u64 + element_size(length));
        out.extend_from_slice(&delta);
        write_header(out, tag::UTF8_STRING, length);
        out.extend_from_slice(self.line);
        out.len() - before
    }
}

impl<'a> Reader<'a> {
    pub(crate) fn console_line(&mut self) -> Result<ConsoleLine<'a>, DecodeError> {
        self.sequence(|reader| Ok(ConsoleLine { delta: reader.integer()?, line: reader.octets()? }))
    }

    pub(crate) fn times(&mut self) -> Result<(Timestamp, Timestamp), DecodeError> {
        self.sequence(|reader| Ok((reader.time()?, reader.time()?)))
    }
}

/// The parts of a record whose console and files are written from elsewhere: `before_console`, the console's lines
/// newest first, `after_console`, and then the `SEQUENCE OF File` as it came from the worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Up to and with the header of the console.
    pub before_console: Vec<u8>,
    /// Times and outcome.
    pub after_console: Vec<u8>,
    /// The size of the whole record in bytes.
    pub record_bytes: u64,
}

/// The DER of no files.
pub const NO_FILES: [u8; 2] = [tag::SEQUENCE, 0];

impl Frame {
    /// `console_bytes` is the size of all console lines together, `files_bytes` that of the whole `SEQUENCE OF File`.
    pub fn new(
        job: ScriptJob<'_>,
        build: &BuildId,
        console_bytes: u64,
        times: (Timestamp, Timestamp),
        how: &Outcome,
        files_bytes: u64,
    ) -> Self {
        let (job, id) = (job.element(), Element::octets(&build.as_bytes()[..]));
        let times = Element::sequence(vec![time::element(times.0), time::element(times.1)]);
        let outcome = outcome(how);
        let content = [job.size(), id.size(), element_size(console_bytes), times.size(), outcome.size(), files_bytes];
        let content = content.iter().sum();
        let mut before = Vec::new();
        write_header(&mut before, tag::context(0), element_size(content));
        write_header(&mut before, tag::SEQUENCE, content);
        before = job.encode_after(before).to_vec();
        before = id.encode_after(before).to_vec();
        write_header(&mut before, tag::SEQUENCE, console_bytes);
        let after = outcome.encode_after(times.encode().to_vec()).to_vec();
        Self { before_console: before, after_console: after, record_bytes: element_size(element_size(content)) }
    }
}

/// The header of a `SEQUENCE OF File` whose files together have this many bytes.
pub fn files_header(content_bytes: u64) -> Vec<u8> {
    let mut header = Vec::new();
    write_header(&mut header, tag::SEQUENCE, content_bytes);
    header
}

/// A file to be sent from disk: its path and its size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileHead {
    /// The bytes in front of the file's data.
    pub header: Vec<u8>,
    /// The size of its data in bytes.
    pub data_bytes: u64,
}

impl FileHead {
    /// What goes in front of `data_bytes` of data at this path.
    pub fn new(path: &[u8], data_bytes: u64) -> Self {
        let path_bytes = path.len() as u64;
        let mut header = Vec::with_capacity(path.len() + 24);
        write_header(&mut header, tag::SEQUENCE, element_size(path_bytes) + element_size(data_bytes));
        write_header(&mut header, tag::UTF8_STRING, path_bytes);
        header.extend_from_slice(path);
        write_header(&mut header, tag::UTF8_STRING, data_bytes);
        Self { header, data_bytes }
    }

    /// Header and data together, in bytes.
    pub fn size(&self) -> u64 {
        self.header.len() as u64 + self.data_bytes
    }
}

/// What a worker sends in front of its files: the header of the frame and of `jobFinished`, up to and with the header
/// of the `SEQUENCE OF File`. `content_bytes` is the sum of [`FileHead::size`].
pub fn finished_head(build: &BuildId, how: &Outcome, content_bytes: u64) -> Vec<u8> {
    let (id, outcome) = (Element::octets(&build.as_bytes()[..]), outcome(how));
    let content = id.size() + outcome.size() + element_size(content_bytes);
    let message = element_size(content);
    let mut head = (header_size(message) + message).to_be_bytes().to_vec();
    write_header(&mut head, tag::context(crate::MessageKind::JobFinished as u8), message);
    write_header(&mut head, tag::SEQUENCE, content);
    head = id.encode_after(head).to_vec();
    head = outcome.encode_after(head).to_vec();
    write_header(&mut head, tag::SEQUENCE, content_bytes);
    head
}
