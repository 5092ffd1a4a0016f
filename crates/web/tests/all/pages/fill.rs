//! A data folder with many different builds, made up from a few words and a counter, so that it is the same each time.
//! Rows only: pages need no files.

use builder_model::{Outcome, Timestamp};
use builder_web::database::columns::{outcome_to_columns, time_to_columns};
use builder_web::{Database, Digest, WebError};
use rusqlite::{Connection, Transaction, params};
use std::path::Path;

/// What is to be made up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fill {
    pub(crate) jobs: usize,
    pub(crate) builds_each: usize,
    /// When the newest build began.
    pub(crate) newest: Timestamp,
}

const PLATFORMS: [&str; 3] = ["debian-12", "freebsd-14", "ubuntu-24.04"];
const WORDS: [&str; 12] =
    ["dns", "git", "mirage", "mail", "web", "vpn", "clock", "store", "index", "proxy", "retro", "primary"];
const SYNOPSES: [&str; 5] = [
    "A primary authoritative DNS server, with its zone in git",
    "Serves a website out of a git repository",
    "An OpenVPN client that routes a private network",
    "Proves that a time was known before another one",
    "Keeps and serves mailing list archives",
];
const SECTIONS: [Option<&str>; 4] =
    [Some("Unikernels"), Some("Unikernels (with metrics reported to Influx)"), Some("Packages"), None];
const README: &str = "# About\n\nThis unikernel answers on port **53**. It needs:\n\n- a network device\n- a [git](https://example.org) \
                      remote\n\n| key | meaning |\n|---|---|\n| `--ipv4` | its address |\n| `--remote` | where the zone is |\n\n```\nsolo5-hvt --net:service=tap0 -- primary.hvt\n```\n";

/// Numbers that look random and are always the same.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Makes the database of a folder, and fills it.
pub(crate) fn fill(folder: &Path, fill: Fill) -> Database {
    let database = Database::create(folder).unwrap();
    database
        .write(|transaction| {
            write(transaction, fill).map_err(|source| database.failed(source))?;
            Ok::<_, WebError>(())
        })
        .unwrap();
    database
}

fn write(transaction: &Transaction<'_>, fill: Fill) -> rusqlite::Result<()> {
    add_user(transaction)?;
    for tag in ["section", "synopsis", "description", "readme.md"] {
        transaction.execute("INSERT INTO tag(tag) VALUES (?1)", [tag])?;
    }
    let mut dice = Dice(1);
    for number in 0..fill.jobs {
        let name = job_name(number);
        transaction.execute("INSERT INTO job(name) VALUES (?1)", [&name])?;
        let job = transaction.last_insert_rowid();
        if let Some(section) = SECTIONS[number * 7 / 4 % SECTIONS.len()] {
            tag(transaction, job, "section", section)?;
            tag(transaction, job, "synopsis", SYNOPSES[number % SYNOPSES.len()])?;
        }
        if number.is_multiple_of(3) {
            tag(transaction, job, "readme.md", README)?;
            tag(transaction, job, "description", "It is built anew each day, and must come out the same.")?;
        }
        let platforms = 1 + number % PLATFORMS.len();
        let mut output = vec![dice.below(u64::MAX); platforms];
        for count in 0..fill.builds_each {
            let platform = count % platforms;
            if dice.below(5) == 0 {
                output[platform] = dice.below(u64::MAX);
            }
            let days = i64::try_from((fill.builds_each - 1 - count) / platforms).unwrap();
            let start = fill.newest.plus_milliseconds(-days * 86_400_000 - i64::try_from(number * 61_000).unwrap());
            let failing = platform == 1 && number % 5 == 2 && days < 2;
            let outcome = match dice.below(20) {
                0 => Outcome::Exited(1),
                1 => Outcome::aborted("timeout"),
                2 => Outcome::Signalled(-7),
                _ if failing => Outcome::Exited(2),
                _ => Outcome::Exited(0),
            };
            let seconds = 90 + dice.below(60) + 20 * number as u64 % 300;
            let build = Made {
                job,
                name: &name,
                platform: PLATFORMS[platform],
                start,
                outcome,
                seconds,
                output: output[platform],
            };
            add_build(transaction, &build, &mut dice)?;
        }
    }
    Ok(())
}

pub(crate) fn job_name(number: usize) -> String {
    let (one, two) = (WORDS[number % WORDS.len()], WORDS[number / WORDS.len() % WORDS.len()]);
    let more = number / (WORDS.len() * WORDS.len());
    if more == 0 { format!("{one}-{two}") } else { format!("{one}-{two}-{more}") }
}

pub(crate) fn add_user(connection: &Connection) -> rusqlite::Result<usize> {
    let user = "INSERT INTO user(username, password_hash, password_salt, scrypt_n, scrypt_r, scrypt_p, restricted)
                VALUES ('farm', x'', x'', 16, 1, 1, 0)";
    connection.execute(user, [])
}

