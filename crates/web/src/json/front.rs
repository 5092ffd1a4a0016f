//! `/` and `/all-builds`.

use crate::database::jobs::{JobState, PlatformState};
use crate::http::Refusal;
use crate::http::page::Page;
use crate::pages::front::VisibleJob;
use serde::Serialize;
use serde::ser::Serializer;
use serde_json::Value;
use std::collections::HashMap;

#[derive(Serialize)]
struct FrontJson<'a> {
    jobs: Vec<&'a JobJson<'a>>,
    #[serde(serialize_with = "as_map")]
    jobs_by_section: Vec<(&'a str, Vec<&'a JobJson<'a>>)>,
}

#[derive(Serialize)]
struct JobJson<'a> {
    name: &'a str,
    /// Never null: a null makes a consumer discard the whole list.
    synopsis: &'a str,
    /// Absent unless the newest main binary is a unikernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    latest: Option<LatestJson<'a>>,
}

#[derive(Serialize)]
struct LatestJson<'a> {
    uuid: &'a str,
    solo5_manifest: Value,
    solo5_abi: Value,
}

fn as_map<'a, S: Serializer>(sections: &[(&'a str, Vec<&'a JobJson<'a>>)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(sections.iter().map(|(name, jobs)| (name, jobs)))
}

impl<'a> JobJson<'a> {
    fn of(job: &'a JobState) -> Self {
        Self { name: &job.name, synopsis: &job.synopsis, latest: job.latest().and_then(LatestJson::of) }
    }
}

impl<'a> LatestJson<'a> {
    fn of(state: &'a PlatformState) -> Option<Self> {
        let notes = state.solo5.as_ref()?;
        let solo5_manifest = serde_json::from_str(&notes.manifest).ok()?;
        let solo5_abi = serde_json::from_str(&notes.abi).ok()?;
        Some(Self { uuid: &state.latest.uuid, solo5_manifest, solo5_abi })
    }
}

/// Jobs by section, the sections in descending order as in the original, jobs by name.
pub(crate) fn page(visible: &[VisibleJob<'_>]) -> Result<Page, Refusal> {
    // A job that never had a good build is not in the original's lists.
    let good = visible.iter().filter(|visible| visible.has_good());
    let jobs: Vec<_> = good.map(|visible| (visible.section(), JobJson::of(visible.job))).collect();
    let mut by_section: HashMap<&str, Vec<&JobJson<'_>>> = HashMap::new();
    for (section, job) in &jobs {
        by_section.entry(section).or_default().push(job);
    }
    let mut jobs_by_section: Vec<_> = by_section.into_iter().collect();
    jobs_by_section.sort_by(|(one, _), (other, _)| other.cmp(one));
    for (_, jobs) in &mut jobs_by_section {
        jobs.sort_by(|one, other| one.name.cmp(other.name));
    }
    let jobs = jobs_by_section.iter().flat_map(|(_, jobs)| jobs.iter().copied()).collect();
    Page::json(&FrontJson { jobs, jobs_by_section })
}
