//! The programs as they are shipped: built so that no path of this machine stands in them.

use crate::command::{cargo, root, run};
use crate::freebsd;
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// All of them, as they are named in `bin/`.
pub(super) const PROGRAMS: [&str; 7] =
    ["builder", "builder-server", "builder-worker", "builder-client", "builder-inspect", "builder-web", "builder-db"];

/// How the programs find the C library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Linking {
    /// That of this system, by the loader. It is not put into the programs: then they abort where the system looks up names
    /// by libraries that were made for another one.
    Dynamic,
    /// That of FreeBSD, for programs that do not run here.
    FreeBsd,
}

/// Builds the programs so that no path of this machine stands in them; returns their folder.
pub(super) fn build(target: &Path, linking: Linking) -> Result<PathBuf> {
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
    let folder = match linking {
        Linking::Dynamic => target.join("release"),
        Linking::FreeBsd => freebsd::build_with(&mut command, target)?.join("release"),
    };
    run(command.env("CARGO_ENCODED_RUSTFLAGS", rust_flags).env("CFLAGS", c_flags))?;
    Ok(folder)
}

/// Builds the programs for this machine, quickly: what a package for another one has to ask them. Returns their folder.
pub(super) fn build_runnable(target: &Path) -> Result<PathBuf> {
    let mut command = cargo(&["build", "--locked", "--workspace"]);
    PROGRAMS.iter().for_each(|program| {
        command.args(["--bin", program]);
    });
    run(&mut command)?;
    Ok(target.join("debug"))
}

fn renamed(flag: &str, from: &Path, to: &str) -> OsString {
    let mut argument = OsString::from(flag);
    argument.push(from);
    argument.push("=");
    argument.push(to);
    argument
}
