//! How the files of two builds differ.

use std::collections::{BTreeMap, VecDeque};

/// A file of a build.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Artifact {
    /// Its path below the folder of the build.
    pub path: String,
    /// The SHA-256 of its content.
    pub sha256: [u8; 32],
    /// Its length in bytes.
    pub size: u64,
}

/// How the files of two builds differ. Each list is ascending by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArtifactsDiff {
    /// Only on the left.
    pub removed: Vec<Artifact>,
    /// Only on the right.
    pub added: Vec<Artifact>,
    /// The same path with different content.
    pub changed: Vec<ArtifactChange>,
    /// The same content under another path, where neither side has the path of the other.
    pub moved: Vec<ArtifactMove>,
}

/// A path with two contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactChange {
    /// The file on the left.
    pub left: Artifact,
    /// The file on the right, of the same path.
    pub right: Artifact,
}

/// A content under two paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactMove {
    /// The path on the left.
    pub left_path: String,
    /// The file on the right.
    pub right: Artifact,
}

impl ArtifactsDiff {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.added.is_empty() && self.changed.is_empty() && self.moved.is_empty()
    }

    pub(super) fn of(left: &[Artifact], right: &[Artifact]) -> Self {
        let (left, mut right) = (by_path(left), by_path(right));
        let mut diff = Self::default();
        for (path, left) in left {
            match right.remove(path) {
                None => diff.removed.push(left.clone()),
                Some(right) if right.sha256 == left.sha256 => {}
                Some(right) => diff.changed.push(ArtifactChange { left: left.clone(), right: right.clone() }),
            }
        }
        diff.added = right.into_values().cloned().collect();
        diff.find_moves();
        diff
    }

    /// Joins removed and added files of the same content, in the order of their paths.
    fn find_moves(&mut self) {
        let mut arrivals: BTreeMap<[u8; 32], VecDeque<Artifact>> = BTreeMap::new();
        for artifact in self.added.drain(..) {
            arrivals.entry(artifact.sha256).or_default().push_back(artifact);
        }
        for left in std::mem::take(&mut self.removed) {
            match arrivals.get_mut(&left.sha256).and_then(VecDeque::pop_front) {
                Some(right) => self.moved.push(ArtifactMove { left_path: left.path, right }),
                None => self.removed.push(left),
            }
        }
        self.added = arrivals.into_values().flatten().collect();
        self.added.sort();
    }
}

fn by_path(artifacts: &[Artifact]) -> BTreeMap<&str, &Artifact> {
    artifacts.iter().map(|artifact| (artifact.path.as_str(), artifact)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_move_change_come_and_go() {
        let artifact = |path: &str, content: u8| Artifact { path: path.to_owned(), sha256: [content; 32], size: 7 };
        let left =
            [artifact("same", 1), artifact("old", 2), artifact("gone", 3), artifact("edit", 4), artifact("a", 5)];
        let right =
            [artifact("edit", 6), artifact("same", 1), artifact("new", 2), artifact("copy", 2), artifact("b", 7)];
        let diff = ArtifactsDiff::of(&left, &right);
        assert_eq!(diff.removed, [artifact("a", 5), artifact("gone", 3)]);
        assert_eq!(diff.added, [artifact("b", 7), artifact("new", 2)]);
        assert_eq!(diff.changed, [ArtifactChange { left: artifact("edit", 4), right: artifact("edit", 6) }]);
        assert_eq!(diff.moved, [ArtifactMove { left_path: "old".to_owned(), right: artifact("copy", 2) }]);
        assert!(ArtifactsDiff::of(&left, &left).is_empty());
    }
}
