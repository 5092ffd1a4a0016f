//! Artifacts whose files `builder-db check` found missing or damaged, by their content: a line of the builds that have
//! them tells it, until the file is back.

use crate::database::columns::text;
use crate::depot::Depot;
use crate::digest::Digest;
use rusqlite::{Connection, params};
use std::collections::BTreeMap;

/// Artifacts of a build that are told to be missing or damaged; further ones are not.
const SHOWN_MAX: u32 = 20;
/// What a note began with, before version 5 of our tables, that `check` had left at a build.
const NOTE_BEFORE_5: &str = "check: ";

/// What was found to be wrong with the file of an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// It is not there.
    Missing,
    /// It was not what its name says, and is set aside.
    Damaged,
}

impl Damage {
    fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Damaged => "damaged",
        }
    }

    /// What the page of a build says of the artifact at this path.
    pub(crate) fn text(self, path: &str) -> String {
        let what = match self {
            Self::Missing => "is missing on this server",
            Self::Damaged => "was damaged on this server, and is set aside",
        };
        format!("The file of the artifact {path} {what}. Another upload of the same content brings it back.")
    }
}

/// What is told at a build of its artifacts, for people. A file that is back by now, by whatever way, is no trouble.
pub(crate) fn notes(connection: &Connection, depot: &Depot, build: i64) -> rusqlite::Result<Vec<String>> {
    // Nearly always there is none.
    if !connection.prepare_cached("SELECT 1 FROM repository_damage")?.exists([])? {
        return Ok(Vec::new());
    }
    let query = "SELECT a.filepath, a.sha256, d.what FROM build_artifact a
        CROSS JOIN repository_damage d ON d.sha256 = a.sha256 WHERE a.build = ?1 ORDER BY a.filepath LIMIT ?2";
    let mut statement = connection.prepare_cached(query)?;
    let mut rows = statement.query(params![build, SHOWN_MAX])?;
    let mut notes = Vec::new();
    while let Some(row) = rows.next()? {
        let (path, digest): (String, Digest) = (text(row, 0)?, row.get(1)?);
        let damage = if text(row, 2)? == Damage::Missing.word() { Damage::Missing } else { Damage::Damaged };
        if !depot.artifact(&digest).is_file() {
            notes.push(damage.text(&path));
        }
    }
    Ok(notes)
}

/// Takes these as all that is missing or damaged.
pub(crate) fn replace(connection: &Connection, found: &[(Digest, Damage)]) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM repository_damage", [])?;
    let mut insert =
        connection.prepare_cached("INSERT OR IGNORE INTO repository_damage(sha256, what) VALUES (?1, ?2)")?;
    found.iter().try_for_each(|(digest, damage)| insert.execute(params![digest, damage.word()]).map(|_| ()))
}

/// Whether any of these was known to be missing or damaged.
pub(crate) fn is_known(connection: &Connection, mut digests: impl Iterator<Item = Digest>) -> rusqlite::Result<bool> {
    if !connection.prepare_cached("SELECT 1 FROM repository_damage")?.exists([])? {
        return Ok(false);
    }
    let mut known = connection.prepare_cached("SELECT 1 FROM repository_damage WHERE sha256 = ?1")?;
    digests.try_fold(false, |found, digest| Ok(found || known.exists([digest])?))
}

/// Takes back what was told of artifacts whose files are back.
pub(crate) fn healed(connection: &Connection, digests: impl Iterator<Item = Digest>) -> rusqlite::Result<()> {
    let mut delete = connection.prepare_cached("DELETE FROM repository_damage WHERE sha256 = ?1")?;
    digests.into_iter().try_for_each(|digest| delete.execute([digest]).map(|_| ()))
}

/// Brings what an earlier `check` noted at builds to where it is kept now.
pub(super) fn take_over_notes(connection: &Connection) -> rusqlite::Result<()> {
    let noted: BTreeMap<i64, String> = connection
        .prepare("SELECT build, notes FROM repository_build WHERE instr(notes, ?1) > 0")?
        .query_map([NOTE_BEFORE_5], |row| Ok((row.get(0)?, text(row, 1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let add = "INSERT OR IGNORE INTO repository_damage(sha256, what)
        SELECT sha256, ?3 FROM build_artifact WHERE build = ?1 AND filepath = ?2";
    for (build, notes) in noted {
        let (of_check, kept): (Vec<&str>, Vec<&str>) = notes.lines().partition(|line| line.starts_with(NOTE_BEFORE_5));
        for line in of_check {
            let told = line.strip_prefix("check: the artifact ").and_then(|told| told.rsplit_once(" is "));
            if let Some((path, what @ ("missing" | "damaged"))) = told {
                connection.execute(add, params![build, path, what])?;
            }
        }
        let kept = (!kept.is_empty()).then(|| kept.join("\n"));
        connection.execute("UPDATE repository_build SET notes = ?2 WHERE build = ?1", params![build, kept])?;
    }
    Ok(())
}
