//! `/search?q=`: builds, artifacts, jobs, packages and texts that fit.

use crate::app::App;
use crate::database::listed::Listed;
use crate::database::search::{self, ArtifactHit, DigestPrefix, Hits, PackageHit};
use crate::database::words::{self, JobHit, TextHit, Words};
use crate::http::page::Page;
use crate::http::page_cache::PageKey;
use crate::http::paging::Paging;
use crate::http::{Form, QueryMap, Refusal};
use crate::json;
use crate::limits::{SEARCH_BYTES_MAX, SEARCH_PACKAGES, SEARCH_ROWS_MAX};
use crate::pages::front::Pager;
use crate::pages::{Layout, link, render, text};
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::Uri;
use rusqlite::Connection;

/// All that a search found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) builds: Hits<Listed>,
    pub(crate) artifacts: Hits<ArtifactHit>,
    pub(crate) jobs: Hits<JobHit>,
    pub(crate) packages: Hits<PackageHit>,
    pub(crate) package_names: Hits<String>,
    pub(crate) texts: Hits<TextHit>,
}

/// `GET /search`.
pub(crate) async fn show(State(app): State<App>, form: Form, uri: Uri, query: QueryMap) -> Response {
    let key = PageKey::of(&uri, form);
    app.answer(move |app| {
        app.page_cache().answer(app, key, || {
            let asked = query.text("q").unwrap_or_default().trim();
            if asked.len() > SEARCH_BYTES_MAX {
                return Err(Refusal::Bad(format!("q may have at most {SEARCH_BYTES_MAX} bytes.")));
            }
            let paging = Paging { count: SEARCH_PACKAGES, ..Paging::of(&query, SEARCH_PACKAGES, SEARCH_PACKAGES)? };
            let found = app.read(|connection| find(connection, asked))?;
            match form {
                Form::Html => html(app, asked, found, paging),
                Form::Json => json::search::page(asked, &found),
            }
        })
    })
    .await
}

/// Searches for what was asked, whatever it may be.
pub(crate) fn find(connection: &Connection, asked: &str) -> rusqlite::Result<Found> {
    let mut found = Found {
        builds: Hits::default(),
        artifacts: Hits::default(),
        jobs: Hits::default(),
        packages: Hits::default(),
        package_names: Hits::default(),
        texts: Hits::default(),
    };
    let words = Words::of(asked);
    if words.is_empty() {
        return Ok(found);
    }
    if search::is_uuid_prefix(asked) {
        found.builds = search::builds(connection, asked)?;
    }
    if let Some(prefix) = DigestPrefix::parse(asked) {
        found.artifacts = search::artifacts(connection, prefix)?;
    }
    found.jobs = words::jobs(connection, &words)?;
    for reading in search::package_readings(asked) {
        found.packages = search::packages(connection, reading)?;
        if !found.packages.found.is_empty() {
            break;
        }
    }
    // Digits that are a build's or an artifact's are no part of a package's name, and all names are looked at.
    if found.builds.found.is_empty() && found.artifacts.found.is_empty() {
        found.package_names = words::package_names(connection, &words)?;
    }
    found.texts = words::texts(connection, &words)?;
    Ok(found)
}

impl Found {
    /// Whether there may be more than was found.
    pub(crate) fn has_more(&self) -> bool {
        let Self { builds, artifacts, jobs, packages, package_names, texts } = self;
        builds.more || artifacts.more || jobs.more || packages.more || package_names.more || texts.more
    }

    fn is_empty(&self) -> bool {
        self.builds.found.is_empty()
            && self.artifacts.found.is_empty()
            && self.jobs.found.is_empty()
            && self.packages.found.is_empty()
            && self.package_names.found.is_empty()
            && self.texts.found.is_empty()
    }
}

impl ArtifactHit {
    fn artifact_address(&self) -> String {
        link::artifact(&self.build.job, &self.build.uuid, &self.filepath)
    }

    fn size_text(&self) -> String {
        text::bytes(self.size)
    }
}

impl JobHit {
    fn synopsis_text(&self) -> String {
        text::synopsis_in_list(&self.synopsis)
    }

    fn address(&self) -> String {
        link::job(&self.name, self.platform.as_deref())
    }
}

impl TextHit {
    fn address(&self) -> String {
        link::job(&self.name, None)
    }
}

impl PackageHit {
    fn builds_text(&self) -> String {
        text::number_text(self.builds)
    }
}

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage<'a> {
    asked: &'a str,
    found: &'a Found,
    /// One part of those in `found`.
    packages: &'a [PackageHit],
    /// Further parts have packages alone.
    first_part: bool,
    pager: Pager,
}

fn html(app: &App, asked: &str, mut found: Found, paging: Paging) -> Result<Page, Refusal> {
    let title = if asked.is_empty() { "Search".into() } else { format!("Search: {asked}") };
    if !found.packages.found.is_empty() {
        // That package is there already.
        found.package_names.found.retain(|name| name != asked);
    }
    found.jobs.cut(SEARCH_ROWS_MAX);
    found.package_names.cut(SEARCH_ROWS_MAX);
    found.texts.cut(SEARCH_ROWS_MAX);
    let (start, count) = (usize::try_from(paging.start).unwrap_or(usize::MAX), SEARCH_PACKAGES as usize);
    let rest = found.packages.found.get(start..).unwrap_or_default();
    let packages = rest.get(..count).unwrap_or(rest);
    let address = |paging: Paging| {
        let start = if paging.start == 0 { String::new() } else { format!("&start={}", paging.start) };
        format!("/search?q={}{start}", link::segment(asked))
    };
    let page = SearchPage {
        asked,
        found: &found,
        packages,
        first_part: paging.start == 0,
        pager: Pager::of(paging, packages.len(), rest.len() > count, ["Newer builds", "Older builds"], address),
    };
    render(app, &Layout::new(title).here("Search").query(asked), &page)
}

/// Where builds are that a package went into.
fn package_address(name: &str) -> String {
    format!("/search?q={}", link::segment(name))
}
