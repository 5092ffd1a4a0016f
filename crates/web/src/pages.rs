//! Pages for people. Each module gathers what one page shows and names its template; [`layout`] puts the frame around
//! it. What rows say comes from `database`; the JSON of the same addresses is in `json`.

pub(crate) mod build;
pub(crate) mod builds;
pub(crate) mod chart;
pub(crate) mod compare;
pub(crate) mod console;
mod escape;
pub(crate) mod failed;
pub(crate) mod front;
pub(crate) mod inline;
pub(crate) mod job;
pub(crate) mod layout;
pub(crate) mod link;
pub(crate) mod look;
pub(crate) mod problem;
pub(crate) mod readmes;
pub(crate) mod row;
pub(crate) mod search;
pub(crate) mod text;

pub(crate) use layout::{Layout, render};

use crate::app::App;
use axum::Router;
use axum::routing::get;

/// The routes of pages, each also as JSON.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(front::active))
        .route("/all-builds", get(front::all))
        .route("/failed-builds", get(failed::show))
        .route("/builds", get(builds::all))
        .route("/job/{job}", get(job::good))
        .route("/job/{job}/builds", get(builds::of_job))
        .route("/job/{job}/failed", get(job::with_failed))
        .route("/search", get(search::show))
        .merge(build::routes())
        .merge(compare::routes())
        .merge(console::routes())
}
