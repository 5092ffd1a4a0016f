//! Gathers what the page of a build shows: rows in one snapshot, then one small file.

use super::Hooks;
use crate::app::App;
use crate::database::artifact::{self, Artifact, Listing};
use crate::database::build::{self, BinaryNotes, Build, HookRun, Inventory};
use crate::database::damage::{self, Damage};
use crate::database::related::{self, Difference, Neighbours, Reproduction};
use crate::digest::Digest;
use crate::http::Refusal;
use crate::http::paging::Paging;
use crate::json::build::Shown;
use crate::limits::{
    ENVIRONMENT_BYTES_MAX, HOOK_RUNS_SHOWN_MAX, PACKAGES_SHOWN_MAX, PLATFORMS_SHOWN_MAX, RELATED_SHOWN_MAX,
};
use crate::visualization::newest;
use builder_facts::artifact_role::base_name;
use builder_facts::buildinfo::{BUILDINFO_BYTES_MAX, Buildinfo};
use builder_facts::solo5::{Abi, Manifest};
use builder_facts::{KeyValues, environment};
use builder_model::BuildId;
use rusqlite::Connection;
use std::collections::BTreeMap;

/// All that the page of a build shows.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) build: Build,
    pub(super) main_binary: Option<Artifact>,
    pub(super) manifest: Option<Manifest>,
    pub(super) abi: Option<Abi>,
    /// One page of them.
    pub(super) artifacts: Vec<Artifact>,
    pub(super) paging: Paging,
    pub(super) artifact_count: u64,
    pub(super) artifact_bytes: u64,
    pub(super) reproduction: Reproduction,
    /// How what came out differs from what came out of builds in `reproduction`, by their rows.
    pub(super) differences: BTreeMap<i64, Difference>,
    pub(super) neighbours: Neighbours,
    /// The packages of the opam switch, if there is one that was looked at.
    pub(super) opam: Option<Inventory>,
    /// The packages of the operating system, if there is a list that was looked at.
    pub(super) system_packages: Option<Inventory>,
    pub(super) environment: Option<KeyValues>,
    /// The path of the file that they are out of, where it is a `.buildinfo`.
    pub(super) buildinfo: Option<String>,
    pub(super) has_dependencies: bool,
    pub(super) has_treemap: bool,
    pub(super) has_hook_runs: bool,
    /// The words that it is kept under.
    pub(super) pins: Vec<String>,
    /// None when they are not shown.
    pub(super) hook_runs: Option<Vec<HookRun>>,
    /// What could not be read.
    pub(super) notes: Vec<String>,
}

struct Rows {
    build: Build,
    main_binary: Option<Artifact>,
    binary_notes: BinaryNotes,
    artifacts: Vec<Artifact>,
    sums: (u64, u64),
    reproduction: Reproduction,
    differences: BTreeMap<i64, Difference>,
    neighbours: Neighbours,
    opam: Option<Inventory>,
    switch: Option<Digest>,
    system_packages: Option<Inventory>,
    environment: Option<Digest>,
    /// The `.buildinfo`, where it takes the place of the files of environment or system packages.
    buildinfo: Option<Artifact>,
    debug: Option<Digest>,
    has_hook_runs: bool,
    pins: Vec<String>,
    hook_runs: Option<Vec<HookRun>>,
}

/// Gathers all about a build, and a part of its artifacts.
pub(super) fn gather(app: &App, uuid: &BuildId, paging: Paging, hooks: Hooks) -> Result<Option<Gathered>, Refusal> {
    let read = |connection: &Connection| match build::by_uuid(connection, uuid)? {
        Some(build) => {
            let damage = damage::notes(connection, app.depot(), build.id)?;
            Ok(Some((rows(connection, build, paging, hooks)?, damage)))
        }
        None => Ok(None),
    };
    let Some((rows, damage)) = app.read(read)? else { return Ok(None) };
    let mut notes = rows.build.derived.as_ref().map(|derived| derived.notes.clone()).unwrap_or_default();
    let environment = read_environment(app, &rows, &mut notes);
    notes.extend(damage);
    if let Some(binary) = rows.main_binary.as_ref().filter(|it| !app.depot().artifact(&it.sha256).is_file()) {
        let [missing, damaged] = [Damage::Missing, Damage::Damaged].map(|damage| damage.text(&binary.path));
        if !notes.contains(&missing) && !notes.contains(&damaged) {
            notes.push(missing);
        }
    }
    let manifest = rows.binary_notes.solo5_manifest.and_then(|json| serde_json::from_str(&json).ok());
    let abi = rows.binary_notes.solo5_abi.and_then(|json| serde_json::from_str(&json).ok());
    // A cache that cannot be read is no reason to show less than there is; the log of the route says more.
    let is_there = |kind, of: Option<Digest>| of.is_some_and(|of| matches!(newest(app, kind, of), Ok(Some(_))));
    Ok(Some(Gathered {
        has_dependencies: is_there("dependencies", rows.switch),
        has_treemap: is_there("treemap", rows.debug),
        build: rows.build,
        main_binary: rows.main_binary,
        manifest,
        abi,
        artifacts: rows.artifacts,
        paging,
        artifact_count: rows.sums.0,
        artifact_bytes: rows.sums.1,
        reproduction: rows.reproduction,
        differences: rows.differences,
        neighbours: rows.neighbours,
        opam: rows.opam,
        system_packages: rows.system_packages,
        environment,
        buildinfo: rows.buildinfo.map(|artifact| artifact.path),
        has_hook_runs: rows.has_hook_runs,
        pins: rows.pins,
        hook_runs: rows.hook_runs,
        notes,
    }))
}

