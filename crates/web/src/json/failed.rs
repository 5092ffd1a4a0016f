//! `/failed-builds`.

use crate::database::lists::Part;
use crate::http::Refusal;
use crate::http::page::Page;
use crate::http::paging::Paging;
use crate::json::BuildJson;
use crate::pages::failed::address;
use serde::Serialize;

#[derive(Serialize)]
struct FailedJson<'a> {
    builds: Vec<BuildJson<'a>>,
    /// Where older failures are; null when these are all.
    next: Option<String>,
}

/// A part of the failed builds.
pub(crate) fn page(part: &Part, platform: Option<&str>, paging: Paging) -> Result<Page, Refusal> {
    let next = paging.after(part.more).map(|after| address(after, platform));
    Page::json(&FailedJson { builds: part.builds.iter().map(BuildJson::of).collect(), next })
}
