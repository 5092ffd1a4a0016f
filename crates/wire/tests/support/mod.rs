//! The golden vectors, and what the streaming parsers give, gathered so that it can be compared with whole values.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

use builder_model::{BuildId, Outcome, Timestamp};
use builder_wire::stream::{FileEvent, FinishedEvent, FinishedParser, RecordEvent, RecordParser};
use builder_wire::{DecodeError, Fault, File, Message, Record};

/// A line of `wire.jsonl`.
#[derive(Debug)]
pub(crate) struct Vector {
    /// The number of the line, from 1.
    pub(crate) number: usize,
    /// `cmd`, `exec` or `state`.
    pub(crate) kind: String,
    pub(crate) bytes: Vec<u8>,
    /// Whether the original takes it.
    pub(crate) accept: bool,
    /// What the original writes back.
    pub(crate) reencoded: Vec<u8>,
    pub(crate) why: String,
}

pub(crate) fn vectors() -> Vec<Vector> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../testkit/vectors/wire.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let vector = |(index, line): (usize, &str)| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        let hex = text("hex").unwrap();
        Vector {
            number: index + 1,
            kind: text("type").unwrap(),
            bytes: unhex(&hex),
            accept: value["accept"].as_bool().unwrap_or(true),
            reencoded: unhex(&text("reencode").unwrap_or(hex)),
            why: text("why").unwrap_or_default(),
        }
    };
    text.lines().enumerate().map(vector).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    text.as_bytes().chunks(2).map(digits).collect()
}

/// Path and data.
pub(crate) type OwnFile = (Vec<u8>, Vec<u8>);

fn own_files(files: &[File<'_>]) -> Vec<OwnFile> {
    files.iter().map(|file| (file.path.to_vec(), file.data.to_vec())).collect()
}

/// A `jobFinished`, owned.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    build: BuildId,
    outcome: Outcome,
    files: Vec<OwnFile>,
}

impl Finished {
    pub(crate) fn whole(bytes: &[u8]) -> Result<Self, DecodeError> {
        let Message::JobFinished { build, outcome, files } = Message::decode(bytes)? else {
            return Err(DecodeError { offset: 0, fault: Fault::Truncated });
        };
        Ok(Self { build, outcome, files: own_files(&files) })
    }

    /// From pieces, as they may arrive.
    pub(crate) fn streamed(pieces: &[&[u8]]) -> Result<Self, DecodeError> {
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        let mut parser = FinishedParser::new(length);
        let (mut start, mut files, mut ended) = (None, Vec::new(), false);
        for piece in pieces {
            let mut input = *piece;
            while let Some(event) = parser.next(&mut input)? {
                match event {
                    FinishedEvent::Start { build, outcome, files_bytes, files_header } => {
                        assert!(files_bytes >= files_header.len() as u64, "the list has its header");
                        start = Some((build, outcome));
                    }
                    FinishedEvent::File(event) => gather(&mut files, event),
                    FinishedEvent::End => ended = true,
                }
            }
            assert!(input.is_empty(), "no more is asked for while there is input");
        }
        match start {
            Some((build, outcome)) if ended => Ok(Self { build, outcome, files }),
            _ => Err(DecodeError { offset: parser.position(), fault: Fault::Truncated }),
        }
    }
}

/// A build record, owned.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Exec {
    job: builder_model::ScriptJob,
    build: BuildId,
    console: Vec<(i64, Vec<u8>)>,
    times: (Timestamp, Timestamp),
    outcome: Outcome,
    files: Vec<OwnFile>,
}

impl Exec {
    pub(crate) fn whole(bytes: &[u8]) -> Result<Self, DecodeError> {
        let Record { job, build, console, started, finished, outcome, files } = Record::decode(bytes)?;
        let console = console.iter().map(|line| (line.delta, line.line.to_vec())).collect();
        let files = own_files(&files);
        Ok(Self { job: job.to_model(), build, console, times: (started, finished), outcome, files })
    }

    /// From pieces, as they may arrive.
    pub(crate) fn streamed(pieces: &[&[u8]]) -> Result<Self, DecodeError> {
        let mut parser = RecordParser::new();
        let (mut start, mut console, mut end, mut files, mut ended) = (None, Vec::new(), None, Vec::new(), false);
        for piece in pieces {
            let mut input = *piece;
            while let Some(event) = parser.next(&mut input)? {
                match event {
                    RecordEvent::Start { job, build } => start = Some((job, build)),
                    RecordEvent::Line { delta, line } => console.push((delta, line)),
                    RecordEvent::Ended { started, finished, outcome } => end = Some((started, finished, outcome)),
                    RecordEvent::File(event) => gather(&mut files, event),
                    RecordEvent::End => ended = true,
                }
            }
            assert!(input.is_empty(), "no more is asked for while there is input");
        }
        assert_eq!(parser.is_done(), ended, "done is after the last event");
        match (start, end) {
            (Some((job, build)), Some((started, finished, outcome))) if ended => {
                Ok(Self { job, build, console, times: (started, finished), outcome, files })
            }
            _ => Err(DecodeError { offset: parser.position(), fault: Fault::Truncated }),
        }
    }
}

fn gather(files: &mut Vec<OwnFile>, event: FileEvent<'_>) {
    match event {
        FileEvent::Start { path, data_bytes } => files.push((path, Vec::with_capacity(data_bytes.min(4096) as usize))),
        FileEvent::Data(data) => files.last_mut().unwrap().1.extend_from_slice(data),
        FileEvent::End | FileEvent::ListEnd => {}
    }
}

/// Each byte on its own.
pub(crate) fn bytewise(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.chunks(1).collect()
}