/// The environment, out of its file or the `.buildinfo`.
fn read_environment(app: &App, rows: &Rows, notes: &mut Vec<String>) -> Option<KeyValues> {
    let read = |digest, most| app.depot().read_artifact(&digest, most).map_err(|error| error.to_string());
    let (what, read) = match (&rows.environment, &rows.buildinfo) {
        (Some(digest), _) => (
            "build-environment".to_owned(),
            read(*digest, ENVIRONMENT_BYTES_MAX).map(|bytes| environment::parse(&bytes)),
        ),
        (None, Some(artifact)) => {
            let bytes = read(artifact.sha256, BUILDINFO_BYTES_MAX as u64);
            let parse = |bytes: Vec<u8>| Buildinfo::parse(&bytes).map_err(|error| error.to_string());
            (
                format!("The environment in {}", artifact.path),
                bytes.and_then(parse).map(|buildinfo| buildinfo.environment()),
            )
        }
        (None, None) => return None,
    };
    match read {
        Ok(environment) => Some(environment),
        Err(error) => {
            notes.push(format!("{what} is not shown: {error}."));
            None
        }
    }
}

fn rows(connection: &Connection, build: Build, paging: Paging, hooks: Hooks) -> rusqlite::Result<Rows> {
    let listing = Listing::of(connection, &build, paging.start, paging.count)?;
    let main_binary = listing.main_binary()?;
    let at = |path: &str| Ok::<_, rusqlite::Error>(listing.at(path)?.map(|artifact| artifact.sha256));
    let debug = match &main_binary {
        Some(binary) => at(&format!("{}.debug", base_name(&binary.path)))?,
        None => None,
    };
    let binary_notes = match &main_binary {
        Some(binary) => build::binary_notes(connection, &binary.sha256)?,
        None => BinaryNotes::default(),
    };
    let switch = at("opam-switch")?;
    let inventory = |list: Option<&Digest>, kind| match list {
        Some(list) => build::inventory(connection, list, kind, PACKAGES_SHOWN_MAX),
        None => Ok(None),
    };
    let opam = inventory(switch.as_ref(), "opam")?;
    let (listed, environment) = (at("system-packages")?, at("build-environment")?);
    let buildinfo = match (listed, environment) {
        (Some(_), Some(_)) => None,
        (_, _) => artifact::buildinfo(connection, &build)?,
    };
    let system_packages = listed.or(buildinfo.as_ref().map(|artifact| artifact.sha256));
    let sums = match &build.derived {
        Some(derived) => (derived.artifact_count, derived.artifact_bytes),
        None => artifact::sums(connection, build.id)?,
    };
    let reproduction = if build.outcome.is_success() {
        related::reproduction(connection, &build, RELATED_SHOWN_MAX)?
    } else {
        Reproduction::default()
    };
    Ok(Rows {
        differences: related::differences(connection, &listing, &reproduction)?,
        artifacts: listing.into_shown(),
        neighbours: related::neighbours(connection, &build, PLATFORMS_SHOWN_MAX)?,
        system_packages: inventory(system_packages.as_ref(), "system")?,
        environment,
        buildinfo,
        has_hook_runs: build::has_hook_runs(connection, build.id)?,
        pins: build::pins(connection, build.id)?,
        hook_runs: match hooks {
            Hooks::Shown => Some(build::hook_runs(connection, build.id, HOOK_RUNS_SHOWN_MAX)?),
            Hooks::Hidden => None,
        },
        build,
        main_binary,
        binary_notes,
        sums,
        reproduction,
        opam,
        switch,
        debug,
    })
}

impl Gathered {
    /// What the JSON is made of.
    pub(super) fn shown(&self) -> Shown<'_> {
        Shown {
            build: &self.build,
            main_binary: self.main_binary.as_ref(),
            manifest: self.manifest.clone(),
            abi: self.abi.clone(),
            artifacts: &self.artifacts,
            artifacts_from: self.paging.start.into(),
            artifact_count: self.artifact_count,
            reproduction: &self.reproduction,
            neighbours: &self.neighbours,
            pins: &self.pins,
            notes: &self.notes,
        }
    }
}
