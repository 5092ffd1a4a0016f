//! What the JSON of a build and of other answers share: how a build ended, references to builds, identities.

use crate::database::build::Build;
use crate::pages::{link, text};
use builder_model::Outcome;
use serde::Serialize;

/// How a build ended.
#[derive(Debug, Serialize)]
pub(crate) struct ResultJson {
    /// `exited`, `signalled`, `stopped` or `aborted`.
    kind: &'static str,
    /// The exit status, or the number of the signal; null when aborted.
    code: Option<i64>,
    /// Why it was aborted; null otherwise.
    reason: Option<String>,
}

/// A build as others refer to it.
#[derive(Debug, Serialize)]
pub(crate) struct BuildReference {
    job: String,
    uuid: String,
    platform: String,
    start_time: String,
    /// Its address, path-absolute.
    url: String,
}

/// By what something is identified.
#[derive(Debug, Serialize)]
pub(crate) struct IdentityJson {
    /// The word for what it is judged by, such as `opam` or `main-binary`.
    pub(crate) kind: &'static str,
    /// In hexadecimal digits.
    pub(crate) sha256: String,
}

impl From<&Outcome> for ResultJson {
    fn from(outcome: &Outcome) -> Self {
        let (code, reason) = match outcome {
            Outcome::Exited(code) | Outcome::Signalled(code) | Outcome::Stopped(code) => (Some(*code), None),
            Outcome::Aborted(reason) => (None, Some(String::from_utf8_lossy(reason).into_owned())),
        };
        Self { kind: outcome.kind(), code, reason }
    }
}

impl From<&Build> for BuildReference {
    fn from(build: &Build) -> Self {
        Self {
            job: build.job.clone(),
            uuid: build.uuid.to_string(),
            platform: build.platform.clone(),
            start_time: text::rfc3339(build.start),
            url: link::build(&build.job, build.uuid),
        }
    }
}
