//! How two builds differ, out of their rows and files. The comparison itself is `builder_facts`' business; here its
//! inputs are read, and what it found is kept.
//!
//! What was found hangs on nothing but the content of the files, which never changes under its digest. So it is kept
//! by the digests of both sides, bounded in bytes; the one that was asked for longest ago leaves first.

use crate::database::artifact::{self, Artifact};
use crate::database::build::Build;
use crate::depot::{Depot, Unreadable};
use crate::digest::Digest;
use crate::http::Refusal;
use crate::limits::{
    COMPARED_ARTIFACTS_MAX, COMPARED_SCRIPT_BYTES_MAX, COMPARISONS_AT_ONCE_MAX, COMPARISONS_BYTES_MAX, FACTS_BYTES_MAX,
};
use builder_facts::buildinfo::Buildinfo;
use builder_facts::compare::{self, Comparison, Input, Side};
use builder_facts::opam::Switch;
use builder_facts::{environment, system_packages};
use rusqlite::Connection;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// The files that are compared beside the artifacts themselves, in this order.
pub(crate) const INPUTS: [&str; 3] = ["opam-switch", "build-environment", "system-packages"];

/// The rows of one side.
#[derive(Debug, Clone)]
pub(crate) struct SideRows {
    /// The build.
    pub(crate) build: Build,
    /// Its main binary.
    pub(crate) main_binary: Option<Artifact>,
    /// Its artifacts, as many as are compared.
    pub(crate) artifacts: Vec<Artifact>,
    /// Whether it has more of them.
    pub(crate) is_cut: bool,
    /// Its files of [`INPUTS`].
    inputs: [Option<Digest>; 3],
    /// Its `.buildinfo`, which tells of environment and system packages where their files are not there.
    buildinfo: Option<Digest>,
}

/// How two builds differ.
#[derive(Debug, Clone)]
pub(crate) struct Compared {
    /// What they were made from. Its list of artifacts is empty: that one is in `artifacts`.
    pub(crate) inputs: Arc<Comparison>,
    /// What they left.
    pub(crate) artifacts: compare::ArtifactsDiff,
    /// What could not be read, for people.
    pub(crate) notes: Vec<String>,
}

/// Reads the rows of one side.
pub(crate) fn side_rows(connection: &Connection, build: Build) -> rusqlite::Result<SideRows> {
    let mut artifacts = artifact::some(connection, build.id, 0, COMPARED_ARTIFACTS_MAX + 1)?;
    let is_cut = artifacts.len() > COMPARED_ARTIFACTS_MAX as usize;
    artifacts.truncate(COMPARED_ARTIFACTS_MAX as usize);
    let main_binary = artifact::main_binary(connection, &build)?;
    let mut inputs = [None; 3];
    for (input, path) in inputs.iter_mut().zip(INPUTS) {
        *input = artifact::at(connection, build.id, path)?.map(|artifact| artifact.sha256);
    }
    let buildinfo = artifact::buildinfo(connection, &build)?.map(|artifact| artifact.sha256);
    Ok(SideRows { build, main_binary, artifacts, is_cut, inputs, buildinfo })
}

