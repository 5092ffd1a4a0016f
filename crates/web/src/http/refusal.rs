//! Answers other than the one that was asked for. The page or problem document for people and programs is put on by
//! the frame of the routes; here is what happened, and the status that says so.

use crate::error::WebError;
use axum::response::{IntoResponse, Response};
use builder_model::BuildId;
use http::{HeaderValue, StatusCode, header};

/// Why a request does not get what it asked for.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// There is no such thing at this address.
    NotFound,
    /// The address names a build that is not here, or no longer.
    NoBuild(BuildId),
    /// There should be something, but a file of it is lost on this server; the text says which.
    Lost(String),
    /// There is something at this address, but not for this method; the router says in `Allow` for which.
    Method,
    /// The request cannot be understood; the text says what, where and what to do.
    Bad(String),
    /// Who asks is not known.
    Unauthorized,
    /// Who asks is known and may not.
    Forbidden(String),
    /// Something else is there already.
    Conflict(String),
    /// The body is larger than it may be.
    TooLarge(String),
    /// The peer has to wait so many seconds.
    TooMany(u64),
    /// There is no room on disk.
    Full,
    /// Too much is going on at once; come again in so many seconds.
    Busy(u64),
    /// A bug or a broken data folder; the log says more.
    Broken,
}

/// What the frame needs to dress a refusal as a page or a problem document.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    /// What happened, for people.
    pub(crate) text: String,
}

impl From<WebError> for Refusal {
    fn from(error: WebError) -> Self {
        tracing::error!("{error}");
        if error.is_full() {
            Self::Full
        } else if error.is_busy() {
            Self::Busy(5)
        } else {
            Self::Broken
        }
    }
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound | Self::NoBuild(_) | Self::Lost(_) => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Full => StatusCode::INSUFFICIENT_STORAGE,
            Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::NotFound => "There is nothing at this address.".into(),
            Self::NoBuild(uuid) => format!("There is no build {uuid} here; it may have been removed."),
            Self::Method => {
                "This address does not take this method; the header Allow names those that it takes.".into()
            }
            Self::Lost(text)
            | Self::Bad(text)
            | Self::Forbidden(text)
            | Self::Conflict(text)
            | Self::TooLarge(text) => text.clone(),
            Self::Unauthorized => "Unauthorized!".into(),
            Self::TooMany(seconds) => format!("Too many wrong passwords; wait {seconds} seconds."),
            Self::Full => "There is no room left on this server.".into(),
            Self::Busy(seconds) => format!("Too much is going on here; come again in {seconds} seconds."),
            Self::Broken => "Internal server error".into(),
        }
    }
}

impl IntoResponse for Refusal {
    /// Plain text, as uploaders and scripts get it; the problem rides along for the frame.
    fn into_response(self) -> Response {
        let text = self.text();
        let mut response = (self.status(), format!("{text}\n")).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        match self {
            Self::Unauthorized => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"builder-web\""));
            }
            Self::TooMany(seconds) | Self::Busy(seconds) => {
                headers.insert(header::RETRY_AFTER, seconds.into());
            }
            Self::NotFound
            | Self::NoBuild(_)
            | Self::Lost(_)
            | Self::Method
            | Self::Bad(_)
            | Self::Forbidden(_)
            | Self::Conflict(_)
            | Self::TooLarge(_)
            | Self::Full
            | Self::Broken => {}
        }
        response.extensions_mut().insert(Problem { text });
        response
    }
}
