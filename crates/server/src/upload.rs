//! Sending finished builds to the repository: out of the durable outbox, streamed from the record, until it has them.

use crate::engine::{Engine, FailedUpload, KEPT_UPLOADS_MAX, NextTry, Refused, UPLOAD_PAUSE_MAX};
use crate::metrics::Metrics;
use builder_store::database::{KeptUpload, Upload};
use builder_store::small::{RecordPlace, RecordReader};
use builder_store::{Folder, StoreError};
use std::io::Seek;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use ureq::tls::{RootCerts, TlsConfig};

/// How long a connection may take to come about.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// How long the sending of a record may take at least, and how slow it may be beyond that, in bytes a second.
const SEND_LIMIT_MIN: Duration = Duration::from_secs(600);
const SEND_RATE_MIN: u64 = 64 << 10;
/// How long the repository may take to answer once it has everything.
const ANSWER_LIMIT: Duration = Duration::from_secs(600);
/// The pause after something failed, at first; it doubles with each failure, up to a maximum.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause after the database failed: it is on this very machine, and builds wait.
const DATABASE_PAUSE_MAX: Duration = Duration::from_secs(60);
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
    let mut uploader = Uploader::new(target, engine, folder, metrics, keep, waits);
    thread::Builder::new().name("uploader".to_owned()).spawn(move || {
        let Stopping = uploader.run();
        tracing::debug!("the uploader ends with the server; what waits is in the outbox");
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
    /// Says that a build ended; its other end goes with the engine.
    waits: Receiver<()>,
    /// How often in a row no connection came about.
    unreachable: u32,
    tidying: Tidying,
}

/// The server stops: nothing else ends the uploader.
#[derive(Debug)]
struct Stopping;

/// What the repository said.
enum Answer {
    /// It has the build now.
    Stored,
    /// It had the build already.
    Known,
}

/// Why an upload failed.
#[derive(Debug)]
enum Failure {
    /// No connection came about: no other build would fare better.
    Unreachable(String),
    /// It is about this build, as far as we know.
    Build(String),
}

/// How far the removal of old records is.
enum Tidying {
    /// Done, at this time if ever.
    Since(Option<Instant>),
    /// There are more behind this one.
    Behind(KeptUpload),
}

/// What the uploader does after a step.
#[derive(Debug, PartialEq, Eq)]
enum Then {
    /// The next step.
    GoOn,
    /// Nothing for this long, whatever ends meanwhile.
    Pause(Duration),
    /// Nothing for this long, unless a build ends.
    Idle(Duration),
}

/// The pause after this many failures in a row, or `failures` of a build.
fn pause_after(failures: u32, at_most: Duration) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    PAUSE_MIN.saturating_mul(1 << doublings).min(at_most)
}

/// How long the sending of this many bytes may take.
fn send_limit(bytes: u64) -> Duration {
    Duration::from_secs(bytes / SEND_RATE_MIN).max(SEND_LIMIT_MIN)
}