/// Compares two builds; for code that may block. What is not kept is compared one pair after the other, as each pair
/// takes memory.
pub(crate) fn compare(
    depot: &Depot,
    kept: &Comparisons,
    left: &SideRows,
    right: &SideRows,
) -> Result<Compared, Refusal> {
    let mut notes = Vec::new();
    let scripts = [read_script(depot, "left", left, &mut notes), read_script(depot, "right", right, &mut notes)];
    let are_scripts_read = notes.is_empty();
    let key = Key { left: left.key(scripts[0].as_deref()), right: right.key(scripts[1].as_deref()) };
    let _place = kept.places.try_acquire().map_err(|_| Refusal::Busy(1))?;
    let known = kept.look_up(&key);
    let _turn = known.is_none().then(|| kept.turn.lock().unwrap_or_else(PoisonError::into_inner));
    // Another one may have asked for the same pair just before.
    let inputs = known.or_else(|| kept.look_up(&key)).unwrap_or_else(|| {
        let [left_script, right_script] = scripts;
        let sides = [
            Side { script: left_script, ..read_side(depot, "left", left, &mut notes) },
            Side { script: right_script, ..read_side(depot, "right", right, &mut notes) },
        ];
        let comparison = Arc::new(compare::compare(&sides[0], &sides[1]));
        if notes.is_empty() && are_scripts_read {
            // A file that is missing now may be back later, so only what was read in full is kept.
            kept.keep(key, &comparison);
        }
        comparison
    });
    for (side, rows) in [("left", left), ("right", right)] {
        if rows.is_cut {
            let text =
                format!("Of the artifacts of the {side} build, only the first {COMPARED_ARTIFACTS_MAX} are compared.");
            notes.push(text);
        }
    }
    let of = |rows: &SideRows| Side { artifacts: rows.artifacts.iter().map(fact).collect(), ..Side::default() };
    let artifacts = compare::compare(&of(left), &of(right)).artifacts;
    Ok(Compared { inputs, artifacts, notes })
}

/// How an input of one side is, in a word; of one that could not be read, why.
pub(crate) fn input_text(input: &Input) -> String {
    match input {
        Input::Readable => "readable".into(),
        Input::Absent => "absent".into(),
        Input::Unreadable(error) => error.to_string(),
    }
}

fn fact(artifact: &Artifact) -> compare::Artifact {
    compare::Artifact { path: artifact.path.clone(), sha256: artifact.sha256.0, size: artifact.size }
}

fn read_side(depot: &Depot, side: &str, rows: &SideRows, notes: &mut Vec<String>) -> Side {
    let mut read = |digest: Option<Digest>, name: &str| {
        let bytes = digest.map(|digest| depot.read_artifact(&digest, FACTS_BYTES_MAX)).transpose();
        bytes.unwrap_or_else(|error: Unreadable| {
            notes.push(format!("The {name} of the {side} build is not compared: {error}."));
            None
        })
    };
    let [switch, environment, packages] = rows.inputs;
    let buildinfo = rows.buildinfo.filter(|_| environment.is_none() || packages.is_none());
    // Only one that was read when the build arrived is known.
    let buildinfo = read(buildinfo, ".buildinfo").and_then(|bytes| Buildinfo::parse(&bytes).ok());
    let environment = read(environment, INPUTS[1]).map(|bytes| environment::parse(&bytes));
    let packages = read(packages, INPUTS[2]).map(|bytes| system_packages::parse(&bytes));
    Side {
        switch: read(switch, INPUTS[0]).map(|bytes| Switch::parse(&bytes)),
        environment: environment.or_else(|| buildinfo.as_ref().map(Buildinfo::environment)),
        system_packages: packages.or_else(|| buildinfo.as_ref().map(Buildinfo::system_packages)),
        script: None,
        artifacts: Vec::new(),
    }
}

/// Reads the script of one side; what cannot be read is a note.
fn read_script(depot: &Depot, side: &str, rows: &SideRows, notes: &mut Vec<String>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let path = depot.file_of_row(&rows.build.script)?;
    let read = File::open(&path).and_then(|file| file.take(COMPARED_SCRIPT_BYTES_MAX + 1).read_to_end(&mut bytes));
    let why = match read {
        Ok(count) if u64::try_from(count).unwrap_or(u64::MAX) > COMPARED_SCRIPT_BYTES_MAX => {
            "it is too long".to_owned()
        }
        Ok(_) => return Some(bytes),
        Err(error) => {
            tracing::warn!("cannot read {}: {error}", path.display());
            "its file cannot be read on this server".to_owned()
        }
    };
    notes.push(format!("The script of the {side} build is not compared: {why}."));
    None
}

impl SideRows {
    fn key(&self, script: Option<&[u8]>) -> SideKey {
        let script = script.map(Digest::of);
        SideKey { inputs: self.inputs, buildinfo: self.buildinfo, script }
    }
}

