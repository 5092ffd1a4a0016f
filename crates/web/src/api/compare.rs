//! How two builds differ.

use super::types::{BuildBody, FileBody, IdentityBody, Problem};
use super::{Segments, answer, query};
use crate::app::App;
use crate::comparison::{Compared, INPUTS, SideRows, compare, input_text, side_rows};
use crate::database::build;
use crate::http::Refusal;
use crate::http::page::Page;
use axum::extract::State;
use axum::response::Response;
use builder_facts::compare::{Artifact, DuniverseDiff, KeyValue, KeyValuesDiff, OpamDiff, Part};
use builder_facts::opam::{DuniverseDirectory, Package};
use builder_model::BuildId;
use http::Uri;
use rusqlite::Connection;
use serde::Serialize;
use utoipa::ToSchema;

/// How two builds differ. What is only on the left was removed, what is only on the right was added.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ComparisonBody {
    left: BuildBody,
    right: BuildBody,
    /// By what the input of the left build is told from others; null when it is not known.
    left_input: Option<IdentityBody>,
    /// The same of the right build.
    right_input: Option<IdentityBody>,
    /// How the scripts differ, a unified diff; empty when they are the same, null when one is lost.
    script: Option<String>,
    /// Null when a side lacks a readable opam switch: see `lacking`.
    opam: Option<OpamBody>,
    /// Null when a side lacks it.
    environment: Option<ValuesBody>,
    /// Null when a side lacks them.
    system_packages: Option<ValuesBody>,
    artifacts: ArtifactsDiffBody,
    /// Inputs that could not be compared, and why.
    lacking: Vec<LackingBody>,
    /// What could not be read, for people.
    notes: Vec<String>,
}

/// Opam packages that differ, ascending.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OpamBody {
    only_left: Vec<PackageBody>,
    only_right: Vec<PackageBody>,
    versions: Vec<ChangeBody>,
    /// Packages of one version with different opam files.
    opam_files: Vec<OpamFileBody>,
    duniverse: DuniverseBody,
}

/// A package.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PackageBody {
    name: String,
    version: String,
}

/// A name with two values.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChangeBody {
    name: String,
    left: String,
    right: String,
}

/// A package with different opam files.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OpamFileBody {
    package: PackageBody,
    /// A unified diff.
    diff: String,
}

/// Vendored sources that differ, ascending by directory.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DuniverseBody {
    only_left: Vec<DirectoryBody>,
    only_right: Vec<DirectoryBody>,
    /// Directories with different content, and their addresses.
    changed: Vec<ChangeBody>,
}

/// A directory of vendored sources.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DirectoryBody {
    directory: String,
    url: String,
}

/// Names and values that differ, ascending.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ValuesBody {
    only_left: Vec<ValueBody>,
    only_right: Vec<ValueBody>,
    changed: Vec<ChangeBody>,
}

/// A name and its value.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ValueBody {
    name: String,
    value: String,
}

/// Artifacts that differ, ascending by path.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ArtifactsDiffBody {
    only_left: Vec<FileBody>,
    only_right: Vec<FileBody>,
    /// Those under one path with different content.
    changed: Vec<ArtifactChangeBody>,
    /// Those with one content under different paths.
    moved: Vec<ArtifactMoveBody>,
}

/// A path with two contents.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ArtifactChangeBody {
    left: FileBody,
    right: FileBody,
}

/// A content under two paths.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ArtifactMoveBody {
    left_path: String,
    right: FileBody,
}

/// An input that could not be compared.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LackingBody {
    /// `opam-switch`, `build-environment` or `system-packages`.
    input: String,
    /// `readable`, `absent`, or why it could not be read.
    left: String,
    /// `readable`, `absent`, or why it could not be read.
    right: String,
}

