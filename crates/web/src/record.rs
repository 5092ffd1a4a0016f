//! The record of a stored build: byte for byte as it was uploaded, where its outline is there; else put together from
//! rows and files, as the original does it, with times in whole milliseconds.

use crate::app::App;
use crate::database::artifact::{self, Artifact};
use crate::database::build::Build;
use crate::database::columns;
use crate::depot::Depot;
use crate::digest::Digest;
use crate::error::{Tried, WebError};
use crate::outline::RecordReader;
use builder_wire::ScriptJob;
use builder_wire::record::{ConsoleLine, FileHead, Frame, files_header};
use rusqlite::OptionalExtension;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// How much of a console is read at once, in bytes.
const BLOCK_BYTES: u64 = 256 << 10;

/// A record that can be written.
#[derive(Debug)]
pub struct Record {
    depot: Depot,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// From its outline.
    Exact { outline: PathBuf, digest: Digest, bytes: u64 },
    /// From rows and files.
    Rebuilt(Box<Rebuilt>),
}

#[derive(Debug)]
struct Rebuilt {
    build: Build,
    script: Vec<u8>,
    console: PathBuf,
    artifacts: Vec<Artifact>,
    readme: Option<Vec<u8>>,
}

impl Record {
    /// The record of a build.
    pub fn of(app: &App, build: &Build) -> Result<Self, WebError> {
        let depot = app.depot().clone();
        let text = "SELECT outline_sha256, outline_bytes FROM repository_build WHERE build = ?1";
        let known = app.read(|connection| {
            let row = connection.prepare_cached(text)?.query_row([build.id], |row| Ok((row.get(0)?, row.get(1)?)));
            Ok(row.optional()?.unwrap_or((None, None)))
        })?;
        if let (Some(digest), Some(bytes)) = known
            && let Some(outline) = depot.outline_of_row(&build.console).filter(|path| path.is_file())
        {
            return Ok(Self { depot, form: Form::Exact { outline, digest, bytes } });
        }
        Ok(Self { form: Form::Rebuilt(Box::new(Rebuilt::of(app, build)?)), depot })
    }

    /// Changes when the bytes do.
    pub fn version(&self) -> String {
        match &self.form {
            Form::Exact { digest, .. } => digest.to_string(),
            Form::Rebuilt(rebuilt) => {
                let readme = rebuilt.readme.as_deref().unwrap_or_default();
                format!("rebuilt-{}", Digest::of(readme))
            }
        }
    }

    /// Whether it is byte for byte what was uploaded.
    pub fn is_exact(&self) -> bool {
        match &self.form {
            Form::Exact { .. } => true,
            Form::Rebuilt(_) => false,
        }
    }

    /// Its size, where that is known before it is written.
    pub fn bytes(&self) -> Option<u64> {
        match &self.form {
            Form::Exact { bytes, .. } => Some(*bytes),
            Form::Rebuilt(_) => None,
        }
    }

    /// Writes it.
    pub fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        match &self.form {
            Form::Exact { outline, bytes, .. } => {
                let count = io::copy(&mut RecordReader::open(&self.depot, outline)?, &mut { to })?;
                if count != *bytes {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "the outline is of another record"));
                }
                Ok(())
            }
            Form::Rebuilt(rebuilt) => rebuilt.write(&self.depot, to),
        }
    }
}

impl Rebuilt {
    fn of(app: &App, build: &Build) -> Result<Self, WebError> {
        let depot = app.depot();
        let lost = |what: &str| WebError::Unknown { what: format!("{what} of build {} on disk", build.uuid) };
        let script = depot.file_of_row(&build.script).ok_or_else(|| lost("script"))?;
        let readme = "SELECT t.value FROM job_tag t JOIN job j ON j.id = t.job JOIN tag n ON n.id = t.tag
            WHERE j.name = ?1 AND n.tag = 'readme.md'";
        let (artifacts, readme) = app.read(|connection| {
            let readme: Option<String> =
                connection.prepare_cached(readme)?.query_row([&build.job], |row| columns::text(row, 0)).optional()?;
            Ok((artifact::all(connection, build.id)?, readme))
        })?;
        Ok(Self {
            build: build.clone(),
            script: std::fs::read(&script).tried("read", &script)?,
            console: depot.file_of_row(&build.console).ok_or_else(|| lost("console"))?,
            artifacts,
            readme: readme.map(String::into_bytes),
        })
    }

