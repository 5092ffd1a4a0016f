//! A comparison as JSON, with the keys and orders that tools such as mollymawk expect of the original.
//!
//! One thing differs: the original had entries of only the left side under `right_packages`, and the reverse. Its readers
//! expect the meaning that the names have, and so do we.

use super::duniverse::DuniverseDiff;
use super::key_values::KeyValuesDiff;
use super::opam::{OpamDiff, OpamFileChange};
use super::{Comparison, Part};
use crate::opam::{DuniverseDirectory, Package};
use serde::Serialize;

/// A comparison as the original shows it, without what it says about the two builds. A part that could not be compared is
/// there with empty lists, as each key is required.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LegacyComparison {
    /// The variables of the environment.
    pub env_diff: LegacyKeyValues,
    /// The packages of the operating system.
    pub package_diff: LegacyKeyValues,
    /// The opam packages.
    pub opam_diff: LegacyOpam,
}

/// Names and values that differ, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LegacyKeyValues {
    /// Only on the left.
    pub left_packages: Vec<LegacyPackage>,
    /// Only on the right.
    pub right_packages: Vec<LegacyPackage>,
    /// On both sides, with different values.
    pub different_versions: Vec<LegacyVersionChange>,
}

/// A package with its version, or a variable with its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LegacyPackage {
    /// The name.
    pub name: String,
    /// The version, or the value.
    pub version: String,
}

/// A package with two versions, or a variable with two values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LegacyVersionChange {
    /// The name.
    pub name: String,
    /// The version or value on the left.
    pub version_left: String,
    /// The version or value on the right.
    pub version_right: String,
}

/// How two opam switches differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LegacyOpam {
    /// Packages with different opam files, descending.
    pub opam_diff: Vec<LegacyOpamChange>,
    /// Packages of different versions, ascending.
    pub version_diff: Vec<LegacyVersionChange>,
    /// Packages only on the left, descending.
    pub only_in_left: Vec<LegacyPackage>,
    /// Packages only on the right, descending.
    pub only_in_right: Vec<LegacyPackage>,
    /// The vendored sources: always an object.
    pub duniverse_diff: LegacyDuniverse,
}

/// A package with different opam files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LegacyOpamChange {
    /// `name.version`
    pub package_version: String,
    /// Always false: what is equal is not shown.
    pub effectively_equal: bool,
    /// A unified diff.
    pub diff: String,
}

/// How the vendored sources differ, ascending by directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LegacyDuniverse {
    /// Only on the left.
    pub left: Vec<LegacyNameValue>,
    /// Only on the right.
    pub right: Vec<LegacyNameValue>,
    /// Directories with different content.
    pub detailed_diff: Vec<LegacyName>,
}

/// A directory and where its content came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LegacyNameValue {
    /// The directory.
    pub name: String,
    /// The URL.
    pub value: String,
}

/// A directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LegacyName {
    /// The directory.
    pub name: String,
}

impl Comparison {
    /// The comparison with the keys and orders of the original's JSON.
    pub fn legacy(&self) -> LegacyComparison {
        LegacyComparison {
            env_diff: key_values(&self.environment),
            package_diff: key_values(&self.system_packages),
            opam_diff: self.opam.compared().map(opam).unwrap_or_default(),
        }
    }
}

fn key_values(part: &Part<KeyValuesDiff>) -> LegacyKeyValues {
    let Some(diff) = part.compared() else { return LegacyKeyValues::default() };
    let entry = |entry: &super::KeyValue| LegacyPackage { name: entry.name.clone(), version: entry.value.clone() };
    let changed = diff.changed.iter().map(|change| LegacyVersionChange {
        name: change.name.clone(),
        version_left: change.left.clone(),
        version_right: change.right.clone(),
    });
    LegacyKeyValues {
        left_packages: diff.removed.iter().map(entry).collect(),
        right_packages: diff.added.iter().map(entry).collect(),
        different_versions: changed.collect(),
    }
}

fn opam(diff: &OpamDiff) -> LegacyOpam {
    let package = |package: &Package| LegacyPackage { name: package.name.clone(), version: package.version.clone() };
    let opam_file = |change: &OpamFileChange| LegacyOpamChange {
        package_version: change.package.to_string(),
        effectively_equal: false,
        diff: change.unified(),
    };
    let versions = diff.versions.iter().map(|change| LegacyVersionChange {
        name: change.name.clone(),
        version_left: change.left.clone(),
        version_right: change.right.clone(),
    });
    LegacyOpam {
        opam_diff: diff.opam_files.iter().rev().map(opam_file).collect(),
        version_diff: versions.collect(),
        only_in_left: diff.only_left.iter().rev().map(package).collect(),
        only_in_right: diff.only_right.iter().rev().map(package).collect(),
        duniverse_diff: duniverse(&diff.duniverse),
    }
}

fn duniverse(diff: &DuniverseDiff) -> LegacyDuniverse {
    let entry =
        |entry: &DuniverseDirectory| LegacyNameValue { name: entry.directory.clone(), value: entry.url.clone() };
    LegacyDuniverse {
        left: diff.only_left.iter().map(entry).collect(),
        right: diff.only_right.iter().map(entry).collect(),
        detailed_diff: diff.changed.iter().map(|change| LegacyName { name: change.directory.clone() }).collect(),
    }
}