/// Compares two builds
#[utoipa::path(
    get,
    path = "/api/v1/compare/{left}/{right}",
    operation_id = "compare_builds",
    tag = "builds",
    params(
        ("left" = String, Path, description = "The UUID of one build", format = "uuid"),
        ("right" = String, Path, description = "The UUID of another build, or of the same", format = "uuid"),
    ),
    responses(
        (status = 200, description = "How they differ", body = ComparisonBody),
        (status = 304, description = "What If-None-Match names is still so"),
        (status = 400, description = "A UUID cannot be read", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "One of the builds does not exist", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn two(
    State(app): State<App>,
    uri: Uri,
    Segments((left, right)): Segments<(String, String)>,
) -> Response {
    answer(app, &uri, move |app| {
        let (left, right) = (query::uuid(&left)?, query::uuid(&right)?);
        let sides = app.read(|connection| Ok((side(connection, &left)?, side(connection, &right)?)))?;
        let left = sides.0.ok_or(Refusal::NoBuild(left))?;
        let right = sides.1.ok_or(Refusal::NoBuild(right))?;
        let compared = compare(app.depot(), app.comparisons(), &left, &right)?;
        Page::json(&ComparisonBody::of(&left, &right, &compared))
    })
    .await
}

fn side(connection: &Connection, uuid: &BuildId) -> rusqlite::Result<Option<SideRows>> {
    build::by_uuid(connection, uuid)?.map(|build| side_rows(connection, build)).transpose()
}

impl ComparisonBody {
    fn of(left: &SideRows, right: &SideRows, compared: &Compared) -> Self {
        let inputs = &compared.inputs;
        let lacking = [
            lacking(INPUTS[0], &inputs.opam),
            lacking(INPUTS[1], &inputs.environment),
            lacking(INPUTS[2], &inputs.system_packages),
        ];
        Self {
            left: BuildBody::of_row(&left.build, left.main_binary.as_ref()),
            right: BuildBody::of_row(&right.build, right.main_binary.as_ref()),
            left_input: input(left),
            right_input: input(right),
            script: inputs.script.compared().map(|diff| diff.unified("left/script", "right/script")),
            opam: inputs.opam.compared().map(OpamBody::of),
            environment: inputs.environment.compared().map(ValuesBody::of),
            system_packages: inputs.system_packages.compared().map(ValuesBody::of),
            artifacts: ArtifactsDiffBody::of(compared),
            lacking: lacking.into_iter().flatten().collect(),
            notes: compared.notes.clone(),
        }
    }
}

fn input(rows: &SideRows) -> Option<IdentityBody> {
    let (kind, sha256) = rows.build.derived.as_ref()?.input?;
    Some(IdentityBody { kind: kind.as_str().into(), sha256: sha256.to_string() })
}

fn lacking<T>(input: &str, part: &Part<T>) -> Option<LackingBody> {
    match part {
        Part::Compared(_) => None,
        Part::Lacking { left, right } => {
            Some(LackingBody { input: input.into(), left: input_text(left), right: input_text(right) })
        }
    }
}

fn change(name: &str, left: &str, right: &str) -> ChangeBody {
    ChangeBody { name: name.into(), left: left.into(), right: right.into() }
}

impl OpamBody {
    fn of(diff: &OpamDiff) -> Self {
        let package = |package: &Package| PackageBody { name: package.name.clone(), version: package.version.clone() };
        let files = diff.opam_files.iter();
        Self {
            only_left: diff.only_left.iter().map(package).collect(),
            only_right: diff.only_right.iter().map(package).collect(),
            versions: diff.versions.iter().map(|entry| change(&entry.name, &entry.left, &entry.right)).collect(),
            opam_files: files
                .map(|entry| OpamFileBody { package: package(&entry.package), diff: entry.unified() })
                .collect(),
            duniverse: DuniverseBody::of(&diff.duniverse),
        }
    }
}

impl DuniverseBody {
    fn of(diff: &DuniverseDiff) -> Self {
        let directory =
            |entry: &DuniverseDirectory| DirectoryBody { directory: entry.directory.clone(), url: entry.url.clone() };
        let changed = diff.changed.iter().map(|entry| change(&entry.directory, &entry.left_url, &entry.right_url));
        Self {
            only_left: diff.only_left.iter().map(directory).collect(),
            only_right: diff.only_right.iter().map(directory).collect(),
            changed: changed.collect(),
        }
    }
}

impl ValuesBody {
    fn of(diff: &KeyValuesDiff) -> Self {
        let value = |entry: &KeyValue| ValueBody { name: entry.name.clone(), value: entry.value.clone() };
        Self {
            only_left: diff.removed.iter().map(value).collect(),
            only_right: diff.added.iter().map(value).collect(),
            changed: diff.changed.iter().map(|entry| change(&entry.name, &entry.left, &entry.right)).collect(),
        }
    }
}

impl ArtifactsDiffBody {
    fn of(compared: &Compared) -> Self {
        let file = |artifact: &Artifact| FileBody::of_fact(artifact);
        let (changed, moved) = (compared.artifacts.changed.iter(), compared.artifacts.moved.iter());
        Self {
            only_left: compared.artifacts.removed.iter().map(file).collect(),
            only_right: compared.artifacts.added.iter().map(file).collect(),
            changed: changed
                .map(|entry| ArtifactChangeBody { left: file(&entry.left), right: file(&entry.right) })
                .collect(),
            moved: moved
                .map(|entry| ArtifactMoveBody { left_path: entry.left_path.clone(), right: file(&entry.right) })
                .collect(),
        }
    }
}
