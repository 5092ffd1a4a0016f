//! The page of a console: one part of it, in colours, with lines that can be linked. What is stored, octet for octet,
//! is at `…/console`; this is `…/log`.
//!
//! However long a console is, only the part that is shown is read, by the index that was made when it arrived. A build
//! of the original has none until it was looked at in the background: then one is made for the request, of the first
//! [`CONSOLE_INDEXED_BYTES_MAX`] bytes.

use crate::app::App;
use crate::console::{self, ConsoleIndex, ConsoleIndexer, Part, PlainText, Times, render_part, text_of_part};
use crate::database::build::{self, Build};
use crate::http::address::redirect;
use crate::http::compression;
use crate::http::conditional::{self, FOR_EVER};
use crate::http::{Form, QueryMap, Refusal, body};
use crate::json;
use crate::json::console::Around;
use crate::limits::CONSOLE_INDEXED_BYTES_MAX;
use crate::pages::inline::Inline;
use crate::pages::layout::respond;
use crate::pages::{Layout, link, text};
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use builder_model::BuildId;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use std::fs::File;
use std::io::{self, Read, Write};

/// The look of what only this page has.
static STYLE: Inline = Inline::new(include_str!("../../templates/console.css"));
/// Grows with every change of what the plain text of a console is.
const PLAIN_VERSION: u32 = 1;
/// How much is read at once, in bytes.
const READ_BYTES: usize = 128 << 10;

/// The address of the page of a console.
pub(crate) fn routes() -> Router<App> {
    Router::new().route("/job/{job}/build/{uuid}/log", get(page))
}

/// Which part of a console is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// The part with this line, counted from 1.
    Line(u64),
    /// The last part.
    Tail,
    /// All of it as text without escapes, with or without the times.
    Plain(Times),
    /// A form asks for a line: the answer leads to its anchor, which a form cannot name.
    Goto(u64),
}

impl Wanted {
    /// Reads `from` or `line`, `goto`, `tail` and `plain`. The last two need no value.
    fn of(uri: &Uri, query: &QueryMap) -> Result<Self, Refusal> {
        let pairs = uri.query().unwrap_or_default().split('&');
        let keys: Vec<&str> = pairs.map(|pair| pair.split('=').next().unwrap_or_default()).collect();
        let number = |key: &str| match query.text(key).map(|text| text.trim().parse::<u64>()) {
            None => Ok(None),
            Some(Ok(number)) if number > 0 => Ok(Some(number)),
            Some(Ok(_) | Err(_)) => Err(Refusal::Bad(format!("{key} must be the number of a line, counted from 1."))),
        };
        if keys.contains(&"plain") {
            let times = if query.value("times") == Some("no") { Times::Removed } else { Times::Kept };
            return Ok(Self::Plain(times));
        }
        if let Some(line) = number("goto")? {
            return Ok(Self::Goto(line));
        }
        if keys.contains(&"tail") {
            return Ok(Self::Tail);
        }
        Ok(Self::Line(number("line")?.or(number("from")?).unwrap_or(1)))
    }
}

/// `…/log`
async fn page(
    State(app): State<App>,
    Path((job, uuid)): Path<(String, String)>,
    uri: Uri,
    query: QueryMap,
    form: Form,
    headers: HeaderMap,
) -> Response {
    app.answer(move |app| {
        let wanted = Wanted::of(&uri, &query)?;
        let uuid: BuildId = uuid.parse().map_err(|_| Refusal::NotFound)?;
        let read = |connection: &rusqlite::Connection| match build::by_uuid(connection, &uuid)? {
            Some(build) => Ok(Some((build::console_index(connection, build.id)?, build))),
            None => Ok(None),
        };
        let (index, build) = app.read(read)?.ok_or(Refusal::NotFound)?;
        let address = format!("{}/log", link::build(&build.job, build.uuid));
        if build.job != job {
            let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
            return Ok(redirect(StatusCode::PERMANENT_REDIRECT, &(address + &query)));
        }
        match wanted {
            Wanted::Goto(line) => Ok(redirect(StatusCode::SEE_OTHER, &format!("{address}?line={line}#L{line}"))),
            Wanted::Plain(times) => plain(app, &build, times, &headers),
            Wanted::Line(_) | Wanted::Tail => match form {
                Form::Html => html(app, &build, index.as_deref(), wanted, address),
                Form::Json => json(app, &build, index.as_deref(), wanted, &address),
            },
        }
    })
    .await
}

