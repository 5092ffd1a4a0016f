//! A repository in this process: a data folder with users, requests through its routes, and builds to upload.

use axum::Router;
use axum::body::Body;
use base64::Engine as _;
use builder_model::{BuildId, Outcome, Timestamp};
use builder_web::accounts::password::{Password, ScryptParams};
use builder_web::{App, Database, Repository, Settings};
use builder_wire::message::File;
use builder_wire::record::ConsoleLine;
use builder_wire::{Record, ScriptJob};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use rusqlite::{Connection, params};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tower::ServiceExt as _;

/// A user who may upload everything, and the one who may nothing unless listed; the password of both.
pub(crate) const USER: &str = "farm";
pub(crate) const RESTRICTED: &str = "guest";
pub(crate) const PASSWORD: &str = "a:b c";

/// A repository that is open.
#[derive(Debug)]
pub(crate) struct Site {
    folder: TempDir,
    pub(crate) app: App,
    router: Router,
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn location(&self) -> &str {
        self.header("location").unwrap_or_else(|| panic!("{self:?} leads nowhere"))
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        assert!(self.header("content-type").is_some_and(|kind| kind.starts_with("application/")), "{self:?}");
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::at(tempfile::tempdir().unwrap(), change)
    }

    /// One whose data and configuration lie in this folder.
    pub(crate) fn at(folder: TempDir, change: impl FnOnce(&mut Settings)) -> Self {
        let (data, config) = (folder.path().join("data"), folder.path().join("config"));
        [&data, &config].iter().for_each(|path| std::fs::create_dir(path).unwrap());
        drop(Database::create(&data).unwrap());
        let cheap = ScryptParams::new(16, 1, 1).unwrap();
        let stored = Password::new(PASSWORD).unwrap().hash(cheap).unwrap();
        let connection = Connection::open(Database::path_of(&data)).unwrap();
        for (name, restricted) in [(USER, false), (RESTRICTED, true)] {
            let text =
                "INSERT INTO user(username, password_hash, password_salt, scrypt_n, scrypt_r, scrypt_p, restricted)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let values = params![name, stored.hash, stored.salt, stored.n, stored.r, stored.p, restricted];
            connection.execute(text, values).unwrap();
        }
        let mut settings = Settings::new(data, config);
        change(&mut settings);
        let app = App::open(settings).unwrap();
        let router = builder_web::http::router(app.clone());
        Self { folder, app, router }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn connection(&self) -> Connection {
        Connection::open(Database::path_of(&self.data())).unwrap()
    }

    /// The repository at work on a socket of its own, as a program outside sees it.
    pub(crate) async fn serve(&self) -> Served {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Served(Repository::start(self.app.settings().clone(), vec![listener]).await.unwrap())
    }

    /// A number out of the database.
    pub(crate) fn count(&self, sql: &str) -> i64 {
        self.connection().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// All files below the data folder but the database's, sorted.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        collect(&self.data(), &self.data(), &mut files);
        files.retain(|file| !file.starts_with("builder.sqlite3"));
        files.sort();
        files
    }

    pub(crate) async fn request(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.get_with(target, &[]).await
    }

    pub(crate) async fn get_json(&self, target: &str) -> serde_json::Value {
        self.get_with(target, &[("accept", "application/json")]).await.json()
    }

    pub(crate) async fn get_with(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(Method::GET, target, headers, Body::empty()).await
    }

    pub(crate) async fn send(&self, method: Method, target: &str, headers: &[(&str, &str)], body: Body) -> Answer {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.request(request.body(body).unwrap()).await
    }

    /// Uploads octets as a user.
    pub(crate) async fn post(&self, user: &str, target: &str, body: impl Into<Body>) -> Answer {
        self.send(Method::POST, target, &[("authorization", &basic(user, PASSWORD))], body.into()).await
    }

    /// Uploads a build, which must be new.
    pub(crate) async fn upload(&self, told: &Told) {
        let answer = self.post(USER, "/upload", told.encode()).await;
        assert_eq!((answer.status, answer.text().as_str()), (StatusCode::CREATED, ""));
    }
}

/// A repository at work; it ends with the test.
pub(crate) struct Served(Repository);

impl Served {
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.0.addresses()[0])
    }

    pub(crate) async fn stop(self) {
        self.0.stop().await;
    }
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            files.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
        }
    }
}

/// The value of `Authorization` for a user.
pub(crate) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

/// A build as a test tells it.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) job: String,
    pub(crate) platform: String,
    pub(crate) script: String,
    pub(crate) build: BuildId,
    /// Oldest first, with times in nanoseconds.
    pub(crate) console: Vec<(i64, Vec<u8>)>,
    pub(crate) started: Timestamp,
    pub(crate) finished: Timestamp,
    pub(crate) outcome: Outcome,
    pub(crate) files: Vec<(String, Vec<u8>)>,
}

/// The UUID of a number.
pub(crate) fn uuid(number: u8) -> BuildId {
    BuildId::from_random([number; 16])
}

/// A time such as `2024-09-05T12:34:56Z`.
pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

impl Told {
    /// A good build of the job `hello` on `debian-12`, one hour after another by number, with one binary.
    pub(crate) fn new(number: u8) -> Self {
        let started = time("2024-09-05T12:00:00Z").plus_milliseconds(i64::from(number) * 3_600_000);
        Self {
            job: "hello".into(),
            platform: "debian-12".into(),
            script: "echo hello\n".into(),
            build: uuid(number),
            console: vec![(0, b"hello".to_vec()), (1_500_000_123, b"\x1b[32mdone\x1b[0m".to_vec())],
            started,
            finished: started.plus_milliseconds(61_250),
            outcome: Outcome::Exited(0),
            files: vec![("bin/hello".into(), b"binary".to_vec())],
        }
    }

    pub(crate) fn job(mut self, job: &str) -> Self {
        self.job = job.into();
        self
    }

    pub(crate) fn platform(mut self, platform: &str) -> Self {
        self.platform = platform.into();
        self
    }

    pub(crate) fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    pub(crate) fn files(mut self, files: &[(&str, &[u8])]) -> Self {
        self.files = files.iter().map(|(path, data)| ((*path).to_owned(), data.to_vec())).collect();
        self
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let line = |(delta, line): &'_ (i64, Vec<u8>)| (*delta, line.clone());
        let console: Vec<_> = self.console.iter().rev().map(line).collect();
        let record = Record {
            job: ScriptJob {
                name: self.job.as_bytes(),
                platform: self.platform.as_bytes(),
                script: self.script.as_bytes(),
            },
            build: self.build,
            console: console.iter().map(|(delta, line)| ConsoleLine { delta: *delta, line }).collect(),
            started: self.started,
            finished: self.finished,
            outcome: self.outcome.clone(),
            files: self.files.iter().map(|(path, data)| File { path: path.as_bytes().into(), data }).collect(),
        };
        record.encode().to_vec()
    }

    /// Its page.
    pub(crate) fn page(&self) -> String {
        format!("/job/{}/build/{}", self.job, self.build)
    }
}
