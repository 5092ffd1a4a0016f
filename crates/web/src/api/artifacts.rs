//! Artifacts: those of a build, and those whose digest begins so.

use super::query::{self, bad};
use super::types::{ArtifactBody, BuildBody, Problem};
use super::{Segments, answer};
use crate::app::App;
use crate::database::artifact;
use crate::database::build;
use crate::database::search::{self, DigestPrefix};
use crate::http::page::Page;
use crate::http::{QueryMap, Refusal};
use crate::limits::{API_ARTIFACTS, API_ARTIFACTS_MAX, SEARCH_DIGITS_MIN};
use crate::pages::link;
use axum::extract::State;
use axum::response::Response;
use http::Uri;
use serde::Serialize;
use utoipa::ToSchema;

/// Artifacts of a build.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ArtifactsBody {
    /// Ascending by path.
    artifacts: Vec<ArtifactBody>,
    /// The cursor of the next part; null at the end.
    next: Option<String>,
}

/// Artifacts of some content.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FoundArtifactsBody {
    /// Those of the newest builds first.
    artifacts: Vec<FoundArtifactBody>,
    /// Whether there may be more than these.
    more: bool,
}

/// An artifact and the build that left it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FoundArtifactBody {
    #[serde(flatten)]
    artifact: ArtifactBody,
    build: BuildBody,
}

/// Lists the artifacts of a build
#[utoipa::path(
    get,
    path = "/api/v1/builds/{uuid}/artifacts",
    operation_id = "list_artifacts",
    tag = "artifacts",
    params(
        ("uuid" = String, Path, description = "The UUID of the build", format = "uuid"),
        ("count" = Option<u32>, Query, description = "How many; 1000 unless given", minimum = 1, maximum = 10000),
        ("cursor" = Option<String>, Query, description = "`next` of the part before", pattern = "^[0-9]{1,9}$"),
    ),
    responses(
        (status = 200, description = "A part of the artifacts", body = ArtifactsBody),
        (status = 304, description = "What If-None-Match names is still so"),
        (status = 400, description = "A parameter cannot be read", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such build", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn of_build(
    State(app): State<App>,
    uri: Uri,
    Segments(uuid): Segments<String>,
    query: QueryMap,
) -> Response {
    answer(app, &uri, move |app| {
        let uuid = query::uuid(&uuid)?;
        let count = query::count(&query, API_ARTIFACTS, API_ARTIFACTS_MAX)?;
        // A build never changes, so that a number of artifacts is a place among them.
        let from: u32 = query::cursor(&query, |text| text.parse().ok())?.unwrap_or(0);
        let found = app.read(|connection| match build::by_uuid(connection, &uuid)? {
            Some(build) => Ok(Some((artifact::some(connection, build.id, from, count + 1)?, build.job))),
            None => Ok(None),
        })?;
        let (mut artifacts, job) = found.ok_or(Refusal::NotFound)?;
        let most = usize::try_from(count).unwrap_or(usize::MAX);
        let more = artifacts.len() > most;
        artifacts.truncate(most);
        let next = more.then(|| from.saturating_add(count).to_string());
        let artifacts = artifacts.iter().map(|artifact| ArtifactBody::of(artifact, &job, uuid)).collect();
        Page::json(&ArtifactsBody { artifacts, next })
    })
    .await
}

/// Finds artifacts by digest
#[utoipa::path(
    get,
    path = "/api/v1/artifacts/{sha256}",
    operation_id = "find_artifacts",
    tag = "artifacts",
    params(("sha256" = String, Path, description = "8 to 64 hexadecimal digits: a SHA-256 or how it begins",
            min_length = 8, max_length = 64, pattern = "^[0-9A-Fa-f]{8,64}$")),
    responses(
        (status = 200, description = "Artifacts whose digest begins so; none is an empty list", body = FoundArtifactsBody),
        (status = 304, description = "What If-None-Match names is still so"),
        (status = 400, description = "The digest cannot be read", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn by_digest(State(app): State<App>, uri: Uri, Segments(digest): Segments<String>) -> Response {
    answer(app, &uri, move |app| {
        let hint = format!("give {SEARCH_DIGITS_MIN} to 64 hexadecimal digits of a SHA-256");
        let prefix = DigestPrefix::parse(&digest).ok_or_else(|| bad("the digest", &digest, &hint))?;
        let hits = app.read(|connection| search::artifacts(connection, prefix))?;
        Page::json(&FoundArtifactsBody { artifacts: found(&hits.found), more: hits.more })
    })
    .await
}

/// Artifacts that a search found.
pub(super) fn found(hits: &[search::ArtifactHit]) -> Vec<FoundArtifactBody> {
    let body = |hit: &search::ArtifactHit| FoundArtifactBody {
        artifact: ArtifactBody {
            path: hit.filepath.clone(),
            sha256: hit.sha256.to_string(),
            size: hit.size,
            url: link::artifact(&hit.build.job, &hit.build.uuid, &hit.filepath),
        },
        build: BuildBody::of(&hit.build),
    };
    hits.iter().map(body).collect()
}
