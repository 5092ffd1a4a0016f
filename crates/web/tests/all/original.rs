//! A data folder that the original filled, opened in place: everything shows, and the original still understands it.
//!
//! The tables are written down here once more, as the original's description has them, so that a mistake in ours would
//! show.

use crate::site::{PASSWORD, USER, basic};
use axum::body::Body;
use builder_web::{App, Digest, Settings};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use rusqlite::{Connection, params};
use std::path::Path;
use tower::ServiceExt as _;

const TABLES: &str = "
CREATE TABLE job (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, name VARCHAR(255) NOT NULL UNIQUE);
CREATE TABLE build (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, uuid VARCHAR(36) NOT NULL UNIQUE,
  start_d INTEGER NOT NULL, start_ps INTEGER NOT NULL, finish_d INTEGER NOT NULL, finish_ps INTEGER NOT NULL,
  result_code INTEGER NOT NULL, result_msg TEXT, console TEXT NOT NULL, script TEXT NOT NULL, platform TEXT NOT NULL,
  main_binary INTEGER, user INTEGER NOT NULL, job INTEGER NOT NULL, input_id BLOB,
  FOREIGN KEY(main_binary) REFERENCES build_artifact(id) DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY(user) REFERENCES user(id), FOREIGN KEY(job) REFERENCES job(id));
CREATE TABLE build_artifact (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, filepath TEXT NOT NULL, sha256 BLOB NOT NULL,
  size INTEGER NOT NULL, build INTEGER NOT NULL, FOREIGN KEY(build) REFERENCES build(id), UNIQUE(build, filepath));
CREATE TABLE user (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, username VARCHAR(255) NOT NULL UNIQUE,
  password_hash BLOB NOT NULL, password_salt BLOB NOT NULL, scrypt_n INTEGER NOT NULL, scrypt_r INTEGER NOT NULL,
  scrypt_p INTEGER NOT NULL, restricted BOOLEAN NOT NULL);
CREATE TABLE access_list (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, user INTEGER NOT NULL, job INTEGER NOT NULL,
  FOREIGN KEY(user) REFERENCES user(id), FOREIGN KEY(job) REFERENCES job(id), UNIQUE(user, job));
CREATE TABLE tag (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, tag VARCHAR(255) NOT NULL UNIQUE);
CREATE TABLE job_tag (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, tag INTEGER NOT NULL, value TEXT NOT NULL,
  job INTEGER NOT NULL, FOREIGN KEY(job) REFERENCES job(id), FOREIGN KEY(tag) REFERENCES tag(id), UNIQUE(tag, job));
CREATE INDEX idx_build_job_start ON build(job, start_d DESC, start_ps DESC);
CREATE INDEX idx_build_failed ON build(job, start_d DESC, start_ps DESC) WHERE main_binary IS NULL;
CREATE INDEX idx_build_input_id ON build(input_id);
CREATE INDEX idx_build_main_binary ON build(main_binary);
CREATE INDEX idx_build_artifact_sha256 ON build_artifact(sha256);
CREATE INDEX idx_build_artifact_build ON build_artifact(build);
PRAGMA user_version = 18;
PRAGMA application_id = 1234839235;
";

const JOBS: [&str; 5] = ["hello", "with space", "grün", "a<b>&\"c\"", "only-failures"];
const BUILDS: u32 = 100;

fn uuid(number: u32) -> String {
    format!("{number:08x}-4455-4677-8899-aabbccddeeff")
}

/// Stores an artifact as the original does.
fn artifact(data: &Path, connection: &Connection, build: i64, path: &str, content: &[u8]) -> i64 {
    let digest = Digest::of(content).to_string();
    let folder = data.join("_artifacts").join(&digest[..2]);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(&digest), content).unwrap();
    let text = "INSERT INTO build_artifact(filepath, sha256, size, build) VALUES (?1, ?2, ?3, ?4)";
    connection.execute(text, params![path, Digest::of(content), content.len(), build]).unwrap();
    connection.last_insert_rowid()
}

