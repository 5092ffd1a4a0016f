//! Jobs in bubblewrap with a whole Debian as their root file system: of workers that are root, where `apt-get install` has
//! to work and to leave nothing, and of ones that are not. What happens is told by `bubblewrap.sh`.
//!
//! The root file system is made once, by `builder rootfs`, and kept in the target folder.

use super::machine::empty;
use crate::command::{program, run as run_command, watch};
use crate::component::require;
use anyhow::{Context, Result};
use std::fs;

/// The programs that the story uses.
const PROGRAMS: [&str; 4] = ["builder", "builder-server", "builder-worker", "builder-client"];

/// Makes the root file system if there is none, and hears the story; whether all of it went well.
pub(super) fn run(arguments: &[&str]) -> Result<bool> {
    require(&[
        ("bwrap", "bubblewrap"),
        ("debootstrap", "debootstrap"),
        ("setpriv", "util-linux"),
        ("sed", "sed"),
        ("find", "findutils"),
    ])?;
    let folder = super::folder("bubblewrap")?;
    let (bin, roots, place) = (folder.join("bin"), folder.join("rootfs"), folder.join("story"));
    fs::create_dir_all(&bin).with_context(|| format!("make {}", bin.display()))?;
    super::programs(&PROGRAMS, &bin, arguments)?;
    if !roots.join("debian-12/current").exists() {
        let mut create = program("builder", &["rootfs", "create", "debian-12", "--debian", "bookworm", "--dir"]);
        create.env("PATH", path(&bin));
        run_command(create.arg(&roots)).context("needs root, and a mirror of Debian")?;
    }
    empty(&place)?;
    let told = folder.join("story.sh");
    fs::write(&told, include_str!("bubblewrap.sh")).with_context(|| format!("write {}", told.display()))?;
    let mut story = program("sh", &[]);
    story.arg(&told).current_dir(&place).env("PATH", path(&bin)).env("ROOTS", &roots).env_remove("BUILDER_REMOTE");
    let mut last = String::new();
    let ended = watch(&mut story, |line| line.trim().clone_into(&mut last))?;
    Ok(ended && last == "story: 0 failed")
}

/// Our programs before all others.
fn path(bin: &std::path::Path) -> std::ffi::OsString {
    let own = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(bin.to_owned()).chain(std::env::split_paths(&own));
    std::env::join_paths(paths).unwrap_or(own)
}
