//! Addresses of this site: how its links are written, and which build an address names.

use super::Refusal;
use crate::app::App;
use crate::database::stored::{self, StoredBuild};
use axum::response::{IntoResponse, Response};
use builder_model::BuildId;
use http::{HeaderValue, StatusCode, header};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// What a segment of a path may not hold as it is: all but the unreserved characters of RFC 3986, section 2.3, and a
/// few that paths may hold.
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b'&')
    .add(b'\'')
    .add(b'+')
    .add(b';');

/// A segment of a path.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// A path of several segments, such as that of an artifact.
pub(crate) fn segments(path: &str) -> String {
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// The page of a build.
pub(crate) fn build(job: &str, uuid: &BuildId) -> String {
    format!("/job/{}/build/{uuid}", segment(job))
}

/// An answer that leads elsewhere: path-absolute and without a body, as the clients of the original need it.
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
    Build(StoredBuild),
    /// It lies under the name of another job; the answer leads there.
    Elsewhere(Response),
}

/// The build that `/job/<job>/build/<uuid>/<rest>` names.
pub(crate) fn find_build(app: &App, job: &str, uuid: &str, rest: &str) -> Result<Found, Refusal> {
    let uuid: BuildId = uuid.parse().map_err(|_| Refusal::NotFound)?;
    let build = app.read(|connection| stored::by_uuid(connection, &uuid))?.ok_or(Refusal::NotFound)?;
    if build.job == job {
        return Ok(Found::Build(build));
    }
    let location = format!("{}{rest}", self::build(&build.job, &uuid));
    Ok(Found::Elsewhere(redirect(StatusCode::PERMANENT_REDIRECT, &location)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_hold_nothing_that_leads_elsewhere() {
        assert_eq!(segment("mirage-www_1.0~x@y"), "mirage-www_1.0~x@y");
        assert_eq!(segment("a b/c?d#e%f"), "a%20b%2Fc%3Fd%23e%25f");
        assert_eq!(segment("grün"), "gr%C3%BCn");
        assert_eq!(segments("bin/a b.hvt"), "bin/a%20b.hvt");
        assert!(HeaderValue::from_str(&segment("a\r\nSet-Cookie: x")).is_ok());
        assert!(!segment("a\r\nb").contains('\r'));
    }
}
