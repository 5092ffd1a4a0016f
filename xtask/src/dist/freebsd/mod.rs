//! Packages of FreeBSD, made without its tools: out of `packaging/freebsd`, for each its files (`NAME.install`) and the
//! scripts that pkg(8) runs, and what `packages.json` says of all of them.
//!
//! The programs do not run here, so those of this machine are asked for man pages and completions; places that differ are
//! put right in the texts.

mod archive;
mod manifest;
mod places;
#[cfg(test)]
mod tests;

use super::files::{copy, write};
use super::{Release, install, tree};
use crate::command::{output, program, root};
use crate::component::in_path;
use anyhow::{Context, Result, bail};
use manifest::Package;
use std::path::{Path, PathBuf};

/// What the programs may need of the system: libraries of its base.
const LIBRARIES: [&str; 3] = ["libc.so.7", "libm.so.5", "libthr.so.3"];
/// How `file` and `readelf` call what runs on FreeBSD.
const SYSTEM: &str = "FreeBSD";
/// What packages are made with.
const TOOLS: [&str; 4] = ["tar", "zstd", "gzip", "readelf"];

/// What is the same for all packages of a run.
struct Source {
    version: String,
    /// The time of every file, in seconds since 1970.
    epoch: String,
    /// `packaging/freebsd`, or what stands for it in tests.
    freebsd: PathBuf,
    /// Where files of `NAME.install` are looked for, in this order.
    roots: Vec<PathBuf>,
    /// Where the packages are laid out, a folder each.
    stage: PathBuf,
    /// Where the packages go.
    folder: PathBuf,
}

/// Makes all packages; returns their paths. The programs in `runnable` are the same ones for this machine.
pub(super) fn make(release: &Release, runnable: &Path) -> Result<Vec<PathBuf>> {
    if let Some(tool) = TOOLS.into_iter().find(|tool| !in_path(tool)) {
        bail!("no packages of FreeBSD without {tool}\nhint: apt-get install tar zstd gzip binutils");
    }
    for name in super::programs::PROGRAMS {
        examine(&release.binaries.join(name))?;
    }
    let stage = release.empty_stage("freebsd")?;
    let tree = stage.join("tree");
    tree::gather(&release.binaries, runnable, &tree)?;
    let source = Source {
        version: release.version.clone(),
        epoch: release.epoch.clone(),
        freebsd: root().join("packaging/freebsd"),
        roots: vec![tree, root().to_path_buf()],
        stage,
        folder: release.folder.clone(),
    };
    source.packages()
}

/// Makes sure that a program is one of FreeBSD, and needs nothing but its base.
fn examine(path: &Path) -> Result<()> {
    let shown = output(program("readelf", &["--wide", "--file-header", "--notes", "--dynamic"]).arg(path))?;
    let shown = String::from_utf8_lossy(&shown);
    let libraries = needed(&shown);
    if !shown.contains(SYSTEM) || libraries.is_empty() {
        bail!("{} is no program of FreeBSD", path.display());
    }
    if let Some(other) = libraries.iter().find(|name| !LIBRARIES.contains(name)) {
        bail!("{} needs {other}, which is no part of FreeBSD's base", path.display());
    }
    println!("{}: needs {}", path.file_name().unwrap_or_default().display(), libraries.join(", "));
    Ok(())
}

/// The libraries of the lines `… (NEEDED) Shared library: [NAME]`.
fn needed(shown: &str) -> Vec<&str> {
    let lines = shown.lines().filter(|line| line.contains("(NEEDED)"));
    lines.filter_map(|line| Some(line.split_once('[')?.1.split_once(']')?.0)).collect()
}

impl Source {
    /// Makes each package that `packages.json` describes.
    fn packages(&self) -> Result<Vec<PathBuf>> {
        let text = read(&self.freebsd.join("packages.json"))?;
        let packages = manifest::packages(&text)?;
        let mut lists = Vec::new();
        for package in &packages {
            let list = read(&self.freebsd.join(format!("{}.install", package.name)))?;
            lists.push(install::copies(&list, &self.roots)?);
        }
        self.leave_nothing_out(&lists.concat())?;
        let made = packages.iter().zip(&lists);
        made.map(|(one, list)| self.package(one, list).with_context(|| format!("make the package {}", one.name)))
            .collect()
    }

    /// What every format has in it is in one of the packages, also what was added to it a moment ago.
    fn leave_nothing_out(&self, copies: &[install::Copy]) -> Result<()> {
        let tree = self.roots.first().context("there is no tree")?;
        for file in archive::files(tree)? {
            let path = tree.join(&file);
            if !copies.iter().any(|copied| path.starts_with(&copied.from)) {
                bail!("{} is in no package\nhint: packaging/freebsd/*.install say what is", file.display());
            }
        }
        Ok(())
    }

    fn package(&self, package: &Package, list: &[install::Copy]) -> Result<PathBuf> {
        let stage = self.stage.join(&package.name);
        for file in list {
            copy(&file.from, &stage.join(&file.to))?;
        }
        let files = archive::files(&stage)?;
        for path in &files {
            places::put_right(&stage.join(path))?;
        }
        let pages: Vec<PathBuf> = files.iter().filter(|path| is_page(path)).map(|path| stage.join(path)).collect();
        if !pages.is_empty() {
            output(program("gzip", &["-n", "-9", "--force"]).args(pages))?;
        }
        let files = archive::files(&stage)?;
        archive::set_modes(&stage, &files)?;
        let scripts = manifest::scripts(&self.freebsd, &package.name, &files)?;
        let facts = manifest::Facts { version: &self.version, epoch: &self.epoch, stage: &stage, files: &files };
        let (compact, whole) = manifest::texts(package, &facts, &scripts)?;
        let meta = self.stage.join(format!("{}.meta", package.name));
        write(&meta.join("+COMPACT_MANIFEST"), compact.as_bytes())?;
        write(&meta.join("+MANIFEST"), whole.as_bytes())?;
        let name = format!("{}-{}.pkg", package.name, self.version);
        archive::pack(&meta, &stage, &files, &self.epoch, &self.folder.join(name))
    }
}

fn is_page(path: &Path) -> bool {
    path.starts_with("usr/local/share/man")
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}
