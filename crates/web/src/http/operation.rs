//! `/metrics` and `/healthz`, for those who watch a repository, and the counting of all requests.

use crate::app::App;
use crate::database::totals;
use crate::error::{Tried, WebError};
use crate::metrics::RouteClass;
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};
use std::io::Write as _;
use std::time::Instant;

/// What is written to see whether that can be done.
const PROBE: [u8; 4096] = [0; 4096];

/// Routes for operators.
pub(crate) fn routes() -> Router<App> {
    Router::new().route("/metrics", get(metrics)).route("/healthz", get(health))
}

/// The middleware that counts requests.
pub(crate) async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let route = RouteClass::of(request.extensions().get::<MatchedPath>().map(MatchedPath::as_str));
    let response = next.run(request).await;
    app.metrics().answered(route, response.status(), began.elapsed());
    response
}

/// `GET /metrics`.
async fn metrics(State(app): State<App>) -> Response {
    app.answer(|app| {
        let text = app.metrics().text(app)?;
        Ok(told(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", text))
    })
    .await
}

/// `GET /healthz`: whether rows can be read and files written.
async fn health(State(app): State<App>) -> Response {
    app.answer(|app| {
        let (status, text) = match check(app) {
            Ok(()) => (StatusCode::OK, "ok\n"),
            Err(error) => {
                // Where the data folder lies is nobody's business but the operator's.
                tracing::error!("not healthy: {error}");
                (StatusCode::SERVICE_UNAVAILABLE, fault(&error))
            }
        };
        Ok(told(status, "text/plain; charset=utf-8", text.to_owned()))
    })
    .await
}

fn check(app: &App) -> Result<(), WebError> {
    app.read(totals::probe)?;
    app.database().check_place()?;
    let folder = app.depot().stagings();
    // A file without a name: it is gone when it is closed, also by a crash.
    let mut file = tempfile::tempfile_in(&folder).tried("write to", &folder)?;
    file.write_all(&PROBE).tried("write to", &folder)
}

fn fault(error: &WebError) -> &'static str {
    match error {
        WebError::Io { .. } if error.is_full() => "no room is left on the disk; the log says more\n",
        WebError::Io { .. } => "files cannot be written; the log says more\n",
        WebError::Database { .. }
        | WebError::Missing { .. }
        | WebError::Locked { .. }
        | WebError::DatabaseMissing { .. }
        | WebError::DatabaseExists { .. }
        | WebError::DatabaseVersion { .. }
        | WebError::OwnVersion { .. }
        | WebError::Journal { .. }
        | WebError::DatabaseReplaced { .. }
        | WebError::Unknown { .. }
        | WebError::Damaged { .. } => "the database cannot be read; the log says more\n",
    }
}

fn told(status: StatusCode, content_type: &'static str, text: String) -> Response {
    let mut response = (status, text).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
