//! How two builds differ in what they were made from and in what they made.
//!
//! A side may lack any input: a build without an opam switch is compared in all else, and the result says what was lacking.

mod artifacts;
mod duniverse;
mod key_values;
mod legacy;
mod opam;
mod text_diff;

pub use artifacts::{Artifact, ArtifactChange, ArtifactMove, ArtifactsDiff};
pub use duniverse::{DuniverseChange, DuniverseDiff, HashChange};
pub use key_values::{KeyValue, KeyValueChange, KeyValuesDiff};
pub use legacy::{
    LegacyComparison, LegacyDuniverse, LegacyKeyValues, LegacyName, LegacyNameValue, LegacyOpam, LegacyOpamChange,
    LegacyPackage, LegacyVersionChange,
};
pub use opam::{OpamDiff, OpamFileChange, OpamFiles, VersionChange};
pub use text_diff::{DIFF_LINES_MAX, DIFF_WORK_MAX, DiffLine, Hunk, LineKind, TextDiff};

use crate::key_values::KeyValues;
use crate::opam::{OpamError, Switch};
use crate::text::text;

/// What is compared of one build.
#[derive(Clone, Debug, Default)]
pub struct Side {
    /// Its `opam-switch`, if it has one.
    pub switch: Option<Result<Switch, OpamError>>,
    /// Its `build-environment`, if it has one.
    pub environment: Option<KeyValues>,
    /// Its `system-packages`, if it has one.
    pub system_packages: Option<KeyValues>,
    /// Its script, if it is there.
    pub script: Option<Vec<u8>>,
    /// What it made.
    pub artifacts: Vec<Artifact>,
}

/// How two builds differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The opam packages.
    pub opam: Part<OpamDiff>,
    /// The variables of the environment.
    pub environment: Part<KeyValuesDiff>,
    /// The packages of the operating system.
    pub system_packages: Part<KeyValuesDiff>,
    /// The scripts.
    pub script: Part<TextDiff>,
    /// The files.
    pub artifacts: ArtifactsDiff,
}

/// A part of a comparison, which takes an input of both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part<T> {
    /// Both sides had it.
    Compared(T),
    /// A side lacked it, or both did.
    Lacking {
        /// How it was on the left.
        left: Input,
        /// How it was on the right.
        right: Input,
    },
}

/// How an input was on one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// It could be read.
    Readable,
    /// The build has none.
    Absent,
    /// It could not be read.
    Unreadable(OpamError),
}

impl<T> Part<T> {
    /// The differences, if both sides had the input.
    pub fn compared(&self) -> Option<&T> {
        match self {
            Self::Compared(diff) => Some(diff),
            Self::Lacking { .. } => None,
        }
    }
}

/// Compares two builds. It fails on nothing: what a side lacks is said in the result.
pub fn compare(left: &Side, right: &Side) -> Comparison {
    let scripts =
        |left: &Vec<u8>, right: &Vec<u8>| TextDiff::of(&text(left), &text(right), &mut text_diff::Budget::default());
    Comparison {
        opam: part(switch(left), switch(right), OpamDiff::of),
        environment: part(file(&left.environment), file(&right.environment), KeyValuesDiff::of),
        system_packages: part(file(&left.system_packages), file(&right.system_packages), KeyValuesDiff::of),
        script: part(file(&left.script), file(&right.script), scripts),
        artifacts: ArtifactsDiff::of(&left.artifacts, &right.artifacts),
    }
}

fn switch(side: &Side) -> Result<&Switch, Input> {
    match &side.switch {
        Some(Ok(switch)) => Ok(switch),
        Some(Err(error)) => Err(Input::Unreadable(error.clone())),
        None => Err(Input::Absent),
    }
}

fn file<T>(file: &Option<T>) -> Result<&T, Input> {
    file.as_ref().ok_or(Input::Absent)
}

fn part<T, Diff>(left: Result<&T, Input>, right: Result<&T, Input>, diff: impl FnOnce(&T, &T) -> Diff) -> Part<Diff> {
    match (left, right) {
        (Ok(left), Ok(right)) => Part::Compared(diff(left, right)),
        (left, right) => {
            Part::Lacking { left: left.err().unwrap_or(Input::Readable), right: right.err().unwrap_or(Input::Readable) }
        }
    }
}
