//! `cargo xtask faults`: fault tests on the programs as they are released.

use crate::command::{cargo, root, run, succeeds};
use anyhow::Result;
use std::path::PathBuf;
use std::process::Command;

/// Builds the programs and the one that breaks them, and runs it with these arguments.
pub(crate) fn faults(arguments: &[&str]) -> Result<bool> {
    let packages = ["-p", "builder-server", "-p", "builder-worker", "-p", "builder-faults"];
    run(cargo(&["build", "--release", "--locked", "--bins"]).args(packages))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    succeeds(Command::new(target.join("release/builder-faults")).args(arguments).current_dir(root()))
}
