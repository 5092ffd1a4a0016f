//! Everything once more, from a copy of the sources in another folder with another target folder, and the same bytes.

use super::files::copy;
use crate::command::{cargo, output, program, root, run};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Makes the packages a second time and compares; whether all are equal.
pub(super) fn compare(packages: &[PathBuf], target: &Path, epoch: &str, arguments: &[&str]) -> Result<bool> {
    let folder = target.join("dist/the-second-time");
    let copied = folder.join("a-folder-with-another-name");
    if copied.exists() {
        std::fs::remove_dir_all(&copied).with_context(|| format!("empty {}", copied.display()))?;
    }
    let listed = output(&mut program("git", &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]))?;
    for path in listed.split(|byte| *byte == 0).filter(|path| !path.is_empty()) {
        let path = std::str::from_utf8(path).context("a path in the sources is not UTF-8")?;
        // What was removed and is not committed yet is still listed.
        if root().join(path).exists() {
            copy(&root().join(path), &copied.join(path))?;
        }
    }
    let once: Vec<&str> = arguments.iter().copied().filter(|argument| *argument != "--twice").collect();
    let mut second = cargo(&["xtask", "dist"]);
    second.args(once).current_dir(&copied).env("CARGO_TARGET_DIR", folder.join("target"));
    run(second.env("SOURCE_DATE_EPOCH", epoch).env_remove("CARGO_ENCODED_RUSTFLAGS"))?;

    println!();
    let mut equal = true;
    for package in packages {
        let name = package.file_name().context("a package has no name")?;
        let path = copied.join("dist").join(name);
        let theirs = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        let ours = std::fs::read(package).with_context(|| format!("read {}", package.display()))?;
        let word = if ours == theirs { "the same twice" } else { "DIFFERENT" };
        println!("dist: {}: {word}", name.to_string_lossy());
        equal &= ours == theirs;
    }
    Ok(equal)
}
