//! Addresses that lead to a build: the latest of a job, the one with an artifact of some content, and its main binary.

use super::address::{Found, find_build, redirect};
use super::{QueryMap, Refusal};
use crate::app::App;
use crate::database::{artifact, build, latest};
use crate::digest::Digest;
use crate::pages::link;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;

/// Routes that lead to a build.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/job/{job}/build/latest", get(latest))
        .route("/job/{job}/build/latest/{*rest}", get(latest_rest))
        .route("/job/{job}/build/{uuid}/main-binary", get(main_binary))
        .route("/hash", get(hash))
}

/// `/job/<job>/build/latest`
async fn latest(State(app): State<App>, Path(job): Path<String>, query: QueryMap) -> Response {
    app.answer(move |app| to_latest(app, &job, &query, "")).await
}

/// `/job/<job>/build/latest/<rest>`: the rest stays as it was written.
async fn latest_rest(State(app): State<App>, Path((job, rest)): Path<(String, String)>, query: QueryMap) -> Response {
    app.answer(move |app| to_latest(app, &job, &query, &format!("/{}", link::path(&rest)))).await
}

fn to_latest(app: &App, job: &str, query: &QueryMap, rest: &str) -> Result<Response, Refusal> {
    let build = app.read(|connection| latest::of_job(connection, job, query.text("platform")))?;
    let build = build.ok_or(Refusal::NotFound)?;
    let location = format!("{}{rest}", link::build(&build.job, build.uuid));
    Ok(redirect(StatusCode::TEMPORARY_REDIRECT, &location))
}

/// `/job/<job>/build/<uuid>/main-binary`
async fn main_binary(State(app): State<App>, Path((job, uuid)): Path<(String, String)>) -> Response {
    app.answer(move |app| {
        let build = match find_build(app, &job, &uuid, "/main-binary")? {
            Found::Build(build) => build,
            Found::Elsewhere(response) => return Ok(response),
        };
        let main = app.read(|connection| artifact::main_binary(connection, &build))?.ok_or(Refusal::NotFound)?;
        Ok(redirect(StatusCode::FOUND, &link::artifact(&build.job, build.uuid, &main.path)))
    })
    .await
}

/// `/hash?sha256=<digest>`
async fn hash(State(app): State<App>, query: QueryMap) -> Response {
    app.answer(move |app| {
        let text = query.text("sha256").ok_or(Refusal::NotFound)?;
        let digest: Digest = text.trim().parse().map_err(|_| Refusal::NotFound)?;
        let build = app.read(|connection| build::by_digest(connection, &digest))?.ok_or(Refusal::NotFound)?;
        Ok(redirect(StatusCode::FOUND, &link::build(&build.job, build.uuid)))
    })
    .await
}