fn fill(data: &Path) -> Connection {
    let connection = Connection::open(data.join("builder.sqlite3")).unwrap();
    connection.execute_batch(TABLES).unwrap();
    connection.execute("INSERT INTO user VALUES (1, 'nologin', x'', x'', 16384, 8, 1, 1)", []).unwrap();
    for job in JOBS {
        connection.execute("INSERT INTO job(name) VALUES (?1)", [job]).unwrap();
    }
    for (tag, value) in [("section", "Packages"), ("readme.md", "# Hello\n<script>alert(1)</script>")] {
        connection.execute("INSERT INTO tag(tag) VALUES (?1)", [tag]).unwrap();
        let text = "INSERT INTO job_tag(tag, value, job) VALUES (?1, ?2, 1)";
        connection.execute(text, params![connection.last_insert_rowid(), value]).unwrap();
    }
    let switches = [
        include_bytes!("../../../facts/tests/data/hello-one.opam-switch").as_slice(),
        include_bytes!("../../../facts/tests/data/hello-two.opam-switch"),
        b"broken [",
    ];
    for number in 0..BUILDS {
        let job = usize::try_from(number).unwrap() % JOBS.len();
        let is_failed = job == 4 || number % 7 == 3;
        let folder = format!("{}/{}", JOBS[job], uuid(number));
        std::fs::create_dir_all(data.join(&folder)).unwrap();
        std::fs::write(data.join(&folder).join("console.txt"), "0.000s:\x1b[31ma\n1.500s:<b>\n").unwrap();
        std::fs::write(data.join(&folder).join("script.txt"), "exit 0\n").unwrap();
        // All that the original writes as outcomes, which it cannot read itself.
        let (code, message) = match (is_failed, number % 3) {
            (false, _) => (0, None),
            (true, 0) => (65_536, Some("timeout")),
            (true, 1) => (-1_792, None),
            (true, _) => (1, None),
        };
        let text =
            "INSERT INTO build VALUES (NULL, ?1, ?2, 0, ?2, 61250000000000, ?3, ?4, ?5, ?6, ?7, NULL, 1, ?8, ?9)";
        let platform = if number % 2 == 0 { "debian-12" } else { "freebsd 14" };
        let input = (!is_failed).then(|| Digest::of(&number.to_le_bytes()));
        let (console, script) = (format!("{folder}/console.txt"), format!("{folder}/script.txt"));
        let day = 20_000 + i64::from(number);
        let values = params![uuid(number), day, code, message, console, script, platform, job + 1, input];
        connection.execute(text, values).unwrap();
        let build = connection.last_insert_rowid();
        artifact(data, &connection, build, "system-packages", format!("gcc={number}\npy39-pip-1").as_bytes());
        artifact(data, &connection, build, "build-environment", b"A=1\nB=<2>");
        artifact(data, &connection, build, "opam-switch", switches[usize::try_from(number / 5 % 3).unwrap()]);
        if !is_failed {
            let main = artifact(data, &connection, build, "bin/a b", format!("binary {}", number / 10).as_bytes());
            connection.execute("UPDATE build SET main_binary = ?1 WHERE id = ?2", [main, build]).unwrap();
        }
    }
    connection
}

/// All rows of the original's tables, and how the tables are made.
fn dump(connection: &Connection) -> String {
    let mut text = String::new();
    for pragma in ["user_version", "application_id"] {
        let value: i64 = connection.pragma_query_value(None, pragma, |row| row.get(0)).unwrap();
        text.push_str(&format!("{pragma} {value}\n"));
    }
    for table in ["job", "build", "build_artifact", "user", "access_list", "tag", "job_tag"] {
        let made = "SELECT sql FROM sqlite_master WHERE tbl_name = ?1 AND name NOT LIKE 'repository_%' ORDER BY name";
        let mut statement = connection.prepare(made).unwrap();
        let made = statement.query_map([table], |row| row.get::<_, Option<String>>(0)).unwrap();
        made.for_each(|made| text.push_str(&format!("{:?}\n", made.unwrap())));
        let mut statement = connection.prepare(&format!("SELECT * FROM \"{table}\" ORDER BY id")).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            (0..columns).for_each(|column| text.push_str(&format!("{:?} ", row.get_ref(column).unwrap())));
            text.push('\n');
        }
    }
    text
}

