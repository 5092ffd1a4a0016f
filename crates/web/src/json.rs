//! JSON of the pages, under the same addresses. Keys are the original's; what is new comes beside them.

pub(crate) mod build;
pub(crate) mod builds;
pub(crate) mod compare;
pub(crate) mod console;
pub(crate) mod front;
pub(crate) mod job;
pub(crate) mod parts;
pub(crate) mod search;

use crate::database::listed::{Binary, Listed};
use crate::pages::text::{outcome, rfc3339};
use serde::Serialize;

/// A build, as new lists have it.
#[derive(Debug, Serialize)]
pub(crate) struct BuildJson<'a> {
    job: &'a str,
    uuid: &'a str,
    platform: &'a str,
    start_time: String,
    finish_time: String,
    result: String,
    main_binary: Option<BinaryJson<'a>>,
}

/// A main binary, as in the original's list of a job's builds.
#[derive(Debug, Serialize)]
pub(crate) struct BinaryJson<'a> {
    filename: &'a str,
    sha256: String,
    size: u64,
}

impl<'a> BuildJson<'a> {
    pub(crate) fn of(build: &'a Listed) -> Self {
        Self {
            job: &build.job,
            uuid: &build.uuid,
            platform: &build.platform,
            start_time: rfc3339(build.start),
            finish_time: rfc3339(build.finish),
            result: outcome(&build.outcome),
            main_binary: build.main_binary.as_ref().map(BinaryJson::of),
        }
    }
}

impl<'a> BinaryJson<'a> {
    pub(crate) fn of(binary: &'a Binary) -> Self {
        Self { filename: binary.name(), sha256: binary.sha256.to_string(), size: binary.size }
    }
}
