//! The interface for programs: JSON under `/api/v1`, described by `/api/v1/openapi.json` out of the very types that
//! are served.
//!
//! What the original shows as JSON under the addresses of pages is in `json`, and keeps the original's keys. Here names
//! are as the glossary has them, lists have ends that are named, and every refusal is a problem document (RFC 9457).
//! All of it is public and only read, so that pages of other sites may ask for it too.

mod artifacts;
mod builds;
mod compare;
mod jobs;
mod query;
mod search;
mod types;

use crate::app::App;
use crate::http::address::redirect;
use crate::http::page::Page;
use crate::http::page_cache::PageKey;
use crate::http::{Form, Refusal};
use axum::Router;
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, Uri, header};
use serde::de::DeserializeOwned;
use utoipa::OpenApi;

/// What begins every address of the interface.
const PREFIX: &str = "/api/";
/// Where the interface is described.
const DOCUMENT: &str = "/api/v1/openapi.json";
/// What a peer's page may send, and which methods are there.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

#[derive(OpenApi)]
#[openapi(
    info(
        title = "builder-web",
        description = "Builds of a repository: what was built, what it was made from, what came out, and how builds \
                       differ. Everything is public and only read. Times are RFC 3339 in UTC, digests SHA-256 in \
                       lower-case hexadecimal. A build is good when its script exited with 0, else it failed. \
                       Answers have an ETag; send it back as If-None-Match."
    ),
    paths(
        jobs::list,
        jobs::one,
        builds::list,
        builds::failed,
        builds::one,
        artifacts::of_build,
        artifacts::by_digest,
        compare::two,
        search::all,
        search::packages
    ),
    tags(
        (name = "jobs", description = "What is built again and again"),
        (name = "builds", description = "What was built"),
        (name = "artifacts", description = "Files that builds left"),
        (name = "search", description = "Finding jobs, builds, artifacts and packages")
    )
)]
struct Document;

/// Routes of the interface.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/api/v1/jobs", get(jobs::list))
        .route("/api/v1/jobs/{job}", get(jobs::one))
        .route("/api/v1/builds", get(builds::list))
        .route("/api/v1/failed-builds", get(builds::failed))
        .route("/api/v1/builds/{uuid}", get(builds::one))
        .route("/api/v1/builds/{uuid}/artifacts", get(artifacts::of_build))
        .route("/api/v1/artifacts/{sha256}", get(artifacts::by_digest))
        .route("/api/v1/compare/{left}/{right}", get(compare::two))
        .route("/api/v1/search", get(search::all))
        .route("/api/v1/search/packages", get(search::packages))
        .route(DOCUMENT, get(document))
        // Who tries the bare address wants to know what there is.
        .route("/api", get(lead))
        .route("/api/v1", get(lead))
}

/// `GET /api` and `GET /api/v1`: lead to the document.
async fn lead() -> Response {
    redirect(StatusCode::TEMPORARY_REDIRECT, DOCUMENT)
}

/// `GET /api/v1/openapi.json`.
async fn document(State(app): State<App>, uri: Uri) -> Response {
    answer(app, &uri, |_| Page::json(&Document::openapi())).await
}

/// The answer to a request that hangs on nothing but rows and its address, kept until the next commit.
async fn answer(app: App, uri: &Uri, make: impl FnOnce(&App) -> Result<Page, Refusal> + Send + 'static) -> Response {
    let key = PageKey::of(uri, Form::Json);
    app.answer(move |app| app.page_cache().answer(app, key, || make(app))).await
}

/// The middleware that lets pages of other sites read the interface.
pub(crate) async fn open(request: Request, next: Next) -> Response {
    if !request.uri().path().starts_with(PREFIX) {
        return next.run(request).await;
    }
    let mut response = match *request.method() {
        Method::OPTIONS => {
            let mut response = StatusCode::NO_CONTENT.into_response();
            let headers = response.headers_mut();
            headers.insert(header::ALLOW, METHODS);
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*"));
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
            response
        }
        _ => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("etag"));
    response
}

/// The variable segments of an address; what is no text is refused as everything else is.
struct Segments<T>(T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Segments<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(segments)) => Ok(Self(segments)),
            Err(error) => Err(Refusal::Bad(format!(
                "The address cannot be read: {}. Percent-encode UTF-8 text.",
                error.body_text()
            ))),
        }
    }
}
