//! The packages: everything to install, the same bytes each time they are made from the same sources.
//!
//! This file reads the arguments and says in which order things are made; each format is a file of its own.

mod files;
mod programs;
mod tarball;
mod tree;

use crate::command::{cargo, output, program, root};
use anyhow::{Context, Result};
use std::path::PathBuf;

/// What all formats are made from, and where they go.
struct Release {
    /// The version of the workspace.
    version: &'static str,
    /// The time of every file, in seconds since 1970.
    epoch: String,
    /// The folder of the programs that were built.
    binaries: PathBuf,
    /// Where formats lay out what they pack, a folder each.
    stages: PathBuf,
    /// Where the packages go.
    folder: PathBuf,
}

impl Release {
    /// The stage of a format, with nothing in it.
    fn empty_stage(&self, format: &str) -> Result<PathBuf> {
        let stage = self.stages.join(format);
        if stage.exists() {
            std::fs::remove_dir_all(&stage).with_context(|| format!("empty {}", stage.display()))?;
        }
        std::fs::create_dir_all(&stage).with_context(|| format!("make {}", stage.display()))?;
        Ok(stage)
    }
}

/// Builds, gathers and packs.
pub(crate) fn dist() -> Result<bool> {
    let epoch = epoch()?;
    let target = target_folder()?;
    programs::build(&target)?;
    let release = Release {
        version: env!("CARGO_PKG_VERSION"),
        epoch,
        binaries: target.join("release"),
        stages: target.join("dist"),
        folder: root().join("dist"),
    };
    let packages = [tarball::make(&release)?];
    println!();
    for package in packages {
        let sum = output(program("sha256sum", &[]).arg(package.strip_prefix(root()).unwrap_or(&package)))?;
        println!("{}", String::from_utf8_lossy(&sum).trim_end());
    }
    Ok(true)
}

/// The time of every file, in seconds since 1970: <https://reproducible-builds.org/specs/source-date-epoch/>.
fn epoch() -> Result<String> {
    let text = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(epoch) => epoch,
        Err(std::env::VarError::NotPresent) => {
            let commit = output(&mut program("git", &["log", "-1", "--format=%ct"]));
            let commit = commit.context("find the time of the last commit; without git, set SOURCE_DATE_EPOCH")?;
            String::from_utf8_lossy(&commit).trim().to_owned()
        }
        Err(error) => return Err(error).context("read SOURCE_DATE_EPOCH"),
    };
    let seconds: u64 =
        text.parse().with_context(|| format!("SOURCE_DATE_EPOCH is {text:?}, not a number of seconds"))?;
    Ok(seconds.to_string())
}

pub(crate) fn target_folder() -> Result<PathBuf> {
    let metadata = output(&mut cargo(&["metadata", "--no-deps", "--format-version=1"]))?;
    let metadata: serde_json::Value = serde_json::from_slice(&metadata).context("read the output of cargo metadata")?;
    let folder = metadata["target_directory"].as_str().context("cargo metadata names no target directory")?;
    Ok(folder.into())
}
