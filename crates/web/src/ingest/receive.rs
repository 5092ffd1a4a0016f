//! Receives a record: octets come in once, and leave as files in a staging folder, each artifact hashed on its way.
//!
//! What was received is not a build yet: `store` makes it one. Memory does not grow with the size of anything but the
//! list of artifacts.

use super::spool::{Spool, StoredConsole};
use crate::depot::{Depot, StagingLock, make_folder};
use crate::digest::Digest;
use crate::error::{Tried, WebError};
use crate::name::{Name, NameError};
use crate::outline::{OutlineWriter, RecordIdentity};
use builder_facts::artifact_role;
use builder_model::{BuildId, Outcome, ScriptJob, Shown, Timestamp, limits};
use builder_wire::DecodeError;
use builder_wire::stream::{FileEvent, RecordEvent, RecordParser};
use sha2::{Digest as _, Sha256};
use std::cell::Cell;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Most artifacts that one upload may hold.
pub const ARTIFACTS_MAX: usize = 250_000;
/// Most bytes that the paths of all artifacts of one upload may have together: they are held in memory.
pub(crate) const PATHS_BYTES_MAX: usize = 24 << 20;
/// The base name of the artifact that becomes the readme of its job.
const README: &str = "README.md";

/// Why a body is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The octets are no record.
    #[error("the body is not a build record: {0}\nhint: upload the file `full` as it is, with --data-binary")]
    Decode(#[from] DecodeError),
    /// The body ended within the record.
    #[error("the body is cut off: it ends at byte {0}, within the record")]
    Truncated(u64),
    /// The body stopped coming.
    #[error("the body stopped coming: {0}")]
    Stalled(String),
    /// A name that would not be safe.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The record holds something that no build may have.
    #[error("{0}")]
    Content(String),
    /// The name for a binary that was made by hand is none.
    #[error("Bad binary name provided.")]
    BinaryName,
    /// It is larger than it may be.
    #[error("{what} is larger than {limit} bytes, the most that this repository takes")]
    TooLarge {
        /// What is.
        what: &'static str,
        /// The limit in bytes.
        limit: u64,
    },
    /// The one who sends may not.
    #[error("{0}")]
    Refused(String),
    /// Another build has the UUID.
    #[error("Build with same uuid exists: {job}({build})")]
    Exists {
        /// Its job.
        job: String,
        /// Its UUID.
        build: BuildId,
    },
    /// The data folder or the database failed.
    #[error(transparent)]
    Own(#[from] WebError),
}

/// A build that was received and is not stored yet; its files are removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) staging: Staging,
    pub(crate) job: Name,
    pub(crate) platform: Name,
    pub(crate) build: BuildId,
    pub(crate) script: Digest,
    pub(crate) started: Timestamp,
    pub(crate) finished: Timestamp,
    pub(crate) outcome: Outcome,
    pub(crate) console: StoredConsole,
    pub(crate) artifacts: Vec<IncomingArtifact>,
    /// The readme, when one came.
    pub(crate) readme: Option<Vec<u8>>,
    pub(crate) record: RecordIdentity,
}

/// An artifact that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IncomingArtifact {
    pub(crate) path: String,
    pub(crate) digest: Digest,
    pub(crate) bytes: u64,
    /// Its file in the staging folder.
    pub(crate) number: usize,
}

/// A folder for one upload, removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Staging {
    path: PathBuf,
    /// Left where it is, with its intent, for the next start.
    is_left: Cell<bool>,
    /// Says that somebody is at work in it.
    _lock: StagingLock,
}

impl Staging {
    /// Makes a folder of its own for an upload of this build: several may be on their way.
    pub(crate) fn create(depot: &Depot, build: &BuildId) -> Result<Self, WebError> {
        // Between its making and its lock, a start may take a folder for one that a crash left.
        let (path, lock) = loop {
            let random = u64::from_be_bytes(crate::depot::random()?);
            let path = depot.stagings().join(format!("{build}.{random:016x}"));
            make_folder(&path)?;
            if let Some(lock) = Depot::try_lock_staging(&path)? {
                break (path, lock);
            }
        };
        let staging = Self { path, is_left: Cell::new(false), _lock: lock };
        make_folder(&staging.build())?;
        make_folder(&staging.path.join("artifacts"))?;
        Ok(staging)
    }

    /// The folder itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What becomes the folder of the build.
    pub(crate) fn build(&self) -> PathBuf {
        self.path.join("build")
    }

    /// Leaves it for the next start to take back what its intent says.
    pub(crate) fn leave(&self) {
        self.is_left.set(true);
    }

    pub(crate) fn artifact(&self, number: usize) -> PathBuf {
        self.path.join("artifacts").join(number.to_string())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.is_left.get() {
            return;
        }
        if let Err(error) = Depot::remove(&self.path) {
            tracing::warn!("an upload leaves files behind, which the next start removes: {error}");
        }
    }
}

