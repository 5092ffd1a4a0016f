//! Writing the record of a build while its files arrive, and reading what a record says.
//!
//! All lengths are known when the files begin, so a record is written once, front to back: a small one in memory, for
//! the database; any other under a temporary name, and then it is synced and renamed. Only a build that breaks a limit
//! has its record written a second time, cut down to what came before.

use crate::console::ConsoleWriter;
use crate::error::{StoreError, Tried};
use crate::folder::Folder;
use crate::small::{RecordPlace, RecordReader, SmallRecord};
use crate::write_behind::WriteBehind;
use builder_model::{BuildId, JobName, Outcome, ScriptJob, Timestamp};
use builder_wire::record::{ConsoleLine, Frame, NO_FILES, files_header};
use builder_wire::stream::{RecordEvent, RecordParser};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How much is written at once, in bytes.
const BUFFER_BYTES: usize = 256 << 10;

/// Why a record is none whose end is not there.
pub(crate) const TOO_EARLY: &str = "it ends too early";

/// What a record says about a build, but for its console and files.
#[derive(Debug, Clone, PartialEq, Eq)]
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
}

/// A record that is being written. Dropped before [`RecordWriter::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct RecordWriter {
    body: Body,
    summary: Summary,
    /// Up to which size it is small, in bytes.
    small_bytes_max: u64,
    /// Where the `SEQUENCE OF File` begins.
    files_at: u64,
    /// How large the record will be.
    record_bytes: u64,
    written: u64,
}

/// Where the bytes of a record gather.
#[derive(Debug)]
enum Body {
    Small(Vec<u8>),
    Large { file: BufWriter<WriteBehind>, path: PathBuf, temporary: Temporary },
}

impl Body {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        match self {
            Self::Small(body) => body.extend_from_slice(bytes),
            Self::Large { file, path, .. } => file.write_all(bytes).tried("write", path)?,
        }
        Ok(())
    }

    fn write_console(&mut self, console: &ConsoleWriter) -> Result<(), StoreError> {
        match self {
            Self::Small(body) => console.copy_newest_first(body),
            Self::Large { file, .. } => console.copy_newest_first(file),
        }
        .tried("copy", console.path())
    }
}

/// A record that is complete.
#[derive(Debug)]
pub struct Finished {
    /// What it says.
    pub summary: Summary,
    /// Its size.
    pub record_bytes: u64,
    /// The record itself if it is small: it has no file yet, and has to be saved with the end of its build. Any other
    /// is durable under its name.
    pub small: Option<SmallRecord>,
}

/// A file that goes away with this, unless it was kept.
#[derive(Debug)]
pub(crate) struct Temporary(Option<PathBuf>);

impl Temporary {
    pub(crate) fn new(path: &Path) -> Self {
        Self(Some(path.to_owned()))
    }

    pub(crate) fn keep(&mut self) {
        self.0 = None;
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = self.0.take()
            && let Err(error) = fs::remove_file(&path)
        {
            tracing::warn!("cannot remove {}: {error}", path.display());
        }
    }
}

impl RecordWriter {
    /// Begins a record: everything up to the files, of which `files_bytes` will follow by [`RecordWriter::write`]. What
    /// has at most `small_bytes_max` bytes is small.
    pub fn begin(
        folder: &Folder,
        console: &ConsoleWriter,
        summary: Summary,
        files_bytes: u64,
        small_bytes_max: u64,
    ) -> Result<Self, StoreError> {
        let times = (summary.started, summary.finished);
        let console_bytes = console.extent().der_bytes;
        let frame =
            Frame::new((&summary.job).into(), &summary.build, console_bytes, times, &summary.outcome, files_bytes);
        let record_bytes = frame.record_bytes;
        let mut body = if record_bytes <= small_bytes_max {
            Body::Small(Vec::with_capacity(usize::try_from(record_bytes).unwrap_or(0)))
        } else {
            let path = folder.incoming_record(&summary.build);
            let mut options = OpenOptions::new();
            let options = options.read(true).write(true).create(true).truncate(true).mode(0o640);
            let file = WriteBehind::new(options.open(&path).tried("create", &path)?);
            let file = BufWriter::with_capacity(BUFFER_BYTES, file);
            let temporary = Temporary::new(&path);
            Body::Large { file, path, temporary }
        };
        body.write(&frame.before_console)?;
        body.write_console(console)?;
        body.write(&frame.after_console)?;
        let files_at = record_bytes - files_bytes;
        Ok(Self { body, summary, small_bytes_max, files_at, record_bytes, written: files_at })
    }

