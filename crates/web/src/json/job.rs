//! `/job/{job}` and `/job/{job}/failed`.

use crate::http::Refusal;
use crate::http::page::Page;
use crate::json::BinaryJson;
use crate::pages::job::Entry;
use serde::Serialize;

#[derive(Serialize)]
struct JobJson<'a> {
    builds: Vec<OutputJson<'a>>,
    /// Where older builds are; absent when these are all.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct OutputJson<'a> {
    uuid: &'a str,
    main_binary: Option<BinaryJson<'a>>,
}

/// One build for each output, and each that failed where those are asked for.
pub(crate) fn page(entries: &[Entry<'_>], next: Option<String>) -> Result<Page, Refusal> {
    Page::json(&JobJson { builds: entries.iter().map(OutputJson::of).collect(), next })
}

impl<'a> OutputJson<'a> {
    fn of(entry: &Entry<'a>) -> Self {
        Self { uuid: &entry.newest.uuid, main_binary: entry.newest.main_binary.as_ref().map(BinaryJson::of) }
    }
}
