//! The programs as they are shipped: built so that no path of this machine stands in them.

use crate::command::{cargo, root, run};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// All of them, as they are named in `bin/`.
pub(super) const PROGRAMS: [&str; 7] =
    ["builder", "builder-server", "builder-worker", "builder-client", "builder-inspect", "builder-web", "builder-db"];

/// Builds the programs so that no path of this machine stands in them.
pub(super) fn build(target: &Path) -> Result<()> {
    let root = root().canonicalize().context("find the folder of the workspace")?;
    let cargo_home =
        std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let cargo_home = cargo_home.context("neither CARGO_HOME nor HOME is set")?;
    let mut rust_flags = std::env::var_os("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let mut c_flags = std::env::var_os("CFLAGS").unwrap_or_default();
    for (from, to) in [(root.as_path(), "/builder"), (target, "/target"), (cargo_home.as_path(), "/cargo")] {
        if !rust_flags.is_empty() {
            rust_flags.push("\u{1f}");
        }
        rust_flags.push(renamed("--remap-path-prefix=", from, to));
        c_flags.push(" ");
        c_flags.push(renamed("-ffile-prefix-map=", from, to));
    }
    let mut command = cargo(&["build", "--release", "--locked", "--workspace"]);
    PROGRAMS.iter().for_each(|program| {
        command.args(["--bin", program]);
    });
    run(command.env("CARGO_ENCODED_RUSTFLAGS", rust_flags).env("CFLAGS", c_flags))
}

fn renamed(flag: &str, from: &Path, to: &str) -> OsString {
    let mut argument = OsString::from(flag);
    argument.push(from);
    argument.push("=");
    argument.push(to);
    argument
}
