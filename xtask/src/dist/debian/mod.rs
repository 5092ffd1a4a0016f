//! Packages of Debian and Ubuntu, made with the tools of `dpkg-dev` out of `packaging/debian`: `control` for all of
//! them, and for each its files (`NAME.install`) and the scripts that dpkg runs.
//!
//! Not by debhelper or cargo-deb: what is to be decided here is in our scripts and lists, readable as it will run, and
//! the same bytes come out without asking which version of a helper is installed.

mod checks;
mod package;
#[cfg(test)]
mod tests;

use super::{Release, tree};
use crate::command::{output, program, root};
use crate::component::in_path;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Before every version: the original's packages have the names of ours and versions that do not compare with them, and
/// with an epoch ours are always the newer ones.
const EPOCH: &str = "1:";
/// Who answers for a package; `DEBFULLNAME` and `DEBEMAIL` say it otherwise, as they do to Debian's own tools.
const MAINTAINER: (&str, &str) = ("builder", "builder@packages.invalid");

/// What packages are made with.
const TOOLS: [&str; 4] = ["dpkg-deb", "dpkg-gencontrol", "dpkg-shlibdeps", "strip"];

/// The tool that is missing for making packages here, if one is.
pub(super) fn missing() -> Option<&'static str> {
    TOOLS.into_iter().find(|tool| !in_path(tool))
}

/// What is the same for all packages of a run.
struct Source {
    /// With the epoch.
    version: String,
    /// As Debian calls it, such as `amd64`.
    architecture: String,
    /// Name and address.
    maintainer: String,
    /// The time of every file, in seconds since 1970.
    epoch: String,
    /// `packaging/debian`, or what stands for it in tests.
    debian: PathBuf,
    /// Where files of `NAME.install` are looked for, in this order.
    roots: Vec<PathBuf>,
    /// Where the packages are laid out, a folder each, and `debian/` with what Debian's tools read.
    stage: PathBuf,
    /// Where the packages go.
    folder: PathBuf,
}

/// Makes all packages and checks them; returns their paths.
pub(super) fn make(release: &Release) -> Result<Vec<PathBuf>> {
    let stage = release.empty_stage("debian")?;
    let tree = stage.join("tree");
    tree::gather(&release.binaries, &release.binaries, &tree)?;
    let source = Source {
        version: format!("{EPOCH}{}", release.version),
        architecture: text(program("dpkg", &["--print-architecture"]))?,
        maintainer: maintainer(),
        epoch: release.epoch.clone(),
        debian: root().join("packaging/debian"),
        roots: vec![tree, root().to_path_buf()],
        stage,
        folder: release.folder.clone(),
    };
    checks::units(&root().join("packaging/systemd"))?;
    let packages = source.packages()?;
    checks::lintian(&packages)?;
    Ok(packages)
}

fn maintainer() -> String {
    let (name, address) = MAINTAINER;
    let said = |variable: &str, otherwise: &str| std::env::var(variable).unwrap_or_else(|_| otherwise.to_owned());
    format!("{} <{}>", said("DEBFULLNAME", name), said("DEBEMAIL", address))
}

fn text(mut command: std::process::Command) -> Result<String> {
    Ok(String::from_utf8_lossy(&output(&mut command)?).trim().to_owned())
}

impl Source {
    /// Makes each package that `control` describes.
    fn packages(&self) -> Result<Vec<PathBuf>> {
        let control = read(&self.debian.join("control"))?.replace("@MAINTAINER@", &self.maintainer);
        super::files::write(&self.stage.join("debian/control"), control.as_bytes())?;
        super::files::write(&self.stage.join("debian/changelog"), self.changelog()?.as_bytes())?;
        let names = control.lines().filter_map(|line| line.strip_prefix("Package: "));
        names.map(|name| package::make(self, name).with_context(|| format!("make the package {name}"))).collect()
    }

    /// One entry, of this version: what changed in it is told once, in `CHANGELOG.md`.
    fn changelog(&self) -> Result<String> {
        let date = text(program("date", &["--utc", "--rfc-email", &format!("--date=@{}", self.epoch)]))?;
        let told = "See /usr/share/doc/builder/CHANGELOG.md, in the package builder.";
        Ok(format!(
            "builder ({}) unstable; urgency=medium\n\n  * {told}\n\n -- {}  {date}\n",
            self.version, self.maintainer
        ))
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}
