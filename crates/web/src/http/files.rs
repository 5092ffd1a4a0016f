//! The files of builds: artifacts, script and console, the whole as a record or an archive, and visualizations.
//!
//! What was uploaded can never run in the origin of this site: it is sandboxed, never sniffed, and saved rather than
//! shown when a browser could run it.

use super::address::{Found, find_build};
use super::conditional::{FOR_EVER, Wanted, wanted};
use super::disposition::attachment;
use super::{QueryMap, Refusal, body, compression, content_type};
use crate::app::App;
use crate::database::artifact::{self, Artifact};
use crate::database::build::Build;
use crate::depot::Depot;
use crate::pages::link;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use tokio::sync::OwnedSemaphorePermit;

/// Nothing in it runs, loads or is sent.
const SANDBOX: &str = "sandbox; default-src 'none'";
/// Visualizations bring a script and a style of their own; they run in an origin of nobody.
const SANDBOX_WITH_SCRIPT: &str = "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; \
                                   style-src 'unsafe-inline'; img-src data:; font-src data:";

/// Routes of files.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/job/{job}/build/{uuid}/f/{*path}", get(artifact))
        .route("/job/{job}/build/{uuid}/f", get(artifact_asked))
        .route("/job/{job}/build/{uuid}/script", get(script))
        .route("/job/{job}/build/{uuid}/console", get(console))
        .route("/job/{job}/build/{uuid}/vizdependencies", get(dependencies))
        .route("/job/{job}/build/{uuid}/viztreemap", get(treemap))
        .route("/job/{job}/build/{uuid}/exec", get(exec))
        .route("/job/{job}/build/{uuid}/all.tar.gz", get(archive))
        .route("/robots.txt", get(async || ROBOTS))
}

/// What robots leave alone: what is large, and what there is for every pair.
const ROBOTS: &str = "User-agent: *
Disallow: /job/*/build/*/f/
Disallow: /job/*/build/*/f?
Disallow: /job/*/build/*/main-binary
Disallow: /job/*/build/*/script
Disallow: /job/*/build/*/console
Disallow: /job/*/build/*/log
Disallow: /job/*/build/*/all.tar.gz
Disallow: /job/*/build/*/exec
Disallow: /compare/
Disallow: /search
";

/// A file as it is sent.
struct Sent {
    /// What it is called when it is lost, such as `The artifact bin/hello`.
    what: String,
    file: PathBuf,
    /// Its size, where that is known: a file of another one is not what its tag says.
    size: Option<u64>,
    etag: String,
    content_type: String,
    disposition: Option<String>,
    policy: &'static str,
    cache: &'static str,
}

impl Sent {
    /// Answers with the file, a part of it, or that it is known. One that is lost or cut off is not found, and the log
    /// says so.
    fn respond(self, app: &App, headers: &HeaderMap) -> Result<Response, Refusal> {
        let file = File::open(&self.file).map_err(|error| {
            tracing::error!("cannot open {}: {error}", self.file.display());
            lost(&self.what)
        })?;
        let broken = |error: std::io::Error| {
            tracing::error!("cannot read {}: {error}", self.file.display());
            Refusal::Broken
        };
        let size = file.metadata().map_err(broken)?.len();
        if let Some(expected) = self.size.filter(|expected| *expected != size) {
            tracing::error!("{} has {size} bytes, and should have {expected}", self.file.display());
            return Err(lost(&self.what));
        }
        let mut response = match wanted(headers, &self.etag, size) {
            Wanted::Nothing => StatusCode::NOT_MODIFIED.into_response(),
            Wanted::Whole => match compression::place(app, headers, &self.content_type, size) {
                Some(place) => {
                    let mut response = Response::new(compression::of_file(file, size, place));
                    self.dress(&mut response);
                    compression::mark(&mut response);
                    return Ok(response);
                }
                None => Response::new(body::of_file(file, 0, size)),
            },
            Wanted::Part { from, bytes } => {
                let mut response = Response::new(body::of_file(file, from, bytes));
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                set(&mut response, header::CONTENT_RANGE, &format!("bytes {from}-{}/{size}", from + bytes - 1));
                response
            }
            Wanted::Beyond => {
                let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
                set(&mut response, header::CONTENT_RANGE, &format!("bytes */{size}"));
                response
            }
        };
        set(&mut response, header::ACCEPT_RANGES, "bytes");
        self.dress(&mut response);
        Ok(response)
    }

