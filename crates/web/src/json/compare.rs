//! The JSON of a comparison: the original's keys `left` to `opam_diff` with the meaning that their names have, then
//! ours.

use crate::comparison::{Compared, SideRows, input_text};
use crate::digest::Digest;
use crate::json::parts::IdentityJson;
use crate::pages::text;
use builder_facts::compare::{Artifact, LegacyComparison, Part};
use serde::Serialize;

/// How two builds differ.
#[derive(Debug, Serialize)]
pub(crate) struct CompareJson {
    left: SideJson,
    right: SideJson,
    #[serde(flatten)]
    legacy: LegacyComparison,
    artifact_diff: ArtifactsJson,
    /// How the scripts differ, as `diff -u` writes it: empty when they are the same; null when one is lost.
    script_diff: Option<String>,
    /// What each side lacked, such as an opam switch that does not parse; an input that both sides had is null.
    inputs: InputsJson,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct SideJson {
    job: String,
    uuid: String,
    platform: String,
    start_time: String,
    finish_time: String,
    main_binary: bool,
    main_binary_size: Option<u64>,
    /// What the input is identified by; null when it is not known.
    input: Option<IdentityJson>,
}

#[derive(Debug, Serialize)]
struct ArtifactsJson {
    only_in_left: Vec<FileJson>,
    only_in_right: Vec<FileJson>,
    different: Vec<ChangeJson>,
    moved: Vec<MoveJson>,
}

#[derive(Debug, Serialize)]
struct FileJson {
    path: String,
    sha256: String,
    size: u64,
}

#[derive(Debug, Serialize)]
struct ChangeJson {
    path: String,
    sha256_left: String,
    sha256_right: String,
    size_left: u64,
    size_right: u64,
}

#[derive(Debug, Serialize)]
struct MoveJson {
    path_left: String,
    path_right: String,
    sha256: String,
    size: u64,
}

#[derive(Debug, Serialize)]
struct InputsJson {
    opam_switch: Option<LackingJson>,
    build_environment: Option<LackingJson>,
    system_packages: Option<LackingJson>,
}

#[derive(Debug, Serialize)]
struct LackingJson {
    /// `readable`, `absent`, or why it could not be read.
    left: String,
    right: String,
}

impl CompareJson {
    /// All that was found.
    pub(crate) fn of(left: &SideRows, right: &SideRows, compared: &Compared) -> Self {
        let file = |artifact: &Artifact| FileJson {
            path: artifact.path.clone(),
            sha256: Digest(artifact.sha256).to_string(),
            size: artifact.size,
        };
        let different = compared.artifacts.changed.iter().map(|change| ChangeJson {
            path: change.left.path.clone(),
            sha256_left: Digest(change.left.sha256).to_string(),
            sha256_right: Digest(change.right.sha256).to_string(),
            size_left: change.left.size,
            size_right: change.right.size,
        });
        let moved = compared.artifacts.moved.iter().map(|moved| MoveJson {
            path_left: moved.left_path.clone(),
            path_right: moved.right.path.clone(),
            sha256: Digest(moved.right.sha256).to_string(),
            size: moved.right.size,
        });
        Self {
            left: side(left),
            right: side(right),
            legacy: compared.inputs.legacy(),
            artifact_diff: ArtifactsJson {
                only_in_left: compared.artifacts.removed.iter().map(file).collect(),
                only_in_right: compared.artifacts.added.iter().map(file).collect(),
                different: different.collect(),
                moved: moved.collect(),
            },
            script_diff: compared.inputs.script.compared().map(|diff| diff.unified("left/script", "right/script")),
            inputs: InputsJson {
                opam_switch: lacking(&compared.inputs.opam),
                build_environment: lacking(&compared.inputs.environment),
                system_packages: lacking(&compared.inputs.system_packages),
            },
            notes: compared.notes.clone(),
        }
    }
}

fn side(rows: &SideRows) -> SideJson {
    let build = &rows.build;
    SideJson {
        job: build.job.clone(),
        uuid: build.uuid.to_string(),
        platform: build.platform.clone(),
        start_time: text::rfc3339(build.start),
        finish_time: text::rfc3339(build.finish),
        main_binary: rows.main_binary.is_some(),
        main_binary_size: rows.main_binary.as_ref().map(|artifact| artifact.size),
        input: build
            .derived
            .as_ref()
            .and_then(|derived| derived.input)
            .map(|(kind, sha256)| IdentityJson { kind: kind.as_str(), sha256: sha256.to_string() }),
    }
}

fn lacking<T>(part: &Part<T>) -> Option<LackingJson> {
    match part {
        Part::Compared(_) => None,
        Part::Lacking { left, right } => Some(LackingJson { left: input_text(left), right: input_text(right) }),
    }
}
