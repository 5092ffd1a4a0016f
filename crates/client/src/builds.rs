//! What a server says of finished builds, owned: its history, and the uploads that wait.

use builder_model::state::FinishedBuild;
use builder_model::{BuildId, JobName, Platform, Timestamp};
use builder_wire::Ask;
use builder_wire::message::{AskBuilds, BUILDS_ASKED_MAX, BuildRow, BuildsReply, UploadRow};

/// Which finished builds are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildFilter {
    /// At most this many.
    pub count: usize,
    /// Only those of this job.
    pub job: Option<String>,
    /// Only those on this platform.
    pub platform: Option<String>,
    /// Only those that did not exit with status 0.
    pub failed: bool,
}

/// A build that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedBuild {
    /// What, where, when and how.
    pub build: FinishedBuild,
    /// When the repository took it.
    pub uploaded: Option<Timestamp>,
}

/// The record of a build that waits for the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingUpload {
    /// Which build.
    pub build: BuildId,
    /// Its job.
    pub job: JobName,
    /// How often it was tried.
    pub tries: u32,
    /// Why it failed last: any bytes.
    pub error: Option<Vec<u8>>,
}

/// One reply, and where to ask on.
#[derive(Debug, Default)]
pub(crate) struct BuildPage {
    pub(crate) builds: Vec<EndedBuild>,
    pub(crate) next: Option<i64>,
}

impl BuildFilter {
    /// The question for the next builds.
    pub(crate) fn ask(&self, left: usize, before: Option<i64>) -> Ask<'_> {
        Ask::Builds(AskBuilds {
            count: u32::try_from(left).unwrap_or(u32::MAX).clamp(1, BUILDS_ASKED_MAX),
            before,
            job: self.job.as_deref().map(str::as_bytes),
            platform: self.platform.as_deref().map(str::as_bytes),
            failed: self.failed,
        })
    }
}

impl From<&BuildsReply<'_>> for BuildPage {
    fn from(reply: &BuildsReply<'_>) -> Self {
        Self { builds: reply.builds.iter().map(EndedBuild::from).collect(), next: reply.next }
    }
}

impl From<&BuildRow<'_>> for EndedBuild {
    fn from(row: &BuildRow<'_>) -> Self {
        let build = FinishedBuild {
            build: row.build,
            job: JobName::from_history(row.job),
            platform: Platform::from_history(row.platform),
            attempts: row.attempts,
            started: row.started,
            finished: row.finished,
            outcome: row.outcome.clone(),
            record_bytes: row.record_bytes,
        };
        Self { build, uploaded: row.uploaded }
    }
}

impl From<&UploadRow<'_>> for WaitingUpload {
    fn from(row: &UploadRow<'_>) -> Self {
        let error = row.error.map(<[u8]>::to_vec);
        Self { build: row.build, job: JobName::from_history(row.job), tries: row.tries, error }
    }
}
