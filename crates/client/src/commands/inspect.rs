//! `builder-inspect FILE`.

use crate::cli::{Exit, Failure, Format, Screen, complain, json_string};
use crate::console_text::ocaml_string;
use crate::inspect::{Artifact, Artifacts, Extractor, RecordError, RecordFile, Summary};
use builder_wire::stream::FileEvent;
use std::io::{self, Write};
use std::path::PathBuf;

/// What to show of a record.
#[derive(Debug, clap::Args)]
pub(crate) struct Inspect {
    /// The record: the file `full` of a build.
    file: PathBuf,
    /// Print the job and its platform.
    #[arg(long)]
    job: bool,
    /// Print the console, the oldest line first.
    #[arg(long)]
    console: bool,
    /// Print the script.
    #[arg(long)]
    script: bool,
    /// List the artifacts: SHA-256, size in bytes and path.
    #[arg(long)]
    list: bool,
    /// Write the artifacts to this folder, which must exist. Nothing outside it is written, and no file is replaced.
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

impl Inspect {
    pub(crate) fn run(self, screen: &mut Screen) -> Result<Exit, Failure> {
        let failed = |source| match source {
            RecordError::Sink(error) => Failure::Output(error),
            RecordError::Read(_)
            | RecordError::Decode(_)
            | RecordError::Truncated { .. }
            | RecordError::Changed { .. } => Failure::Record { path: self.file.clone(), source },
        };
        // The folder is looked at first: a mistake there should not cost the reading of a large record.
        let mut unpacking = match &self.output {
            Some(folder) => Some(Unpacking::new(folder.clone())?),
            None => None,
        };
        let mut record = RecordFile::open(&self.file).map_err(failed)?;
        let summary = record.scan(&mut |_| Ok(())).map_err(failed)?;
        match screen.format() {
            Format::Text => self.write_text(&mut record, &summary, unpacking.as_mut(), screen).map_err(failed)?,
            Format::Json => self.write_json(&mut record, &summary, unpacking.as_mut(), screen).map_err(failed)?,
        }
        match unpacking {
            Some(Unpacking { left_out: count @ 1.., folder, .. }) => Err(Failure::Extraction { count, folder }),
            Some(_) | None => Ok(Exit::Success),
        }
    }

    fn write_text(
        &self,
        record: &mut RecordFile,
        summary: &Summary,
        unpacking: Option<&mut Unpacking>,
        screen: &mut Screen,
    ) -> Result<(), RecordError> {
        let sink = RecordError::Sink;
        if self.job {
            writeln!(screen, "{} on {}", summary.job.name, summary.job.platform).map_err(sink)?;
        }
        if self.console {
            writeln!(screen, "started at {}", summary.started).map_err(sink)?;
            record.console(&summary.console, &mut |line| {
                write!(screen, "{}ms: ", line.delta / 1_000_000)?;
                ocaml_string(screen, line.line)?;
                screen.write_all(b"\n")
            })?;
            writeln!(screen, "{}\nstopped at {}", summary.outcome, summary.finished).map_err(sink)?;
        }
        if self.script {
            screen.write_all(&summary.job.script).and_then(|()| screen.write_all(b"\n")).map_err(sink)?;
        }
        let silent = !(self.job || self.console || self.script || self.list || self.output.is_some());
        if silent {
            let hint = "--job, --console, --script and --list show what is in it, --output DIR extracts its artifacts";
            complain("builder-inspect", "the record is complete", Some(hint));
        }
        let listed = if self.list { Listed::Yes } else { Listed::No };
        pass_artifacts(record, unpacking, listed, &mut |artifact| {
            let path = builder_model::Shown(&artifact.path);
            writeln!(screen, "{}  {:>12}  {path}", artifact.sha256_text(), artifact.bytes)
        })
    }

    /// One object, written as it is read: neither console nor artifacts are held.
    fn write_json(
        &self,
        record: &mut RecordFile,
        summary: &Summary,
        unpacking: Option<&mut Unpacking>,
        screen: &mut Screen,
    ) -> Result<(), RecordError> {
        let sink = RecordError::Sink;
        self.write_json_head(summary, screen).map_err(sink)?;
        if self.console {
            screen.write_all(b",\"console\":[").map_err(sink)?;
            let mut comma = "";
            record.console(&summary.console, &mut |line| {
                write!(screen, "{comma}{{\"delta_ns\":{},\"line\":", line.delta)?;
                json_string(screen, line.line)?;
                comma = ",";
                screen.write_all(b"}")
            })?;
            screen.write_all(b"]").map_err(sink)?;
        }
        screen.write_all(b",\"artifacts\":[").map_err(sink)?;
        let mut comma = "";
        pass_artifacts(record, unpacking, Listed::Yes, &mut |artifact| {
            write!(screen, "{comma}{{\"path\":")?;
            json_string(screen, &artifact.path)?;
            comma = ",";
            write!(screen, ",\"size\":{},\"sha256\":\"{}\"}}", artifact.bytes, artifact.sha256_text())
        })?;
        screen.write_all(b"]}\n").map_err(sink)
    }

    fn write_json_head(&self, summary: &Summary, screen: &mut Screen) -> io::Result<()> {
        screen.write_all(b"{\"job\":")?;
        json_string(screen, summary.job.name.as_bytes())?;
        screen.write_all(b",\"platform\":")?;
        json_string(screen, summary.job.platform.as_bytes())?;
        let Summary { build, started, finished, outcome, console, job } = summary;
        write!(screen, ",\"uuid\":\"{build}\",\"started\":\"{started}\",\"finished\":\"{finished}\",\"outcome\":")?;
        json_string(screen, outcome.to_string().as_bytes())?;
        write!(screen, ",\"success\":{},\"console_lines\":{}", outcome.is_success(), console.lines())?;
        if self.script {
            screen.write_all(b",\"script\":")?;
            json_string(screen, &job.script)?;
        }
        Ok(())
    }
}

/// Whether the artifacts are to be listed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Listed {
    Yes,
    No,
}

/// Reads the artifacts once more, if they are to be listed or extracted.
fn pass_artifacts(
    record: &mut RecordFile,
    mut unpacking: Option<&mut Unpacking>,
    listed: Listed,
    list: &mut dyn FnMut(&Artifact) -> io::Result<()>,
) -> Result<(), RecordError> {
    let mut artifacts = (listed == Listed::Yes).then(Artifacts::default);
    if artifacts.is_none() && unpacking.is_none() {
        return Ok(());
    }
    record.scan(&mut |event| {
        if let Some(unpacking) = &mut unpacking {
            unpacking.take(&event);
        }
        match artifacts.as_mut().and_then(|artifacts| artifacts.take(&event)) {
            Some(artifact) => list(&artifact),
            None => Ok(()),
        }
    })?;
    Ok(())
}

/// The extraction of artifacts, with what was left out reported on stderr.
struct Unpacking {
    extractor: Extractor,
    folder: PathBuf,
    left_out: u64,
}

impl Unpacking {
    fn new(folder: PathBuf) -> Result<Self, Failure> {
        match Extractor::new(&folder) {
            Ok(extractor) => Ok(Self { extractor, folder, left_out: 0 }),
            Err(source) => Err(Failure::Folder { folder, source }),
        }
    }

    fn take(&mut self, event: &FileEvent<'_>) {
        if let Err(error) = self.extractor.take(event) {
            self.left_out += 1;
            complain("builder-inspect", &error.to_string(), None);
        }
    }
}
