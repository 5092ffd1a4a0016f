//! Builds: lists by what they have in common, and all about one.

use super::query::{self, bad};
use super::types::{BuildBody, IdentityBody, Problem, ReferenceBody, RelatedBody};
use super::{Segments, answer};
use crate::app::App;
use crate::database::artifact::{self, Artifact};
use crate::database::build::{self, BinaryNotes, Build};
use crate::database::damage;
use crate::database::related::{self, Neighbours, Reproduction};
use crate::database::selected::{self, Kind, Place, Selection};
use crate::http::page::Page;
use crate::http::{QueryMap, Refusal};
use crate::limits::{API_BUILDS, API_BUILDS_MAX, PLATFORMS_SHOWN_MAX, RELATED_SHOWN_MAX};
use crate::pages::link;
use axum::extract::State;
use axum::response::Response;
use builder_model::BuildId;
use http::Uri;
use rusqlite::Connection;
use serde::Serialize;
use utoipa::ToSchema;

/// Builds.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BuildsBody {
    /// The newest first.
    builds: Vec<BuildBody>,
    /// The cursor of the next part; null at the end.
    next: Option<String>,
}

/// All about a build.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OneBuildBody {
    #[serde(flatten)]
    build: BuildBody,
    /// By what its input is told from others; null before that was derived.
    input_identity: Option<IdentityBody>,
    /// By what its output is told from others; null before that was derived, and for a build that left nothing.
    output_identity: Option<IdentityBody>,
    /// What the main binary says of the devices that it wants; null when it is no Solo5 unikernel.
    #[schema(value_type = Option<Object>)]
    solo5_manifest: Option<serde_json::Value>,
    /// What runs the main binary; null when it is no Solo5 unikernel.
    #[schema(value_type = Option<Object>)]
    solo5_abi: Option<serde_json::Value>,
    /// Other good builds with the same input and the same output.
    reproduced_by: RelatedBody,
    /// A good build for each other output that came of the same input.
    same_input_different_output: RelatedBody,
    /// A good build for each other input that gave the same output.
    different_input_same_output: RelatedBody,
    /// The latest build on the same platform, when it is another one.
    latest: Option<ReferenceBody>,
    /// The next later good build on the same platform with another output.
    next_different_output: Option<ReferenceBody>,
    /// The next earlier good build on the same platform with another output.
    previous_different_output: Option<ReferenceBody>,
    /// The latest builds on other platforms.
    other_platforms: Vec<ReferenceBody>,
    /// Lines of the console; null before that was derived.
    console_lines: Option<u64>,
    /// The words that it is kept under, such as `release-1.2`, whatever the retention policy says.
    pins: Vec<String>,
    /// What could not be read of it, for people.
    notes: Vec<String>,
    links: LinksBody,
}

/// Addresses of what belongs to a build, path-absolute.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LinksBody {
    /// Its artifacts, as this interface lists them.
    artifacts: String,
    /// Its main binary; null without one.
    main_binary: Option<String>,
    /// What it printed, as text.
    console: String,
    /// What ran, as text.
    script: String,
    /// The record as it was uploaded.
    record: String,
    /// Its artifacts in one archive.
    archive: String,
}

