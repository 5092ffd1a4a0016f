//! `POST /upload` and `POST /job/<job>/platform/<platform>/upload`: who sends is checked before the body is read, and
//! the body goes to disk as it comes.

use super::address::redirect;
use super::{Peer, QueryMap, Refusal};
use crate::app::App;
use crate::ingest::receive::{Incoming, receive};
use crate::ingest::store::{may_upload, store};
use crate::ingest::{ReceiveError, Sender, Stored};
use crate::limits::{BODY_PAUSE_MAX, BODY_PIECES_QUEUED_MAX, REFUSED_BODY_BYTES_MAX, REFUSED_BODY_WAIT};
use crate::metrics::Metrics;
use crate::name::Name;
use crate::pages::link;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use builder_model::BuildId;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;

/// Routes of uploads.
pub(crate) fn routes() -> Router<App> {
    Router::new().route("/upload", post(record)).route("/job/{job}/platform/{platform}/upload", post(binary))
}

/// Who sends. A browser sends along the password that was typed for what hooks printed, whichever page makes it send
/// something: what comes from a page is not taken, unless it is one of ours.
async fn sender(app: &App, headers: &HeaderMap, peer: Peer) -> Result<Sender, Refusal> {
    let text = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
    let is_ours = match text("sec-fetch-site") {
        Some(site) => site == b"same-origin" || site == b"none",
        None => text("origin").is_none(),
    };
    if !is_ours {
        return Err(Refusal::Forbidden("nothing is taken from pages of other sites".into()));
    }
    app.gate().sender(app, headers, peer.0).await
}

/// A build record.
async fn record(State(app): State<App>, peer: Peer, headers: HeaderMap, body: Body) -> Response {
    let sender = match sender(&app, &headers, peer).await {
        Ok(sender) => sender,
        Err(refusal) => return refuse_early(refusal, &headers, body),
    };
    let work = move |app: &App, pieces: &mut Pieces| {
        let permit = |job: &Name, platform: &Name, _: &BuildId| permit(app, &sender, job, platform);
        let incoming = receive(app.depot(), &mut || pieces.next(), &permit)?;
        finish(app, &sender, incoming)
    };
    upload(app, &headers, body, work).await
}

/// A binary that somebody made by hand.
async fn binary(
    State(app): State<App>,
    Path((job, platform)): Path<(String, String)>,
    query: QueryMap,
    peer: Peer,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let sender = match sender(&app, &headers, peer).await {
        Ok(sender) => sender,
        Err(refusal) => return refuse_early(refusal, &headers, body),
    };
    let names = || {
        let (job, platform) = (Name::job(job.as_bytes())?, Name::platform(platform.as_bytes())?);
        let file = crate::ingest::by_hand::file_name(query.value("binary_name"), &job)?;
        Ok::<_, ReceiveError>((job, platform, file))
    };
    let (job, platform, file) = match names() {
        Ok(names) => names,
        Err(error) => return refuse_early(error.into(), &headers, body),
    };
    // The address names the job: who may not is told so before anything is read.
    if let Err(refusal) = allowed(app.clone(), sender.clone(), job.clone(), platform.clone()).await {
        return refuse_early(refusal, &headers, body);
    }
    let work = move |app: &App, pieces: &mut Pieces| {
        let incoming = crate::ingest::by_hand::receive(app, &job, &platform, &file, &mut || pieces.next())?;
        finish(app, &sender, incoming)
    };
    upload(app, &headers, body, work).await
}

fn permit(app: &App, sender: &Sender, job: &Name, platform: &Name) -> Result<(), ReceiveError> {
    app.read(|connection| may_upload(connection, sender, job, platform))?.map_err(ReceiveError::Refused)
}

/// The same, for who must not block.
async fn allowed(app: App, sender: Sender, job: Name, platform: Name) -> Result<(), Refusal> {
    match tokio::task::spawn_blocking(move || permit(&app, &sender, &job, &platform)).await {
        Ok(permitted) => permitted.map_err(Refusal::from),
        Err(error) => {
            tracing::error!("to look up a right ended in a panic: {error}");
            Err(Refusal::Broken)
        }
    }
}

/// What became of an upload, and the address of its build.
struct Finished {
    stored: Stored,
    page: String,
}

fn finish(app: &App, sender: &Sender, incoming: Incoming) -> Result<Finished, ReceiveError> {
    let (job, build, artifacts) = (incoming.job.clone(), incoming.build, incoming.artifacts.len());
    let lines = incoming.console.lines;
    let stored = store(app, sender, incoming)?;
    match stored {
        Stored::New { .. } => {
            tracing::info!("{} uploaded build {build} of {job}: {lines} lines, {artifacts} artifacts", sender.name);
            app.uploaded();
        }
        Stored::Again => tracing::info!("{} uploaded build {build} of {job} again; it is here already", sender.name),
    }
    Ok(Finished { stored, page: link::build(job.as_str(), build) })
}

/// The answer to an upload that is here. Who sent a binary by hand learns its UUID by it.
fn stored(finished: &Finished) -> Response {
    let status = match finished.stored {
        Stored::New { .. } => StatusCode::CREATED,
        Stored::Again => StatusCode::OK,
    };
    redirect(status, &finished.page)
}

