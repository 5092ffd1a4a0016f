//! Which build an address names, and answers that lead elsewhere. How addresses are written is `pages::link`'s business.

use super::Refusal;
use crate::app::App;
use crate::database::build::{self, Build};
use crate::pages::link;
use axum::response::{IntoResponse, Response};
use builder_model::BuildId;
use http::{HeaderValue, StatusCode, header};

/// An answer that leads elsewhere, or to what was made: path-absolute and without a body, as the clients of the original
/// need it.
pub(crate) fn redirect(status: StatusCode, location: &str) -> Response {
    let mut response = status.into_response();
    match HeaderValue::from_str(location) {
        Ok(location) => {
            response.headers_mut().insert(header::LOCATION, location);
            response
        }
        // Only what is not percent-encoded can be no header value.
        Err(_) => Refusal::Broken.into_response(),
    }
}

/// What an address below a build leads to.
pub(crate) enum Found {
    /// The build.
    Build(Build),
    /// It lies under the name of another job; the answer leads there.
    Elsewhere(Response),
}

/// The build that `/job/<job>/build/<uuid>/<rest>` names.
pub(crate) fn find_build(app: &App, job: &str, uuid: &str, rest: &str) -> Result<Found, Refusal> {
    let uuid: BuildId = uuid.parse().map_err(|_| Refusal::NotFound)?;
    let build = app.read(|connection| build::by_uuid(connection, &uuid))?.ok_or(Refusal::NotFound)?;
    if build.job == job {
        return Ok(Found::Build(build));
    }
    let location = format!("{}{rest}", link::build(&build.job, uuid));
    Ok(Found::Elsewhere(redirect(StatusCode::PERMANENT_REDIRECT, &location)))
}
