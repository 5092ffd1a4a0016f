//! Makes a data folder as the original leaves one: schema 18, 100 builds of jobs with difficult names, three users.
//!
//! The tables are written down here once more, as the original's description has them, so that a mistake in ours would
//! show.

use builder_web::Digest;
use rusqlite::{Connection, params};
use std::path::Path;

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

pub(crate) const JOBS: [&str; 5] = ["hello", "with space", "grün", "a<b>&\"c\"", "only-failures"];
pub(crate) const BUILDS: u32 = 100;

/// Somebody who has an account.
pub(crate) struct Account {
    pub(crate) name: &'static str,
    pub(crate) password: &'static str,
    salt: &'static str,
    /// Scrypt of the two, with the parameters of the original; not made by our code, but by Python's.
    hash: &'static str,
}

/// May upload everything.
pub(crate) const UPLOADER: Account = Account {
    name: "robur",
    password: "robur: pass word",
    salt: "0123456789abcdef",
    hash: "e41db2a98ca1164ca6a1dd6cb8646ecf79a85614cc2922415426da328b901c4c",
};
/// May upload builds of the first job only.
pub(crate) const RESTRICTED: Account = Account {
    name: "limited",
    password: "limited",
    salt: "fedcba9876543210",
    hash: "5062530af3bf13955f6e67b13751e4a36df1d812903c125d54f0abe9118aa226",
};

pub(crate) fn uuid(number: u32) -> String {
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

/// Fills a folder, which is there and empty.
pub(crate) fn fill(data: &Path) -> Connection {
    let connection = Connection::open(data.join("builder.sqlite3")).unwrap();
    connection.execute_batch(TABLES).unwrap();
    connection.execute("INSERT INTO user VALUES (1, 'nologin', x'', x'', 16384, 8, 1, 1)", []).unwrap();
    for (id, restricted, account) in [(2, false, UPLOADER), (3, true, RESTRICTED)] {
        let hash: Digest = account.hash.parse().unwrap();
        let text = "INSERT INTO user VALUES (?1, ?2, ?3, ?4, 16384, 8, 1, ?5)";
        connection.execute(text, params![id, account.name, hash, account.salt.as_bytes(), restricted]).unwrap();
    }
    for job in JOBS {
        connection.execute("INSERT INTO job(name) VALUES (?1)", [job]).unwrap();
    }
    for (tag, value) in [("section", "Packages"), ("readme.md", "# Hello\n<script>alert(1)</script>")] {
        connection.execute("INSERT INTO tag(tag) VALUES (?1)", [tag]).unwrap();
        let text = "INSERT INTO job_tag(tag, value, job) VALUES (?1, ?2, 1)";
        connection.execute(text, params![connection.last_insert_rowid(), value]).unwrap();
    }
    connection.execute("INSERT INTO access_list(user, job) VALUES (3, 1)", []).unwrap();
    let switches = [
        include_bytes!("../../../../facts/tests/data/hello-one.opam-switch").as_slice(),
        include_bytes!("../../../../facts/tests/data/hello-two.opam-switch"),
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

pub(crate) fn encoded(text: &str) -> String {
    let byte = |byte: u8| {
        if byte.is_ascii_alphanumeric() || byte == b'-' { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(byte).collect()
}

/// Pages that show what is in it, all of which are JSON as well.
pub(crate) fn targets() -> Vec<String> {
    let mut targets: Vec<String> = ["/", "/all-builds", "/failed-builds", "/search?q=hello"].map(str::to_owned).into();
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
    targets
}
