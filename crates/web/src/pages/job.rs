//! `/job/{job}` and `/job/{job}/failed`: what a job built, by output, on one platform or on all.

use crate::app::App;
use crate::database::jobs::{self, Job};
use crate::database::listed::Listed;
use crate::database::lists::{self, Latest, Part, Which};
use crate::database::selected::Kind;
use crate::digest::Digest;
use crate::http::page::Page;
use crate::http::page_cache::PageKey;
use crate::http::paging::Paging;
use crate::http::{Form, QueryMap, Refusal};
use crate::json;
use crate::limits::{JOB_BUILDS, JOB_BUILDS_JSON_MAX, JOB_BUILDS_MAX, JOB_PLATFORMS_SHOWN_MAX};
use crate::pages::chart::Charts;
use crate::pages::front::Pager;
use crate::pages::inline::Inline;
use crate::pages::{Layout, link, render, text};
use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use builder_model::Timestamp;
use http::Uri;
use std::collections::HashMap;
use std::sync::Arc;

/// The look of what only this page has.
static STYLE: Inline = Inline::new(include_str!("../../templates/job.css"));

/// `GET /job/{job}`: good builds.
pub(crate) async fn good(
    State(app): State<App>,
    Path(job): Path<String>,
    form: Form,
    uri: Uri,
    query: QueryMap,
) -> Response {
    show(app, job, Which::Good, form, &uri, query).await
}

/// `GET /job/{job}/failed`: failed builds as well.
pub(crate) async fn with_failed(
    State(app): State<App>,
    Path(job): Path<String>,
    form: Form,
    uri: Uri,
    query: QueryMap,
) -> Response {
    show(app, job, Which::All, form, &uri, query).await
}

async fn show(app: App, name: String, which: Which, form: Form, uri: &Uri, query: QueryMap) -> Response {
    let key = PageKey::of(uri, form);
    app.answer(move |app| {
        app.page_cache().answer(app, key, || {
            let (usual, most) = match form {
                Form::Html => (JOB_BUILDS, JOB_BUILDS_MAX),
                Form::Json => (JOB_BUILDS_JSON_MAX, JOB_BUILDS_JSON_MAX),
            };
            let paging = Paging::of(&query, usual, most)?;
            let platform = query.text("platform");
            let found = app.read(|connection| {
                let job = jobs::job(connection, &name)?.filter(|job| job.was_built_on(platform));
                let Some(job) = job else { return Ok(None) };
                let part = lists::of_job(connection, job.id, platform, which, paging)?;
                let latest = lists::latest(connection, job.id, platform, &part)?;
                // People see what failed where nothing else is to be seen.
                let (part, which) = match (latest, form) {
                    (Latest::Nothing, Form::Html) if which == Which::Good => {
                        (lists::of_job(connection, job.id, platform, Which::All, paging)?, Which::All)
                    }
                    (Latest::Nothing | Latest::Build | Latest::MainBinary, _) => (part, which),
                };
                Ok(Some((job, part, which, latest)))
            })?;
            let (job, part, which, latest) = found.ok_or(Refusal::NotFound)?;
            let view = View { job: &job, part: &part, platform, which, latest, paging };
            match form {
                Form::Html => view.html(app),
                Form::Json => json::job::page(&group(&part.builds), view.address_after(JOB_BUILDS_JSON_MAX)),
            }
        })
    })
    .await
}

/// Builds of one output, or one that failed.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    /// The newest of them, which stands for all.
    pub(crate) newest: &'a Listed,
    /// How many there are, and when the oldest began.
    count: u64,
    oldest: Timestamp,
    platforms: Vec<&'a str>,
}

/// What makes builds one entry.
#[derive(PartialEq, Eq, Hash)]
enum Output<'a> {
    Same(Digest),
    Alone(&'a str),
}

/// Groups builds, newest first, by what came out of them. Failed ones, and those of which nothing is known, stay alone.
pub(crate) fn group(builds: &[Listed]) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let mut known = HashMap::new();
    for build in builds {
        let digest = build.output.or(build.main_binary.as_ref().map(|binary| binary.sha256));
        let output = match digest.filter(|_| build.is_good()) {
            Some(digest) => Output::Same(digest),
            None => Output::Alone(&build.uuid),
        };
        let index = *known.entry(output).or_insert(entries.len());
        match entries.get_mut(index) {
            Some(entry) => {
                entry.count += 1;
                entry.oldest = entry.oldest.min(build.start);
                if !entry.platforms.contains(&build.platform.as_str()) {
                    entry.platforms.push(&build.platform);
                }
            }
            None => {
                let platforms = vec![build.platform.as_str()];
                entries.push(Entry { newest: build, count: 1, oldest: build.start, platforms });
            }
        }
    }
    entries
}

impl Entry<'_> {
    fn platforms_text(&self) -> String {
        self.platforms.join(", ")
    }

    fn builds_text(&self) -> String {
        match self.count {
            1 => "1".into(),
            count => format!("{} since {}", text::number_text(count), text::day(self.oldest)),
        }
    }

    /// Its output, where the entry stands for several builds that can be listed by it.
    fn listed_output(&self) -> Option<Digest> {
        self.newest.output.filter(|_| self.count > 1)
    }
}

