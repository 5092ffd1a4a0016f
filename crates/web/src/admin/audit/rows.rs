//! Rows against rows: what names a row that is not there. The original's server enforces no foreign keys, and knows
//! nothing of our tables.

use super::artifacts::Damaged;
use super::{Kind, Mode, Report};
use crate::admin::folder::Folder;
use crate::error::WebError;
use rusqlite::{Connection, params};
use std::collections::BTreeMap;

/// Our tables, and the condition of a row that names nothing that there is.
const OWN: [(&str, &str); 8] = [
    ("repository_build", "build NOT IN (SELECT id FROM build)"),
    ("repository_stale", "build NOT IN (SELECT id FROM build)"),
    ("repository_pin", "build NOT IN (SELECT id FROM build)"),
    ("repository_hook_run", "build NOT IN (SELECT id FROM build)"),
    ("repository_token", "user NOT IN (SELECT id FROM user)"),
    ("repository_binary", "sha256 NOT IN (SELECT sha256 FROM build_artifact)"),
    ("repository_inventory", "sha256 NOT IN (SELECT sha256 FROM build_artifact)"),
    ("repository_package", "inventory NOT IN (SELECT id FROM repository_inventory)"),
];
/// Faults of the database file that are shown.
const FAULTS_MAX: u32 = 20;
/// What a note of this program begins with, so that it finds its own again.
const NOTE: &str = "check: ";

/// Looks at the database by itself.
pub(super) fn audit(folder: &Folder, mode: Mode, report: &mut Report) -> anyhow::Result<()> {
    for fault in folder.read(faults)? {
        report.find(Kind::DatabaseDamaged, "builder.sqlite3", fault, false);
    }
    for (table, parent, count) in folder.read(dangling)? {
        report.find(Kind::RowDangling, table, format!("{count} rows name what is not in {parent}"), false);
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

/// Rows of the original's tables that name what is not there, by their table and the table that they name.
fn dangling(connection: &Connection) -> rusqlite::Result<Vec<(String, String, u64)>> {
    let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
    let mut rows = statement.query([])?;
    let mut counts: BTreeMap<(String, String), u64> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
        if !table.starts_with("repository_") {
            *counts.entry((table, parent)).or_default() += 1;
        }
    }
    Ok(counts.into_iter().map(|((table, parent), count)| (table, parent, count)).collect())
}

/// Notes at the builds which of their artifacts are missing or damaged, and takes back what is no longer so.
pub(super) fn mark(folder: &Folder, damaged: &[Damaged]) -> Result<(), WebError> {
    folder.database.write(|transaction| mark_rows(transaction, damaged).map_err(|error| folder.database.failed(error)))
}

fn mark_rows(transaction: &Connection, damaged: &[Damaged]) -> rusqlite::Result<()> {
    let mut notes: BTreeMap<i64, Vec<String>> = transaction
        .prepare("SELECT build FROM repository_build WHERE instr(notes, ?1) > 0")?
        .query_map([NOTE], |row| Ok((row.get(0)?, Vec::new())))?
        .collect::<rusqlite::Result<_>>()?;
    let mut named = transaction.prepare("SELECT build, filepath FROM build_artifact WHERE sha256 = ?1")?;
    for Damaged { digest, what } in damaged {
        for row in named.query_map([digest], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))? {
            let (build, path) = row?;
            let path = builder_model::Shown(path.as_bytes()).to_string();
            notes.entry(build).or_default().push(format!("{NOTE}the artifact {path} is {what}"));
        }
    }
    for (build, lines) in notes {
        let old = transaction.query_row("SELECT notes FROM repository_build WHERE build = ?1", [build], |row| {
            row.get::<_, Option<String>>(0)
        });
        // Facts of a build that the original received may not be there yet, and so neither a place for a note.
        let Ok(old) = old else { continue };
        let old = old.unwrap_or_default();
        let kept = old.lines().filter(|line| !line.starts_with(NOTE)).map(str::to_owned);
        let all: Vec<String> = kept.chain(lines).collect();
        let text = if all.is_empty() { None } else { Some(all.join("\n")) };
        transaction.execute("UPDATE repository_build SET notes = ?2 WHERE build = ?1", params![build, text])?;
    }
    Ok(())
}