/// Gives a job a value under a tag that is there.
pub(crate) fn tag(connection: &Connection, job: i64, tag: &str, value: &str) -> rusqlite::Result<usize> {
    let insert = "INSERT INTO job_tag(tag, value, job) SELECT id, ?2, ?3 FROM tag WHERE tag = ?1";
    connection.prepare_cached(insert)?.execute(params![tag, value, job])
}

/// A build to add.
#[derive(Debug)]
pub(crate) struct Made<'a> {
    pub(crate) job: i64,
    pub(crate) name: &'a str,
    pub(crate) platform: &'a str,
    pub(crate) start: Timestamp,
    pub(crate) outcome: Outcome,
    pub(crate) seconds: u64,
    /// What its output is made from: equal numbers are equal outputs.
    pub(crate) output: u64,
}

fn add_build(connection: &Connection, made: &Made<'_>, dice: &mut Dice) -> rusqlite::Result<()> {
    let random = (dice.below(u64::MAX), dice.below(u64::MAX), dice.below(1 << 30));
    let uuid = format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        random.0 % (1 << 32),
        random.1 % (1 << 16),
        random.1 >> 20 & 0xfff,
        random.2 & 0xfff,
        random.0 ^ random.2 << 8
    );
    let uuid = &uuid[..36];
    let (start, finish) = (
        time_to_columns(made.start),
        time_to_columns(made.start.plus_milliseconds(i64::try_from(made.seconds * 1000).unwrap())),
    );
    let (code, message) = outcome_to_columns(&made.outcome);
    let insert =
        "INSERT INTO build(uuid, start_d, start_ps, finish_d, finish_ps, result_code, result_msg, console, script,
                      platform, user, job, input_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'c', 's', ?8, 1, ?9, ?10)";
    let input = Digest::of(&made.output.to_be_bytes());
    connection.prepare_cached(insert)?.execute(params![
        uuid,
        start.0,
        start.1,
        finish.0,
        finish.1,
        code,
        message,
        made.platform,
        made.job,
        input
    ])?;
    let build = connection.last_insert_rowid();
    let output = Digest::of(&[&made.output.to_be_bytes()[..], b"output"].concat());
    let size = 8_000_000 + made.output % 900_000;
    let is_good = made.outcome.is_success();
    let mut count = 0;
    let mut add = |path: &str, digest: Digest, size: u64| {
        count += 1;
        let insert = "INSERT INTO build_artifact(filepath, sha256, size, build) VALUES (?1, ?2, ?3, ?4)";
        connection.prepare_cached(insert)?.execute(params![path, digest, i64::try_from(size).unwrap(), build])?;
        Ok::<_, rusqlite::Error>(connection.last_insert_rowid())
    };
    if is_good {
        let binary = add(&format!("bin/{}.hvt", made.name), output, size)?;
        connection.prepare_cached("UPDATE build SET main_binary = ?1 WHERE id = ?2")?.execute([binary, build])?;
    }
    let switch = Digest::of(&[&made.output.to_be_bytes()[..], b"switch"].concat());
    add("opam-switch", switch, 40_000)?;
    for (path, bytes) in [("build-environment", 800), ("system-packages", 3000)] {
        add(path, Digest::of(path.as_bytes()), bytes)?;
    }
    let derived =
        "INSERT INTO repository_build(build, input_kind, input, output_kind, output, console_lines, console_bytes,
                       console_index, artifact_count, artifact_bytes)
                   VALUES (?1, 'opam', ?2, 'main-binary', ?3, 10, 1000, x'', ?4, ?5)";
    connection.prepare_cached(derived)?.execute(params![
        build,
        input,
        is_good.then_some(output),
        count,
        i64::try_from(size).unwrap()
    ])?;
    add_inventory(connection, switch, made.output)
}

fn add_inventory(connection: &Connection, switch: Digest, output: u64) -> rusqlite::Result<()> {
    let insert = "INSERT OR IGNORE INTO repository_inventory(sha256, kind) VALUES (?1, 'opam')";
    if connection.prepare_cached(insert)?.execute([switch])? == 0 {
        return Ok(());
    }
    let inventory = connection.last_insert_rowid();
    let insert = "INSERT INTO repository_package(inventory, name, version, pinned, overlay) VALUES (?1, ?2, ?3, 0, 1)";
    let versions = ["1.0.0", "1.1.0", "1.2.0"];
    for (name, version) in
        [("ocaml", "5.2.0"), ("dune", "3.16.0"), ("mirage-crypto", versions[usize::try_from(output % 3).unwrap()])]
    {
        connection.prepare_cached(insert)?.execute(params![inventory, name, version])?;
    }
    Ok(())
}
