//! The artifacts of a build as a tree of folders, in the flat form that a template can walk without recursion.
//!
//! Paths are whatever an uploader chose, so depth is bounded: below [`TREE_DEPTH_MAX`] folders the rest of a path is
//! shown as the name of the file.

use crate::database::artifact::Artifact;
use crate::limits::TREE_DEPTH_MAX;

/// One step of a walk through the tree.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// A folder begins.
    Enter(Folder),
    /// A file of the folder that is open.
    File(Leaf<'a>),
    /// The folder that was opened last ends.
    Leave,
}

/// A folder; a chain of folders with nothing else in them is one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Folder {
    /// Its name, below the folder that it is in.
    pub(crate) name: String,
    /// Files in it, at any depth.
    pub(crate) files: usize,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Whether it is shown open: small ones are.
    pub(crate) open: bool,
}

/// A file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Leaf<'a> {
    /// Its name, below the folder that it is in.
    pub(crate) name: &'a str,
    /// All about it.
    pub(crate) artifact: &'a Artifact,
}

/// Files that a folder may have and still be shown open.
const OPEN_FILES_MAX: usize = 12;

/// The walk through these artifacts, which are in the order of their paths.
pub(crate) fn walk(artifacts: &[Artifact]) -> Vec<Step<'_>> {
    // Paths in the order of their bytes do not keep a folder together ("a-b" is before "a/b"), those in the order of
    // their segments do.
    let mut leaves: Vec<(Vec<&str>, &Artifact)> =
        artifacts.iter().map(|artifact| (segments(&artifact.path), artifact)).collect();
    leaves.sort_by(|(left, _), (right, _)| left.cmp(right));
    let mut steps = Vec::with_capacity(leaves.len() * 2);
    walk_folder(&leaves, 0, &mut steps);
    steps
}

/// The folders of a path, and its last segment; never more than [`TREE_DEPTH_MAX`] folders.
fn segments(path: &str) -> Vec<&str> {
    path.splitn(TREE_DEPTH_MAX + 1, '/').collect()
}

/// Adds what is in one folder: leaves that agree in their first `depth` segments. Recursion ends at [`TREE_DEPTH_MAX`].
fn walk_folder<'a>(leaves: &[(Vec<&'a str>, &'a Artifact)], depth: usize, steps: &mut Vec<Step<'a>>) {
    let is_file = |leaf: &(Vec<&str>, _)| leaf.0.len() == depth + 1;
    // Folders first, as file managers have it.
    for group in leaves.chunk_by(|left, right| !is_file(left) && !is_file(right) && left.0[depth] == right.0[depth]) {
        let Some(first) = group.first().filter(|first| !is_file(first)) else { continue };
        let inner = common_depth(group, depth);
        steps.push(Step::Enter(Folder {
            name: first.0[depth..inner].join("/"),
            files: group.len(),
            bytes: group.iter().map(|(_, artifact)| artifact.size).fold(0, u64::saturating_add),
            open: group.len() <= OPEN_FILES_MAX,
        }));
        walk_folder(group, inner, steps);
        steps.push(Step::Leave);
    }
    for (segments, artifact) in leaves.iter().filter(|leaf| is_file(leaf)) {
        steps.push(Step::File(Leaf { name: segments[depth], artifact }));
    }
}

/// How many folders all of these share, beginning with the one at `depth`.
fn common_depth(leaves: &[(Vec<&str>, &Artifact)], depth: usize) -> usize {
    let Some((first, _)) = leaves.first() else { return depth + 1 };
    let shared = |at: &usize| leaves.iter().all(|(segments, _)| segments.len() > at + 1 && segments[*at] == first[*at]);
    (depth + 1..first.len()).find(|at| !shared(at)).unwrap_or(depth + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn picture(paths: &[&str]) -> String {
        let artifacts: Vec<Artifact> = paths
            .iter()
            .zip(1..)
            .map(|(path, id)| Artifact { id, path: (*path).into(), sha256: Digest::of(b"x"), size: 10 })
            .collect();
        let mut depth = 0;
        let mut lines = Vec::new();
        for step in walk(&artifacts) {
            match step {
                Step::Enter(folder) => {
                    let indent = "  ".repeat(depth);
                    lines.push(format!("{indent}{}/ {} files, {} bytes", folder.name, folder.files, folder.bytes));
                    depth += 1;
                }
                Step::File(leaf) => lines.push(format!("{}{}", "  ".repeat(depth), leaf.name)),
                Step::Leave => depth -= 1,
            }
        }
        assert_eq!(depth, 0, "every folder is left again");
        lines.join("\n")
    }

    #[test]
    fn folders_come_first_and_chains_of_them_are_one() {
        insta::assert_snapshot!(
            picture(&["a-b", "a/b/c/x", "a/b/c/y", "bin/hello", "bin/tools/t", "build-environment", "usr/share/doc/z"]),
            @r"
        a/b/c/ 2 files, 20 bytes
          x
          y
        bin/ 2 files, 20 bytes
          tools/ 1 files, 10 bytes
            t
          hello
        usr/share/doc/ 1 files, 10 bytes
          z
        a-b
        build-environment
        "
        );
    }

    #[test]
    fn a_file_may_have_the_name_of_a_folder_and_paths_may_be_strange() {
        insta::assert_snapshot!(picture(&["a", "a/b", "a//c", "/etc/passwd", "..//x"]), @r"
        /etc/ 1 files, 10 bytes
          passwd
        ..// 1 files, 10 bytes
          x
        a/ 2 files, 20 bytes
          / 1 files, 10 bytes
            c
          b
        a
        ");
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("{}x", "d/".repeat(2000));
        let wide = format!("{}y", "d/".repeat(2000));
        let picture = picture(&[&deep, &wide, "z"]);
        assert_eq!(picture.lines().count(), 4, "one chain, two files, one more");
        assert!(picture.lines().nth(1).unwrap().trim_start().starts_with("d/d/"));
    }
}
