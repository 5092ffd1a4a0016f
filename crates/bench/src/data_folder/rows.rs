//! Writes the rows and files of a plan: rows in large transactions without a sync each, for nobody needs half a folder.

use super::files::{Files, Stored};
use super::random::{bytes, number};
use super::{BUILD_MILLISECONDS, Plan, Written, switch};
use anyhow::{Context, Result};
use builder_web::database::columns::{outcome_to_columns, time_to_columns};
use builder_web::{Database, Depot, Digest};
use rusqlite::{Connection, Transaction, params};
use std::fs::File;
use std::path::Path;

/// Builds in one transaction.
const BATCH_BUILDS: u64 = 10_000;

/// Writes all of a plan.
pub(super) fn write(plan: &Plan, datadir: &Path) -> Result<Written> {
    drop(Database::create(datadir).context("make a database")?);
    let depot = Depot::open(datadir).context("open the data folder")?;
    let path = Database::path_of(datadir);
    let mut connection = Connection::open(&path).with_context(|| format!("open {}", path.display()))?;
    connection.pragma_update(None, "synchronous", "off")?;
    connection.pragma_update(None, "foreign_keys", false)?;
    // A quarter of a GB, so that indices over random digests grow in memory.
    connection.pragma_update(None, "cache_size", -250_000)?;
    let mut rows = Rows { plan, files: Files::write(plan, &depot)?, artifact: 0 };
    let transaction = connection.transaction()?;
    rows.jobs(&transaction)?;
    rows.inventories(&transaction)?;
    transaction.commit()?;
    for first in (0..plan.builds).step_by(usize::try_from(BATCH_BUILDS)?) {
        let transaction = connection.transaction()?;
        (first..plan.builds.min(first + BATCH_BUILDS)).try_for_each(|build| rows.build(&transaction, build))?;
        transaction.commit()?;
    }
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    connection.close().map_err(|(_, error)| error).context("close the database")?;
    File::open(&path).and_then(|file| file.sync_all()).with_context(|| format!("sync {}", path.display()))?;
    let database_bytes = std::fs::metadata(&path).context("look at the database")?.len();
    Ok(Written { artifacts: rows.artifact, database_bytes, download: rows.files.download.digest })
}

/// An artifact of a build.
struct Artifact {
    path: String,
    digest: Digest,
    bytes: u64,
}

struct Rows<'a> {
    plan: &'a Plan,
    files: Files,
    /// The id of the last row of an artifact.
    artifact: u64,
}