fn html(app: &App, build: &Build, index: Option<&[u8]>, wanted: Wanted, address: String) -> Result<Response, Refusal> {
    let raw = format!("{}/console", link::build(&build.job, build.uuid));
    let shown = show(app, build, index, wanted, &raw).unwrap_or_else(|error| {
        let text = if error.kind() == io::ErrorKind::NotFound {
            "The file of this console is missing on this server.".to_owned()
        } else {
            tracing::error!("cannot read the console of {}: {error}", build.uuid);
            "The file of this console cannot be read on this server.".to_owned()
        };
        Shown { note: Some(text), ..Shown::default() }
    });
    let start = text::time(build.start);
    let layout = Layout::new(format!("Console of {} {start}", build.job))
        .crumb(format!("Job {}", build.job), link::job(&build.job, None))
        .crumb(format!("Build {start}"), link::build(&build.job, build.uuid))
        .here("Console")
        .wide()
        .style(&STYLE);
    let headline = text::verdict(&build.outcome);
    respond(app, &layout, &ConsolePage { build, headline, shown, address, raw, start })
}

/// The same part for programs. A file that is lost is not found.
fn json(app: &App, build: &Build, index: Option<&[u8]>, wanted: Wanted, address: &str) -> Result<Response, Refusal> {
    let read = || {
        let opened = Opened::of(app, build, index)?;
        let (place, note) = opened.place(wanted);
        let lines = text_of_part(&opened.file, &opened.index, place)?.unwrap_or_default();
        io::Result::Ok((opened, place, lines, note))
    };
    let (opened, place, lines, note) = read().map_err(|error| {
        tracing::error!("cannot read the console of {}: {error}", build.uuid);
        if error.kind() == io::ErrorKind::NotFound { Refusal::NotFound } else { Refusal::Broken }
    })?;
    let around = Around {
        lines_total: opened.index.lines(),
        address,
        next: opened.first_of(place + 1),
        previous: opened.before(place),
        note: note.as_deref(),
    };
    Ok(json::console::page(&lines, &around)?.into_response())
}

/// What is shown of a console.
#[derive(Debug, Default)]
struct Shown {
    /// The lines as HTML, which cannot run: `console` has escaped them.
    html: String,
    first: u64,
    last: u64,
    lines: u64,
    /// The first lines of the parts that are led to.
    previous: Option<u64>,
    next: Option<u64>,
    note: Option<String>,
}

#[derive(Template)]
#[template(path = "console.html")]
struct ConsolePage<'a> {
    build: &'a Build,
    /// How it ended.
    headline: String,
    shown: Shown,
    address: String,
    /// What is stored, as it is.
    raw: String,
    start: String,
}

impl ConsolePage<'_> {
    fn range(&self) -> String {
        let Shown { first, last, lines, .. } = self.shown;
        if lines == 0 {
            return "No lines".into();
        }
        let [first, last, all] = [first, last, lines].map(text::number_text);
        format!("Lines {first} to {last} of {all}")
    }
}

fn show(app: &App, build: &Build, index: Option<&[u8]>, wanted: Wanted, raw: &str) -> io::Result<Shown> {
    let opened = Opened::of(app, build, index)?;
    let (place, note) = opened.place(wanted);
    if opened.index.lines() == 0 {
        return Ok(Shown { note, ..Shown::default() });
    }
    let line = match wanted {
        Wanted::Line(line) | Wanted::Goto(line) => Some(line),
        Wanted::Tail | Wanted::Plain(_) => None,
    };
    let part = render_part(&opened.file, &opened.index, place, console::Shown { raw, line })?;
    let Part { html, first_line, last_line } = part.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(Shown {
        html,
        first: first_line,
        last: last_line,
        lines: opened.index.lines(),
        previous: opened.before(place),
        next: opened.first_of(place + 1),
        note,
    })
}

/// A console that is there, and where its parts are.
struct Opened {
    file: File,
    index: ConsoleIndex,
    note: Option<String>,
}

impl Opened {
    fn of(app: &App, build: &Build, index: Option<&[u8]>) -> io::Result<Self> {
        let path = app.depot().file_of_row(&build.console).ok_or(io::ErrorKind::NotFound)?;
        let file = File::open(path)?;
        let (index, note) = match index.and_then(|bytes| ConsoleIndex::from_bytes(bytes).ok()) {
            Some(index) => (index, None),
            None => index_now(&file)?,
        };
        Ok(Self { file, index, note })
    }