/// Runs the work on a thread that may block, and feeds it the body.
async fn upload(
    app: App,
    headers: &HeaderMap,
    body: Body,
    work: impl FnOnce(&App, &mut Pieces) -> Result<Finished, ReceiveError> + Send + 'static,
) -> Response {
    let limit = app.settings().upload_bytes_max;
    let too_large = || ReceiveError::TooLarge { what: "the body", limit };
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > limit) {
        return refuse_early(too_large().into(), headers, body);
    }
    let Some(_place) = app.upload_place() else { return refuse_early(Refusal::Busy(5), headers, body) };
    let (to, from) = mpsc::channel(BODY_PIECES_QUEUED_MAX);
    let counting = app.clone();
    let done =
        tokio::task::spawn_blocking(move || work(&app, &mut Pieces { from, left: limit, limit, is_over: false }));
    let body = feed(body, to, counting.metrics()).await;
    let result = match done.await {
        Ok(result) => result.map_err(Refusal::from),
        Err(error) => {
            tracing::error!("an upload ended in a panic: {error}");
            Err(Refusal::Broken)
        }
    };
    match (result, body) {
        (Ok(finished), _) => stored(&finished),
        (Err(refusal), Some(body)) => refuse(refusal, body),
        (Err(refusal), None) => refusal.into_response(),
    }
}

/// Gives the body to the one who works on it; gives back what is left of one that is not wanted any more.
async fn feed(mut body: Body, to: mpsc::Sender<Result<Piece, String>>, metrics: &Metrics) -> Option<Body> {
    loop {
        let next = tokio::time::timeout(BODY_PAUSE_MAX, body.frame());
        let frame = tokio::select! {
            frame = next => frame,
            // Who sends nothing more learns now that it is not wanted.
            () = to.closed() => return Some(body),
        };
        let piece = match frame {
            Err(_) => Err(format!("nothing came for {} seconds", BODY_PAUSE_MAX.as_secs())),
            Ok(None) => Ok(Piece::End),
            Ok(Some(Err(error))) => Err(error.to_string()),
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => {
                    metrics.received(data.len());
                    Ok(Piece::Data(data))
                }
                Err(_trailers) => continue,
            },
        };
        let is_last = matches!(piece, Err(_) | Ok(Piece::End));
        if to.send(piece).await.is_err() {
            return Some(body);
        }
        if is_last {
            return None;
        }
    }
}

/// A piece of a body. That it is complete is said: a channel that closes without it means that nobody reads the body
/// any more, as when the server stops.
enum Piece {
    Data(Bytes),
    End,
}

/// Answers before anything of the body was read. A sender that waits for `100 Continue` sends nothing once it has an
/// answer, and reading would ask it to.
fn refuse_early(refusal: Refusal, headers: &HeaderMap, body: Body) -> Response {
    let waits = headers.get(header::EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    if waits { closing(refusal) } else { refuse(refusal, body) }
}

/// A refusal after which the connection is closed.
fn closing(refusal: Refusal) -> Response {
    let mut response = refusal.into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Answers a body that is not wanted, at once. What comes of it all the same is read and dropped, to a limit: a
/// connection that is closed with octets unread is reset, and then many a sender, and nginx in front of one, does not see
/// the answer.
fn refuse(refusal: Refusal, mut body: Body) -> Response {
    let drain = async move {
        let mut left = REFUSED_BODY_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(less) => left = less,
                None => break,
            }
        }
    };
    // Whether all of it came is of no matter.
    tokio::spawn(tokio::time::timeout(REFUSED_BODY_WAIT, drain));
    closing(refusal)
}

/// The body, as the one who works on it sees it.
struct Pieces {
    from: mpsc::Receiver<Result<Piece, String>>,
    left: u64,
    limit: u64,
    is_over: bool,
}

impl Pieces {
    fn next(&mut self) -> Result<Option<Bytes>, ReceiveError> {
        if self.is_over {
            return Ok(None);
        }
        let cut_off = || ReceiveError::Stalled("the server stopped reading it".into());
        let piece = match self.from.blocking_recv().ok_or_else(cut_off)?.map_err(ReceiveError::Stalled)? {
            Piece::Data(data) => Some(data),
            Piece::End => {
                self.is_over = true;
                None
            }
        };
        let bytes = piece.as_ref().map_or(0, Bytes::len) as u64;
        let too_large = ReceiveError::TooLarge { what: "the body", limit: self.limit };
        self.left = self.left.checked_sub(bytes).ok_or(too_large)?;
        Ok(piece)
    }
}

impl From<ReceiveError> for Refusal {
    fn from(error: ReceiveError) -> Self {
        match error {
            ReceiveError::Decode(_)
            | ReceiveError::Truncated(_)
            | ReceiveError::Stalled(_)
            | ReceiveError::Name(_)
            | ReceiveError::Content(_)
            | ReceiveError::BinaryName => Self::Bad(error.to_string()),
            ReceiveError::TooLarge { .. } => Self::TooLarge(error.to_string()),
            ReceiveError::Refused(why) => Self::Forbidden(why),
            ReceiveError::Exists { .. } => Self::Conflict(error.to_string()),
            ReceiveError::Own(error) => error.into(),
        }
    }
}
