//! Writing the record of a build while its files arrive, and reading what a record says.
//!
//! All lengths are known when the files begin, so a record is written once, front to back, under a temporary name;
//! then it is synced and renamed. Only a build that breaks a limit has its record written a second time, cut down to
//! what came before.

use crate::console::ConsoleWriter;
use crate::error::{StoreError, Tried};
use crate::folder::Folder;
use builder_model::{BuildId, Outcome, ScriptJob, Timestamp};
use builder_wire::record::{Frame, NO_FILES, files_header};
use builder_wire::stream::{RecordEvent, RecordParser};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How much is written at once, in bytes.
const BUFFER_BYTES: usize = 256 << 10;

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
    file: BufWriter<File>,
    path: PathBuf,
    temporary: Temporary,
    summary: Summary,
    /// Where the `SEQUENCE OF File` begins.
    files_at: u64,
    /// How large the record will be.
    record_bytes: u64,
    written: u64,
}

/// A file that goes away with this, unless it was kept.
#[derive(Debug)]
struct Temporary(Option<PathBuf>);

impl Temporary {
    fn keep(&mut self) {
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
    /// Begins a record: everything up to the files, of which `files_bytes` will follow by [`RecordWriter::write`]. The
    /// console must be flushed.
    pub fn begin(
        folder: &Folder,
        console: &ConsoleWriter,
        summary: Summary,
        files_bytes: u64,
    ) -> Result<Self, StoreError> {
        let path = folder.incoming_record(&summary.build);
        let times = (summary.started, summary.finished);
        let console_bytes = console.extent().der_bytes;
        let frame =
            Frame::new((&summary.job).into(), &summary.build, console_bytes, times, &summary.outcome, files_bytes);
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(true).mode(0o640);
        let mut file = BufWriter::with_capacity(BUFFER_BYTES, options.open(&path).tried("create", &path)?);
        let temporary = Temporary(Some(path.clone()));
        file.write_all(&frame.before_console).tried("write", &path)?;
        console.copy_newest_first(&mut file).tried("write", &path)?;
        file.write_all(&frame.after_console).tried("write", &path)?;
        let files_at = frame.record_bytes - files_bytes;
        Ok(Self { file, path, temporary, summary, files_at, record_bytes: frame.record_bytes, written: files_at })
    }

    /// A record without files, complete.
    pub fn without_files(folder: &Folder, console: &ConsoleWriter, summary: Summary) -> Result<Self, StoreError> {
        let mut writer = Self::begin(folder, console, summary, NO_FILES.len() as u64)?;
        writer.write(&NO_FILES)?;
        Ok(writer)
    }

    /// The next bytes of the `SEQUENCE OF File`.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.written += bytes.len() as u64;
        self.file.write_all(bytes).tried("write", &self.path)
    }

    /// Begins again with another outcome and only the files that are complete: `files_bytes` of the bytes behind the
    /// header of the list, which had `header_bytes`.
    pub fn cut(
        mut self,
        folder: &Folder,
        console: &ConsoleWriter,
        outcome: Outcome,
        header_bytes: u64,
        files_bytes: u64,
    ) -> Result<Self, StoreError> {
        self.file.flush().tried("write", &self.path)?;
        let whole = self.path.with_extension("whole");
        fs::rename(&self.path, &whole).tried("rename", &self.path)?;
        self.temporary = {
            self.temporary.keep();
            Temporary(Some(whole.clone()))
        };
        let mut from = self.file.into_inner().map_err(io::IntoInnerError::into_error).tried("write", &self.path)?;
        let header = files_header(files_bytes);
        let summary = Summary { outcome, ..self.summary };
        let mut writer = Self::begin(folder, console, summary, header.len() as u64 + files_bytes)?;
        writer.write(&header)?;
        from.seek(SeekFrom::Start(self.files_at + header_bytes)).tried("read", &whole)?;
        let copied = io::copy(&mut from.take(files_bytes), &mut writer.file).tried("copy", &whole)?;
        writer.written += copied;
        Ok(writer)
    }