fn encoded(text: &str) -> String {
    let byte = |byte: u8| {
        if byte.is_ascii_alphanumeric() || byte == b'-' { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(byte).collect()
}

#[tokio::test]
async fn everything_of_it_shows_and_the_original_still_understands_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    fill(data);
    let app = App::open(Settings::new(data.to_owned(), data.to_owned())).unwrap();
    let router = builder_web::http::router(app.clone());
    let ask = async |target: &str, accept: &str| {
        let request = Request::builder().uri(target).header("accept", accept).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let (status, body) = (response.status(), response.into_body().collect().await.unwrap().to_bytes());
        (status, String::from_utf8_lossy(&body).into_owned())
    };
    let mut targets: Vec<String> = ["/", "/all-builds", "/failed-builds", "/search?q=hello"].map(str::to_owned).into();
    // The main binary whose path is no text.
    targets.push(format!("/search?q={}", &Digest::of(b"binary 9").to_string()[..16]));
    for job in JOBS {
        let job = encoded(job);
        targets.extend(["", "/failed", "?platform=freebsd%2014"].map(|rest| format!("/job/{job}{rest}")));
    }
    for number in 0..BUILDS {
        let job = encoded(JOBS[usize::try_from(number).unwrap() % JOBS.len()]);
        targets.push(format!("/job/{job}/build/{}", uuid(number)));
        if number % 5 == 0 {
            targets.push(format!("/compare/{}/{}", uuid(number), uuid((number + 37) % BUILDS)));
        }
    }
    // The original keeps whatever bytes came.
    let odd = Connection::open(data.join("builder.sqlite3")).unwrap();
    odd.execute("UPDATE build_artifact SET filepath = CAST(x'62696e2fff' AS TEXT) WHERE id = (SELECT main_binary FROM build WHERE id = 96)", []).unwrap();
    odd.execute(
        "UPDATE build SET platform = CAST(x'64ff' AS TEXT), result_msg = CAST(x'ff' AS TEXT) WHERE id = 95",
        [],
    )
    .unwrap();
    let before = dump(&odd);
    // Once as the original left it, and once with all that is derived from it.
    for round in ["before", "after"] {
        for target in &targets {
            for (accept, begin) in [("text/html", "<!"), ("application/json", "{")] {
                let (status, body) = ask(target, accept).await;
                assert_eq!(status, StatusCode::OK, "{round}: {accept} {target}: {body}");
                assert!(body.trim_start().to_lowercase().starts_with(begin), "{round}: {accept} {target}");
                let is_page = accept == "text/html";
                assert!(!is_page || !body.contains("<script>alert"), "{target}");
            }
        }
        for rest in ["script", "console", "exec", "all.tar.gz", "log", "f/bin/a%20b", "f/opam-switch"] {
            let target = format!("/job/with%20space/build/{}/{rest}", uuid(1));
            assert_eq!(ask(&target, "*/*").await.0, StatusCode::OK, "{round}: {target}");
        }
        // The one whose platform and message are no text, row 95.
        let odd = format!("/job/{}/build/{}/exec", encoded(JOBS[94 % JOBS.len()]), uuid(94));
        assert_eq!(ask(&odd, "*/*").await.0, StatusCode::OK, "{round}: {odd}");
        builder_web::start::derive_facts(&app).unwrap();
    }
    let connection = Connection::open(data.join("builder.sqlite3")).unwrap();
    assert_eq!(dump(&connection), before, "nothing of the original's tables changed");
    let checks: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(checks, "ok");
    // The original's administration deletes rows of a build with foreign keys enforced; ours go with them.
    connection.execute_batch("PRAGMA foreign_keys = on").unwrap();
    connection.execute("UPDATE build SET main_binary = NULL WHERE id = 1", []).unwrap();
    connection.execute("DELETE FROM build_artifact WHERE build = 1", []).unwrap();
    assert_eq!(connection.execute("DELETE FROM build WHERE id = 1", []).unwrap(), 1);
    let left: i64 =
        connection.query_row("SELECT count(*) FROM repository_build WHERE build = 1", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
    let nobody = Request::builder().method("POST").uri("/upload").header("authorization", basic(USER, PASSWORD));
    let answer = router.oneshot(nobody.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "a user without a password is nobody");
}
