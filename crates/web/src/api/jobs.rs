//! Jobs, with what they built last.

use super::query;
use super::types::{BuildBody, EndedBody, Problem};
use super::{Segments, answer};
use crate::app::App;
use crate::database::jobs::{self, JobState, PlatformState};
use crate::http::page::Page;
use crate::http::{QueryMap, Refusal};
use crate::limits::{API_JOBS, API_JOBS_MAX};
use crate::pages::link;
use axum::extract::State;
use axum::response::Response;
use http::Uri;
use serde::Serialize;
use utoipa::ToSchema;

/// Jobs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct JobsBody {
    /// Ascending by name.
    jobs: Vec<JobBody>,
    /// The cursor of the next part; null at the end.
    next: Option<String>,
}

/// A job and what it built last.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct JobBody {
    name: String,
    /// The section that it was given; null without one.
    section: Option<String>,
    /// A line about it; empty without one.
    synopsis: String,
    /// Its platforms with a good build, ascending by name.
    platforms: Vec<PlatformBody>,
    /// The address of its page, path-absolute.
    page: String,
}

/// What a job built last on one platform.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PlatformBody {
    platform: String,
    /// The newest good build with a main binary; if none has one, the newest good build.
    latest: BuildBody,
    /// What the main binary of `latest` says of the devices that it wants; null when it is no Solo5 unikernel.
    #[schema(value_type = Option<Object>)]
    solo5_manifest: Option<serde_json::Value>,
    /// What runs the main binary of `latest`; null when it is no Solo5 unikernel.
    #[schema(value_type = Option<Object>)]
    solo5_abi: Option<serde_json::Value>,
    /// The newest build of all, when that one failed; else null.
    failing: Option<FailingBody>,
}

/// A build that failed after the latest good one.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FailingBody {
    #[schema(format = "uuid")]
    uuid: String,
    #[schema(format = DateTime)]
    start_time: String,
    result: EndedBody,
}

/// One job.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OneJobBody {
    #[serde(flatten)]
    job: JobBody,
    /// Several lines about it; null without them.
    description: Option<String>,
    /// What its newest good build says in README.md, as Markdown of a stranger; null without one.
    readme: Option<String>,
    /// All platforms that it was ever built on, ascending by name.
    all_platforms: Vec<String>,
}

/// Lists jobs
#[utoipa::path(
    get,
    path = "/api/v1/jobs",
    operation_id = "list_jobs",
    tag = "jobs",
    params(
        ("section" = Option<String>, Query, description = "Only jobs of this section", max_length = 255),
        ("platform" = Option<String>, Query, description = "Only jobs with a good build on this platform", max_length = 255),
        ("count" = Option<u32>, Query, description = "How many; 1000 unless given", minimum = 1, maximum = 5000),
        ("cursor" = Option<String>, Query, description = "`next` of the part before"),
    ),
    responses(
        (status = 200, description = "A part of the jobs", body = JobsBody),
        (status = 304, description = "What If-None-Match names is still so"),
        (status = 400, description = "A parameter cannot be read", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list(State(app): State<App>, uri: Uri, query: QueryMap) -> Response {
    answer(app, &uri, move |app| {
        let count = query::count(&query, API_JOBS, API_JOBS_MAX)?;
        let after = query::cursor(&query, |text| Some(text.to_owned()))?;
        let (section, platform) = (query::name(&query, "section")?, query::name(&query, "platform")?);
        let mut states = app.read(jobs::states)?;
        states.retain(|job| section.is_none_or(|section| job.section.as_deref() == Some(section)));
        states
            .retain(|job| platform.is_none_or(|name| job.platforms.iter().any(|state| state.latest.platform == name)));
        states.retain(|job| after.as_ref().is_none_or(|after| job.name > *after));
        states.sort_by(|one, other| one.name.cmp(&other.name));
        let most = usize::try_from(count).unwrap_or(usize::MAX);
        let more = states.len() > most;
        states.truncate(most);
        let next = states.last().filter(|_| more).map(|job| job.name.clone());
        Page::json(&JobsBody { jobs: states.iter().map(JobBody::of).collect(), next })
    })
    .await
}

/// Tells all about a job
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{job}",
    operation_id = "get_job",
    tag = "jobs",
    params(("job" = String, Path, description = "Its name")),
    responses(
        (status = 200, description = "The job", body = OneJobBody),
        (status = 304, description = "What If-None-Match names is still so"),
        (status = 400, description = "The address cannot be read", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such job", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn one(State(app): State<App>, uri: Uri, Segments(name): Segments<String>) -> Response {
    answer(app, &uri, move |app| {
        let found = app.read(|connection| match jobs::job(connection, &name)? {
            Some(job) => Ok(Some((jobs::states_of(connection, &job)?, job))),
            None => Ok(None),
        })?;
        let (platforms, job) = found.ok_or(Refusal::NotFound)?;
        let state = JobState {
            name: job.name,
            section: job.section,
            synopsis: job.synopsis,
            platforms,
            never_good: Vec::new(),
        };
        Page::json(&OneJobBody {
            job: JobBody::of(&state),
            description: job.description,
            readme: job.readme,
            all_platforms: job.platforms,
        })
    })
    .await
}

impl JobBody {
    fn of(job: &JobState) -> Self {
        Self {
            name: job.name.clone(),
            section: job.section.clone(),
            synopsis: job.synopsis.clone(),
            platforms: job.platforms.iter().map(PlatformBody::of).collect(),
            page: link::job(&job.name, None),
        }
    }
}

impl PlatformBody {
    fn of(state: &PlatformState) -> Self {
        let note = |text: &str| serde_json::from_str(text).ok();
        Self {
            platform: state.latest.platform.clone(),
            latest: BuildBody::of(&state.latest),
            solo5_manifest: state.solo5.as_ref().and_then(|notes| note(&notes.manifest)),
            solo5_abi: state.solo5.as_ref().and_then(|notes| note(&notes.abi)),
            failing: state.failing.as_ref().map(|failing| FailingBody {
                uuid: failing.uuid.clone(),
                start_time: failing.start.to_string(),
                result: EndedBody::of(&failing.outcome),
            }),
        }
    }
}
