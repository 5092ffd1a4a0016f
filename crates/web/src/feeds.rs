//! Atom feeds (RFC 4287): the newest builds of a job, and the newest failures.
//!
//! Identifiers never change with the site's address: a build is its UUID, a list a UUID made of its name (RFC 9562,
//! version 8). Links are absolute where the site's address is known; else they are path-absolute, and a reader resolves
//! them against the address that it fetched.

use crate::app::App;
use crate::database::jobs;
use crate::database::listed::Listed;
use crate::database::lists::{self, Which};
use crate::digest::Digest;
use crate::http::page::Page;
use crate::http::page_cache::PageKey;
use crate::http::paging::Paging;
use crate::http::{Form, QueryMap, Refusal};
use crate::limits::FEED_BUILDS;
use crate::pages::{link, text};
use atom_syndication::{Content, Entry, Feed, FixedDateTime, Generator, Link, Person, Text};
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use builder_model::{BuildId, Timestamp};
use http::{HeaderValue, Uri};

/// Routes of feeds.
pub(crate) fn routes() -> Router<App> {
    Router::new().route("/job/{job}/feed.atom", get(job)).route("/failed-builds/feed.atom", get(failed))
}

/// `GET /job/{job}/feed.atom?platform=`: the newest builds of a job, good and failed.
async fn job(State(app): State<App>, Path(name): Path<String>, uri: Uri, query: QueryMap) -> Response {
    let key = PageKey::of(&uri, Form::Html);
    app.answer(move |app| {
        app.page_cache().answer(app, key, || {
            let platform = query.text("platform");
            let paging = Paging { start: 0, count: FEED_BUILDS };
            let found = app.read(|connection| match jobs::job(connection, &name)? {
                Some(job) if job.was_built_on(platform) => {
                    lists::of_job(connection, job.id, platform, Which::All, paging).map(|part| Some((job, part)))
                }
                Some(_) | None => Ok(None),
            })?;
            let (job, part) = found.ok_or(Refusal::NotFound)?;
            let title = match platform {
                Some(platform) => format!("{} on {platform}", job.name),
                None => job.name.clone(),
            };
            let feed = List {
                title: format!("{title} · {}", app.settings().site.name),
                subtitle: Some(job.synopsis).filter(|synopsis| !synopsis.is_empty()),
                id: list_id(&["job", &job.name, platform.unwrap_or_default()]),
                own: link::job_feed(&job.name, platform),
                page: link::job_failed(&job.name, platform),
            };
            feed.page(app, &part.builds)
        })
    })
    .await
}

/// `GET /failed-builds/feed.atom?platform=`: the newest failures of all jobs.
async fn failed(State(app): State<App>, uri: Uri, query: QueryMap) -> Response {
    let key = PageKey::of(&uri, Form::Html);
    app.answer(move |app| {
        app.page_cache().answer(app, key, || {
            let platform = query.text("platform");
            let paging = Paging { start: 0, count: FEED_BUILDS };
            let part = app.read(|connection| lists::failed(connection, platform, paging))?;
            let title = match platform {
                Some(platform) => format!("Failed builds on {platform}"),
                None => "Failed builds".into(),
            };
            let feed = List {
                title: format!("{title} · {}", app.settings().site.name),
                subtitle: None,
                id: list_id(&["failed-builds", platform.unwrap_or_default()]),
                own: format!("/failed-builds/feed.atom{}", link::query(platform)),
                page: format!("/failed-builds{}", link::query(platform)),
            };
            feed.page(app, &part.builds)
        })
    })
    .await
}

/// What a feed says of itself.
struct List {
    title: String,
    subtitle: Option<String>,
    id: String,
    /// Where the feed is.
    own: String,
    /// Where people see the same.
    page: String,
}