    fn dress(&self, response: &mut Response) {
        set(response, header::ETAG, &self.etag);
        if content_type::is_text(&self.content_type) {
            set(response, header::VARY, "accept-encoding");
        }
        // That a part lies beyond the end is no answer for whoever wants the file next.
        let is_beyond = response.status() == StatusCode::RANGE_NOT_SATISFIABLE;
        set(response, header::CACHE_CONTROL, if is_beyond { "no-store" } else { self.cache });
        if response.status().is_success() {
            set(response, header::CONTENT_TYPE, &self.content_type);
            if let Some(disposition) = &self.disposition {
                set(response, header::CONTENT_DISPOSITION, disposition);
            }
        }
        set(response, header::CONTENT_SECURITY_POLICY, self.policy);
        set(response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    }
}

fn set(response: &mut Response, name: HeaderName, value: &str) {
    match HeaderValue::from_str(value) {
        Ok(value) => {
            response.headers_mut().insert(name, value);
        }
        Err(error) => tracing::error!("cannot send the header {name}: {error}"),
    }
}

type BuildPath = Path<(String, String)>;

/// Answers with something of the build that the address names.
async fn of_build(
    app: App,
    Path((job, uuid)): BuildPath,
    rest: &'static str,
    answer: impl FnOnce(&App, Build) -> Result<Response, Refusal> + Send + 'static,
) -> Response {
    app.answer(move |app| match find_build(app, &job, &uuid, rest)? {
        Found::Build(build) => answer(app, build),
        Found::Elsewhere(response) => Ok(response),
    })
    .await
}

/// `…/f/<path>`
async fn artifact(
    State(app): State<App>,
    Path((job, uuid, path)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    app.answer(move |app| {
        let build = match find_build(app, &job, &uuid, &format!("/f/{}", link::path(&path)))? {
            Found::Build(build) => build,
            Found::Elsewhere(response) => return Ok(response),
        };
        // The original keeps paths as they came: some begin with a slash, some have two in a row.
        let collapsed = path.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
        let also = [format!("/{path}"), collapsed.clone(), format!("/{collapsed}")];
        send_artifact(app, &build, [&path].into_iter().chain(&also), &headers)
    })
    .await
}

/// `…/f?path=<path>`: exactly this path, whatever is in it.
async fn artifact_asked(
    State(app): State<App>,
    Path((job, uuid)): BuildPath,
    query: QueryMap,
    headers: HeaderMap,
) -> Response {
    app.answer(move |app| {
        let path = query.value("path").ok_or(Refusal::NotFound)?;
        let build = match find_build(app, &job, &uuid, &format!("/f?path={}", link::segment(path)))? {
            Found::Build(build) => build,
            Found::Elsewhere(response) => return Ok(response),
        };
        send_artifact(app, &build, [path], &headers)
    })
    .await
}

/// Sends the artifact under the first of these paths that there is.
fn send_artifact(
    app: &App,
    build: &Build,
    paths: impl IntoIterator<Item = impl AsRef<str>>,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let found = app.read(|connection| {
        for path in paths {
            if let Some(artifact) = artifact::at(connection, build.id, path.as_ref())? {
                return Ok(Some(artifact));
            }
        }
        Ok(None)
    })?;
    let artifact = found.ok_or(Refusal::NotFound)?;
    let name = artifact.path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let sent = Sent {
        what: artifact_text(&artifact),
        file: app.depot().artifact(&artifact.sha256),
        size: Some(artifact.size),
        etag: format!("\"{}\"", STANDARD.encode(artifact.sha256.0)),
        content_type: content_type::of_artifact(&artifact.path),
        disposition: (!content_type::is_shown(&artifact.path)).then(|| attachment(name)),
        policy: SANDBOX,
        cache: FOR_EVER,
    };
    sent.respond(app, headers)
}

/// `…/script`
async fn script(State(app): State<App>, path: BuildPath, headers: HeaderMap) -> Response {
    of_build(app, path, "/script", move |app, build| text(app, &build, &build.script, "script", &headers)).await
}

/// `…/console`
async fn console(State(app): State<App>, path: BuildPath, headers: HeaderMap) -> Response {
    of_build(app, path, "/console", move |app, build| text(app, &build, &build.console, "console", &headers)).await
}

fn text(app: &App, build: &Build, row: &str, what: &str, headers: &HeaderMap) -> Result<Response, Refusal> {
    let sent = Sent {
        what: format!("The {what} of this build"),
        file: app.depot().file_of_row(row).ok_or(Refusal::NotFound)?,
        size: None,
        // A build has one console and one script for ever. A weak tag, as they are sent compressed and as they are.
        etag: format!("W/\"{}-{what}\"", build.uuid),
        content_type: "text/plain; charset=utf-8".into(),
        disposition: None,
        policy: SANDBOX,
        cache: FOR_EVER,
    };
    sent.respond(app, headers)
}

/// `…/exec`: the record, byte for byte as it was uploaded where that is known.
async fn exec(State(app): State<App>, path: BuildPath, headers: HeaderMap) -> Response {
    of_build(app, path, "/exec", move |app, build| {
        let (depot, console) = (app.depot(), &build.console);
        let artifacts = app.read(|connection| artifact::all(connection, build.id))?;
        if !depot.outline_of_row(console).is_some_and(|outline| outline.is_file()) {
            text_there(depot, &build, console, "console")?;
            text_there(depot, &build, &build.script, "script")?;
        }
        let record = crate::record::Record::of(app, &build)?;
        let etag = format!("\"{}-exec-{}\"", build.uuid, record.version());
        let bytes = record.bytes();
        let name = format!("{}-{}.full", build.job, build.uuid);
        // Put together from rows, it holds the readme that the job has now.
        let cache = if record.is_exact() { FOR_EVER } else { "no-cache" };
        let body = |place| {
            all_there(depot, &build, &artifacts)?;
            Ok(body::written_by(bytes, place, move |to| record.write(to)))
        };
        made(app, &headers, &etag, "application/octet-stream", &name, body, cache)
    })
    .await
}

/// `…/all.tar.gz`: all artifacts, the same bytes each time.
async fn archive(State(app): State<App>, path: BuildPath, headers: HeaderMap) -> Response {
    of_build(app, path, "/all.tar.gz", move |app, build| {
        let artifacts = app.read(|connection| artifact::all(connection, build.id))?;
        let etag = format!("\"{}-tar-{}\"", build.uuid, crate::archive::VERSION);
        let name = format!("{}-{}.tar.gz", build.job, build.uuid);
        let (depot, finished) = (app.depot().clone(), build.finish);
        let body = |place| {
            all_there(&depot, &build, &artifacts)?;
            let write = move |to: &mut dyn Write| crate::archive::write(&depot, finished, &artifacts, to);
            Ok(body::written_by(None, place, write))
        };
        made(app, &headers, &etag, "application/tar+gzip", &name, body, FOR_EVER)
    })
    .await
}

/// A file that is put together while it is sent.
fn made(
    app: &App,
    headers: &HeaderMap,
    etag: &str,
    content_type: &str,
    name: &str,
    body: impl FnOnce(OwnedSemaphorePermit) -> Result<Body, Refusal>,
    cache: &'static str,
) -> Result<Response, Refusal> {
    let mut response = if super::conditional::is_known(headers, etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        match app.making_place() {
            Some(place) => Response::new(body(place)?),
            None => return Err(Refusal::Busy(5)),
        }
    };
    let sent = Sent {
        what: String::new(),
        file: PathBuf::new(),
        size: None,
        etag: etag.to_owned(),
        content_type: content_type.to_owned(),
        disposition: Some(attachment(name)),
        policy: SANDBOX,
        cache,
    };
    sent.dress(&mut response);
    Ok(response)
}

/// What is said of a file that is lost.
fn lost(what: &str) -> Refusal {
    Refusal::Lost(format!("{what} is missing on this server. Another upload of the same content brings it back."))
}

fn artifact_text(artifact: &Artifact) -> String {
    format!("The file of the artifact {}", artifact.path)
}

/// Whether all artifacts are there: once the head of an answer is sent, nothing can be said any more.
fn all_there(depot: &Depot, build: &Build, artifacts: &[Artifact]) -> Result<(), Refusal> {
    for artifact in artifacts {
        let file = depot.artifact(&artifact.sha256);
        if !std::fs::metadata(&file).is_ok_and(|found| found.is_file() && found.len() == artifact.size) {
            tracing::error!("build {} lacks its artifact {}: {}", build.uuid, artifact.path, file.display());
            return Err(lost(&artifact_text(artifact)));
        }
    }
    Ok(())
}

/// Whether the script or console that a row names is there.
fn text_there(depot: &Depot, build: &Build, row: &str, what: &str) -> Result<(), Refusal> {
    if depot.file_of_row(row).is_some_and(|file| file.is_file()) {
        return Ok(());
    }
    tracing::error!("build {} lacks its {what}: {row}", build.uuid);
    Err(lost(&format!("The {what} of this build")))
}

/// `…/vizdependencies`
async fn dependencies(State(app): State<App>, path: BuildPath, headers: HeaderMap) -> Response {
    of_build(app, path, "/vizdependencies", move |app, build| {
        visualization(app, &headers, crate::visualization::dependencies(app, &build)?)
    })
    .await
}

/// `…/viztreemap`
async fn treemap(State(app): State<App>, path: BuildPath, headers: HeaderMap) -> Response {
    of_build(app, path, "/viztreemap", move |app, build| {
        visualization(app, &headers, crate::visualization::treemap(app, &build)?)
    })
    .await
}

fn visualization(
    app: &App,
    headers: &HeaderMap,
    found: Option<crate::visualization::Visualization>,
) -> Result<Response, Refusal> {
    let found = found.ok_or(Refusal::NotFound)?;
    let sent = Sent {
        what: "The visualization".into(),
        file: found.file,
        size: None,
        etag: format!("\"{}-{}\"", found.version, found.of),
        content_type: "text/html; charset=utf-8".into(),
        disposition: None,
        policy: SANDBOX_WITH_SCRIPT,
        cache: "no-cache",
    };
    sent.respond(app, headers)
}
