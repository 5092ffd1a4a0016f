//! `/failed-builds`, `/builds` and `/job/{job}/builds`.

use crate::database::listed::Listed;
use crate::http::Refusal;
use crate::http::page::Page;
use crate::json::BuildJson;
use serde::Serialize;

#[derive(Serialize)]
struct BuildsJson<'a> {
    builds: Vec<BuildJson<'a>>,
    /// Where older ones are; null when these are all.
    next: Option<String>,
}

/// A part of a list of builds.
pub(crate) fn page(builds: &[Listed], next: Option<String>) -> Result<Page, Refusal> {
    Page::json(&BuildsJson { builds: builds.iter().map(BuildJson::of).collect(), next })
}
