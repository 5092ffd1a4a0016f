//! A repository whose pages are asked for.

use super::fill::{Fill, add_user, fill};
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use builder_model::Timestamp;
use builder_web::database::columns::time_to_columns;
use builder_web::http::router;
use builder_web::{App, Database, Digest, Settings};
use rusqlite::{Connection, params};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

/// A repository.
pub(crate) struct Site {
    folder: TempDir,
    pub(crate) settings: Settings,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// A build to add.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Build<'a> {
    pub(crate) job: &'a str,
    pub(crate) platform: &'a str,
    pub(crate) start: &'a str,
    pub(crate) code: i64,
    /// Path and content of the main binary.
    pub(crate) main_binary: Option<(&'a str, &'a str)>,
    /// Further paths and contents.
    pub(crate) artifacts: &'a [(&'a str, &'a str)],
}

pub(crate) const GOOD: Build<'_> = Build {
    job: "hello",
    platform: "debian-12",
    start: "2026-01-01T00:00:00Z",
    code: 0,
    main_binary: Some(("bin/hello", "binary")),
    artifacts: &[],
};

impl Site {
    /// A repository without builds.
    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        drop(Database::create(folder.path()).unwrap());
        add_user(&Connection::open(Database::path_of(folder.path())).unwrap()).unwrap();
        Self::on(folder)
    }

    /// A repository with many builds, none of them old.
    pub(crate) fn filled(jobs: usize, builds_each: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let newest = Timestamp::from_milliseconds(jiff::Timestamp::now().as_millisecond() - 3_600_000).unwrap();
        drop(fill(folder.path(), Fill { jobs, builds_each, newest }));
        Self::on(folder)
    }

    fn on(folder: TempDir) -> Self {
        let settings = Settings::new(folder.path().to_owned(), folder.path().to_owned());
        Self { folder, settings }
    }

    pub(crate) fn connection(&self) -> Connection {
        Connection::open(Database::path_of(self.folder.path())).unwrap()
    }

    pub(crate) fn app(&self) -> App {
        App::open(self.settings.clone()).unwrap()
    }

    /// Adds a build, and gives its UUID.
    pub(crate) fn add(&self, build: Build<'_>) -> String {
        let connection = self.connection();
        connection.execute("INSERT OR IGNORE INTO job(name) VALUES (?1)", [build.job]).unwrap();
        let uuid = {
            let count: i64 = connection.query_row("SELECT count(*) FROM build", [], |row| row.get(0)).unwrap();
            format!("{:08x}-0000-4000-8000-000000000000", 0x1000_0000 + count)
        };
        let start: Timestamp = build.start.parse().unwrap();
        let (start, finish) = (time_to_columns(start), time_to_columns(start.plus_milliseconds(61_000)));
        let insert = "INSERT INTO build(uuid, start_d, start_ps, finish_d, finish_ps, result_code, console, script,
                          platform, user, job)
                      SELECT ?1, ?2, ?3, ?4, ?5, ?6, 'c', 's', ?7, 1, id FROM job WHERE name = ?8";
        let row = params![uuid, start.0, start.1, finish.0, finish.1, build.code, build.platform, build.job];
        connection.execute(insert, row).unwrap();
        let id = connection.last_insert_rowid();
        for (path, content) in build.main_binary.iter().chain(build.artifacts) {
            let insert = "INSERT INTO build_artifact(filepath, sha256, size, build) VALUES (?1, ?2, ?3, ?4)";
            connection
                .execute(insert, params![path, Digest::of(content.as_bytes()), content.len() as i64, id])
                .unwrap();
        }
        if let Some((path, _)) = build.main_binary {
            let update =
                "UPDATE build SET main_binary = (SELECT id FROM build_artifact WHERE build = ?1 AND filepath = ?2)
                          WHERE id = ?1";
            connection.execute(update, params![id, path]).unwrap();
        }
        uuid
    }

    /// Derives, of builds with a main binary, that all had the same input.
    pub(crate) fn derive_all(&self, input: &Digest) {
        let derived =
            "INSERT INTO repository_build(build, input_kind, input, output_kind, output, console_lines, console_bytes,
                 console_index, artifact_count, artifact_bytes)
             SELECT build.id, 'opam', ?1, 'main-binary', sha256, 0, 0, x'', 1, size
             FROM build JOIN build_artifact ON build_artifact.id = main_binary";
        self.connection().execute(derived, [input]).unwrap();
    }

    /// Gives a job a value under a tag.
    pub(crate) fn tag(&self, job: &str, tag: &str, value: &str) {
        let connection = self.connection();
        connection.execute("INSERT OR IGNORE INTO tag(tag) VALUES (?1)", [tag]).unwrap();
        let job: i64 = connection.query_row("SELECT id FROM job WHERE name = ?1", [job], |row| row.get(0)).unwrap();
        super::fill::tag(&connection, job, tag, value).unwrap();
    }

    /// Asks a repository that was opened for this one request.
    pub(crate) async fn html(&self, target: &str) -> String {
        let answer = ask(&self.app(), target, &[]).await;
        assert_eq!(answer.status, StatusCode::OK, "{target}: {}", answer.text());
        answer.text()
    }

    /// The same, for JSON.
    pub(crate) async fn json(&self, target: &str) -> Value {
        let answer = ask(&self.app(), target, &[("accept", "application/json")]).await;
        assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/json"), "{target}");
        answer.json()
    }
}

/// Asks with `GET`.
pub(crate) async fn ask(app: &App, target: &str, headers: &[(&str, &str)]) -> Answer {
    request(app, Method::GET, target, headers).await
}

/// Asks with any method.
pub(crate) async fn request(app: &App, method: Method, target: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router(app.clone()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 64 << 20).await.unwrap().to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> String {
        assert!(!self.headers.contains_key(header::CONTENT_ENCODING));
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}