/// What tells one comparison of inputs from another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    left: SideKey,
    right: SideKey,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct SideKey {
    inputs: [Option<Digest>; 3],
    buildinfo: Option<Digest>,
    script: Option<Digest>,
}

/// The comparisons that are kept.
#[derive(Debug)]
pub(crate) struct Comparisons {
    kept: Mutex<Kept>,
    turn: Mutex<()>,
    places: Semaphore,
}

impl Default for Comparisons {
    fn default() -> Self {
        Self { kept: Mutex::default(), turn: Mutex::new(()), places: Semaphore::new(COMPARISONS_AT_ONCE_MAX) }
    }
}

#[derive(Debug, Default)]
struct Kept {
    comparisons: HashMap<Key, Entry>,
    bytes: usize,
    /// Counts look-ups, to know what was asked for longest ago.
    now: u64,
}

#[derive(Debug)]
struct Entry {
    comparison: Arc<Comparison>,
    bytes: usize,
    asked: u64,
}

impl Comparisons {
    fn look_up(&self, key: &Key) -> Option<Arc<Comparison>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.now += 1;
        let now = kept.now;
        let entry = kept.comparisons.get_mut(key)?;
        entry.asked = now;
        Some(Arc::clone(&entry.comparison))
    }

    fn keep(&self, key: Key, comparison: &Arc<Comparison>) {
        let bytes = weight(comparison) + size_of::<Entry>() + size_of::<Key>();
        if bytes > COMPARISONS_BYTES_MAX / 4 {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.now += 1;
        let entry = Entry { comparison: Arc::clone(comparison), bytes, asked: kept.now };
        kept.bytes += bytes;
        if let Some(replaced) = kept.comparisons.insert(key, entry) {
            kept.bytes -= replaced.bytes;
        }
        while kept.bytes > COMPARISONS_BYTES_MAX {
            let oldest = kept.comparisons.iter().min_by_key(|(_, entry)| entry.asked).map(|(key, _)| key.clone());
            let Some(removed) = oldest.and_then(|key| kept.comparisons.remove(&key)) else { break };
            kept.bytes -= removed.bytes;
        }
    }
}

/// About how many bytes a comparison takes: its texts, and a bit for each.
fn weight(comparison: &Comparison) -> usize {
    let text = |text: &str| text.len() + size_of::<String>() + 16;
    let mut bytes = size_of::<Comparison>();
    let script = comparison.script.compared().into_iter().flat_map(|diff| &diff.hunks).flat_map(|hunk| &hunk.lines);
    bytes += script.map(|line| text(&line.text)).sum::<usize>();
    for diff in [&comparison.environment, &comparison.system_packages].into_iter().filter_map(|part| part.compared()) {
        let single = diff.removed.iter().chain(&diff.added).map(|entry| text(&entry.name) + text(&entry.value));
        let changed = diff.changed.iter().map(|entry| text(&entry.name) + text(&entry.left) + text(&entry.right));
        bytes += single.chain(changed).sum::<usize>();
    }
    let Some(opam) = comparison.opam.compared() else { return bytes };
    let packages = opam.only_left.iter().chain(&opam.only_right).map(|entry| text(&entry.name) + text(&entry.version));
    let versions = opam.versions.iter().map(|entry| text(&entry.name) + text(&entry.left) + text(&entry.right));
    let lines = opam.opam_files.iter().flat_map(|file| &file.diff.hunks).flat_map(|hunk| &hunk.lines);
    let directories = opam.duniverse.only_left.iter().chain(&opam.duniverse.only_right);
    let changes = opam.duniverse.changed.iter();
    bytes
        + packages.chain(versions).sum::<usize>()
        + lines.map(|line| text(&line.text)).sum::<usize>()
        + directories.map(|entry| text(&entry.directory) + text(&entry.url) + 256).sum::<usize>()
        + changes
            .map(|entry| text(&entry.directory) + text(&entry.left_url) + text(&entry.right_url) + 512)
            .sum::<usize>()
}
