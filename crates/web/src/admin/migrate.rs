//! `migrate`: a database for an empty data folder, or the present version of an older one.

use crate::admin::Exit;
use crate::admin::args::Common;
use crate::admin::screen::{Screen, count_text};
use crate::admin::upgrade::{UPGRADABLE, finish, upgrade};
use crate::database::Database;
use crate::database::schema::{APPLICATION_ID, SCHEMA_VERSION};
use crate::depot::Depot;
use crate::error::WebError;
use rusqlite::{Connection, OpenFlags};
use serde_json::json;
use std::path::Path;

/// Make the database and the folders of a new repository, or bring an old data folder to the present version
///
/// The data folder itself must exist. The original's versions 16 and 17 become version 18: artifacts move to where
/// builds share them. Stop the server for that. A folder that is of version 18 is left as it is.
///
/// In JSON: `from`, null where there was no database, `to`, and `missing`, the files that rows named and that were not
/// there. Exit status 1 when there are such.
#[derive(Debug, clap::Args)]
pub(crate) struct Migrate {}

impl Migrate {
    pub(crate) fn run(self, common: &Common, screen: &mut Screen) -> anyhow::Result<Exit> {
        let datadir = &common.datadir;
        let depot = Depot::open(datadir)?;
        let path = Database::path_of(datadir);
        let found = found(&path)?;
        let (mut missing, mut finished) = (Vec::new(), false);
        match found {
            None => make(&depot, datadir)?,
            Some((APPLICATION_ID, version)) if UPGRADABLE.contains(&version) => {
                let upgraded = upgrade(&depot, &path, screen)?;
                missing = upgraded.missing;
                drop(Database::open(datadir)?);
            }
            // Adds our own tables where they are missing, and refuses what it does not know.
            Some(_) => {
                drop(Database::open(datadir)?);
                finished = finish(&depot)?;
            }
        }
        let from = found.map(|(_, version)| version);
        let text = match from {
            None => format!("made the database {}", path.display()),
            Some(_) if finished => format!("removed what an upgrade of {} left that was cut off", path.display()),
            Some(SCHEMA_VERSION) => format!("nothing to do: {} is of version {SCHEMA_VERSION}", path.display()),
            Some(version) => format!("brought {} from version {version} to {SCHEMA_VERSION}", path.display()),
        };
        screen.done(&text, &json!({ "from": from, "to": SCHEMA_VERSION, "missing": missing }))?;
        if missing.is_empty() {
            return Ok(Exit::Success);
        }
        missing.iter().for_each(|path| screen.note(&format!("there is no file {path}, of which a row speaks")));
        let files = count_text(missing.len() as u64, "artifact");
        screen.note(&format!("{files} had no file before either; `builder-db check` shows of which builds"));
        Ok(Exit::Findings)
    }
}

/// Makes the database. What a crash left of one that was about to be made is no database yet.
fn make(depot: &Depot, datadir: &Path) -> Result<(), WebError> {
    let _only_one = depot.lock_server()?;
    let path = Database::path_of(datadir);
    if found(&path)?.is_none() {
        Depot::remove(&path)?;
        Database::create(datadir)?;
    }
    Ok(())
}

/// The application and the version that a database names; none where there is no database, or an empty one.
fn found(path: &Path) -> Result<Option<(i64, i64)>, WebError> {
    if !path.exists() {
        return Ok(None);
    }
    let failed = |source| WebError::Database { action: "open", path: path.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get(0)).map_err(failed);
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0)).map_err(failed)?;
    Ok((tables > 0 || (application, version) != (0, 0)).then_some((application, version)))
}
