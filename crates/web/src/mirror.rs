//! Copies builds from another instance, the original's or ours, into a data folder, also beside the server that has it.
//!
//! What is here already is not fetched, so that a run that was cut off goes on with the next one; what it left half done
//! is removed first. Builds come one at a time, the oldest first, through the very path that uploads take, and each is
//! held against what the source says of its artifacts: a file that was damaged there is not copied as if it were another
//! one. What the source removes meanwhile is passed over. The other side's protocol is in `source`.

mod patient;
mod source;

use crate::accounts::local;
use crate::app::App;
use crate::database::build;
use crate::digest::Digest;
use crate::error::WebError;
use crate::ingest::receive::{Incoming, ReceiveError, receive};
use crate::ingest::reconcile::reconcile;
use crate::ingest::store::store;
use crate::ingest::{Sender, Stored};
use crate::limits::{MIRROR_FAILURES_MAX, MIRROR_PAUSE_MAX, MIRROR_PIECE_BYTES};
use crate::name::Name;
use builder_model::BuildId;
use bytes::Bytes;
use patient::Patient;
pub use source::SourceError;
use source::{Listed, Source};
use std::cell::Cell;
use std::collections::BTreeSet;

/// What to copy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// The address of the other instance, such as `https://builds.robur.coop`.
    pub url: String,
    /// The jobs whose builds are copied; all of them when empty.
    pub jobs: Vec<String>,
    /// The platform whose builds are copied; all of them when none.
    pub platform: Option<String>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Builds that are here now and were not before.
    pub copied: u64,
    /// The bytes of their records.
    pub bytes: u64,
    /// Builds that were here already.
    pub known: u64,
    /// Builds that turned out to be of another job or platform than those that are copied.
    pub other: u64,
    /// Builds that the other side listed, and removed before they came.
    pub gone: u64,
    /// Builds that could not be copied; the log says why.
    pub failed: u64,
    /// Jobs whose builds could not be listed; the log says why.
    pub failed_jobs: u64,
}

/// What happens, for somebody who watches.
#[derive(Debug)]
pub enum Step<'a> {
    /// A job has so many builds that are not here yet.
    Job(&'a str, u64),
    /// So many bytes of a record came.
    Received(u64),
    /// A build is done, however that went.
    Done,
}

/// Why nothing is copied any more.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The other side.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Our side.
    #[error(transparent)]
    Own(#[from] WebError),
    /// One build after another failed, or one list of a job, and the other side is gone.
    #[error(
        "{MIRROR_FAILURES_MAX} {what} in a row could not be copied, and nothing answers there any more; the last one because: {last}\nhint: run it again; what came so far is kept"
    )]
    Failing {
        /// Builds, or jobs.
        what: &'static str,
        /// What was wrong with the last one.
        last: String,
    },
}

/// Why one build is not copied.
#[derive(Debug, thiserror::Error)]
enum BuildError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Receive(#[from] ReceiveError),
    #[error("its record is of build {0}")]
    OtherBuild(BuildId),
    #[error("none of its artifacts is {0}, which the source says its main binary is")]
    OtherBinary(Digest),
    #[error(
        "its artifact {path} has the SHA-256 {digest} here, and there is none such at the source: it is damaged there"
    )]
    OtherArtifact { path: String, digest: Digest },
}

/// Copies what is not here yet. For code that may block.
pub fn mirror(app: &App, options: &Options, watch: &mut dyn FnMut(Step<'_>)) -> Result<Report, MirrorError> {
    let source = Source::new(&options.url)?;
    reconcile(app)?;
    let sender = local::mirror_sender(app)?;
    let jobs = if options.jobs.is_empty() { source.jobs()? } else { options.jobs.clone() };
    let mut copying =
        Copying { app, source: &source, sender, options, report: Report::default(), failures: 0, unlisted: 0 };
    for job in jobs {
        let mut missing = Vec::new();
        for build in copying.list(&job)? {
            match app.read(|connection| build::by_uuid(connection, &build.uuid))? {
                Some(_) => copying.report.known += 1,
                None => missing.push(build),
            }
        }
        watch(Step::Job(&job, missing.len() as u64));
        for build in missing {
            copying.copy(&job, &build, watch)?;
            watch(Step::Done);
        }
    }
    Ok(copying.report)
}

/// A run.
struct Copying<'a> {
    app: &'a App,
    source: &'a Source,
    sender: Sender,
    options: &'a Options,
    report: Report,
    /// Builds that failed since the last one that did not.
    failures: u32,
    /// Jobs that could not be listed since the last one that could.
    unlisted: u32,
}

