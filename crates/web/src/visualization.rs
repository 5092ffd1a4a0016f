//! Visualizations that hooks made: of what a binary is made of, and of what it was made from.
//!
//! They lie in the cache folder under the version of the tool that made them; the newest that is there is shown.

use crate::app::App;
use crate::database::artifact;
use crate::database::build::Build;
use crate::digest::Digest;
use crate::error::{Tried, WebError};
use builder_facts::artifact_role::base_name;
use std::path::PathBuf;

/// A visualization that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visualization {
    /// Its file.
    pub file: PathBuf,
    /// The version of the tool that made it.
    pub version: u64,
    /// The content that it shows.
    pub of: Digest,
}

/// That of the opam switch.
pub fn dependencies(app: &App, build: &Build) -> Result<Option<Visualization>, WebError> {
    let switch = app.read(|connection| artifact::at(connection, build.id, "opam-switch"))?;
    match switch {
        Some(switch) => newest(app, "dependencies", switch.sha256),
        None => Ok(None),
    }
}

/// That of the main binary with its debugging information.
pub fn treemap(app: &App, build: &Build) -> Result<Option<Visualization>, WebError> {
    let debug = app.read(|connection| {
        let Some(main) = artifact::main_binary(connection, build)? else { return Ok(None) };
        artifact::at(connection, build.id, &format!("{}.debug", base_name(&main.path)))
    })?;
    match debug {
        Some(debug) => newest(app, "treemap", debug.sha256),
        None => Ok(None),
    }
}

/// The visualization of this kind of this content, made by the newest tool.
pub fn newest(app: &App, kind: &str, of: Digest) -> Result<Option<Visualization>, WebError> {
    let cache = app.depot().cache();
    let entries = match std::fs::read_dir(&cache) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        entries => entries.tried("list", &cache)?,
    };
    let mut found: Option<Visualization> = None;
    for entry in entries {
        let name = entry.tried("list", &cache)?.file_name();
        let version = name.to_str().and_then(|name| name.strip_prefix(kind)?.strip_prefix('_')?.parse::<u64>().ok());
        let Some(version) = version.filter(|version| found.as_ref().is_none_or(|found| found.version < *version))
        else {
            continue;
        };
        let file = cache.join(&name).join(format!("{of}.html"));
        if file.is_file() {
            found = Some(Visualization { file, version, of });
        }
    }
    Ok(found)
}