fn first_line(error: &StoreError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

impl Uploader {
    fn new(
        target: Target,
        engine: Engine,
        folder: &Arc<Folder>,
        metrics: &Arc<Metrics>,
        keep: Duration,
        waits: Receiver<()>,
    ) -> Self {
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(CONNECT_LIMIT))
            .timeout_resolve(Some(CONNECT_LIMIT))
            .timeout_recv_response(Some(ANSWER_LIMIT))
            .timeout_recv_body(Some(ANSWER_LIMIT))
            .http_status_as_error(false)
            .max_redirects(0)
            .tls_config(tls)
            .user_agent(concat!("builder-server/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            target,
            agent: config.into(),
            engine,
            folder: Arc::downgrade(folder),
            metrics: metrics.clone(),
            keep,
            waits,
            unreachable: 0,
            tidying: Tidying::Since(None),
        }
    }

    fn run(&mut self) -> Stopping {
        loop {
            let went_on = self.step().and_then(|then| match then {
                Then::GoOn => Ok(()),
                Then::Pause(pause) => self.pause(pause),
                Then::Idle(pause) => match self.waits.recv_timeout(pause) {
                    Ok(()) | Err(RecvTimeoutError::Timeout) => Ok(()),
                    Err(RecvTimeoutError::Disconnected) => Err(Stopping),
                },
            });
            if let Err(stopping) = went_on {
                return stopping;
            }
        }
    }

    /// Removes a page of old records if that is due, and tries an upload if one is.
    fn step(&mut self) -> Result<Then, Stopping> {
        self.tidy()?;
        let idle = match self.insist(Engine::next_upload)? {
            NextTry::Due(upload) => return self.upload(upload),
            NextTry::Later(wait) => wait.min(TIDY_INTERVAL),
            NextTry::Nothing => TIDY_INTERVAL,
        };
        Ok(match self.tidying {
            Tidying::Behind(_) => Then::GoOn,
            Tidying::Since(_) => Then::Idle(idle),
        })
    }

    /// Waits until the time is over, or the server stops.
    fn pause(&self, pause: Duration) -> Result<(), Stopping> {
        let until = Instant::now() + pause;
        loop {
            match self.waits.recv_timeout(until.saturating_duration_since(Instant::now())) {
                // Which builds wait is asked after the pause.
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => return Err(Stopping),
            }
        }
    }

    /// Asks the engine until it gets an answer: a database that is locked, or a disk that is full, is so for a while.
    fn insist<T>(&self, ask: impl Fn(&Engine) -> Result<T, Refused>) -> Result<T, Stopping> {
        let mut failures = 0;
        loop {
            match ask(&self.engine) {
                Ok(answer) => return Ok(answer),
                Err(Refused::Stopping) => return Err(Stopping),
                Err(error @ (Refused::NotSaved(_) | Refused::Refusal(_))) => {
                    failures += 1;
                    let pause = pause_after(failures, DATABASE_PAUSE_MAX);
                    tracing::error!("uploads are held up: {error}; trying again in {} s", pause.as_secs());
                    self.pause(pause)?;
                }
            }
        }
    }

    fn folder(&self) -> Result<Arc<Folder>, Stopping> {
        self.folder.upgrade().ok_or(Stopping)
    }

    fn upload(&mut self, upload: Upload) -> Result<Then, Stopping> {
        let Upload { build, job, tries } = upload;
        let path = self.folder()?.record(&job, &build);
        let small = if path.exists() { None } else { self.insist(|engine| engine.small_record(build))? };
        let (why, pause, then) = match self.send(&RecordPlace::new(path, small)) {
            Ok(answer) => {
                self.unreachable = 0;
                let how = match answer {
                    Answer::Stored => "uploaded",
                    Answer::Known => "the repository has it already",
                };
                tracing::info!(%build, "{job}: {how}");
                self.insist(|engine| engine.uploaded(build, Ok(())))?;
                return Ok(Then::GoOn);
            }
            Err(Failure::Build(why)) => {
                self.unreachable = 0;
                let pause = pause_after(tries.saturating_add(1), UPLOAD_PAUSE_MAX);
                tracing::warn!(%build, "{job} is not uploaded: {why}; trying again in {} s", pause.as_secs());
                (why, pause, Then::GoOn)
            }
            Err(Failure::Unreachable(why)) => {
                self.unreachable = self.unreachable.saturating_add(1);
                let pause = pause_after(self.unreachable, UPLOAD_PAUSE_MAX);
                let seconds = pause.as_secs();
                tracing::warn!(%build, "{job} is not uploaded: {why}; all uploads wait for {seconds} s");
                // The build itself is due when the pause is over, behind those that were due before.
                (why, Duration::ZERO, Then::Pause(pause))
            }
        };
        self.metrics.upload_failed();
        self.insist(|engine| engine.uploaded(build, Err(FailedUpload { why: why.clone(), pause })))?;
        Ok(then)
    }

    fn send(&self, place: &RecordPlace) -> Result<Answer, Failure> {
        let record = place.open().map_err(|error| Failure::Build(first_line(&error)))?;
        let unreadable = |error| Failure::Build(format!("cannot read {}: {error}", place.path().display()));
        let bytes = record.bytes().map_err(unreadable)?;
        let mut request = self.agent.post(&self.target.url).header("Content-Type", "application/octet-stream");
        if let Some(authorization) = &self.target.authorization {
            request = request.header("Authorization", authorization);
        }
        let request = request.config().timeout_send_body(Some(send_limit(bytes))).build();
        let sent = match &record {
            RecordReader::File(file) => request.send(file),
            RecordReader::Bytes(bytes) => request.send(&bytes.get_ref()[..]),
        };
        let mut response = sent.map_err(|error| {
            // Names, routes, TLS: whatever failed before the record was touched failed on the way to the repository.
            let untouched = match &record {
                RecordReader::File(file) => matches!({ file }.stream_position(), Ok(0)),
                RecordReader::Bytes(_) => true,
            };
            if untouched { Failure::Unreachable(error.to_string()) } else { Failure::Build(error.to_string()) }
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(Answer::Stored);
        }
        if status.as_u16() == 409 {
            return Ok(Answer::Known);
        }
        let text = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().unwrap_or_default();
        let line = text.lines().next().unwrap_or_default();
        Err(Failure::Build(format!("the repository answers {status}: {}", builder_model::Shown(line.as_bytes()))))
    }

    /// Removes records that were uploaded long ago: a page at a time, so that uploads do not wait for all of them. One
    /// that cannot be removed is passed over, until the next time.
    fn tidy(&mut self) -> Result<(), Stopping> {
        let after = match &self.tidying {
            Tidying::Since(Some(at)) if at.elapsed() < TIDY_INTERVAL => return Ok(()),
            Tidying::Since(_) => None,
            Tidying::Behind(last) => Some(last.clone()),
        };
        let kept = self.insist(|engine| engine.kept_uploads(self.keep, after.clone()))?;
        for KeptUpload { build, job, .. } in &kept {
            match self.folder()?.remove_record(job, build) {
                Ok(()) => self.insist(|engine| engine.record_removed(*build))?,
                Err(error) => tracing::warn!(%build, "{error}"),
            }
        }
        let full = kept.len() >= KEPT_UPLOADS_MAX;
        self.tidying = match kept.into_iter().last().filter(|_| full) {
            Some(last) => Tidying::Behind(last),
            None => Tidying::Since(Some(Instant::now())),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::consoles::Consoles;
    use crate::engine::{self, Disk, Parts};
    use builder_model::state::{Change, FinishedBuild, State};
    use builder_model::{BuildId, JobName, Outcome, Platform, Timestamp};
    use builder_store::StoreError;
    use builder_store::database::{NextUpload, Outbox, Store};
    use builder_store::small::SmallRecord;
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc::{SyncSender, sync_channel};

    /// A database of which the next operations of uploads fail, as many as `failures` says.
    struct FailingDisk {
        store: Store,
        failures: Arc<AtomicU64>,
    }

    impl FailingDisk {
        fn may_fail(&self) -> Result<(), StoreError> {
            let left = self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
            left.map_or(Ok(()), |_| Err(StoreError::Io { action: "write to", path: "the disk".into(), source }))
        }
    }

    impl Disk for FailingDisk {
        fn load(&self) -> Result<State, StoreError> {
            self.store.load()
        }

        fn save(&mut self, changes: &[Change], outbox: Outbox, records: &[&SmallRecord]) -> Result<(), StoreError> {
            self.store.save_with_records(changes, outbox, records)
        }

        fn next_upload(&self, now: Timestamp, horizon: Timestamp) -> Result<NextUpload, StoreError> {
            self.may_fail()?;
            self.store.next_upload(now, horizon)
        }

        fn uploads_waiting(&self) -> Result<u64, StoreError> {
            self.store.uploads_waiting()
        }

        fn uploaded(&mut self, build: &BuildId, at: Timestamp) -> Result<(), StoreError> {
            self.may_fail()?;
            self.store.uploaded(build, at)
        }

        fn upload_failed(&mut self, build: &BuildId, error: &str, next_try: Timestamp) -> Result<(), StoreError> {
            self.store.upload_failed(build, error, next_try)
        }

        fn kept_uploads(
            &self,
            before: Timestamp,
            after: Option<&KeptUpload>,
            count: usize,
        ) -> Result<Vec<KeptUpload>, StoreError> {
            self.store.kept_uploads(before, after, count)
        }

        fn record_removed(&mut self, build: &BuildId) -> Result<(), StoreError> {
            self.store.record_removed(build)
        }

        fn small_record(&self, build: &BuildId) -> Result<Option<Vec<u8>>, StoreError> {
            self.store.small_record(build)
        }

        fn records_synced(&mut self, builds: &[BuildId]) -> Result<(), StoreError> {
            self.store.records_synced(builds)
        }
    }

    /// An uploader over an engine whose clock stands still, and what a test reaches into.
    struct Scene {
        uploader: Uploader,
        clock: ManualClock,
        failures: Arc<AtomicU64>,
        folder: Arc<Folder>,
        runtime: tokio::runtime::Runtime,
        /// Stands for the engine's end of the channel.
        waits: SyncSender<()>,
        _root: tempfile::TempDir,
    }

    fn build(number: u32) -> BuildId {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        BuildId::from_bytes(bytes)
    }

    fn job() -> JobName {
        JobName::parse(b"a").unwrap()
    }

    fn noon() -> Timestamp {
        "2026-01-31T12:00:00Z".parse().unwrap()
    }

    impl Scene {
        /// With this many builds whose records wait for `url`.
        fn new(url: &str, builds: u32) -> Self {
            let root = tempfile::tempdir().unwrap();
            let folder = Arc::new(Folder::open(root.path()).unwrap());
            let mut store = Store::in_memory().unwrap();
            let changes: Vec<Change> = (0..builds).map(|number| Change::Finished(finished(number))).collect();
            store.save(&changes, Outbox::Fill).unwrap();
            for number in 0..builds {
                let path = folder.record(&job(), &build(number));
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, format!("record {number}")).unwrap();
            }
            let failures = Arc::new(AtomicU64::new(0));
            let (clock, hand) = Clock::manual(noon());
            let (upload_waits, _) = sync_channel(1);
            let metrics = Arc::new(Metrics::default());
            let (engine, _ends_with_the_uploader) = engine::start(Parts {
                disk: Box::new(FailingDisk { store, failures: failures.clone() }),
                settings: builder_sched::Settings::default(),
                clock,
                config: root.path().to_owned(),
                outbox: Outbox::Fill,
                consoles: Arc::new(Consoles::default()),
                metrics: metrics.clone(),
                place_record: Box::new(|_, _| {}),
                upload_waits,
                fresh_build: Box::new(engine::fresh_build),
            })
            .unwrap();
            let (waits, woken) = sync_channel(1);
            let uploader = Uploader::new(Target::parse(url).unwrap(), engine, &folder, &metrics, Duration::ZERO, woken);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            Self { uploader, clock: hand, failures, folder, runtime, waits, _root: root }
        }

        fn waiting(&self) -> u64 {
            self.runtime.block_on(self.uploader.engine.uploads_waiting()).unwrap()
        }
    }

    fn finished(number: u32) -> FinishedBuild {
        FinishedBuild {
            build: build(number),
            job: job(),
            platform: Platform::parse(b"p").unwrap(),
            attempts: 1,
            started: noon(),
            finished: noon(),
            outcome: Outcome::Exited(0),
            record_bytes: Some(9),
        }
    }

    /// A repository that answers as many uploads as there are statuses, each on its own connection, and gives their bodies.
    fn repository(statuses: &'static [u16]) -> (String, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/upload", listener.local_addr().unwrap());
        let answer = move |status: &u16| {
            let (stream, _) = listener.accept().unwrap();
            let body = read_body(&stream);
            let head = format!("HTTP/1.1 {status} So\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            (&stream).write_all(head.as_bytes()).unwrap();
            body
        };
        (url, thread::spawn(move || statuses.iter().map(answer).collect()))
    }

    fn read_body(stream: &TcpStream) -> String {
        let (mut reader, mut length) = (BufReader::new(stream), 0);
        for line in reader.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty()) {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        String::from_utf8(body).unwrap()
    }

    #[test]
    fn a_database_that_fails_once_delays_uploads_and_ends_nothing() {
        let (url, repository) = repository(&[200, 200]);
        let mut scene = Scene::new(&url, 2);
        // First the question what is next fails, then the note that it is uploaded.
        scene.failures.store(1, Ordering::SeqCst);
        assert_eq!(scene.uploader.step().unwrap(), Then::GoOn);
        let Scene { uploader, failures, .. } = &scene;
        failures.store(1, Ordering::SeqCst);
        uploader.insist(|engine| engine.uploaded(build(0), Ok(()))).unwrap();
        assert_eq!(scene.uploader.step().unwrap(), Then::GoOn);
        assert_eq!(scene.waiting(), 0);
        assert_eq!(repository.join().unwrap(), ["record 0", "record 1"], "nothing is sent twice");
    }

    #[test]
    fn a_stop_ends_every_pause() {
        let Scene { uploader, failures, waits, .. } = Scene::new("http://127.0.0.1:9/upload", 1);
        failures.store(u64::MAX, Ordering::SeqCst);
        drop(waits);
        let Stopping = uploader.insist(Engine::next_upload).unwrap_err();
        let Stopping = uploader.pause(Duration::from_secs(3600)).unwrap_err();
    }

    #[test]
    fn while_there_is_no_connection_all_wait_together() {
        // A port that is bound but not listened on refuses whoever comes.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let mut scene = Scene::new(&format!("http://{}/upload", socket.local_addr().unwrap()), 3);
        let mut pauses = Vec::new();
        for _ in 0..12 {
            let Then::Pause(pause) = scene.uploader.step().unwrap() else { panic!("no pause for all") };
            scene.clock.advance(pause);
            pauses.push(pause.as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]);
        let (url, repository) = repository(&[500, 200, 200]);
        scene.uploader.target = Target::parse(&url).unwrap();
        for _ in 0..3 {
            assert_eq!(scene.uploader.step().unwrap(), Then::GoOn, "the first answer ends the pauses for all");
        }
        assert_eq!(scene.uploader.unreachable, 0);
        let mut bodies = repository.join().unwrap();
        bodies.sort();
        assert_eq!(bodies, ["record 0", "record 1", "record 2"]);
        let Then::Idle(idle) = scene.uploader.step().unwrap() else { panic!("one build waits") };
        assert!(idle <= UPLOAD_PAUSE_MAX && scene.waiting() == 1, "{idle:?}");
    }

    #[test]
    fn records_that_cannot_be_removed_hold_up_no_others() {
        let builds = u32::try_from(KEPT_UPLOADS_MAX).unwrap() + 2;
        let mut scene = Scene::new("http://127.0.0.1:9/upload", builds);
        for number in 0..builds {
            scene.uploader.engine.uploaded(build(number), Ok(())).unwrap();
        }
        // A whole page of folders where records should be.
        for number in 0..builds - 2 {
            let path = scene.folder.record(&job(), &build(number));
            std::fs::remove_file(&path).unwrap();
            std::fs::create_dir_all(path.join("in the way")).unwrap();
        }
        scene.clock.advance(Duration::from_secs(1));
        assert_eq!(scene.uploader.step().unwrap(), Then::GoOn, "there is another page");
        assert_eq!(scene.uploader.step().unwrap(), Then::Idle(TIDY_INTERVAL));
        let kept = scene.uploader.engine.kept_uploads(Duration::ZERO, None).unwrap();
        assert_eq!(kept.len(), KEPT_UPLOADS_MAX);
        assert!(!scene.folder.record(&job(), &build(builds - 1)).exists());
    }

    #[test]
    fn limits_grow_with_the_record() {
        assert_eq!(send_limit(0), Duration::from_secs(600));
        assert_eq!(send_limit(600 * SEND_RATE_MIN), Duration::from_secs(600));
        assert_eq!(send_limit(10 << 30), Duration::from_secs(163_840));
    }

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
