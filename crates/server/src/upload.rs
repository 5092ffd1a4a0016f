//! Sending finished builds to the repository: out of the durable outbox, streamed from the record, until it has them.

use crate::engine::{Engine, Refused};
use crate::metrics::Metrics;
use builder_model::{BuildId, Timestamp};
use builder_store::Folder;
use builder_store::database::Upload;
use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};
use ureq::tls::{RootCerts, TlsConfig};

/// How long a connection may take to come about.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// How long a whole upload may take.
const UPLOAD_LIMIT: Duration = Duration::from_secs(3600);
/// How long the repository may take to answer once it has everything.
const ANSWER_LIMIT: Duration = Duration::from_secs(600);
/// The pause after a failed upload of a build, at first and at most; it doubles in between.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(600);
/// How often records that were uploaded long ago are looked for.
const TIDY_INTERVAL: Duration = Duration::from_secs(3600);
/// How much of an answer that refuses is shown, in bytes.
const ANSWER_BYTES_MAX: u64 = 1024;

/// An address that builds cannot be sent to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{url:?} is no address to upload to: {why}\nhint: it looks like https://user:password@builds.example.org/upload"
)]
pub struct TargetError {
    /// What was given, without its password.
    pub url: String,
    /// What is wrong.
    pub why: String,
}

/// Where builds are sent, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    url: String,
    authorization: Option<String>,
}

impl Target {
    /// Takes an HTTP or HTTPS URL; user and password in it become Basic authentication.
    pub(crate) fn parse(url: &str) -> Result<Self, TargetError> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(authority_end);
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let bare = format!("{scheme}://{host}{path}");
        let refuse = |why: &str| Err(TargetError { url: bare.clone(), why: why.to_owned() });
        if !matches!(scheme, "http" | "https") {
            return refuse("it does not begin with http:// or https://");
        }
        if host.is_empty() || bare.parse::<ureq::http::Uri>().is_err() {
            return refuse("it is malformed");
        }
        let authorization = user.map(|user| format!("Basic {}", base64(&percent_decode(user))));
        Ok(Self { url: bare, authorization })
    }
}

fn percent_decode(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = if first == b'%' { text_of(tail.get(..2)) } else { None };
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                rest = &tail[2..];
            }
            None => {
                decoded.push(first);
                rest = tail;
            }
        }
    }
    decoded
}

fn text_of(bytes: Option<&[u8]>) -> Option<&str> {
    std::str::from_utf8(bytes?).ok()
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..4 {
            let sextet = (group >> (18 - 6 * index) & 63) as usize;
            text.push(if index <= chunk.len() { char::from(ALPHABET[sextet]) } else { '=' });
        }
    }
    text
}

/// Starts the uploader on a thread of its own. It ends when the engine does.
pub(crate) fn start(
    target: Target,
    engine: Engine,
    folder: &Arc<Folder>,
    metrics: &Arc<Metrics>,
    keep: Duration,
    waits: Receiver<()>,
) -> std::io::Result<JoinHandle<()>> {
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    let config = ureq::Agent::config_builder()
        .timeout_connect(Some(CONNECT_LIMIT))
        .timeout_global(Some(UPLOAD_LIMIT))
        .timeout_recv_response(Some(ANSWER_LIMIT))
        .http_status_as_error(false)
        .max_redirects(0)
        .tls_config(tls)
        .user_agent(concat!("builder-server/", env!("CARGO_PKG_VERSION")))
        .build();
    let mut uploader = Uploader {
        target,
        agent: config.into(),
        engine,
        folder: Arc::downgrade(folder),
        metrics: metrics.clone(),
        keep,
        later: HashMap::new(),
        tidied: None,
    };
    thread::Builder::new().name("uploader".to_owned()).spawn(move || {
        // The only error is that the server stops: what waits is in the outbox.
        if let Err(stopped) = uploader.run(&waits) {
            tracing::debug!("the uploader ends: {stopped}");
        }
    })
}

/// Waits for the uploader; an upload that is under way is not waited for: it is tried again after the next start.
pub(crate) fn join(uploader: JoinHandle<()>) {
    if uploader.is_finished() && uploader.join().is_err() {
        tracing::error!("the uploader ended badly");
    }
}

struct Uploader {
    target: Target,
    agent: ureq::Agent,
    engine: Engine,
    /// An upload that is under way when the server stops does not keep the folder from the next server.
    folder: Weak<Folder>,
    metrics: Arc<Metrics>,
    keep: Duration,
    /// Builds whose upload failed: when to try again, and after how many tries.
    later: HashMap<BuildId, (Instant, u32)>,
    tidied: Option<Instant>,
}

