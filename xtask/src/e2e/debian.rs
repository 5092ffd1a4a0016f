//! Debian, booted with systemd in a container: packages installed, used, upgraded and purged.

use crate::command::{program, run as run_command};
use crate::dist::target_folder;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// What the system has beside the smallest one: an init, and what our packages and a stranger with curl need.
const INCLUDED: &str = "systemd,dbus,curl,ca-certificates,adduser,init-system-helpers";

/// Makes the system that all steps start from.
pub(super) fn run(_arguments: &[&str]) -> Result<bool> {
    let base = base()?;
    println!("a Debian 12 with systemd lies in {}", base.display());
    Ok(true)
}

/// The folder of an untouched system; made by debootstrap once, then kept in the target folder.
fn base() -> Result<PathBuf> {
    let folder = target_folder()?.join("e2e/debian-12");
    let done = folder.join("made");
    let system = folder.join("base");
    if !done.exists() {
        empty(&system)?;
        let mut debootstrap = program("debootstrap", &["--variant=minbase", "--include", INCLUDED, "bookworm"]);
        run_command(debootstrap.arg(&system))?;
        std::fs::write(&done, INCLUDED).context("note that the base system is whole")?;
    }
    Ok(system)
}

fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("empty {}", folder.display()))?;
    }
    std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))
}
