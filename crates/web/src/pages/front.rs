//! `/` and `/all-builds`: every job with what it built last, by section.

use crate::app::App;
use crate::database::jobs::{self, JobState, PlatformState};
use crate::database::listed::Listed;
use crate::http::page::Page;
use crate::http::page_cache::PageKey;
use crate::http::paging::Paging;
use crate::http::{Form, QueryMap, Refusal};
use crate::json;
use crate::limits::{FRONT_JOBS, FRONT_JOBS_MAX};
use crate::pages::inline::Inline;
use crate::pages::look::Look;
use crate::pages::{Layout, link, render, text};
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use builder_model::Timestamp;
use http::Uri;

/// The look of what only these pages have.
static STYLE: Inline = Inline::new(include_str!("../../templates/front.css"));
const MINUTE_MILLISECONDS: i64 = 60_000;
const DAY_MILLISECONDS: i64 = 86_400_000;
/// The heading over jobs that were given no section.
pub(crate) const UNCATEGORIZED: &str = "Uncategorized";

/// Which jobs are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// Those that had a good build of late, and those that were built of late and never had one.
    Active,
    /// All that were ever built.
    All,
}

/// `GET /`.
pub(crate) async fn active(State(app): State<App>, form: Form, uri: Uri, query: QueryMap) -> Response {
    show(app, Shown::Active, form, &uri, query).await
}

/// `GET /all-builds`.
pub(crate) async fn all(State(app): State<App>, form: Form, uri: Uri, query: QueryMap) -> Response {
    show(app, Shown::All, form, &uri, query).await
}

async fn show(app: App, shown: Shown, form: Form, uri: &Uri, query: QueryMap) -> Response {
    let mut key = PageKey::of(uri, form);
    let now = jiff::Timestamp::now().as_millisecond();
    key.moment = match shown {
        // What is no longer active changes as time goes by.
        Shown::Active => now / MINUTE_MILLISECONDS,
        Shown::All => 0,
    };
    app.answer(move |app| {
        app.page_cache().answer(app, key, || {
            let paging = Paging::of(&query, FRONT_JOBS, FRONT_JOBS_MAX)?;
            let jobs = app.read(jobs::states)?;
            let after = match shown {
                Shown::Active => cut_off(now, app.settings().expired_days),
                Shown::All => None,
            };
            match form {
                Form::Html => html(app, shown, &visible(&jobs, after), paging),
                Form::Json => json::front::page(&visible(&jobs, after)),
            }
        })
    })
    .await
}

/// What finished until then is not active; none when nothing ever expires.
fn cut_off(now: i64, expired_days: u32) -> Option<Timestamp> {
    let milliseconds = now.saturating_sub(i64::from(expired_days) * DAY_MILLISECONDS);
    (expired_days > 0).then(|| Timestamp::from_milliseconds(milliseconds).unwrap_or(Timestamp::MIN))
}

/// A job with those of its platforms that are shown.
#[derive(Debug)]
pub(crate) struct VisibleJob<'a> {
    pub(crate) job: &'a JobState,
    platforms: Vec<&'a PlatformState>,
    /// Of platforms where none was ever good, the newest build.
    never_good: Vec<&'a Listed>,
}

fn visible(jobs: &[JobState], after: Option<Timestamp>) -> Vec<VisibleJob<'_>> {
    let is_shown = |build: &Listed| after.is_none_or(|after| build.finish > after);
    let with_platforms = jobs.iter().map(|job| VisibleJob {
        job,
        platforms: job.platforms.iter().filter(|state| is_shown(&state.latest)).collect(),
        never_good: job.never_good.iter().filter(|build| is_shown(build)).collect(),
    });
    with_platforms.filter(|job| job.rows() > 0).collect()
}

impl VisibleJob<'_> {
    fn address(&self) -> String {
        link::job(&self.job.name, None)
    }

    /// What it is about.
    fn synopsis(&self) -> String {
        text::synopsis_in_list(&self.job.synopsis)
    }

    /// How many platforms are shown of it.
    fn rows(&self) -> usize {
        self.platforms.len() + self.never_good.len()
    }

    /// Whether a good build of it is shown.
    pub(crate) fn has_good(&self) -> bool {
        !self.platforms.is_empty()
    }

    /// The heading that it stands under.
    pub(crate) fn section(&self) -> &str {
        self.job.section.as_deref().unwrap_or(UNCATEGORIZED)
    }
}

