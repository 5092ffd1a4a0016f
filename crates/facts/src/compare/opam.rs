//! How two opam switches differ: packages, versions, opam files, vendored sources.

use super::duniverse::DuniverseDiff;
use super::text_diff::{Budget, TextDiff};
use crate::opam::{InstalledPackage, Overlay, Package, Switch, effectively_equal};
use std::collections::BTreeMap;

/// How two opam switches differ. Each list is ascending by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpamDiff {
    /// Packages only on the left, in any version.
    pub only_left: Vec<Package>,
    /// Packages only on the right, in any version.
    pub only_right: Vec<Package>,
    /// Packages of different versions.
    pub versions: Vec<VersionChange>,
    /// Packages of the same version with opam files that lead to different builds, or with one on one side only.
    pub opam_files: Vec<OpamFileChange>,
    /// The vendored sources of the packages that were asked for.
    pub duniverse: DuniverseDiff,
}

/// A package with two versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionChange {
    /// The name of the package.
    pub name: String,
    /// The version on the left.
    pub left: String,
    /// The version on the right.
    pub right: String,
}

/// Which sides have an opam file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpamFiles {
    /// Both do, and the files differ.
    Both,
    /// Only the left side does.
    OnlyLeft,
    /// Only the right side does.
    OnlyRight,
}

/// A package of the same version on both sides with different opam files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpamFileChange {
    /// The package.
    pub package: Package,
    /// Which sides have an opam file.
    pub files: OpamFiles,
    /// How the files differ in the normalized layout, also in fields that do not count.
    pub diff: TextDiff,
}

impl OpamFileChange {
    /// The diff as text, with the labels `left/<name>/opam` and `right/<name>/opam`.
    pub fn unified(&self) -> String {
        let name = &self.package.name;
        self.diff.unified(&format!("left/{name}/opam"), &format!("right/{name}/opam"))
    }
}

impl OpamDiff {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.only_left.is_empty()
            && self.only_right.is_empty()
            && self.versions.is_empty()
            && self.opam_files.is_empty()
            && self.duniverse.is_empty()
    }

    pub(super) fn of(left: &Switch, right: &Switch) -> Self {
        let mut diff = Self { duniverse: DuniverseDiff::of(left.duniverse(), right.duniverse()), ..Self::default() };
        let mut budget = Budget::default();
        let mut others: BTreeMap<&str, InstalledPackage<'_>> =
            right.packages().into_iter().map(|package| (package.name, package)).collect();
        for left in left.packages() {
            match others.remove(left.name) {
                None => diff.only_left.push(owned(&left)),
                Some(right) if right.version != left.version => diff.versions.push(VersionChange {
                    name: left.name.to_owned(),
                    left: left.version.to_owned(),
                    right: right.version.to_owned(),
                }),
                Some(right) => diff.opam_files.extend(opam_file_change(&left, &right, &mut budget)),
            }
        }
        diff.only_right = others.values().map(owned).collect();
        diff
    }
}

fn owned(package: &InstalledPackage<'_>) -> Package {
    Package { name: package.name.to_owned(), version: package.version.to_owned() }
}

fn opam_file_change(
    left: &InstalledPackage<'_>,
    right: &InstalledPackage<'_>,
    budget: &mut Budget,
) -> Option<OpamFileChange> {
    let files = match (left.overlay, right.overlay) {
        (None, None) => return None,
        (Some(left), Some(right)) if effectively_equal(left, right) => return None,
        (Some(_), Some(_)) => OpamFiles::Both,
        (Some(_), None) => OpamFiles::OnlyLeft,
        (None, Some(_)) => OpamFiles::OnlyRight,
    };
    let text = |overlay: Option<&Overlay>| overlay.map(Overlay::to_text).unwrap_or_default();
    let diff = TextDiff::of(&text(left.overlay), &text(right.overlay), budget);
    Some(OpamFileChange { package: owned(left), files, diff })
}
