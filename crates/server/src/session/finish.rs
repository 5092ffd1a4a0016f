//! A build is handed in: `jobFinished` is checked while it arrives, and goes to disk as it came.
//!
//! A path or a size that may not be ends the build with an outcome that says so; the files before it are kept.

use super::worker::{Ending, Run};
use crate::connection::{Connection, PROGRESS_LIMIT};
use builder_model::limits::ARTIFACTS_MAX;
use builder_model::{ArtifactPath, Outcome, Shown};
use builder_store::StoreError;
use builder_store::record::RecordWriter;
use builder_wire::frame::{HEADER_BYTES, Head};
use builder_wire::session::server::Session;
use builder_wire::stream::{FileEvent, FinishedEvent, FinishedParser};
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};
use tokio::task::block_in_place;

/// How long handing in may take, whatever its size.
const HAND_IN_BASE: Duration = Duration::from_secs(600);
/// And how many bytes a second it has to bring beyond that.
const HAND_IN_BYTES_PER_SECOND_MIN: u64 = 64 << 10;
/// Most bytes of a path or of another's reason that are repeated in ours.
const REASON_PART_BYTES_MAX: usize = 8 << 10;

pub(super) async fn receive(run: &Run, connection: &mut Connection, session: Session, head: Head) -> Ending {
    connection.inbox.consume(HEADER_BYTES);
    let mut hand_in = HandIn::new(run, session, head.length);
    let until = Instant::now() + HAND_IN_BASE + Duration::from_secs(head.length / HAND_IN_BYTES_PER_SECOND_MIN);
    loop {
        let bytes = connection.inbox.bytes();
        let count = bytes.len();
        // What makes a small record touches no disk.
        let taken = if hand_in.is_small() { hand_in.take(bytes) } else { block_in_place(|| hand_in.take(bytes)) };
        connection.inbox.consume(count);
        match taken {
            Ok(Progress::More) => {}
            Ok(Progress::Complete(record)) => {
                if hand_in.surplus {
                    tracing::warn!(build = %run.running.build, "the worker goes on talking after the finish: ignored");
                }
                return Ending::HandedIn(record);
            }
            Err(Stop::Vanished(why)) => return Ending::Vanished(why),
            Err(Stop::Disk(error)) => return Ending::NotWritten(error),
        }
        let patience = PROGRESS_LIMIT.min(until.saturating_duration_since(Instant::now()));
        if let Err(error) = connection.fill_within(patience).await {
            return Ending::Vanished(format!("while it handed the build in, {error}"));
        }
    }
}

enum Progress {
    More,
    Complete(Box<RecordWriter>),
}

enum Stop {
    Vanished(String),
    Disk(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Disk(error)
    }
}

/// What the head of the message said.
struct Begun {
    outcome: Outcome,
    record: RecordWriter,
    /// The size of the header of the list of files.
    header_bytes: u64,
    /// Where in the message the first file begins.
    files_from: u64,
}

struct HandIn<'a> {
    run: &'a Run,
    session: Session,
    /// The length of the whole message.
    length: u64,
    /// Up to which size the record is small.
    small_bytes_max: u64,
    parser: FinishedParser,
    begun: Option<Begun>,
    paths: Paths,
    /// Whether the worker said more than the finish.
    surplus: bool,
}

impl<'a> HandIn<'a> {
    fn new(run: &'a Run, session: Session, length: u64) -> Self {
        Self {
            run,
            session,
            length,
            small_bytes_max: run.shared.records.small_bytes_max(),
            parser: FinishedParser::new(length),
            begun: None,
            paths: Paths::default(),
            surplus: false,
        }
    }

    /// Whether the record will be small; of one at the limit it is not known before it has begun.
    fn is_small(&self) -> bool {
        const MARGIN_BYTES: u64 = 4 << 10;
        let parts =
            MARGIN_BYTES + self.length + self.run.console.extent().log_bytes() + self.run.script.script.len() as u64;
        parts <= self.small_bytes_max
    }