impl Rows<'_> {
    fn jobs(&self, transaction: &Transaction<'_>) -> Result<()> {
        let user =
            "INSERT INTO user(id, username, password_hash, password_salt, scrypt_n, scrypt_r, scrypt_p, restricted)
            VALUES (1, 'generator', x'00', x'00', 16384, 8, 1, 0)";
        transaction.execute(user, [])?;
        let token = "INSERT INTO repository_token(user, name, sha256, created) VALUES (1, 'generator', ?1, ?2)";
        transaction.execute(token, params![super::token_digest()?, self.plan.until.milliseconds()])?;
        for (place, tag) in ["section", "synopsis", "description", "readme.md"].iter().enumerate() {
            transaction.execute("INSERT INTO tag(id, tag) VALUES (?1, ?2)", params![place + 1, tag])?;
        }
        for job in 0..self.plan.jobs {
            let name = self.plan.job_name(job);
            transaction.execute("INSERT INTO job(id, name) VALUES (?1, ?2)", params![job + 1, name])?;
            let readme = format!("# {name}\n\nWhat *{name}* does, and how to run it:\n\n```\n{name} --help\n```\n");
            let section = super::pick(&["MirageOS unikernels", "Packages", "Tools"], job);
            let values = [section.to_owned(), format!("A job named {name}"), format!("{name} in more words."), readme];
            for (place, value) in values.iter().enumerate() {
                let text = "INSERT INTO job_tag(tag, value, job) VALUES (?1, ?2, ?3)";
                transaction.prepare_cached(text)?.execute(params![place + 1, value, job + 1])?;
            }
        }
        Ok(())
    }

    fn inventories(&self, transaction: &Transaction<'_>) -> Result<()> {
        let mut id = 0;
        for ((job, era), stored) in &self.files.switches {
            id += 1;
            inventory(transaction, id, "opam", stored, &switch::packages(self.plan, *job, *era))?;
        }
        for (era, stored) in (0..).zip(&self.files.systems) {
            id += 1;
            inventory(transaction, id, "system", stored, &switch::system_packages(era))?;
        }
        Ok(())
    }

    fn build(&mut self, transaction: &Transaction<'_>, build: u64) -> Result<()> {
        let outcome = self.plan.outcome(build);
        let artifacts = self.artifacts(build, outcome.is_success());
        let main = outcome.is_success().then_some(self.artifact + 1);
        for Artifact { path, digest, bytes } in &artifacts {
            self.artifact += 1;
            let text = "INSERT INTO build_artifact(id, filepath, sha256, size, build) VALUES (?1, ?2, ?3, ?4, ?5)";
            transaction.prepare_cached(text)?.execute(params![self.artifact, path, digest, bytes, build + 1])?;
        }
        let started = self.plan.started(build);
        let (start_d, start_ps) = time_to_columns(started);
        let (finish_d, finish_ps) = time_to_columns(started.plus_milliseconds(self.plan.duration(build)));
        let (code, message) = outcome_to_columns(&outcome);
        let text =
            "INSERT INTO build(id, uuid, start_d, start_ps, finish_d, finish_ps, result_code, result_msg, console,
            script, platform, main_binary, user, job, input_id)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'shared/script.txt', ?10, ?11, 1, ?12, ?13)";
        transaction.prepare_cached(text)?.execute(params![
            build + 1,
            self.plan.uuid(build).to_string(),
            start_d,
            start_ps,
            finish_d,
            finish_ps,
            code,
            message,
            self.files.console(self.plan, build).path,
            self.plan.platform(build),
            main,
            self.plan.job_of(build) + 1,
            self.plan.era(build).map(|_| self.plan.input(build)),
        ])?;
        self.facts(transaction, build, &artifacts, main.is_some())?;
        Ok(())
    }

    fn facts(
        &self,
        transaction: &Transaction<'_>,
        build: u64,
        artifacts: &[Artifact],
        is_good: bool,
    ) -> rusqlite::Result<()> {
        let (plan, console) = (self.plan, self.files.console(self.plan, build));
        let output = if is_good {
            ("main-binary", plan.main_binary(build))
        } else {
            ("artifacts", Digest(bytes(&[plan.seed, b'x'.into(), build])))
        };
        let text =
            "INSERT INTO repository_build(build, received, input_kind, input, output_kind, output, console_lines,
            console_bytes, console_index, artifact_count, artifact_bytes)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
        transaction.prepare_cached(text)?.execute(params![
            build + 1,
            plan.started(build).plus_milliseconds(BUILD_MILLISECONDS).milliseconds(),
            if plan.era(build).is_some() { "opam" } else { "script" },
            plan.input(build),
            output.0,
            output.1,
            console.lines,
            console.bytes,
            console.index,
            artifacts.len(),
            artifacts.iter().map(|artifact| artifact.bytes).sum::<u64>(),
        ])?;
        if is_good {
            let manifest = r#"{"version":1,"devices":[{"name":"service","type":"NET_BASIC"}]}"#;
            let solo5 = plan.era(build).map(|_| (manifest, r#"{"target":"hvt","version":2}"#)).unzip();
            let text = "INSERT OR IGNORE INTO repository_binary(sha256, solo5_manifest, solo5_abi) VALUES (?1, ?2, ?3)";
            transaction.prepare_cached(text)?.execute(params![plan.main_binary(build), solo5.0, solo5.1])?;
        }
        Ok(())
    }

    /// The artifacts of a build, the main binary first.
    fn artifacts(&self, build: u64, is_good: bool) -> Vec<Artifact> {
        let (plan, job) = (self.plan, self.plan.job_of(build));
        let count = plan.artifact_count(build);
        let name = plan.job_name(job);
        let mut artifacts = Vec::new();
        if is_good {
            let bytes = 2_000_000 + number(&[plan.seed, b's'.into(), build / plan.jobs / 4]) % 3_000_000;
            artifacts.push(Artifact { path: format!("bin/{name}.hvt"), digest: plan.main_binary(build), bytes });
        }
        let stored = self.files.of_build(plan, build).into_iter();
        artifacts.extend(stored.map(|(path, Stored { digest, bytes })| Artifact { path: path.into(), digest, bytes }));
        for place in artifacts.len() as u64..count {
            // Some change with every build, some with every seventh.
            let turn = build / plan.jobs / (place % 7 + 1);
            let seed = [plan.seed, b'a'.into(), job, place, turn];
            let path = format!("lib/{name}/{}/file-{place}.cmxa", number(&[place]) % 3);
            artifacts.push(Artifact { path, digest: Digest(bytes(&seed)), bytes: number(&seed) % 2_000_000 });
        }
        artifacts
    }
}

fn inventory(
    transaction: &Transaction<'_>,
    id: i64,
    kind: &str,
    stored: &Stored,
    packages: &[switch::Package],
) -> Result<()> {
    let text = "INSERT INTO repository_inventory(id, sha256, kind) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    if transaction.prepare_cached(text)?.execute(params![id, stored.digest, kind])? == 0 {
        // Two eras of a job without a difference.
        return Ok(());
    }
    let text = "INSERT INTO repository_package(inventory, name, version, pinned, overlay, source)
        VALUES (?1, ?2, ?3, 0, 0, ?4)";
    let mut insert = transaction.prepare_cached(text)?;
    for package in packages {
        let source = (kind == "opam").then(|| package.source());
        insert.execute(params![id, package.name, package.version, source])?;
    }
    Ok(())
}