impl PlatformState {
    fn failing_address(&self) -> String {
        self.failing.as_ref().map(|failing| link::build(&self.latest.job, &failing.uuid)).unwrap_or_default()
    }

    fn failing_title(&self) -> String {
        let title = |failing: &jobs::Failing| {
            format!("{} at {}", text::outcome_in_list(&failing.outcome), text::time(failing.start))
        };
        self.failing.as_ref().map(title).unwrap_or_default()
    }
}

impl Listed {
    fn failing_title(&self) -> String {
        format!("{} at {}", self.result(), self.time())
    }
}

struct Section<'a> {
    name: &'a str,
    id: String,
    jobs: &'a [VisibleJob<'a>],
}

#[derive(Template)]
#[template(path = "front.html")]
struct FrontPage<'a> {
    look: &'a Look,
    all: bool,
    sections: Vec<Section<'a>>,
    /// How many jobs with a good build there are, in words.
    total: String,
    /// How many that never had one.
    never_good: usize,
    /// How many platforms of jobs fail now.
    failing: usize,
    expired_days: u32,
    pager: Pager,
}

/// Links to the parts of a list before and after the one that is shown.
#[derive(Debug)]
pub(crate) struct Pager {
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
    /// The words for both: what lies there.
    pub(crate) words: [&'static str; 2],
}

impl Pager {
    /// Those around a part that shows so many. One that shows nothing lies beyond the end, and so may the part before:
    /// then the first link leads to the beginning.
    pub(crate) fn of(
        paging: Paging,
        shown: usize,
        more: bool,
        [before, after]: [&'static str; 2],
        address: impl Fn(Paging) -> String,
    ) -> Self {
        let beginning = Paging { start: 0, ..paging };
        let (back, before) = match paging.before() {
            Some(_) if shown == 0 => (Some(beginning), "To the beginning"),
            back => (back, before),
        };
        Self { before: back.map(&address), after: paging.after(more).map(address), words: [before, after] }
    }
}

fn html(app: &App, shown: Shown, jobs: &[VisibleJob<'_>], paging: Paging) -> Result<Page, Refusal> {
    let all = shown == Shown::All;
    let total = jobs.len();
    let start = usize::try_from(paging.start).unwrap_or(usize::MAX).min(total);
    let end = start.saturating_add(usize::try_from(paging.count).unwrap_or(usize::MAX)).min(total);
    let part = jobs.get(start..end).unwrap_or_default();
    let mut sections: Vec<_> = part.chunk_by(|one, other| one.section() == other.section()).collect();
    // Section and the lack of one may read the same; they stay apart by their ids.
    let sections = sections
        .drain(..)
        .enumerate()
        .map(|(index, jobs)| Section {
            name: jobs.first().map_or("", VisibleJob::section),
            id: format!("section-{}", index + 1),
            jobs,
        })
        .collect();
    let here = if all { "/all-builds" } else { "/" };
    let address = |paging: Paging| format!("{here}{}", paging.query(FRONT_JOBS, None));
    let good = jobs.iter().filter(|job| job.has_good()).count();
    let failing = |job: &VisibleJob<'_>| job.platforms.iter().filter(|state| state.failing.is_some()).count();
    let page = FrontPage {
        look: app.look(),
        all,
        sections,
        total: text::count(good as u64, "job", "jobs"),
        never_good: total - good,
        failing: jobs.iter().map(|job| failing(job) + job.never_good.len()).sum(),
        expired_days: app.settings().expired_days,
        pager: Pager::of(paging, part.len(), end < total, ["Earlier jobs", "Further jobs"], address),
    };
    let layout = if all { Layout::new("All jobs").here("All jobs") } else { Layout::new(&app.look().name) };
    render(app, &layout.style(&STYLE), &page)
}