    /// The part that is wanted, and what is to be said about it.
    fn place(&self, wanted: Wanted) -> (usize, Option<String>) {
        let (last_part, note) = (self.index.part_count().saturating_sub(1), self.note.clone());
        match wanted {
            Wanted::Line(line) | Wanted::Goto(line) if self.index.lines() > 0 => {
                match self.index.part_with_line(line) {
                    Some(part) => (part, note),
                    None => {
                        let note = format!("There is no line {}; this is the end.", text::number_text(line));
                        (last_part, Some(note))
                    }
                }
            }
            Wanted::Line(_) | Wanted::Goto(_) | Wanted::Tail | Wanted::Plain(_) => (last_part, note),
        }
    }

    /// The first line of a part.
    fn first_of(&self, part: usize) -> Option<u64> {
        self.index.part_lines(part).map(|(first, _)| first)
    }

    /// The first line of the part before.
    fn before(&self, part: usize) -> Option<u64> {
        part.checked_sub(1).and_then(|part| self.first_of(part))
    }
}

/// Makes the index that is not there yet.
fn index_now(file: &File) -> io::Result<(ConsoleIndex, Option<String>)> {
    let mut indexer = ConsoleIndexer::new();
    let mut bytes = file.take(CONSOLE_INDEXED_BYTES_MAX);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match bytes.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => indexer.push(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let note = (bytes.limit() == 0 && file.metadata()?.len() > CONSOLE_INDEXED_BYTES_MAX).then(|| {
        "This console is long and its lines were not counted yet: only its beginning is shown for now.".to_owned()
    });
    Ok((indexer.finish(), note))
}

/// The whole console as text without escapes, as it is read.
fn plain(app: &App, build: &Build, times: Times, headers: &HeaderMap) -> Result<Response, Refusal> {
    // A build has one console for ever.
    let etag = format!("W/\"{}-plain-{PLAIN_VERSION}-{times:?}\"", build.uuid);
    if conditional::is_known(headers, &etag) {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        keep(&mut response, &etag)?;
        return Ok(response);
    }
    let path = app.depot().file_of_row(&build.console).ok_or(Refusal::NotFound)?;
    let mut file = File::open(&path).map_err(|error| {
        tracing::error!("cannot open {}: {error}", path.display());
        Refusal::NotFound
    })?;
    let place = app.making_place().ok_or(Refusal::Busy(5))?;
    let is_compressed = compression::is_taken(headers);
    let mut work = move |to: &mut dyn Write| {
        let mut plain = PlainText::new(times);
        let (mut buffer, mut out) = (vec![0; READ_BYTES], Vec::new());
        loop {
            let count = match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            plain.push(&buffer[..count], &mut out);
            to.write_all(&out)?;
            out.clear();
        }
        plain.finish(&mut out);
        to.write_all(&out)
    };
    let work = move |to: &mut dyn Write| if is_compressed { compression::into(to, work) } else { work(to) };
    let mut response = body::written_by(None, place, work).into_response();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::VARY, "accept-encoding"),
        (header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    keep(&mut response, &etag)?;
    if is_compressed {
        compression::mark(&mut response);
    }
    Ok(response)
}

/// Lets an answer be kept for ever under this tag.
fn keep(response: &mut Response, etag: &str) -> Result<(), Refusal> {
    let etag = HeaderValue::from_str(etag).map_err(|_| Refusal::Broken)?;
    response.headers_mut().insert(header::ETAG, etag);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(FOR_EVER));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_say_which_part() {
        let wanted = |query: &str| {
            let uri: Uri = format!("/x?{query}").parse().unwrap();
            Wanted::of(&uri, &QueryMap::parse(uri.query()))
        };
        for (query, expected) in [
            ("", Wanted::Line(1)),
            ("from=1001", Wanted::Line(1001)),
            ("line=12&from=5000", Wanted::Line(12)),
            ("tail", Wanted::Tail),
            ("tail=1", Wanted::Tail),
            ("goto=7", Wanted::Goto(7)),
            ("goto=&from=2", Wanted::Line(2)),
            ("plain", Wanted::Plain(Times::Kept)),
            ("plain&times=no", Wanted::Plain(Times::Removed)),
        ] {
            assert_eq!(wanted(query).unwrap(), expected, "{query}");
        }
        for bad in ["from=0", "line=x", "from=-1", "goto=99999999999999999999"] {
            assert!(matches!(wanted(bad), Err(Refusal::Bad(_))), "{bad}");
        }
    }
}
