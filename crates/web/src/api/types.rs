//! What several answers share. These types are the document: what is said of a field here, its readers see.

use crate::database::artifact::Artifact;
use crate::database::build::Build;
use crate::database::listed::{Binary, Listed};
use crate::database::related::Related;
use crate::digest::Digest;
use crate::pages::{link, text};
use builder_facts::compare;
use builder_model::Outcome;
use serde::Serialize;
use utoipa::ToSchema;

/// An RFC 9457 document: what went wrong, and what to do.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// Always `about:blank`: the status says what kind of problem it is.
    r#type: String,
    /// The status in words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What is wrong, where, and what to do.
    detail: String,
}

/// How a build ended.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EndedBody {
    kind: EndedKind,
    /// The exit status, or the number of the signal; null when aborted.
    code: Option<i64>,
    /// Why it was aborted; null otherwise.
    reason: Option<String>,
    /// The same in words, such as `exited 0` or `signalled -7 (SIGKILL)`.
    text: String,
}

/// The ways to end.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum EndedKind {
    Exited,
    Signalled,
    Stopped,
    Aborted,
}

impl EndedBody {
    pub(super) fn of(outcome: &Outcome) -> Self {
        let (kind, code, reason) = match outcome {
            Outcome::Exited(code) => (EndedKind::Exited, Some(*code), None),
            Outcome::Signalled(code) => (EndedKind::Signalled, Some(*code), None),
            Outcome::Stopped(code) => (EndedKind::Stopped, Some(*code), None),
            Outcome::Aborted(reason) => (EndedKind::Aborted, None, Some(String::from_utf8_lossy(reason).into_owned())),
        };
        Self { kind, code, reason, text: text::outcome(outcome) }
    }
}

/// A build, as lists have it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BuildBody {
    #[schema(format = "uuid")]
    uuid: String,
    job: String,
    platform: String,
    #[schema(format = DateTime)]
    start_time: String,
    #[schema(format = DateTime)]
    finish_time: String,
    /// Whether its script exited with 0.
    good: bool,
    result: EndedBody,
    /// Null for a build without one.
    main_binary: Option<FileBody>,
    /// The digest by which its output is told from others; null for a build that left nothing, and before it was derived.
    output: Option<String>,
    /// How many artifacts it left; null before that was derived.
    artifact_count: Option<u64>,
    /// Their bytes together; null before that was derived.
    artifact_bytes: Option<u64>,
    /// The address of its page, path-absolute.
    page: String,
}

/// A file: where it lies, and its content.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FileBody {
    /// Where it lay below the folder of the build.
    path: String,
    sha256: String,
    /// In bytes.
    size: u64,
}

impl BuildBody {
    pub(super) fn of(build: &Listed) -> Self {
        Self {
            uuid: build.uuid.clone(),
            job: build.job.clone(),
            platform: build.platform.clone(),
            start_time: build.start.to_string(),
            finish_time: build.finish.to_string(),
            good: build.is_good(),
            result: EndedBody::of(&build.outcome),
            main_binary: build.main_binary.as_ref().map(FileBody::of),
            output: build.output.map(|output| output.to_string()),
            artifact_count: build.artifacts.map(|artifacts| artifacts.count),
            artifact_bytes: build.artifacts.map(|artifacts| artifacts.bytes),
            page: link::build(&build.job, &build.uuid),
        }
    }

    pub(super) fn of_row(build: &Build, main_binary: Option<&Artifact>) -> Self {
        let derived = build.derived.as_ref();
        Self {
            uuid: build.uuid.to_string(),
            job: build.job.clone(),
            platform: build.platform.clone(),
            start_time: build.start.to_string(),
            finish_time: build.finish.to_string(),
            good: build.outcome.is_success(),
            result: EndedBody::of(&build.outcome),
            main_binary: main_binary.map(FileBody::of_artifact),
            output: derived.and_then(|derived| derived.output).map(|(_, sha256)| sha256.to_string()),
            artifact_count: derived.map(|derived| derived.artifact_count),
            artifact_bytes: derived.map(|derived| derived.artifact_bytes),
            page: link::build(&build.job, build.uuid),
        }
    }
}

impl FileBody {
    fn of(binary: &Binary) -> Self {
        Self { path: binary.filepath.clone(), sha256: binary.sha256.to_string(), size: binary.size }
    }

    fn of_artifact(artifact: &Artifact) -> Self {
        Self { path: artifact.path.clone(), sha256: artifact.sha256.to_string(), size: artifact.size }
    }

    pub(super) fn of_fact(artifact: &compare::Artifact) -> Self {
        Self { path: artifact.path.clone(), sha256: Digest(artifact.sha256).to_string(), size: artifact.size }
    }
}

/// A build that another answer refers to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReferenceBody {
    #[schema(format = "uuid")]
    uuid: String,
    job: String,
    platform: String,
    #[schema(format = DateTime)]
    start_time: String,
    /// The address of its page, path-absolute.
    page: String,
}

impl ReferenceBody {
    pub(super) fn of(build: &Build) -> Self {
        Self {
            uuid: build.uuid.to_string(),
            job: build.job.clone(),
            platform: build.platform.clone(),
            start_time: build.start.to_string(),
            page: link::build(&build.job, build.uuid),
        }
    }
}

/// Some builds of many.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RelatedBody {
    /// The newest of them.
    builds: Vec<ReferenceBody>,
    /// How many there are; counting stops at 1000.
    count: u64,
}

impl RelatedBody {
    pub(super) fn of(related: &Related) -> Self {
        Self { builds: related.builds.iter().map(ReferenceBody::of).collect(), count: related.count }
    }
}

/// An artifact of a build.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ArtifactBody {
    /// Where it lay below the folder of the build.
    pub(super) path: String,
    pub(super) sha256: String,
    /// In bytes.
    pub(super) size: u64,
    /// Its address, path-absolute.
    pub(super) url: String,
}

impl ArtifactBody {
    pub(super) fn of(artifact: &Artifact, job: &str, uuid: impl std::fmt::Display) -> Self {
        Self {
            path: artifact.path.clone(),
            sha256: artifact.sha256.to_string(),
            size: artifact.size,
            url: link::artifact(job, uuid, &artifact.path),
        }
    }
}

/// By what an input or output is told from others.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IdentityBody {
    /// What it is judged by: `opam`, `buildinfo`, `script` or `script-and-inputs` for an input, `main-binary` or
    /// `artifacts` for an output.
    pub(super) kind: String,
    pub(super) sha256: String,
}