impl Copying<'_> {
    /// The builds of a job, the oldest first. A job whose list is broken there keeps none of the others away.
    fn list(&mut self, job: &str) -> Result<Vec<Listed>, MirrorError> {
        let is_named = !self.options.jobs.is_empty();
        match self.source.builds(job, self.options.platform.as_deref()) {
            Ok(builds) => {
                self.unlisted = 0;
                Ok(builds)
            }
            Err(error) if error.is_not_found() && !is_named => {
                tracing::info!("the job {job} is gone from the source");
                Ok(Vec::new())
            }
            Err(error) => {
                tracing::warn!("no build of {job} is copied: {error}");
                self.report.failed_jobs += 1;
                self.unlisted = self.after_failure("jobs", self.unlisted, &error.to_string())?;
                Ok(Vec::new())
            }
        }
    }

    /// Counts one more failure in a row. After some, it makes no sense to go on where the source is gone; where it is
    /// there, what it cannot give keeps nothing else away: what is lost there is lost to each run.
    fn after_failure(&self, what: &'static str, before: u32, last: &str) -> Result<u32, MirrorError> {
        match before + 1 {
            MIRROR_FAILURES_MAX if self.source.is_alive() => Ok(0),
            MIRROR_FAILURES_MAX => Err(MirrorError::Failing { what, last: last.to_owned() }),
            failures => Ok(failures),
        }
    }

    /// Copies a build, and counts what became of it.
    fn copy(&mut self, job: &str, build: &Listed, watch: &mut dyn FnMut(Step<'_>)) -> Result<(), MirrorError> {
        let mut bytes = 0;
        let result = self.fetch(job, build, &mut bytes, watch);
        let failure = match result {
            Ok(Copied::Stored) => {
                self.report.copied += 1;
                self.report.bytes += bytes;
                None
            }
            // It is of two jobs, or came in another way meanwhile.
            Ok(Copied::Known) => {
                self.report.known += 1;
                None
            }
            Ok(Copied::Other) => {
                self.report.other += 1;
                None
            }
            // Its own retention, or somebody there, was faster.
            Err(BuildError::Source(error)) if error.is_not_found() && self.source.is_gone(job, &build.uuid) => {
                tracing::info!("build {} of {job} is gone from the source", build.uuid);
                self.report.gone += 1;
                None
            }
            // A broken data folder does not get better with the next build.
            Err(BuildError::Receive(ReceiveError::Own(error))) => return Err(error.into()),
            Err(error) => Some(error.to_string()),
        };
        let Some(failure) = failure else {
            self.failures = 0;
            return Ok(());
        };
        tracing::warn!("build {} of {job} is not copied: {failure}", build.uuid);
        self.report.failed += 1;
        self.failures = self.after_failure("builds", self.failures, &failure)?;
        Ok(())
    }

    fn fetch(
        &self,
        job: &str,
        build: &Listed,
        bytes: &mut u64,
        watch: &mut dyn FnMut(Step<'_>),
    ) -> Result<Copied, BuildError> {
        let stalled = |error: std::io::Error| ReceiveError::Stalled(error.to_string());
        let record = self.source.record(job, &build.uuid)?;
        let record = Patient::new(record, MIRROR_PIECE_BYTES, MIRROR_PAUSE_MAX).map_err(stalled)?;
        let limit = self.app.settings().upload_bytes_max;
        let mut next = || {
            let Some(piece) = record.next().map_err(stalled)? else { return Ok(None) };
            *bytes += piece.len() as u64;
            if *bytes > limit {
                return Err(ReceiveError::TooLarge { what: "the record", limit });
            }
            watch(Step::Received(piece.len() as u64));
            Ok(Some(Bytes::from(piece)))
        };
        let refused = Cell::new(None);
        let received = receive(self.app.depot(), &mut next, &|job, platform, uuid| {
            let refusal = if *uuid != build.uuid {
                Refused::OtherBuild(*uuid)
            } else if self.is_wanted(job, platform) {
                return Ok(());
            } else {
                Refused::NotWanted
            };
            refused.set(Some(refusal));
            Err(ReceiveError::Refused("it is another build than was asked for".into()))
        });
        match refused.get() {
            Some(Refused::OtherBuild(uuid)) => Err(BuildError::OtherBuild(uuid)),
            Some(Refused::NotWanted) => Ok(Copied::Other),
            None => self.keep(job, build, received?),
        }
    }

    /// Whether builds of this job on this platform are to be copied: the original also lists builds of another job, or on
    /// another platform, that have the same output.
    fn is_wanted(&self, job: &Name, platform: &Name) -> bool {
        let Options { jobs, platform: only, .. } = self.options;
        (jobs.is_empty() || jobs.iter().any(|name| name == job.as_str()))
            && only.as_ref().is_none_or(|only| only == platform.as_str())
    }

    /// Stores a build that is what the source said.
    fn keep(&self, job: &str, build: &Listed, incoming: Incoming) -> Result<Copied, BuildError> {
        if let Some(binary) = build.main_binary
            && !incoming.artifacts.iter().any(|artifact| artifact.digest == binary)
        {
            return Err(BuildError::OtherBinary(binary));
        }
        // The main binary is what was listed; of the others the list of builds says nothing.
        let others = incoming.artifacts.iter().map(|artifact| artifact.digest);
        let others: BTreeSet<Digest> = others.filter(|digest| Some(*digest) != build.main_binary).collect();
        if let Some(digest) = self.source.first_unknown(job, &build.uuid, &others)? {
            let artifact = incoming.artifacts.iter().find(|artifact| artifact.digest == digest);
            let path = artifact.map(|artifact| artifact.path.clone()).unwrap_or_default();
            return Err(BuildError::OtherArtifact { path, digest });
        }
        tracing::debug!("build {} of {} came", incoming.build, incoming.job);
        Ok(match store(self.app, &self.sender, incoming)? {
            Stored::New { .. } => Copied::Stored,
            Stored::Again => Copied::Known,
        })
    }
}

/// What became of a build.
enum Copied {
    Stored,
    Known,
    Other,
}

/// Why a record is not received to its end.
#[derive(Clone, Copy)]
enum Refused {
    OtherBuild(BuildId),
    NotWanted,
}