/// What the repository said.
enum Answer {
    /// It has the build now.
    Stored,
    /// It had the build already.
    Known,
}

impl Uploader {
    fn run(&mut self, waits: &Receiver<()>) -> Result<(), Refused> {
        loop {
            self.tidy()?;
            let now = Instant::now();
            let except = self.later.iter().filter(|(_, (at, _))| *at > now).map(|(build, _)| *build).collect();
            match self.engine.next_upload(except)? {
                Some(upload) => self.upload(upload)?,
                None => {
                    let next = self.later.values().map(|(at, _)| at.saturating_duration_since(now)).min();
                    let pause = next.unwrap_or(TIDY_INTERVAL).min(TIDY_INTERVAL);
                    match waits.recv_timeout(pause) {
                        Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                        Err(RecvTimeoutError::Disconnected) => return Ok(()),
                    }
                }
            }
        }
    }

    fn folder(&self) -> Result<Arc<Folder>, Refused> {
        self.folder.upgrade().ok_or(Refused::Stopping)
    }

    fn upload(&mut self, upload: Upload) -> Result<(), Refused> {
        let Upload { build, job, tries } = upload;
        let path = self.folder()?.record(&job, &build);
        match self.send(&path) {
            Ok(answer) => {
                let how = match answer {
                    Answer::Stored => "uploaded",
                    Answer::Known => "the repository has it already",
                };
                tracing::info!(%build, "{job}: {how}");
                self.later.remove(&build);
                self.engine.uploaded(build, Ok(()))
            }
            Err(why) => {
                self.metrics.upload_failed();
                let doublings = tries.min(16);
                let pause = PAUSE_MIN.saturating_mul(1 << doublings).min(PAUSE_MAX);
                tracing::warn!(%build, "{job} is not uploaded: {why}; trying again in {} s", pause.as_secs());
                self.later.insert(build, (Instant::now() + pause, tries + 1));
                self.engine.uploaded(build, Err(why))
            }
        }
    }

    fn send(&self, path: &Path) -> Result<Answer, String> {
        let record = File::open(path).map_err(|error| format!("cannot open {}: {error}", path.display()))?;
        let mut request = self.agent.post(&self.target.url).header("Content-Type", "application/octet-stream");
        if let Some(authorization) = &self.target.authorization {
            request = request.header("Authorization", authorization);
        }
        let mut response = request.send(record).map_err(|error| error.to_string())?;
        let status = response.status();
        if status.is_success() {
            return Ok(Answer::Stored);
        }
        if status.as_u16() == 409 {
            return Ok(Answer::Known);
        }
        let text = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().unwrap_or_default();
        let line = text.lines().next().unwrap_or_default();
        Err(format!("the repository answers {status}: {}", builder_model::Shown(line.as_bytes())))
    }

    /// Removes records that were uploaded long ago.
    fn tidy(&mut self) -> Result<(), Refused> {
        if self.tidied.is_some_and(|at| at.elapsed() < TIDY_INTERVAL) {
            return Ok(());
        }
        self.tidied = Some(Instant::now());
        let keep = i64::try_from(self.keep.as_millis()).unwrap_or(i64::MAX);
        let before = Timestamp::from(SystemTime::now()).plus_milliseconds(-keep);
        for (build, job) in self.engine.kept_uploads(before)? {
            match self.folder()?.remove_record(&job, &build) {
                Ok(()) => self.engine.record_removed(build)?,
                Err(error) => tracing::warn!(%build, "{error}"),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_become_basic_authentication() {
        let target = Target::parse("http://user:p%40ss@example.org:8080/upload").unwrap();
        assert_eq!(target.url, "http://example.org:8080/upload");
        assert_eq!(target.authorization.as_deref(), Some("Basic dXNlcjpwQHNz"));
        assert_eq!(Target::parse("https://example.org/upload").unwrap().authorization, None);
        for bad in ["", "example.org/upload", "ftp://example.org", "http:///upload", "http://user:secret@/x"] {
            let error = Target::parse(bad).unwrap_err().to_string();
            assert!(error.contains("hint:") && !error.contains("secret"), "{error}");
        }
        assert_eq!([base64(b""), base64(b"f"), base64(b"fo"), base64(b"foo")], ["", "Zg==", "Zm8=", "Zm9v"]);
    }
}