/// What is asked once the head of a record is there: may this job's build on this platform come from this sender?
pub(crate) type Permit<'a> = &'a dyn Fn(&Name, &Name, &BuildId) -> Result<(), ReceiveError>;

/// Receives a record out of `next`, which gives the body piece by piece, and nothing at its end.
pub(crate) fn receive(
    depot: &Depot,
    next: &mut dyn FnMut() -> Result<Option<bytes::Bytes>, ReceiveError>,
    permit: Permit<'_>,
) -> Result<Incoming, ReceiveError> {
    let mut receiver = Receiver::new(depot, permit);
    let mut parser = RecordParser::new();
    while let Some(piece) = next()? {
        let mut input = &piece[..];
        loop {
            let before = input;
            let event = parser.next(&mut input)?;
            let taken = before.split_at(before.len() - input.len()).0;
            match event {
                Some(event) => receiver.event(event, taken)?,
                None => {
                    receiver.raw(taken)?;
                    break;
                }
            }
        }
    }
    if !parser.is_done() {
        return Err(ReceiveError::Truncated(parser.position()));
    }
    receiver.finish()
}

struct Receiver<'a> {
    depot: &'a Depot,
    permit: Permit<'a>,
    /// Bytes that came before there was a staging folder.
    before: Vec<u8>,
    begun: Option<Begun>,
}

struct Begun {
    staging: Staging,
    outline: OutlineWriter<File>,
    outline_path: PathBuf,
    job: Name,
    platform: Name,
    build: BuildId,
    script: Digest,
    spool: Option<Spool>,
    console: Option<StoredConsole>,
    ended: Option<(Timestamp, Timestamp, Outcome)>,
    artifacts: Vec<IncomingArtifact>,
    path_bytes: usize,
    readme: Option<Readme>,
    current: Option<Current>,
}

struct Readme {
    path: String,
    content: Vec<u8>,
}

/// The file that comes just now.
struct Current {
    path: String,
    bytes: u64,
    kind: CurrentKind,
}

enum CurrentKind {
    Artifact { to: File, to_path: PathBuf, hash: Sha256 },
    Readme(Vec<u8>),
    Dropped,
}

impl<'a> Receiver<'a> {
    fn new(depot: &'a Depot, permit: Permit<'a>) -> Self {
        Self { depot, permit, before: Vec::new(), begun: None }
    }

    /// Bytes of the record that are no content of an artifact.
    fn raw(&mut self, bytes: &[u8]) -> Result<(), ReceiveError> {
        match &mut self.begun {
            Some(begun) => begun.outline.literal(bytes).tried("write", &begun.outline_path)?,
            None => self.before.extend_from_slice(bytes),
        }
        Ok(())
    }

    fn event(&mut self, event: RecordEvent<'_>, taken: &[u8]) -> Result<(), ReceiveError> {
        if let RecordEvent::Start { job, build } = event {
            self.before.extend_from_slice(taken);
            return self.begin(&job, build);
        }
        let Some(begun) = &mut self.begun else {
            return Err(ReceiveError::Content("the record has no beginning".into()));
        };
        let content = begun.take(event)?;
        // The content of an artifact is the end of what was taken; before it lies what describes it.
        let described = taken.split_at(taken.len().saturating_sub(content)).0;
        self.raw(described)
    }

    fn begin(&mut self, job: &ScriptJob, build: BuildId) -> Result<(), ReceiveError> {
        let (name, platform) = (Name::job(job.name.as_bytes())?, Name::platform(job.platform.as_bytes())?);
        (self.permit)(&name, &platform, &build)?;
        let staging = Staging::create(self.depot, &build)?;
        let folder = staging.build();
        let script_path = folder.join("script.txt");
        std::fs::write(&script_path, &job.script).tried("write", &script_path)?;
        let outline_path = folder.join("outline.gz");
        let file = File::create_new(&outline_path).tried("create", &outline_path)?;
        let mut outline = OutlineWriter::new(file).tried("write", &outline_path)?;
        outline.literal(&std::mem::take(&mut self.before)).tried("write", &outline_path)?;
        let spool = Some(Spool::create(staging.path().join("console.spool"))?);
        self.begun = Some(Begun {
            staging,
            outline,
            outline_path,
            job: name,
            platform,
            build,
            script: Digest::of(&job.script),
            spool,
            console: None,
            ended: None,
            artifacts: Vec::new(),
            path_bytes: 0,
            readme: None,
            current: None,
        });
        Ok(())
    }

    fn finish(self) -> Result<Incoming, ReceiveError> {
        let missing = || ReceiveError::Content("the record has no beginning".into());
        let mut begun = self.begun.ok_or_else(missing)?;
        refuse_duplicates(&begun.artifacts)?;
        let (_, record) = begun.outline.finish().tried("write", &begun.outline_path)?;
        let (started, finished, outcome) = begun.ended.take().ok_or_else(missing)?;
        Ok(Incoming {
            staging: begun.staging,
            job: begun.job,
            platform: begun.platform,
            build: begun.build,
            script: begun.script,
            started,
            finished,
            outcome,
            console: begun.console.ok_or_else(missing)?,
            artifacts: begun.artifacts,
            readme: begun.readme.map(|readme| readme.content),
            record,
        })
    }
}