struct Tab<'a> {
    label: &'a str,
    address: String,
    here: bool,
}

#[derive(Template)]
#[template(path = "job.html")]
struct JobPage<'a> {
    view: &'a View<'a>,
    job: &'a Job,
    platform: Option<&'a str>,
    tabs: Vec<Tab<'a>>,
    /// How many platforms have no tab.
    more_platforms: Option<String>,
    entries: Vec<Entry<'a>>,
    builds: &'a [Listed],
    charts: Option<Charts>,
    with_failed: bool,
    first_part: bool,
    /// The list without failed builds, or with them; none where there are no others.
    other_address: Option<String>,
    latest_address: Option<String>,
    latest_binary_address: Option<String>,
    feed_address: String,
    /// Every build, one by one.
    builds_address: String,
    readme: Option<Arc<str>>,
    pager: Pager,
}

impl JobPage<'_> {
    /// How many builds are listed.
    fn builds_text(&self) -> String {
        let [one, many] = if self.with_failed { ["build", "builds"] } else { ["good build", "good builds"] };
        text::count(self.builds.len() as u64, one, many)
    }
}

struct View<'a> {
    job: &'a Job,
    part: &'a Part,
    platform: Option<&'a str>,
    which: Which,
    latest: Latest,
    paging: Paging,
}

impl View<'_> {
    fn here(&self) -> String {
        match self.which {
            Which::Good => link::job(&self.job.name, None),
            Which::All => link::job_failed(&self.job.name, None),
        }
    }

    fn address_after(&self, usual: u32) -> Option<String> {
        let after = self.paging.after(self.part.more)?;
        Some(format!("{}{}", self.here(), after.query(usual, self.platform)))
    }

    /// The builds that stand here in groups and charts, or those of one output, one by one.
    fn builds(&self, output: Option<&Digest>) -> String {
        let mut conditions = Vec::new();
        let output = output.map(Digest::to_string);
        conditions.extend(self.platform.map(|platform| ("platform", platform)));
        match (&output, self.which) {
            (Some(output), _) => conditions.push(("output", output)),
            (None, Which::Good) => conditions.push(("outcome", Kind::Good.word())),
            (None, Which::All) => {}
        }
        link::builds(Some(&self.job.name), &conditions)
    }

    fn tabs(&self) -> Vec<Tab<'_>> {
        let address = |platform| match self.which {
            Which::Good => link::job(&self.job.name, platform),
            Which::All => link::job_failed(&self.job.name, platform),
        };
        let mut tabs = vec![Tab { label: "All platforms", address: address(None), here: self.platform.is_none() }];
        // The one that is shown has a tab whatever its place.
        let (first, rest) = self.job.platforms.split_at(self.job.platforms.len().min(JOB_PLATFORMS_SHOWN_MAX));
        let here = rest.iter().find(|platform| self.platform == Some(platform));
        tabs.extend(first.iter().chain(here).map(|platform| Tab {
            label: platform,
            address: address(Some(platform)),
            here: self.platform == Some(platform),
        }));
        tabs
    }

    fn html(&self, app: &App) -> Result<Page, Refusal> {
        let (job, platform) = (self.job, self.platform);
        let latest = |rest: &str| format!("{}/build/latest{rest}{}", link::job(&job.name, None), link::query(platform));
        let tabs = self.tabs();
        // One tab is for all of them.
        let left_out = (job.platforms.len() + 1).saturating_sub(tabs.len());
        let page = JobPage {
            view: self,
            job,
            platform,
            more_platforms: (left_out > 0).then(|| format!("and {} more", text::number_text(left_out as u64))),
            tabs,
            entries: group(&self.part.builds),
            builds: &self.part.builds,
            charts: Charts::of(&self.part.builds),
            with_failed: self.which == Which::All,
            first_part: self.paging.start == 0,
            other_address: match (self.which, self.latest) {
                (Which::Good, _) => Some(link::job_failed(&job.name, platform)),
                (Which::All, Latest::Nothing) => None,
                (Which::All, Latest::Build | Latest::MainBinary) => Some(link::job(&job.name, platform)),
            },
            latest_address: (self.latest != Latest::Nothing).then(|| latest("")),
            latest_binary_address: (self.latest == Latest::MainBinary).then(|| latest("/main-binary")),
            feed_address: link::job_feed(&job.name, platform),
            builds_address: self.builds(None),
            readme: job.readme.as_deref().map(|readme| app.readmes().html(readme)),
            pager: Pager::of(
                self.paging,
                self.part.builds.len(),
                self.part.more,
                ["Newer builds", "Older builds"],
                |paging| format!("{}{}", self.here(), paging.query(JOB_BUILDS, platform)),
            ),
        };
        let mut layout = match platform {
            Some(platform) => Layout::new(format!("Job {} on {platform}", job.name)),
            None => Layout::new(format!("Job {}", job.name)),
        };
        layout = match platform {
            Some(platform) => {
                layout.crumb(format!("Job {}", job.name), link::job(&job.name, None)).here(format!("on {platform}"))
            }
            None => layout.here(format!("Job {}", job.name)),
        };
        layout = layout.style(&STYLE).feed(format!("Builds of {}", job.name), link::job_feed(&job.name, platform));
        render(app, &layout, &page)
    }
}
