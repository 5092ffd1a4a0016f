//! The page of a request that does not get what it asked for.

use crate::app::App;
use crate::http::Refusal;
use crate::http::page::Page;
use crate::pages::{Layout, render};
use askama::Template;
use http::StatusCode;

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    heading: &'a str,
    text: &'a str,
    target: &'a str,
}

/// The page for a status that is no success. The title and heading of a missing page are the original's.
pub(crate) fn page(app: &App, status: StatusCode, text: &str, target: &str) -> Result<Page, Refusal> {
    let (title, heading) = match status {
        StatusCode::NOT_FOUND => ("Page not found", "This page does not exist"),
        StatusCode::BAD_REQUEST => ("Bad request", "This request cannot be understood"),
        other => {
            let reason = other.canonical_reason().unwrap_or("No answer");
            (reason, reason)
        }
    };
    render(app, &Layout::new(title).here(title), &ProblemPage { heading, text, target })
}