/// Lists builds
#[utoipa::path(
    get,
    path = "/api/v1/builds",
    operation_id = "list_builds",
    tag = "builds",
    params(
        ("job" = Option<String>, Query, description = "Only builds of this job", max_length = 255),
        ("platform" = Option<String>, Query, description = "Only builds on this platform", max_length = 255),
        ("outcome" = Option<String>, Query, description = "`good` or `failed`: only such builds", pattern = "^(good|failed)$"),
        ("since" = Option<String>, Query, description = "Only builds that started then or later", format = DateTime),
        ("until" = Option<String>, Query, description = "Only builds that started before", format = DateTime),
        ("count" = Option<u32>, Query, description = "How many; 100 unless given", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`next` of the part before",
            pattern = "^-?[0-9]{1,9}\\.[0-9]{1,18}\\.[0-9]{1,18}$"),
    ),
    responses(
        (status = 200, description = "A part of the builds", body = BuildsBody),
        (status = 304, description = "What If-None-Match names is still so"),
        (status = 400, description = "A parameter cannot be read", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such job", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list(State(app): State<App>, uri: Uri, query: QueryMap) -> Response {
    answer(app, &uri, move |app| {
        let kind = match query.value("outcome") {
            None => None,
            Some("good") => Some(Kind::Good),
            Some("failed") => Some(Kind::Failed),
            Some(other) => return Err(bad("outcome", other, "give good or failed, or leave it out")),
        };
        page(app, &query, kind)
    })
    .await
}

/// Lists builds that failed
#[utoipa::path(
    get,
    path = "/api/v1/failed-builds",
    operation_id = "list_failed_builds",
    tag = "builds",
    params(
        ("job" = Option<String>, Query, description = "Only builds of this job", max_length = 255),
        ("platform" = Option<String>, Query, description = "Only builds on this platform", max_length = 255),
        ("since" = Option<String>, Query, description = "Only builds that started then or later", format = DateTime),
        ("until" = Option<String>, Query, description = "Only builds that started before", format = DateTime),
        ("count" = Option<u32>, Query, description = "How many; 100 unless given", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`next` of the part before",
            pattern = "^-?[0-9]{1,9}\\.[0-9]{1,18}\\.[0-9]{1,18}$"),
    ),
    responses(
        (status = 200, description = "A part of the failed builds", body = BuildsBody),
        (status = 304, description = "What If-None-Match names is still so"),
        (status = 400, description = "A parameter cannot be read", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such job", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn failed(State(app): State<App>, uri: Uri, query: QueryMap) -> Response {
    answer(app, &uri, move |app| page(app, &query, Some(Kind::Failed))).await
}

fn page(app: &App, query: &QueryMap, kind: Option<Kind>) -> Result<Page, Refusal> {
    let count = query::count(query, API_BUILDS, API_BUILDS_MAX)?;
    let after = query::cursor(query, Place::parse)?;
    let (job, platform) = (query::name(query, "job")?, query::name(query, "platform")?);
    let (since, until) = (query::time(query, "since")?, query::time(query, "until")?);
    let found = app.read(|connection| {
        let job = match job {
            Some(job) => match selected::job_row(connection, job)? {
                Some(row) => Some(row),
                None => return Ok(None),
            },
            None => None,
        };
        let selection = Selection { job, platform, kind, since, until, after, ..Selection::default() };
        selected::builds(connection, &selection, count).map(Some)
    })?;
    let part = found.ok_or(Refusal::NotFound)?;
    let next = part.next.map(|place| place.to_string());
    Page::json(&BuildsBody { builds: part.builds.iter().map(BuildBody::of).collect(), next })
}

/// Tells all about a build
#[utoipa::path(
    get,
    path = "/api/v1/builds/{uuid}",
    operation_id = "get_build",
    tag = "builds",
    params(("uuid" = String, Path, description = "Its UUID", format = "uuid")),
    responses(
        (status = 200, description = "The build", body = OneBuildBody),
        (status = 304, description = "What If-None-Match names is still so"),
        (status = 400, description = "The UUID cannot be read", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such build", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn one(State(app): State<App>, uri: Uri, Segments(uuid): Segments<String>) -> Response {
    answer(app, &uri, move |app| {
        let uuid = query::uuid(&uuid)?;
        let rows = app.read(|connection| Rows::of(app, connection, &uuid))?.ok_or(Refusal::NoBuild(uuid))?;
        Page::json(&rows.body())
    })
    .await
}

struct Rows {
    build: Build,
    main_binary: Option<Artifact>,
    binary_notes: BinaryNotes,
    reproduction: Reproduction,
    neighbours: Neighbours,
    pins: Vec<String>,
    notes: Vec<String>,
}

impl Rows {
    fn of(app: &App, connection: &Connection, uuid: &BuildId) -> rusqlite::Result<Option<Self>> {
        let Some(build) = build::by_uuid(connection, uuid)? else { return Ok(None) };
        let main_binary = artifact::main_binary(connection, &build)?;
        let binary_notes = match &main_binary {
            Some(binary) => build::binary_notes(connection, &binary.sha256)?,
            None => BinaryNotes::default(),
        };
        let reproduction = if build.outcome.is_success() {
            related::reproduction(connection, &build, RELATED_SHOWN_MAX)?
        } else {
            Reproduction::default()
        };
        let neighbours = related::neighbours(connection, &build, PLATFORMS_SHOWN_MAX)?;
        let pins = build::pins(connection, build.id)?;
        let mut notes = build.derived.as_ref().map(|derived| derived.notes.clone()).unwrap_or_default();
        notes.extend(damage::notes(connection, app.depot(), build.id)?);
        Ok(Some(Self { build, main_binary, binary_notes, reproduction, neighbours, pins, notes }))
    }

    fn body(&self) -> OneBuildBody {
        let Self { build, reproduction, neighbours, .. } = self;
        let note = |text: &Option<String>| text.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let reference = |build: &Option<Build>| build.as_ref().map(ReferenceBody::of);
        let derived = build.derived.as_ref();
        let input = derived.and_then(|derived| derived.input);
        let output = derived.and_then(|derived| derived.output);
        OneBuildBody {
            build: BuildBody::of_row(build, self.main_binary.as_ref()),
            input_identity: input
                .map(|(kind, sha256)| IdentityBody { kind: kind.as_str().into(), sha256: sha256.to_string() }),
            output_identity: output
                .map(|(kind, sha256)| IdentityBody { kind: kind.as_str().into(), sha256: sha256.to_string() }),
            solo5_manifest: note(&self.binary_notes.solo5_manifest),
            solo5_abi: note(&self.binary_notes.solo5_abi),
            reproduced_by: RelatedBody::of(&reproduction.reproduced_by),
            same_input_different_output: RelatedBody::of(&reproduction.other_outputs),
            different_input_same_output: RelatedBody::of(&reproduction.other_inputs),
            latest: reference(&neighbours.latest),
            next_different_output: reference(&neighbours.later_different),
            previous_different_output: reference(&neighbours.earlier_different),
            other_platforms: neighbours.other_platforms.iter().map(ReferenceBody::of).collect(),
            console_lines: derived.map(|derived| derived.console_lines),
            pins: self.pins.clone(),
            notes: self.notes.clone(),
            links: self.links(),
        }
    }

    fn links(&self) -> LinksBody {
        let page = link::build(&self.build.job, self.build.uuid);
        let main_binary = |artifact: &Artifact| link::artifact(&self.build.job, self.build.uuid, &artifact.path);
        LinksBody {
            artifacts: format!("/api/v1/builds/{}/artifacts", self.build.uuid),
            main_binary: self.main_binary.as_ref().map(main_binary),
            console: format!("{page}/console"),
            script: format!("{page}/script"),
            record: format!("{page}/exec"),
            archive: format!("{page}/all.tar.gz"),
        }
    }
}
