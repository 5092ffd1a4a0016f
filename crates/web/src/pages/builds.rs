//! `/builds` and `/job/{job}/builds`: every build of all jobs or of one, newest first; where that is asked for, only
//! those of one platform, outcome, input or output. Whatever a page groups or leaves out, it leads here for the rest.

use crate::app::App;
use crate::database::listed::Listed;
use crate::database::selected::{self, Kind, Part, Place, Selection};
use crate::digest::Digest;
use crate::http::page::Page;
use crate::http::page_cache::PageKey;
use crate::http::paging::Paging;
use crate::http::{Form, QueryMap, Refusal};
use crate::json;
use crate::limits::{BUILDS, BUILDS_MAX};
use crate::pages::front::Pager;
use crate::pages::{Layout, link, render};
use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use http::Uri;

/// `GET /builds`: of all jobs.
pub(crate) async fn all(State(app): State<App>, form: Form, uri: Uri, query: QueryMap) -> Response {
    show(app, None, form, &uri, query).await
}

/// `GET /job/{job}/builds`: of one.
pub(crate) async fn of_job(
    State(app): State<App>,
    Path(job): Path<String>,
    form: Form,
    uri: Uri,
    query: QueryMap,
) -> Response {
    show(app, Some(job), form, &uri, query).await
}

async fn show(app: App, job: Option<String>, form: Form, uri: &Uri, query: QueryMap) -> Response {
    let key = PageKey::of(uri, form);
    app.answer(move |app| {
        app.page_cache().answer(app, key, || {
            let asked = Asked::of(&query, job.as_deref())?;
            let part = app.read(|connection| asked.read(connection))?.ok_or(Refusal::NotFound)?;
            let next = part.next.map(|place| asked.address(Some(place)));
            match form {
                Form::Html => asked.html(app, &part.builds, next),
                Form::Json => json::builds::page(&part.builds, next),
            }
        })
    })
    .await
}

/// Which builds are asked for.
#[derive(Debug)]
struct Asked<'a> {
    job: Option<&'a str>,
    platform: Option<&'a str>,
    kind: Option<Kind>,
    input: Option<Digest>,
    output: Option<Digest>,
    after: Option<Place>,
    count: u32,
}

impl<'a> Asked<'a> {
    fn of(query: &'a QueryMap, job: Option<&'a str>) -> Result<Self, Refusal> {
        let digest = |key: &str| match query.text(key).map(str::parse) {
            None => Ok(None),
            Some(Ok(digest)) => Ok(Some(digest)),
            Some(Err(_)) => Err(Refusal::Bad(format!("{key} must be 64 hexadecimal digits."))),
        };
        let kind = match query.text("outcome") {
            None => None,
            Some("good") => Some(Kind::Good),
            Some("failed") => Some(Kind::Failed),
            Some(_) => return Err(Refusal::Bad("outcome must be good or failed.".into())),
        };
        let after = match query.text("cursor").map(Place::parse) {
            None => None,
            Some(Some(place)) => Some(place),
            Some(None) => return Err(Refusal::Bad("cursor must be what the part before leads on with.".into())),
        };
        Ok(Self {
            job,
            platform: query.text("platform"),
            kind,
            input: digest("input")?,
            output: digest("output")?,
            after,
            count: Paging::of(query, BUILDS, BUILDS_MAX)?.count,
        })
    }

    /// The builds; none when there is no such job, or it was never built on the platform.
    fn read(&self, connection: &rusqlite::Connection) -> rusqlite::Result<Option<Part>> {
        let job = match self.job {
            Some(name) => match selected::job_row(connection, name)? {
                Some(row) => Some(row),
                None => return Ok(None),
            },
            None => None,
        };
        if let (Some(job), Some(platform)) = (job, self.platform)
            && !selected::was_built_on(connection, job, platform)?
        {
            return Ok(None);
        }
        let Self { platform, kind, input, output, after, .. } = *self;
        let selection = Selection { job, platform, kind, input, output, after, ..Selection::default() };
        selected::builds(connection, &selection, self.count).map(Some)
    }

    /// The address of the part that begins after a place, or of the first.
    fn address(&self, after: Option<Place>) -> String {
        let texts = [
            ("platform", self.platform.map(str::to_owned)),
            ("outcome", self.kind.map(|kind| kind.word().to_owned())),
            ("input", self.input.map(|digest| digest.to_string())),
            ("output", self.output.map(|digest| digest.to_string())),
            ("count", (self.count != BUILDS).then(|| self.count.to_string())),
            ("cursor", after.map(|place| place.to_string())),
        ];
        let conditions: Vec<_> = texts.iter().filter_map(|(key, text)| Some((*key, text.as_deref()?))).collect();
        link::builds(self.job, &conditions)
    }

    fn html(&self, app: &App, builds: &[Listed], next: Option<String>) -> Result<Page, Refusal> {
        let title = match self.job {
            Some(job) => format!("Builds of {job}"),
            None => "Builds of all jobs".to_owned(),
        };
        let page = BuildsPage {
            title: &title,
            asked: self,
            builds,
            all_address: link::builds(self.job, &[]),
            pager: Pager {
                before: self.after.map(|_| self.address(None)),
                after: next,
                words: ["Newest builds", "Older builds"],
            },
        };
        let layout = match self.job {
            Some(job) => Layout::new(title.clone()).crumb(format!("Job {job}"), link::job(job, None)).here("Builds"),
            None => Layout::new(title.clone()).here("Builds"),
        };
        render(app, &layout, &page)
    }
}

#[derive(Template)]
#[template(path = "builds.html")]
struct BuildsPage<'a> {
    title: &'a str,
    asked: &'a Asked<'a>,
    builds: &'a [Listed],
    /// The list without conditions.
    all_address: String,
    pager: Pager,
}

impl BuildsPage<'_> {
    /// Which builds are listed, but for their input and output.
    fn lead(&self) -> String {
        let builds = match self.asked.kind {
            Some(Kind::Good) => "Good builds",
            Some(Kind::Failed) => "Failed builds",
            None => "Good and failed builds",
        };
        let platform = self.asked.platform.map(|platform| format!(" on {platform}")).unwrap_or_default();
        format!("{builds}{platform}, newest first.")
    }

    /// Whether some builds of the list are left out.
    fn is_chosen(&self) -> bool {
        let Asked { platform, kind, input, output, .. } = self.asked;
        platform.is_some() || kind.is_some() || input.is_some() || output.is_some()
    }
}
