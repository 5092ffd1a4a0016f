//! How the vendored sources of two unikernels differ.

use crate::opam::{Duniverse, DuniverseDirectory};
use std::collections::{BTreeMap, BTreeSet};

/// How the vendored sources of two unikernels differ. Each list is ascending by directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DuniverseDiff {
    /// Only on the left.
    pub only_left: Vec<DuniverseDirectory>,
    /// Only on the right.
    pub only_right: Vec<DuniverseDirectory>,
    /// On both sides, with different content.
    pub changed: Vec<DuniverseChange>,
    /// Entries on the left that could not be read, and so were not compared.
    pub malformed_left: Vec<String>,
    /// Entries on the right that could not be read, and so were not compared.
    pub malformed_right: Vec<String>,
}

/// A directory with two contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuniverseChange {
    /// The directory.
    pub directory: String,
    /// Where the left content came from.
    pub left_url: String,
    /// Where the right content came from.
    pub right_url: String,
    /// The hashes that differ, ascending by kind.
    pub hashes: Vec<HashChange>,
}

/// A hash of a directory that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashChange {
    /// The kind, such as `sha256`.
    pub kind: String,
    /// The value on the left; absent if there is none of this kind.
    pub left: Option<String>,
    /// The value on the right; absent if there is none of this kind.
    pub right: Option<String>,
}

impl DuniverseDiff {
    /// Whether nothing differs, as far as it could be read.
    pub fn is_empty(&self) -> bool {
        self.only_left.is_empty() && self.only_right.is_empty() && self.changed.is_empty()
    }

    pub(super) fn of(left: Duniverse, right: Duniverse) -> Self {
        let mut others: BTreeMap<String, DuniverseDirectory> =
            right.directories.into_iter().map(|entry| (entry.directory.clone(), entry)).collect();
        let mut diff = Self { malformed_left: left.malformed, malformed_right: right.malformed, ..Self::default() };
        for left in left.directories {
            match others.remove(&left.directory) {
                None => diff.only_left.push(left),
                Some(right) if is_same_content(&left, &right) => {}
                Some(right) => diff.changed.push(change(left, right)),
            }
        }
        diff.only_right = others.into_values().collect();
        diff
    }
}

/// Hashes decide where both sides have them; the URL only where neither has any.
fn is_same_content(left: &DuniverseDirectory, right: &DuniverseDirectory) -> bool {
    left.hashes == right.hashes && (!left.hashes.is_empty() || left.url == right.url)
}

fn change(left: DuniverseDirectory, right: DuniverseDirectory) -> DuniverseChange {
    let left_hashes: BTreeMap<String, String> = left.hashes.into_iter().collect();
    let right_hashes: BTreeMap<String, String> = right.hashes.into_iter().collect();
    let kinds: BTreeSet<&String> = left_hashes.keys().chain(right_hashes.keys()).collect();
    let differing = kinds.into_iter().filter(|kind| left_hashes.get(*kind) != right_hashes.get(*kind));
    let hashes = differing
        .map(|kind| HashChange {
            kind: kind.clone(),
            left: left_hashes.get(kind).cloned(),
            right: right_hashes.get(kind).cloned(),
        })
        .collect();
    DuniverseChange { directory: left.directory, left_url: left.url, right_url: right.url, hashes }
}