    /// A record without files, complete.
    pub fn without_files(
        folder: &Folder,
        console: &ConsoleWriter,
        summary: Summary,
        small_bytes_max: u64,
    ) -> Result<Self, StoreError> {
        let mut writer = Self::begin(folder, console, summary, NO_FILES.len() as u64, small_bytes_max)?;
        writer.write(&NO_FILES)?;
        Ok(writer)
    }

    /// Whether the record is small.
    pub fn is_small(&self) -> bool {
        matches!(self.body, Body::Small(_))
    }

    /// The next bytes of the `SEQUENCE OF File`.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.written += bytes.len() as u64;
        self.body.write(bytes)
    }

    /// Begins again with another outcome and only the files that are complete: `files_bytes` of the bytes behind the
    /// header of the list, which had `header_bytes`.
    pub fn cut(
        self,
        folder: &Folder,
        console: &ConsoleWriter,
        outcome: Outcome,
        header_bytes: u64,
        files_bytes: u64,
    ) -> Result<Self, StoreError> {
        let begin = self.files_at + header_bytes;
        let header = files_header(files_bytes);
        let summary = Summary { outcome, ..self.summary };
        let begun = |summary| -> Result<Self, StoreError> {
            let mut writer =
                Self::begin(folder, console, summary, header.len() as u64 + files_bytes, self.small_bytes_max)?;
            writer.write(&header)?;
            Ok(writer)
        };
        match self.body {
            Body::Small(whole) => {
                let range = begin..begin + files_bytes;
                let range = usize::try_from(range.start).unwrap_or(usize::MAX)..usize::try_from(range.end).unwrap_or(0);
                let files = whole.get(range);
                assert!(files.is_some(), "the files that are complete were written");
                let mut writer = begun(summary)?;
                writer.write(files.unwrap_or_default())?;
                Ok(writer)
            }
            Body::Large { mut file, path, mut temporary } => {
                file.flush().tried("write", &path)?;
                let whole = path.with_extension("whole");
                fs::rename(&path, &whole).tried("rename", &path)?;
                temporary.keep();
                let _removed_at_the_end = Temporary::new(&whole);
                let from = file.into_inner().map_err(io::IntoInnerError::into_error).tried("write", &path)?;
                let mut from = from.into_file();
                from.seek(SeekFrom::Start(begin)).tried("read", &whole)?;
                let mut writer = begun(summary)?;
                writer.copy(from.take(files_bytes), &whole)?;
                Ok(writer)
            }
        }
    }

    fn copy(&mut self, mut from: impl Read, path: &Path) -> Result<(), StoreError> {
        let copied = match &mut self.body {
            Body::Small(body) => io::copy(&mut from, body),
            Body::Large { file, .. } => io::copy(&mut from, file),
        };
        self.written += copied.tried("copy", path)?;
        Ok(())
    }

    /// Makes the record durable under its name, unless it is small.
    pub fn finish(self, folder: &Folder) -> Result<Finished, StoreError> {
        assert_eq!(self.written, self.record_bytes, "a record has the length that its header announces");
        let Self { body, summary, record_bytes, .. } = self;
        let (build, job) = (summary.build, summary.job.name.clone());
        let small = match body {
            Body::Small(bytes) => Some(SmallRecord { build, job, bytes }),
            Body::Large { mut file, path, mut temporary } => {
                file.flush().tried("write", &path)?;
                publish(folder, &path, &job, &build)?;
                temporary.keep();
                None
            }
        };
        Ok(Finished { summary, record_bytes, small })
    }
}