    /// Makes the record durable under its name; gives its size in bytes.
    pub fn finish(mut self, folder: &Folder) -> Result<(Summary, u64), StoreError> {
        assert_eq!(self.written, self.record_bytes, "a record has the length that its header announces");
        self.file.flush().tried("write", &self.path)?;
        self.file.get_ref().sync_all().tried("sync", &self.path)?;
        let target = folder.record(&self.summary.job.name, &self.summary.build);
        let job = folder.job(&self.summary.job.name);
        let build = target.parent().unwrap_or(&job);
        let job_is_new = create_folder(&job)?;
        create_folder(build)?;
        let mut changed = vec![build, &job];
        changed.extend(job_is_new.then_some(folder.root()));
        // Opened before the record has its name: when it cannot be made durable, it must not be found either.
        let opened: Result<Vec<File>, StoreError> =
            changed.iter().map(|path| File::open(path).tried("sync", path)).collect();
        let opened = opened?;
        fs::rename(&self.path, &target).tried("rename", &self.path)?;
        self.temporary.keep();
        for (path, folder) in changed.iter().zip(&opened) {
            if let Err(error) = folder.sync_all().tried("sync", path) {
                fs::remove_file(&target).tried("remove", &target)?;
                return Err(error);
            }
        }
        Ok((self.summary, self.record_bytes))
    }
}

fn create_folder(path: &Path) -> Result<bool, StoreError> {
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
            return Err(damaged("it ends too early".to_owned()));
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

/// Every this many lines, the place of a line is noted.
const MARK_LINES: usize = 4096;

/// Gives the lines of a record's console from the oldest to the newest, holding at most [`MARK_LINES`] of them, and
/// then the outcome. `line` may end it early by returning false.
pub fn replay(path: &Path, mut line: impl FnMut(i64, &[u8]) -> bool) -> Result<Outcome, StoreError> {
    let (marks, outcome) = mark_lines(path)?;
    for mark in marks.iter().rev() {
        let mut lines = Vec::with_capacity(MARK_LINES);
        walk_console(path, *mark, MARK_LINES, |delta, bytes| lines.push((delta, bytes)))?;
        if !lines.iter().rev().all(|(delta, bytes)| line(*delta, bytes)) {
            break;
        }
    }
    Ok(outcome)
}

fn mark_lines(path: &Path) -> Result<(Vec<u64>, Outcome), StoreError> {
    let damaged = |reason: String| StoreError::Record { path: path.to_owned(), reason };
    let mut file = File::open(path).tried("open", path)?;
    let mut parser = RecordParser::new();
    let mut block = vec![0; BUFFER_BYTES];
    let (mut marks, mut count) = (Vec::new(), 0);
    loop {
        let read = file.read(&mut block).tried("read", path)?;
        if read == 0 {
            return Err(damaged("it ends too early".to_owned()));
        }
        let mut input = &block[..read];
        while let Some(event) = parser.next(&mut input).map_err(|error| damaged(error.to_string()))? {
            match event {
                RecordEvent::Line { .. } => {
                    if count % MARK_LINES == 0 {
                        marks.push(parser.position() - parser.last_element_bytes());
                    }
                    count += 1;
                }
                RecordEvent::Ended { outcome, .. } => return Ok((marks, outcome)),
                RecordEvent::Start { .. } => {}
                RecordEvent::File(_) | RecordEvent::End => {
                    return Err(damaged("its parts are out of order".to_owned()));
                }
            }
        }
    }
}

/// Reads up to `count` lines from the place of one on.
fn walk_console(path: &Path, from: u64, count: usize, mut line: impl FnMut(i64, Vec<u8>)) -> Result<(), StoreError> {
    let damaged = |reason: String| StoreError::Record { path: path.to_owned(), reason };
    let mut file = File::open(path).tried("open", path)?;
    file.seek(SeekFrom::Start(from)).tried("read", path)?;
    let mut block: Vec<u8> = Vec::new();
    let mut used = 0;
    for _ in 0..count {
        loop {
            let size = builder_wire::der::element_size(&block[used..]).map_err(|fault| damaged(fault.to_string()))?;
            let size = size.map(|size| usize::try_from(size).unwrap_or(usize::MAX));
            if let Some(size) = size
                && block.len() - used >= size
            {
                let Ok(read) = builder_wire::record::ConsoleLine::decode(&block[used..used + size]) else {
                    // The console ends here: what follows are the times.
                    return Ok(());
                };
                line(read.delta, read.line.to_vec());
                used += size;
                break;
            }
            block.drain(..used);
            used = 0;
            let before = block.len();
            let more = size.unwrap_or(0).saturating_sub(before).max(BUFFER_BYTES) as u64;
            let read = (&mut file).take(more).read_to_end(&mut block).tried("read", path)?;
            if read == 0 {
                return Ok(());
            }
        }
    }
    Ok(())
}
