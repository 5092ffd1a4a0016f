//! `/search?q=`: builds, artifacts, jobs, packages and texts that fit.

use crate::app::App;
use crate::database::listed::Listed;
use crate::database::search::{self, ArtifactHit, DigestPrefix, Hits, JobHit, PackageHit, TextHit};
use crate::http::page::Page;
use crate::http::page_cache::PageKey;
use crate::http::{Form, QueryMap, Refusal};
use crate::json;
use crate::limits::SEARCH_BYTES_MAX;
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
            let found = app.read(|connection| find(connection, asked))?;
            match form {
                Form::Html => html(app, asked, &found),
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
        texts: Hits::default(),
    };
    if asked.is_empty() {
        return Ok(found);
    }
    if search::is_uuid_prefix(asked) {
        found.builds = search::builds(connection, asked)?;
    }
    if let Some(prefix) = DigestPrefix::parse(asked) {
        found.artifacts = search::artifacts(connection, prefix)?;
    }
    found.jobs = search::jobs(connection, asked)?;
    for reading in search::package_readings(asked) {
        found.packages = search::packages(connection, reading)?;
        if !found.packages.found.is_empty() {
            break;
        }
    }
    found.texts = search::texts(connection, asked)?;
    Ok(found)
}

impl Found {
    fn is_empty(&self) -> bool {
        self.builds.found.is_empty()
            && self.artifacts.found.is_empty()
            && self.jobs.found.is_empty()
            && self.packages.found.is_empty()
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
    fn address(&self) -> String {
        link::job(&self.name, None)
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
}

fn html(app: &App, asked: &str, found: &Found) -> Result<Page, Refusal> {
    let title = if asked.is_empty() { "Search".into() } else { format!("Search: {asked}") };
    render(app, &Layout::new(title).here("Search").query(asked), &SearchPage { asked, found })
}