/// Gives a record that was written under another name its own, and makes that durable.
pub(crate) fn publish(folder: &Folder, written: &Path, job: &JobName, build: &BuildId) -> Result<(), StoreError> {
    File::open(written).and_then(|file| file.sync_all()).tried("sync", written)?;
    let target = folder.record(job, build);
    let job = folder.job(job);
    let build = target.parent().unwrap_or(&job);
    let job_is_new = create_folder(&job)?;
    create_folder(build)?;
    let mut changed = vec![build, &job];
    changed.extend(job_is_new.then_some(folder.root()));
    // Opened before the record has its name: when it cannot be made durable, it must not be found either.
    let opened: Result<Vec<File>, StoreError> =
        changed.iter().map(|path| File::open(path).tried("sync", path)).collect();
    let opened = opened?;
    fs::rename(written, &target).tried("rename", written)?;
    for (path, folder) in changed.iter().zip(&opened) {
        if let Err(error) = folder.sync_all().tried("sync", path) {
            fs::remove_file(&target).tried("remove", &target)?;
            return Err(error);
        }
    }
    Ok(())
}

pub(crate) fn create_folder(path: &Path) -> Result<bool, StoreError> {
    match fs::DirBuilder::new().mode(0o755).create(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(false),
        Err(error) => Err(error).tried("create", path),
    }
}

/// Reads a record as far as its files and gives what it says, and the size of the file. A record that ends early, as
/// after a crash that came before its sync, is none.
pub fn read_summary(path: &Path) -> Result<(Summary, u64), StoreError> {
    let damaged = |reason: String| StoreError::Record { path: path.to_owned(), reason };
    let mut file = File::open(path).tried("open", path)?;
    let mut parser = RecordParser::new();
    let mut start = None;
    let mut block = vec![0; BUFFER_BYTES];
    loop {
        let count = file.read(&mut block).tried("read", path)?;
        if count == 0 {
            return Err(damaged(TOO_EARLY.to_owned()));
        }
        let mut input = &block[..count];
        while let Some(event) = parser.next(&mut input).map_err(|error| damaged(error.to_string()))? {
            match event {
                RecordEvent::Start { job, build } => start = Some((job, build)),
                RecordEvent::Ended { started, finished, outcome } => {
                    let (job, build) = start.ok_or_else(|| damaged("it has no job".to_owned()))?;
                    let bytes = file.metadata().tried("read", path)?.len();
                    return Ok((Summary { job, build, started, finished, outcome }, bytes));
                }
                RecordEvent::Line { .. } => {}
                RecordEvent::File(_) | RecordEvent::End => {
                    return Err(damaged("its parts are out of order".to_owned()));
                }
            }
        }
    }
}

/// A block of a console ends after this many lines …
const BLOCK_LINES: u64 = 4096;
/// … or this many bytes, whichever comes first.
const BLOCK_BYTES: u64 = 1 << 20;

/// The console of a record, from the oldest line to the newest: a block at a time, for whoever takes them slowly.
#[derive(Debug)]
pub struct ConsoleReplay {
    file: RecordReader,
    path: PathBuf,
    /// Where the blocks that are left begin, and, as the last, where they end.
    marks: Vec<u64>,
    outcome: Outcome,
}

impl ConsoleReplay {
    /// Opens a record, and reads it as far as its files to note where blocks of lines begin.
    pub fn open(place: &RecordPlace) -> Result<Self, StoreError> {
        let mut file = place.open()?;
        let (marks, outcome) = mark_lines(&mut file, place.path())?;
        Ok(Self { file, path: place.path().to_owned(), marks, outcome })
    }

