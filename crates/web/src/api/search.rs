//! Searches: by text, and by package and version.

use super::answer;
use super::artifacts::{FoundArtifactBody, found};
use super::query::bad;
use super::types::{BuildBody, Problem};
use crate::app::App;
use crate::database::search::{self, PackageHit, PackageReading};
use crate::database::words::{JobHit, TextHit};
use crate::http::page::Page;
use crate::http::{QueryMap, Refusal};
use crate::limits::SEARCH_BYTES_MAX;
use crate::pages::search::find;
use axum::extract::State;
use axum::response::Response;
use http::Uri;
use serde::Serialize;
use utoipa::ToSchema;

/// All that fits a text.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FoundBody {
    /// What was searched for.
    query: String,
    /// Builds whose UUID begins so.
    builds: Vec<BuildBody>,
    /// Artifacts whose digest begins so.
    artifacts: Vec<FoundArtifactBody>,
    /// Jobs with all words in their name, or some there and the others in that of a platform.
    jobs: Vec<FoundJobBody>,
    /// Builds that a package of this name, and version if one is said, went into.
    packages: Vec<FoundPackageBody>,
    /// Packages with all words in their name.
    package_names: Vec<String>,
    /// Jobs with all words in what is told of them.
    texts: Vec<FoundTextBody>,
    /// Whether there may be more than these.
    more: bool,
}

/// A job with the words in its name.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FoundJobBody {
    name: String,
    synopsis: String,
    /// The platform that was asked for beside the name; null when none was.
    platform: Option<String>,
}

/// A job with the text in what is told of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FoundTextBody {
    job: String,
    /// Where: `synopsis`, `description` or `readme`.
    place: String,
    /// The words around it.
    excerpt: String,
}

/// Good builds of one job on one platform that one version of a package went into.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FoundPackageBody {
    package: String,
    version: String,
    /// `opam` or `system`.
    kind: String,
    /// How many builds of those that were looked at.
    builds: u64,
    /// The newest of them.
    newest: BuildBody,
}

/// What packages went into.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FoundPackagesBody {
    /// Those with the newest builds first.
    packages: Vec<FoundPackageBody>,
    /// Whether there may be more than these.
    more: bool,
}

/// Searches for a text
#[utoipa::path(
    get,
    path = "/api/v1/search",
    operation_id = "search",
    tag = "search",
    params(("q" = String, Query, description = "A UUID or digest or how it begins (8 digits or more), words of a \
        name or text, or a package with or without its version, such as `mirage-crypto.1.1`", min_length = 1, max_length = 512)),
    responses(
        (status = 200, description = "All that fits", body = FoundBody),
        (status = 304, description = "What If-None-Match names is still so"),
        (status = 400, description = "The text is missing or too long", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn all(State(app): State<App>, uri: Uri, query: QueryMap) -> Response {
    answer(app, &uri, move |app| {
        let asked = text(&query, "q")?;
        let hits = app.read(|connection| find(connection, asked))?;
        let job = |hit: &JobHit| FoundJobBody {
            name: hit.name.clone(),
            synopsis: hit.synopsis.clone(),
            platform: hit.platform.clone(),
        };
        let told = |hit: &TextHit| FoundTextBody {
            job: hit.name.clone(),
            place: hit.place.into(),
            excerpt: hit.excerpt.clone(),
        };
        Page::json(&FoundBody {
            query: asked.into(),
            builds: hits.builds.found.iter().map(BuildBody::of).collect(),
            artifacts: found(&hits.artifacts.found),
            jobs: hits.jobs.found.iter().map(job).collect(),
            packages: hits.packages.found.iter().map(FoundPackageBody::of).collect(),
            package_names: hits.package_names.found.clone(),
            texts: hits.texts.found.iter().map(told).collect(),
            more: hits.has_more(),
        })
    })
    .await
}

/// Finds good builds that a package went into
#[utoipa::path(
    get,
    path = "/api/v1/search/packages",
    operation_id = "search_packages",
    tag = "search",
    params(
        ("package" = String, Query, description = "Its whole name", min_length = 1, max_length = 512),
        ("version" = Option<String>, Query, description = "Its version: `1.1` means also `1.1.0`, but not `1.10`", max_length = 512),
    ),
    responses(
        (status = 200, description = "Jobs and platforms with such builds", body = FoundPackagesBody),
        (status = 304, description = "What If-None-Match names is still so"),
        (status = 400, description = "A parameter is missing or too long", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn packages(State(app): State<App>, uri: Uri, query: QueryMap) -> Response {
    answer(app, &uri, move |app| {
        let name = text(&query, "package")?;
        let version = match query.text("version") {
            Some(_) => Some(text(&query, "version")?).filter(|version| !version.is_empty()),
            None => None,
        };
        let hits = app.read(|connection| search::packages(connection, PackageReading { name, version }))?;
        Page::json(&FoundPackagesBody {
            packages: hits.found.iter().map(FoundPackageBody::of).collect(),
            more: hits.more,
        })
    })
    .await
}

/// A text that must be there; what is around it does not count.
fn text<'a>(query: &'a QueryMap, key: &str) -> Result<&'a str, Refusal> {
    match query.text(key) {
        None => Err(bad(key, "", "say what to search for")),
        Some(text) if text.chars().count() > SEARCH_BYTES_MAX => {
            Err(bad(key, text, &format!("at most {SEARCH_BYTES_MAX} characters are searched for")))
        }
        Some(text) => Ok(text.trim()),
    }
}

impl FoundPackageBody {
    fn of(hit: &PackageHit) -> Self {
        Self {
            package: hit.package.clone(),
            version: hit.version.clone(),
            kind: hit.kind.clone(),
            builds: hit.builds,
            newest: BuildBody::of(&hit.newest),
        }
    }
}