impl Begun {
    /// Takes what came; gives how many bytes at its end are kept in a file of their own.
    fn take(&mut self, event: RecordEvent<'_>) -> Result<usize, ReceiveError> {
        match event {
            RecordEvent::Start { .. } | RecordEvent::End | RecordEvent::File(FileEvent::ListEnd) => {}
            RecordEvent::Line { delta, line } => match &mut self.spool {
                Some(spool) => spool.push(delta, &line)?,
                None => return Err(ReceiveError::Content("a console line came after the console".into())),
            },
            RecordEvent::Ended { started, finished, outcome } => {
                if let Some(spool) = self.spool.take() {
                    let to = self.staging.build().join("console.txt");
                    self.console = Some(spool.write_oldest_first(&to)?);
                }
                self.ended = Some((started, finished, outcome));
            }
            RecordEvent::File(FileEvent::Start { path, data_bytes }) => self.start_file(&path, data_bytes)?,
            RecordEvent::File(FileEvent::Data(data)) => return self.data(data),
            RecordEvent::File(FileEvent::End) => self.end_file()?,
        }
        Ok(0)
    }

    fn start_file(&mut self, path: &[u8], bytes: u64) -> Result<(), ReceiveError> {
        if path.len() > limits::ARTIFACT_PATH_BYTES_MAX {
            let (length, most) = (path.len(), limits::ARTIFACT_PATH_BYTES_MAX);
            return Err(ReceiveError::Content(format!("the path of an artifact has {length} bytes, at most {most}")));
        }
        if self.artifacts.len() >= ARTIFACTS_MAX {
            return Err(ReceiveError::Content(format!("the record has more than {ARTIFACTS_MAX} artifacts")));
        }
        let path = Shown(path).to_string();
        if path.ends_with('/') {
            let reason = format!("the path of an artifact is {path:?}, which is a folder's and no file's");
            return Err(ReceiveError::Content(reason));
        }
        self.path_bytes += path.len();
        if self.path_bytes > PATHS_BYTES_MAX {
            let reason = format!("the paths of the artifacts have more than {PATHS_BYTES_MAX} bytes together");
            return Err(ReceiveError::Content(reason));
        }
        let kind = if artifact_role::base_name(&path) == README {
            CurrentKind::Readme(Vec::new())
        } else if artifact_role::is_dropped(&path) {
            CurrentKind::Dropped
        } else {
            let to_path = self.staging.artifact(self.artifacts.len());
            let to = File::create_new(&to_path).tried("create", &to_path)?;
            CurrentKind::Artifact { to, to_path, hash: Sha256::new() }
        };
        self.current = Some(Current { path, bytes, kind });
        Ok(())
    }

    fn data(&mut self, data: &[u8]) -> Result<usize, ReceiveError> {
        let Some(current) = &mut self.current else { return Ok(0) };
        match &mut current.kind {
            CurrentKind::Artifact { to, to_path, hash } => {
                hash.update(data);
                to.write_all(data).tried("write", to_path)?;
                Ok(data.len())
            }
            CurrentKind::Readme(content) => {
                let room = crate::limits::README_BYTES_MAX.saturating_sub(content.len() as u64);
                let count = usize::try_from(room).unwrap_or(usize::MAX).min(data.len());
                content.extend_from_slice(data.split_at(count).0);
                Ok(0)
            }
            CurrentKind::Dropped => Ok(0),
        }
    }

    fn end_file(&mut self) -> Result<(), ReceiveError> {
        let Some(Current { path, bytes, kind }) = self.current.take() else { return Ok(()) };
        match kind {
            CurrentKind::Artifact { to: _, to_path: _, hash } => {
                let digest = Digest::finish(hash);
                self.outline.artifact(&digest, bytes).tried("write", &self.outline_path)?;
                self.artifacts.push(IncomingArtifact { path, digest, bytes, number: self.artifacts.len() });
            }
            // One at the top comes before those in folders.
            CurrentKind::Readme(content) => {
                let better = self.readme.as_ref().is_none_or(|kept| kept.path.contains('/') && !path.contains('/'));
                if better {
                    self.readme = Some(Readme { path, content });
                }
            }
            CurrentKind::Dropped => {}
        }
        Ok(())
    }
}

/// Two artifacts under one path are no build: which one would be meant?
fn refuse_duplicates(artifacts: &[IncomingArtifact]) -> Result<(), ReceiveError> {
    let mut paths: Vec<&str> = artifacts.iter().map(|artifact| artifact.path.as_str()).collect();
    paths.sort_unstable();
    match paths.windows(2).find(|pair| pair.first() == pair.last()) {
        Some(pair) => {
            let path = pair.first().copied().unwrap_or_default();
            Err(ReceiveError::Content(format!("the record holds two artifacts with the path {path}")))
        }
        None => Ok(()),
    }
}