    fn write(&self, depot: &Depot, to: &mut dyn Write) -> io::Result<()> {
        let mut heads: Vec<FileHead> =
            self.artifacts.iter().map(|artifact| FileHead::new(artifact.path.as_bytes(), artifact.size)).collect();
        if let Some(readme) = &self.readme {
            heads.push(FileHead::new(b"README.md", readme.len() as u64));
        }
        let files = files_header(heads.iter().map(FileHead::size).sum());
        let files_bytes = files.len() as u64 + heads.iter().map(FileHead::size).sum::<u64>();
        let mut console_bytes = 0;
        each_line_backwards(&self.console, &mut |delta, line| {
            console_bytes += ConsoleLine { delta, line }.write(&mut Vec::new()) as u64;
            Ok(())
        })?;
        let (job, platform) = (self.build.job.as_bytes(), self.build.platform.as_bytes());
        let job = ScriptJob { name: job, platform, script: &self.script };
        let times = (self.build.start, self.build.finish);
        let frame = Frame::new(job, &self.build.uuid, console_bytes, times, &self.build.outcome, files_bytes);
        to.write_all(&frame.before_console)?;
        let mut piece = Vec::new();
        each_line_backwards(&self.console, &mut |delta, line| {
            piece.clear();
            ConsoleLine { delta, line }.write(&mut piece);
            to.write_all(&piece)
        })?;
        to.write_all(&frame.after_console)?;
        to.write_all(&files)?;
        for (head, artifact) in heads.iter().zip(self.artifacts.iter().map(Some).chain([None])) {
            to.write_all(&head.header)?;
            let count = match (artifact, &self.readme) {
                (Some(artifact), _) => {
                    let file = File::open(depot.artifact(&artifact.sha256))?;
                    io::copy(&mut BufReader::new(file).take(head.data_bytes), &mut { &mut *to })?
                }
                (None, Some(readme)) => io::copy(&mut readme.as_slice(), &mut { &mut *to })?,
                (None, None) => 0,
            };
            if count != head.data_bytes {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "an artifact has another size than its row says",
                ));
            }
        }
        Ok(())
    }
}

/// Reads `console.txt` from its end, a block at a time. A line that is not of its form is passed over.
fn each_line_backwards(path: &Path, take: &mut dyn FnMut(i64, &[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut at = file.metadata()?.len();
    // What lies after `at` and before the last newline that was passed.
    let mut rest: Vec<u8> = Vec::new();
    while at > 0 {
        let from = at.saturating_sub(BLOCK_BYTES);
        let mut block = vec![0; usize::try_from(at - from).map_err(io::Error::other)?];
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(&mut block)?;
        block.append(&mut rest);
        let mut end = block.len();
        let newlines = block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n').map(|(place, _)| place);
        for newline in newlines {
            take_line(block.get(newline + 1..end).unwrap_or_default(), take)?;
            end = newline;
        }
        block.truncate(end);
        (rest, at) = (block, from);
    }
    take_line(&rest, take)
}

fn take_line(line: &[u8], take: &mut dyn FnMut(i64, &[u8]) -> io::Result<()>) -> io::Result<()> {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return Ok(()) };
    let (time, text) = line.split_at(colon);
    let Some(delta) = nanoseconds(time) else { return Ok(()) };
    take(delta, text.get(1..).unwrap_or_default())
}

/// `1.500s` in nanoseconds.
fn nanoseconds(time: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(time).ok()?.strip_suffix('s')?;
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(seconds) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let fraction = format!("{fraction:0<9}").parse::<i64>().ok()?;
    seconds.parse::<i64>().ok()?.checked_mul(1_000_000_000)?.checked_add(fraction)?.checked_mul(sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_console_is_read_from_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("console.txt");
        let long = "x".repeat(600_000);
        std::fs::write(&path, format!("0.000s:a\nno line\n1.500s:b:c\n-0.001s:{long}\n2.000s:\n")).unwrap();
        let mut lines = Vec::new();
        each_line_backwards(&path, &mut |delta, line| {
            lines.push((delta, line.len()));
            Ok(())
        })
        .unwrap();
        assert_eq!(lines, [(2_000_000_000, 0), (-1_000_000, 600_000), (1_500_000_000, 3), (0, 1)]);
        for bad in ["", "1.5", "1.5.5s", "xs", "1.5000000000s"] {
            assert_eq!(nanoseconds(bad.as_bytes()), None, "{bad}");
        }
    }
}