    /// Takes bytes of the message: checks them, and writes those that belong to files.
    fn take(&mut self, bytes: &[u8]) -> Result<Progress, Stop> {
        let mut input = bytes;
        // Where in `bytes` the list of files begins, when it begins there.
        let mut raw_from = 0;
        let mut complete = false;
        let mut refused = None;
        while let Some(event) = self.parser.next(&mut input).map_err(|error| Stop::Vanished(error.to_string()))? {
            match event {
                FinishedEvent::Start { build, outcome, files_bytes, files_header } => {
                    self.session.finished(build).map_err(|violation| Stop::Vanished(violation.to_string()))?;
                    raw_from = bytes.len() - input.len();
                    self.begin(outcome, files_bytes, &files_header)?;
                }
                FinishedEvent::File(FileEvent::Start { path, data_bytes }) => {
                    refused = self.refusal(&path, data_bytes);
                    if refused.is_some() {
                        break;
                    }
                }
                FinishedEvent::File(FileEvent::Data(_) | FileEvent::End | FileEvent::ListEnd) => {}
                FinishedEvent::End => {
                    complete = true;
                    self.surplus = !input.is_empty();
                    break;
                }
            }
        }
        let raw = &bytes[raw_from..bytes.len() - input.len()];
        if let Some(begun) = &mut self.begun {
            begun.record.write(raw)?;
        }
        match (refused, complete) {
            (Some(reason), _) => self.cut(&reason),
            (None, true) => {
                self.begun.take().map(|begun| Progress::Complete(Box::new(begun.record))).ok_or_else(unbegun)
            }
            (None, false) => Ok(Progress::More),
        }
    }

    fn begin(&mut self, outcome: Outcome, files_bytes: u64, files_header: &[u8]) -> Result<(), Stop> {
        let summary = self.run.summary(self.run.shared.settings.clock.now().wall, outcome.clone());
        let (folder, console) = (&self.run.shared.folder, &self.run.console);
        let mut record = RecordWriter::begin(folder, console, summary, files_bytes, self.small_bytes_max)?;
        record.write(files_header)?;
        let header_bytes = files_header.len() as u64;
        self.begun = Some(Begun { outcome, record, header_bytes, files_from: self.parser.position() });
        Ok(())
    }

    /// Why a file is not taken.
    fn refusal(&mut self, path: &[u8], data_bytes: u64) -> Option<String> {
        let files_from = self.begun.as_ref().map_or(0, |begun| begun.files_from);
        let total = (self.parser.position() - files_from).saturating_add(data_bytes);
        let limit = self.run.shared.settings.artifact_bytes_max;
        match ArtifactPath::parse(path) {
            Err(error) => Some(error.to_string()),
            Ok(path) if !self.paths.insert(&path) => Some(format!("artifact path \"{path}\" is there twice")),
            Ok(path) if total > limit => {
                Some(format!("the artifacts are over their limit of {limit} bytes with \"{path}\""))
            }
            Ok(_) if self.paths.len() > ARTIFACTS_MAX => Some(format!("there are more than {ARTIFACTS_MAX} artifacts")),
            Ok(_) => None,
        }
    }

    /// Keeps the complete files, and replaces the outcome by the reason.
    fn cut(&mut self, reason: &str) -> Result<Progress, Stop> {
        let begun = self.begun.take().ok_or_else(unbegun)?;
        let (reason, before) = (shortened(reason.to_owned()), shortened(begun.outcome.to_string()));
        let outcome = Outcome::aborted(format!("{reason}; the script had ended: {before}"));
        let files_bytes = self.parser.files_complete_to() - begun.files_from;
        let shared = &self.run.shared;
        let cut = begun.record.cut(&shared.folder, &self.run.console, outcome, begun.header_bytes, files_bytes)?;
        Ok(Progress::Complete(Box::new(cut)))
    }
}

/// The first line of a worker's reason, fit to be repeated anywhere.
pub(super) fn one_line(text: &[u8]) -> String {
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.is_empty() { "it does not say why".to_owned() } else { shortened(Shown(line).to_string()) }
}

/// A text that others chose, cut to a length that leaves room for ours.
fn shortened(mut text: String) -> String {
    if text.len() > REASON_PART_BYTES_MAX {
        let mut end = REASON_PART_BYTES_MAX;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

fn unbegun() -> Stop {
    Stop::Vanished("a message ended before it began".to_owned())
}

/// The paths that came, each as 128 random-keyed bits of hash: a million of them cost little.
#[derive(Default)]
struct Paths {
    keys: [RandomState; 2],
    seen: HashSet<[u64; 2]>,
}

impl Paths {
    fn insert(&mut self, path: &ArtifactPath) -> bool {
        self.seen.insert([self.keys[0].hash_one(path), self.keys[1].hash_one(path)])
    }

    fn len(&self) -> usize {
        self.seen.len()
    }
}