    /// How the build ended.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// Gives the lines of the next block, the oldest first; says whether there was one. A block has at most
    /// [`BLOCK_BYTES`] and one line.
    pub fn next_block(&mut self, mut line: impl FnMut(ConsoleLine<'_>)) -> Result<bool, StoreError> {
        let damaged = |reason: String| StoreError::Record { path: self.path.clone(), reason };
        let changed = || damaged("it changed while it was read".to_owned());
        let Some(end) = self.marks.pop() else { return Ok(false) };
        let Some(&begin) = self.marks.last() else { return Ok(false) };
        let size = end.checked_sub(begin).and_then(|size| usize::try_from(size).ok()).ok_or_else(changed)?;
        let mut block = vec![0; size];
        self.file.seek(SeekFrom::Start(begin)).tried("read", &self.path)?;
        self.file.read_exact(&mut block).tried("read", &self.path)?;
        let (mut lines, mut rest) = (Vec::new(), &block[..]);
        while !rest.is_empty() {
            let size = builder_wire::der::element_size(rest).map_err(|fault| damaged(fault.to_string()))?;
            let size = size.and_then(|size| usize::try_from(size).ok()).ok_or_else(changed)?;
            let (element, behind) = rest.split_at_checked(size).ok_or_else(changed)?;
            lines.push(ConsoleLine::decode(element).map_err(|error| damaged(error.to_string()))?);
            rest = behind;
        }
        lines.into_iter().rev().for_each(&mut line);
        Ok(true)
    }
}

/// Where the blocks of a console begin in the file, and where the last of them ends; then the outcome.
fn mark_lines(file: &mut RecordReader, path: &Path) -> Result<(Vec<u64>, Outcome), StoreError> {
    let damaged = |reason: String| StoreError::Record { path: path.to_owned(), reason };
    let mut parser = RecordParser::new();
    let mut block = vec![0; BUFFER_BYTES];
    let (mut marks, mut lines, mut end) = (Vec::new(), 0, 0);
    loop {
        let read = file.read(&mut block).tried("read", path)?;
        if read == 0 {
            return Err(damaged(TOO_EARLY.to_owned()));
        }
        let mut input = &block[..read];
        while let Some(event) = parser.next(&mut input).map_err(|error| damaged(error.to_string()))? {
            match event {
                RecordEvent::Line { .. } => {
                    let begin = parser.position() - parser.last_element_bytes();
                    if lines == BLOCK_LINES || marks.last().is_none_or(|mark| begin - mark >= BLOCK_BYTES) {
                        marks.push(begin);
                        lines = 0;
                    }
                    lines += 1;
                    end = parser.position();
                }
                RecordEvent::Ended { outcome, .. } => {
                    marks.extend((!marks.is_empty()).then_some(end));
                    return Ok((marks, outcome));
                }
                RecordEvent::Start { .. } => {}
                RecordEvent::File(_) | RecordEvent::End => {
                    return Err(damaged("its parts are out of order".to_owned()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use builder_model::{JobName, Platform};

    #[test]
    fn a_console_is_replayed_in_blocks_of_bounded_size() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path()).unwrap();
        let build = BuildId::from_bytes([1; 16]);
        let mut console = ConsoleWriter::open(&folder.console(&build)).unwrap();
        // Long lines, then short ones.
        for delta in 0..20_000 {
            let line = vec![b'x'; if delta < 100 { 100_000 } else { 10 }];
            console.append(ConsoleLine { delta, line: &line });
        }
        console.flush().unwrap();
        let job = ScriptJob {
            name: JobName::from_history(b"a"),
            platform: Platform::from_history(b"p"),
            script: b"x"[..].into(),
        };
        let (started, finished) = (Timestamp::MIN, Timestamp::MIN);
        let summary = Summary { job, build, started, finished, outcome: Outcome::Exited(0) };
        let summary =
            RecordWriter::without_files(&folder, &console, summary, 0).unwrap().finish(&folder).unwrap().summary;
        let mut replay = ConsoleReplay::open(&folder.record(&summary.job.name, &build).as_path().into()).unwrap();
        let (mut next, mut blocks) = (0, 0);
        loop {
            let (mut lines, mut bytes) = (0, 0);
            let more = replay.next_block(|line| {
                assert_eq!(line.delta, next);
                (next, lines, bytes) = (next + 1, lines + 1, bytes + line.line.len() as u64);
            });
            if !more.unwrap() {
                break;
            }
            blocks += 1;
            assert!(lines <= BLOCK_LINES && bytes <= BLOCK_BYTES + 100_000, "{lines} lines, {bytes} bytes");
        }
        assert_eq!(next, 20_000);
        assert!(blocks >= 14, "{blocks}");
    }
}
