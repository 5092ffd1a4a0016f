//! The artifacts of builds as rows have them. Their content lies in the depot.

use super::build::{Build, Derived};
use super::columns::text;
use crate::digest::Digest;
use builder_facts::identity::{InputKind, buildinfo_path};
use rusqlite::{Connection, Params, Row, params};

/// A file that a build left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its row.
    pub(crate) id: i64,
    /// Where it lay below the folder of the build.
    pub(crate) path: String,
    /// Its SHA-256.
    pub(crate) sha256: Digest,
    /// Its bytes.
    pub(crate) size: u64,
}

/// Tells whether a row of `build_artifact` is one of an artifact: it has a digest. Of one that is spoilt nothing is shown;
/// `builder-db check` names it.
macro_rules! is_sound {
    ($sha256:literal) => {
        concat!("typeof(", $sha256, ") = 'blob' AND length(", $sha256, ") = 32")
    };
}
pub(super) use is_sound;

/// Artifacts of a build in the order of their paths, at most so many, after leaving out the first of them.
pub(crate) fn some(connection: &Connection, build: i64, from: u32, count: u32) -> rusqlite::Result<Vec<Artifact>> {
    select_sound(connection, "build = ?1 ORDER BY filepath LIMIT ?3 OFFSET ?2", params![build, from, count])
}

/// The artifacts of a build that are shown. Others are looked for among them, where they are all of them.
#[derive(Debug)]
pub(crate) struct Listing<'a> {
    connection: &'a Connection,
    build: &'a Build,
    shown: Vec<Artifact>,
    is_whole: bool,
}

impl<'a> Listing<'a> {
    /// As [`some`] has them.
    pub(crate) fn of(connection: &'a Connection, build: &'a Build, from: u32, count: u32) -> rusqlite::Result<Self> {
        let shown = some(connection, build.id, from, count)?;
        let is_all = |derived: &Derived| derived.artifact_count <= u64::from(count);
        let is_whole = from == 0 && build.derived.as_ref().is_some_and(is_all);
        Ok(Self { connection, build, shown, is_whole })
    }

    /// The artifact at exactly this path.
    pub(crate) fn at(&self, path: &str) -> rusqlite::Result<Option<Artifact>> {
        if self.is_whole {
            return Ok(self.shown.iter().find(|artifact| artifact.path == path).cloned());
        }
        at(self.connection, self.build.id, path)
    }

    /// The main binary.
    pub(crate) fn main_binary(&self) -> rusqlite::Result<Option<Artifact>> {
        if self.is_whole {
            return Ok(self.shown.iter().find(|artifact| Some(artifact.id) == self.build.main_binary).cloned());
        }
        main_binary(self.connection, self.build)
    }

    /// All artifacts, if these are all.
    pub(super) fn all(&self) -> Option<&[Artifact]> {
        self.is_whole.then_some(&self.shown)
    }

    /// The build that they are of.
    pub(super) fn build(&self) -> &'a Build {
        self.build
    }

    /// Those that are shown.
    pub(crate) fn into_shown(self) -> Vec<Artifact> {
        self.shown
    }
}

/// All artifacts of a build, in the order of their rows, or none: what is put together of them is whole.
pub(crate) fn all(connection: &Connection, build: i64) -> rusqlite::Result<Vec<Artifact>> {
    select(connection, "build = ?1 ORDER BY id", [build])
}

/// The artifact of a build at exactly this path.
pub(crate) fn at(connection: &Connection, build: i64, path: &str) -> rusqlite::Result<Option<Artifact>> {
    Ok(select_sound(connection, "build = ?1 AND filepath = ?2", params![build, path])?.pop())
}

/// The main binary of a build.
pub(crate) fn main_binary(connection: &Connection, build: &Build) -> rusqlite::Result<Option<Artifact>> {
    let Some(id) = build.main_binary else { return Ok(None) };
    Ok(select_sound(connection, "id = ?1", [id])?.pop())
}

/// The `.buildinfo` of a build; none unless its input is told by it.
pub(crate) fn buildinfo(connection: &Connection, build: &Build) -> rusqlite::Result<Option<Artifact>> {
    let input = build.derived.as_ref().and_then(|derived| derived.input);
    if input.is_none_or(|(kind, _)| kind != InputKind::Buildinfo) {
        return Ok(None);
    }
    let found = select_sound(connection, "build = ?1 AND filepath GLOB '*.buildinfo'", [build.id])?;
    let path = buildinfo_path(found.iter().map(|artifact| artifact.path.as_str())).map(str::to_owned);
    Ok(found.into_iter().find(|artifact| Some(&artifact.path) == path.as_ref()))
}

fn select_sound(connection: &Connection, condition: &str, values: impl Params) -> rusqlite::Result<Vec<Artifact>> {
    select(connection, &format!("{} AND {condition}", is_sound!("sha256")), values)
}

fn select(connection: &Connection, condition: &str, values: impl Params) -> rusqlite::Result<Vec<Artifact>> {
    let query = format!("SELECT id, filepath, sha256, size FROM build_artifact WHERE {condition}");
    connection.prepare_cached(&query)?.query_map(values, from_row)?.collect()
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Artifact> {
    Ok(Artifact { id: row.get(0)?, path: text(row, 1)?, sha256: row.get(2)?, size: row.get(3)? })
}

/// How many artifacts a build has, and their bytes together: for builds of which nothing was derived yet.
pub(crate) fn sums(connection: &Connection, build: i64) -> rusqlite::Result<(u64, u64)> {
    let query = "SELECT count(*), coalesce(sum(size), 0) FROM build_artifact WHERE build = ?1";
    connection.prepare_cached(query)?.query_row([build], |row| Ok((row.get(0)?, row.get(1)?)))
}
