//! Rows against rows: what names a row that is not there. The original's server enforces no foreign keys, and knows
//! nothing of our tables.

use super::{Kind, Mode, Report};
use crate::admin::folder::Folder;
use crate::database::damage::{self, Damage};
use crate::digest::Digest;
use crate::error::WebError;
use rusqlite::Connection;
use std::collections::BTreeMap;

/// Our tables, and the condition of a row that names nothing that there is.
const OWN: [(&str, &str); 10] = [
    ("repository_build", "build NOT IN (SELECT id FROM build)"),
    ("repository_stale", "build NOT IN (SELECT id FROM build)"),
    ("repository_pin", "build NOT IN (SELECT id FROM build)"),
    ("repository_hook_run", "build NOT IN (SELECT id FROM build)"),
    ("repository_token", "user NOT IN (SELECT id FROM user)"),
    ("repository_token_scope", "token NOT IN (SELECT id FROM repository_token)"),
    ("repository_binary", "sha256 NOT IN (SELECT sha256 FROM build_artifact)"),
    ("repository_damage", "sha256 NOT IN (SELECT sha256 FROM build_artifact)"),
    ("repository_inventory", "sha256 NOT IN (SELECT sha256 FROM build_artifact)"),
    ("repository_package", "inventory NOT IN (SELECT id FROM repository_inventory)"),
];
/// Faults of the database file that are shown.
const FAULTS_MAX: u32 = 20;

/// Looks at the database by itself.
pub(super) fn audit(folder: &Folder, mode: Mode, report: &mut Report) -> anyhow::Result<()> {
    for fault in folder.read(faults)? {
        report.find(Kind::DatabaseDamaged, "builder.sqlite3", fault, false);
    }
    let found = folder.read(dangling)?;
    let left = match mode {
        Mode::Repair if !found.is_empty() => {
            folder.database.write(|transaction| mend(transaction).map_err(|error| folder.database.failed(error)))?
        }
        Mode::Look | Mode::Repair => found.clone(),
    };
    for ((table, parent), count) in found {
        let is_mended = !left.contains_key(&(table.clone(), parent.clone()));
        report.find(Kind::RowDangling, table, format!("{count} rows name what is not in {parent}"), is_mended);
    }
    for (table, condition) in OWN {
        let count: u64 = match mode {
            Mode::Look => folder.read(|connection| {
                let sql = format!("SELECT count(*) FROM {table} WHERE {condition}");
                connection.query_row(&sql, [], |row| row.get(0))
            })?,
            Mode::Repair => folder.write(|transaction| {
                Ok(transaction.execute(&format!("DELETE FROM {table} WHERE {condition}"), [])? as u64)
            })?,
        };
        if count > 0 {
            let what = format!("{count} rows name what is not there");
            report.find(Kind::RowDangling, table, what, mode == Mode::Repair);
        }
    }
    Ok(())
}

fn faults(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let faults = connection
        .prepare(&format!("PRAGMA quick_check({FAULTS_MAX})"))?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    Ok(faults.into_iter().filter(|fault| fault != "ok").collect())
}

/// How rows of the original's tables are mended that name what is not there: those go that say nothing by themselves. A
/// build without its job or its user stays, as nobody can tell whose it is.
const MENDED: [&str; 4] = [
    "DELETE FROM access_list WHERE user NOT IN (SELECT id FROM user) OR job NOT IN (SELECT id FROM job)",
    "DELETE FROM job_tag WHERE tag NOT IN (SELECT id FROM tag) OR job NOT IN (SELECT id FROM job)",
    "DELETE FROM build_artifact WHERE build NOT IN (SELECT id FROM build)",
    "UPDATE build SET main_binary = NULL WHERE main_binary NOT IN (SELECT id FROM build_artifact)",
];

/// Mends what can be, and gives what is left.
fn mend(transaction: &Connection) -> rusqlite::Result<Dangling> {
    for statement in MENDED {
        transaction.execute(statement, [])?;
    }
    dangling(transaction)
}

/// So many rows of one table name what is not in another.
type Dangling = BTreeMap<(String, String), u64>;

/// Rows of the original's tables that name what is not there, by their table and the table that they name.
fn dangling(connection: &Connection) -> rusqlite::Result<Dangling> {
    let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
    let mut rows = statement.query([])?;
    let mut counts = Dangling::new();
    while let Some(row) = rows.next()? {
        let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
        if !table.starts_with("repository_") {
            *counts.entry((table, parent)).or_default() += 1;
        }
    }
    Ok(counts)
}

/// Notes which artifacts are missing or damaged, and takes back what is no longer so.
pub(super) fn mark(folder: &Folder, damaged: &[(Digest, Damage)]) -> Result<(), WebError> {
    folder
        .database
        .write(|transaction| damage::replace(transaction, damaged).map_err(|error| folder.database.failed(error)))
}
