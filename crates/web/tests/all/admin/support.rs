//! A data folder with builds in it, and the program run on it.

use assert_cmd::Command;
use builder_web::database::columns::time_to_columns;
use builder_web::{Database, Depot, Digest, Name};
use rusqlite::{Connection, params};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A data folder.
pub(crate) struct Data {
    pub(crate) folder: TempDir,
    builds: std::cell::Cell<u64>,
}

/// How a run of the program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A build to add.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Build<'a> {
    pub(crate) job: &'a str,
    pub(crate) platform: &'a str,
    /// When it began; it ended a minute later.
    pub(crate) start: &'a str,
    pub(crate) result: i64,
    /// Paths and contents; the first one below `bin/` is the main binary.
    pub(crate) artifacts: &'a [(&'a str, &'a str)],
}

pub(crate) const GOOD: Build<'_> = Build {
    job: "hello",
    platform: "debian-12",
    start: "2026-01-01T00:00:00Z",
    result: 0,
    artifacts: &[("bin/hello", "binary")],
};

impl Data {
    /// A data folder without a database.
    pub(crate) fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), builds: std::cell::Cell::new(0) }
    }

    /// A data folder as `migrate` leaves it, with a user `farm` of its own.
    pub(crate) fn new() -> Self {
        let data = Self::empty();
        drop(Database::create(data.path()).unwrap());
        Depot::open(data.path()).unwrap();
        let user = "INSERT INTO user(username, password_hash, password_salt, scrypt_n, scrypt_r, scrypt_p, restricted)
                    VALUES ('farm', zeroblob(32), x'', 16, 1, 1, 1)";
        data.connection().execute(user, []).unwrap();
        data
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.path().join(path)
    }

    pub(crate) fn connection(&self) -> Connection {
        Connection::open(Database::path_of(self.path())).unwrap()
    }

    /// A number out of the database.
    pub(crate) fn count(&self, sql: &str) -> i64 {
        self.connection().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// Where an artifact with this content lies.
    pub(crate) fn artifact(&self, content: &str) -> PathBuf {
        Depot::open(self.path()).unwrap().artifact(&Digest::of(content.as_bytes()))
    }

    /// Adds a build, rows and files; gives its UUID.
    pub(crate) fn add(&self, build: Build<'_>) -> String {
        self.builds.set(self.builds.get() + 1);
        let uuid = format!("00000000-0000-4000-8000-{:012}", self.builds.get());
        add_build(self.path(), &uuid, build);
        uuid
    }

    /// Runs `builder-db` on this folder.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(arguments, "")
    }

    /// Runs it with something on standard input.
    pub(crate) fn run_with(&self, arguments: &[&str], stdin: &str) -> Ended {
        let mut command = program();
        command.arg("--datadir").arg(self.path()).arg("--configdir").arg(self.path());
        run(command.args(arguments).write_stdin(stdin))
    }

    /// Runs it, which must go well, and gives the JSON that it prints.
    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let ended = self.run(&[&["--format", "json"], arguments].concat());
        assert_eq!(ended.status, 0, "{ended:?}");
        serde_json::from_str(&ended.out).unwrap()
    }

    /// Runs it, which must go well, and gives what it prints.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!((ended.status, ended.err.as_str()), (0, ""), "{ended:?}");
        ended.out
    }

    /// Runs it, which must fail, and gives what it says.
    pub(crate) fn fails(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!((ended.status, ended.out.as_str()), (1, ""), "{ended:?}");
        ended.err
    }
}

/// `builder-db`, away from the environment of this test.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_builder-db"));
    command.env_clear();
    command
}

pub(crate) fn run(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { status: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// Adds a build as an upload does: files first, under the lock, then rows.
pub(crate) fn add_build(datadir: &Path, uuid: &str, build: Build<'_>) {
    let depot = Depot::open(datadir).unwrap();
    let connection = Connection::open(Database::path_of(datadir)).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
    let _sharing = depot.lock_sharing().unwrap();
    let folder = Depot::build_folder(&Name::job(build.job.as_bytes()).unwrap(), &uuid.parse().unwrap());
    let folder = folder.to_str().unwrap();
    fs::create_dir_all(datadir.join(folder)).unwrap();
    for (name, content) in [("script.txt", "true\n"), ("console.txt", "0.001s:hello\n")] {
        fs::write(datadir.join(folder).join(name), content).unwrap();
    }
    for (_, content) in build.artifacts {
        let path = depot.artifact(&Digest::of(content.as_bytes()));
        if !path.exists() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
    }
    insert(connection, uuid, folder, build).unwrap();
}

fn insert(mut connection: Connection, uuid: &str, folder: &str, build: Build<'_>) -> rusqlite::Result<()> {
    let start = time_to_columns(build.start.parse().unwrap());
    let finish = time_to_columns(build.start.parse::<builder_model::Timestamp>().unwrap().plus_milliseconds(60_000));
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute("INSERT OR IGNORE INTO job(name) VALUES (?1)", [build.job])?;
    transaction.execute(
        "INSERT INTO build(uuid, start_d, start_ps, finish_d, finish_ps, result_code, console, script, platform, user, job)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 || '/console.txt', ?7 || '/script.txt', ?8, min(user.id), job.id
         FROM user, job WHERE job.name = ?9",
        params![uuid, start.0, start.1, finish.0, finish.1, build.result, folder, build.platform, build.job],
    )?;
    let id = transaction.last_insert_rowid();
    for (path, content) in build.artifacts {
        let digest = Digest::of(content.as_bytes());
        transaction.execute(
            "INSERT INTO build_artifact(filepath, sha256, size, build) VALUES (?1, ?2, ?3, ?4)",
            params![path, digest, i64::try_from(content.len()).unwrap(), id],
        )?;
        if path.starts_with("bin/") {
            let main = transaction.last_insert_rowid();
            transaction
                .execute("UPDATE build SET main_binary = ?1 WHERE id = ?2 AND main_binary IS NULL", [main, id])?;
        }
    }
    transaction.commit()
}