impl List {
    fn page(self, app: &App, builds: &[Listed]) -> Result<Page, Refusal> {
        let site = &app.settings().site;
        let address = |path: &str| absolute(site.url.as_deref(), path);
        let newest = builds.iter().map(|build| build.finish).max();
        let feed = Feed {
            title: plain(&self.title),
            subtitle: self.subtitle.as_deref().map(plain),
            id: self.id,
            // A feed without builds never changed.
            updated: newest.map_or_else(|| Ok(FixedDateTime::default()), date)?,
            authors: vec![Person { name: clean(&site.name), ..Person::default() }],
            links: vec![
                to(address(&self.own), "self", "application/atom+xml"),
                to(address(&self.page), "alternate", "text/html"),
            ],
            generator: Some(Generator {
                value: "builder-web".into(),
                version: Some(env!("CARGO_PKG_VERSION").into()),
                ..Generator::default()
            }),
            entries: builds.iter().map(|build| entry(build, &address)).collect::<Result<_, _>>()?,
            ..Feed::default()
        };
        let written = feed.write_to(Vec::new()).map_err(|error| {
            tracing::error!("cannot write a feed: {error}");
            Refusal::Broken
        })?;
        Ok(Page::of(HeaderValue::from_static("application/atom+xml; charset=utf-8"), written))
    }
}

fn entry(build: &Listed, address: &dyn Fn(&str) -> String) -> Result<Entry, Refusal> {
    let how = if build.is_good() { "built" } else { "failed" };
    let page = link::build(&build.job, &build.uuid);
    Ok(Entry {
        title: plain(&format!("{} {how} on {}", build.job, build.platform)),
        // Rows of the original hold what it checked to be a UUID.
        id: format!("urn:uuid:{}", clean(&build.uuid)),
        updated: date(build.finish)?,
        published: Some(date(build.finish)?),
        links: vec![to(address(&page), "alternate", "text/html")],
        content: Some(Content { value: Some(clean(&told(build))), ..Content::default() }),
        ..Entry::default()
    })
}

/// A build in a few plain lines.
fn told(build: &Listed) -> String {
    let mut told = format!(
        "Result: {}\nStarted: {}\nTook: {}\n",
        text::outcome_in_list(&build.outcome),
        text::time(build.start),
        text::span(build.duration())
    );
    if let Some(binary) = &build.main_binary {
        told.push_str(&format!(
            "Main binary: {}, {}, SHA-256 {}\n",
            binary.filepath,
            text::bytes(binary.size),
            binary.sha256
        ));
    }
    told
}

fn absolute(site: Option<&str>, path: &str) -> String {
    format!("{}{path}", site.unwrap_or_default().trim_end_matches('/'))
}

fn to(href: String, rel: &str, kind: &str) -> Link {
    Link { href, rel: rel.into(), mime_type: Some(kind.into()), ..Link::default() }
}

/// The identifier of a list: a UUID out of the digest of its name, so that it is the same wherever the site moves.
fn list_id(names: &[&str]) -> String {
    let Digest(digest) = Digest::of(format!("builder-web feed\0{}", names.join("\0")).as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(digest.split_at(16).0);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    format!("urn:uuid:{}", BuildId::from_bytes(bytes))
}

fn date(time: Timestamp) -> Result<FixedDateTime, Refusal> {
    time.to_string().parse().map_err(|error| {
        tracing::error!("a feed cannot show the time {time}: {error}");
        Refusal::Broken
    })
}

fn plain(text: &str) -> Text {
    Text::plain(clean(text))
}

/// Without the characters that XML 1.0 has no way to write.
fn clean(text: &str) -> String {
    let is_character = |at: char| matches!(at, '\t' | '\n' | ' '..='\u{fffd}' | '\u{10000}'..);
    text.chars().map(|at| if is_character(at) { at } else { '\u{fffd}' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_uuids_that_stay() {
        let id = list_id(&["job", "hello", ""]);
        assert_eq!(id, list_id(&["job", "hello", ""]));
        assert_ne!(id, list_id(&["job", "hello", "debian-12"]));
        assert!(id.starts_with("urn:uuid:") && id.as_bytes()[9 + 14] == b'8', "{id}");
    }

    #[test]
    fn links_are_absolute_where_that_is_known() {
        assert_eq!(absolute(Some("https://builds.example.org/"), "/job/a"), "https://builds.example.org/job/a");
        assert_eq!(absolute(None, "/job/a"), "/job/a");
        assert_eq!(clean("a\u{1}b\u{fffe}\u{1f980}"), "a\u{fffd}b\u{fffd}\u{1f980}");
    }
}
