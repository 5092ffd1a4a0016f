//! The JSON of a build: the original's keys `job` to `solo5_abi`, then ours.

use crate::database::artifact::Artifact;
use crate::database::build::Build;
use crate::database::related::{Neighbours, Related, Reproduction};
use crate::json::parts::{BuildReference, IdentityJson, ResultJson};
use crate::pages::{link, text};
use builder_facts::solo5::{Abi, Manifest};
use serde::Serialize;

/// A build with all that its page shows.
#[derive(Debug, Serialize)]
pub(crate) struct BuildJson {
    job: String,
    uuid: String,
    platform: String,
    start_time: String,
    finish_time: String,
    main_binary: bool,
    main_binary_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    solo5_manifest: Option<Manifest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    solo5_abi: Option<Abi>,
    /// Whether the script exited with 0.
    good: bool,
    /// How it ended, in words as lists have it.
    result: String,
    result_detail: ResultJson,
    main_binary_path: Option<String>,
    main_binary_sha256: Option<String>,
    artifacts: Vec<ArtifactJson>,
    /// How many artifacts there are; `artifacts` may be one page of them.
    artifact_count: u64,
    /// How many artifacts come before those in `artifacts`.
    artifacts_from: u64,
    /// What the input is identified by; null when nothing was derived from the build yet.
    input: Option<IdentityJson>,
    output: Option<IdentityJson>,
    reproduced_by: Vec<BuildReference>,
    reproduced_by_count: u64,
    /// One build for each other output of the same input.
    same_input_different_output: Vec<BuildReference>,
    same_input_different_output_count: u64,
    /// One build for each other input of the same output.
    different_input_same_output: Vec<BuildReference>,
    different_input_same_output_count: u64,
    latest: Option<BuildReference>,
    next_different_output: Option<BuildReference>,
    previous_different_output: Option<BuildReference>,
    console_lines: Option<u64>,
    /// The words that it is kept under, whatever the retention policy says.
    pins: Vec<String>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ArtifactJson {
    path: String,
    size: u64,
    sha256: String,
    /// Its address, path-absolute.
    url: String,
}

/// What [`BuildJson`] is made of.
#[derive(Debug)]
pub(crate) struct Shown<'a> {
    /// The build.
    pub(crate) build: &'a Build,
    /// Its main binary.
    pub(crate) main_binary: Option<&'a Artifact>,
    /// The devices it wants.
    pub(crate) manifest: Option<Manifest>,
    /// What runs it.
    pub(crate) abi: Option<Abi>,
    /// One page of its artifacts.
    pub(crate) artifacts: &'a [Artifact],
    /// How many come before them.
    pub(crate) artifacts_from: u64,
    /// How many there are.
    pub(crate) artifact_count: u64,
    /// Builds with the same input or output.
    pub(crate) reproduction: &'a Reproduction,
    /// Builds before and after it.
    pub(crate) neighbours: &'a Neighbours,
    /// The words that it is kept under.
    pub(crate) pins: &'a [String],
    /// What could not be read.
    pub(crate) notes: &'a [String],
}

impl BuildJson {
    /// All about a build.
    pub(crate) fn of(shown: Shown<'_>) -> Self {
        let Shown { build, main_binary, reproduction, neighbours, .. } = shown;
        let derived = build.derived.as_ref();
        let references = |related: &Related| related.builds.iter().map(BuildReference::from).collect();
        let reference = |build: &Option<Build>| build.as_ref().map(BuildReference::from);
        let artifact = |artifact: &Artifact| ArtifactJson {
            path: artifact.path.clone(),
            size: artifact.size,
            sha256: artifact.sha256.to_string(),
            url: link::artifact(&build.job, build.uuid, &artifact.path),
        };
        Self {
            job: build.job.clone(),
            uuid: build.uuid.to_string(),
            platform: build.platform.clone(),
            start_time: text::rfc3339(build.start),
            finish_time: text::rfc3339(build.finish),
            main_binary: main_binary.is_some(),
            main_binary_size: main_binary.map(|artifact| artifact.size),
            solo5_manifest: shown.manifest,
            solo5_abi: shown.abi,
            good: build.outcome.is_success(),
            result: text::outcome(&build.outcome),
            result_detail: (&build.outcome).into(),
            main_binary_path: main_binary.map(|artifact| artifact.path.clone()),
            main_binary_sha256: main_binary.map(|artifact| artifact.sha256.to_string()),
            artifacts: shown.artifacts.iter().map(artifact).collect(),
            artifact_count: shown.artifact_count,
            artifacts_from: shown.artifacts_from,
            input: derived
                .and_then(|derived| derived.input)
                .map(|(kind, sha256)| IdentityJson { kind: kind.as_str(), sha256: sha256.to_string() }),
            output: derived
                .and_then(|derived| derived.output)
                .map(|(kind, sha256)| IdentityJson { kind: kind.as_str(), sha256: sha256.to_string() }),
            reproduced_by: references(&reproduction.reproduced_by),
            reproduced_by_count: reproduction.reproduced_by.count,
            same_input_different_output: references(&reproduction.other_outputs),
            same_input_different_output_count: reproduction.other_outputs.count,
            different_input_same_output: references(&reproduction.other_inputs),
            different_input_same_output_count: reproduction.other_inputs.count,
            latest: reference(&neighbours.latest),
            next_different_output: reference(&neighbours.later_different),
            previous_different_output: reference(&neighbours.earlier_different),
            console_lines: derived.map(|derived| derived.console_lines),
            pins: shown.pins.to_vec(),
            notes: shown.notes.to_vec(),
        }
    }
}
