//! Facts of builds that are here already: those that the original stored, and those that an earlier version derived by
//! other rules. A bounded number at a time, so that uploads come in between.

use super::facts::{Candidate, Facts, Subject, derive};
use crate::app::App;
use crate::database::columns::{self, uuid_from_column};
use crate::digest::Digest;
use crate::error::WebError;
use builder_model::BuildId;
use std::fs::File;

/// The facts of builds that have none yet, such as those that the original stored, or have those of an earlier version:
/// a bounded number of them, the newest first. Gives how many are done.
pub(crate) fn derive_missing(app: &App, count: u32) -> Result<usize, WebError> {
    let text = "SELECT b.id, b.uuid, b.platform, b.console, b.script, b.main_binary, coalesce(j.name, '')
        FROM build b LEFT JOIN job j ON j.id = b.job
        WHERE b.id IN (SELECT id FROM (SELECT id FROM build
                           WHERE NOT EXISTS (SELECT 1 FROM repository_build r WHERE r.build = build.id)
                           ORDER BY id DESC LIMIT ?1)
                       UNION SELECT build FROM (SELECT build FROM repository_stale ORDER BY build DESC LIMIT ?1))
        ORDER BY b.id DESC LIMIT ?1";
    let builds = app.read(|connection| {
        let mut statement = connection.prepare_cached(text)?;
        let rows = statement.query_map([count], |row| {
            Ok(OldBuild {
                row: row.get(0)?,
                uuid: uuid_from_column(&columns::text(row, 1)?).ok(),
                platform: columns::text(row, 2)?,
                console: columns::text(row, 3)?,
                script: columns::text(row, 4)?,
                main_binary: row.get(5)?,
                job: columns::text(row, 6)?,
            })
        })?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    })?;
    let facts = builds.iter().map(|build| Ok((build, build.derive(app)?))).collect::<Result<Vec<_>, WebError>>()?;
    app.database().write(|transaction| {
        for (build, facts) in &facts {
            // It may have been removed meanwhile, by another program.
            let exists =
                transaction.prepare_cached("SELECT 1 FROM build WHERE id = ?1").and_then(|mut s| s.exists([build.row]));
            let stale = "DELETE FROM repository_stale WHERE build = ?1";
            if exists.map_err(|error| app.database().failed(error))? {
                let insert = facts.insert(transaction, build.row, None);
                let done = insert.and_then(|()| transaction.prepare_cached(stale)?.execute([build.row]));
                done.map_err(|error| app.database().failed(error))?;
            }
        }
        Ok::<_, WebError>(facts.len())
    })
}

/// A build that the original stored.
struct OldBuild {
    row: i64,
    uuid: Option<BuildId>,
    job: String,
    platform: String,
    console: String,
    script: String,
    main_binary: Option<i64>,
}

impl OldBuild {
    fn derive(&self, app: &App) -> Result<Facts, WebError> {
        let text = "SELECT id, filepath, sha256, size FROM build_artifact WHERE build = ?1 ORDER BY id";
        let rows: Vec<Option<(i64, String, Digest, u64)>> = app.read(|connection| {
            let mut statement = connection.prepare_cached(text)?;
            let rows = statement.query_map([self.row], |row| {
                let (id, path) = (row.get(0)?, columns::text(row, 1)?);
                Ok(row.get(2).ok().zip(row.get(3).ok()).map(|(digest, bytes)| (id, path, digest, bytes)))
            })?;
            rows.collect()
        })?;
        // A row that holds no digest or no size holds up no other build, and of its own build only what hangs on it.
        let is_whole = rows.iter().all(Option::is_some);
        let rows: Vec<_> = rows.into_iter().flatten().collect();
        let artifacts: Vec<Candidate<'_>> =
            rows.iter().map(|(_, path, digest, bytes)| Candidate { path, digest: *digest, bytes: *bytes }).collect();
        let script = app.depot().file_of_row(&self.script).and_then(|path| std::fs::read(path).ok());
        let console = app.depot().file_of_row(&self.console).unwrap_or_default();
        tracing::debug!("deriving the facts of build {:?}", self.uuid);
        let facts = derive(&Subject {
            job: &self.job,
            platform: &self.platform,
            script: script.map(|script| Digest::of(&script)),
            artifacts: &artifacts,
            main_binary: rows.iter().position(|(row, ..)| Some(*row) == self.main_binary),
            open: &|place| {
                let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
                File::open(app.depot().artifact(&artifacts.get(place).ok_or_else(missing)?.digest))
            },
            console: &console,
        });
        Ok(if is_whole { facts } else { facts.of_a_part() })
    }
}
