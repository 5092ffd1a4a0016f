//! The packages: everything to install, the same bytes each time they are made from the same sources.
//!
//! This file reads the arguments and says in which order things are made; each format is a file of its own.

mod debian;
mod files;
mod freebsd;
mod install;
mod programs;
mod tarball;
mod tree;
mod twice;

use crate::command::{cargo, output, program, root};
use anyhow::{Context, Result};
use programs::Linking;
use std::path::{Path, PathBuf};

/// What all formats are made from, and where they go.
struct Release {
    /// The version of the workspace.
    version: String,
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
    /// Builds the programs.
    fn new(target: &Path, epoch: &str, linking: Linking) -> Result<Self> {
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").into(),
            epoch: epoch.into(),
            binaries: programs::build(target, linking)?,
            stages: target.join("dist"),
            folder: root().join("dist"),
        })
    }

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

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    /// The formats, in the order in which they are made.
    formats: Vec<Format>,
    /// Whether everything is made once more, elsewhere, and compared.
    twice: bool,
}

/// What packages there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// Debian and Ubuntu.
    Debian,
    /// Any Linux whose C library is not older.
    Tarball,
    /// FreeBSD, built here all the same.
    FreeBsd,
}

impl Wish {
    /// Reads the arguments; nothing if they are wrong.
    fn new(arguments: &[&str]) -> Option<Self> {
        let mut wish = Self { formats: vec![Format::Debian, Format::Tarball], twice: false };
        let mut rest = arguments;
        while let [argument, behind @ ..] = rest {
            rest = match (*argument, behind) {
                ("--twice", _) => {
                    wish.twice = true;
                    behind
                }
                ("--target", ["freebsd", behind @ ..]) => {
                    wish.formats = vec![Format::FreeBsd];
                    behind
                }
                ("--only", [format, behind @ ..]) => {
                    wish.formats = vec![Format::named(format)?];
                    behind
                }
                _ => return None,
            };
        }
        Some(wish)
    }
}

/// Builds, gathers and packs what the arguments ask for; nothing if they are wrong.
pub(crate) fn dist(arguments: &[&str]) -> Option<Result<bool>> {
    let wish = Wish::new(arguments)?;
    Some(make(&wish, arguments))
}

fn make(wish: &Wish, arguments: &[&str]) -> Result<bool> {
    let (epoch, target) = (epoch()?, target_folder()?);
    let mut packages = Vec::new();
    for format in &wish.formats {
        packages.extend(format.make(&target, &epoch)?);
    }
    println!();
    for package in &packages {
        let sum = output(program("sha256sum", &[]).arg(package.strip_prefix(root()).unwrap_or(package)))?;
        println!("{}", String::from_utf8_lossy(&sum).trim_end());
    }
    if wish.twice { twice::compare(&packages, &target, &epoch, arguments) } else { Ok(true) }
}

impl Format {
    /// As the command line calls it.
    fn named(name: &str) -> Option<Self> {
        match name {
            "deb" => Some(Self::Debian),
            "tarball" => Some(Self::Tarball),
            _ => None,
        }
    }

    fn make(self, target: &Path, epoch: &str) -> Result<Vec<PathBuf>> {
        match self {
            Self::Debian => match debian::missing() {
                Some(tool) => {
                    println!("dist: skipped: no packages of Debian without {tool}; apt-get install dpkg-dev binutils");
                    Ok(Vec::new())
                }
                None => debian::make(&Release::new(target, epoch, Linking::Dynamic)?),
            },
            Self::FreeBsd => {
                let runnable = programs::build_runnable(target)?;
                freebsd::make(&Release::new(target, epoch, Linking::FreeBsd)?, &runnable)
            }
            Self::Tarball => Ok(vec![tarball::make(&Release::new(target, epoch, Linking::Dynamic)?)?]),
        }
    }
}

/// The tarball.
pub(crate) fn tarball() -> Result<PathBuf> {
    tarball::make(&Release::new(&target_folder()?, &epoch()?, Linking::Dynamic)?)
}

/// The packages of Debian of another version, in a folder of their own: what a system is upgraded to on trial.
pub(crate) fn debian_packages(version: &str, folder: &Path) -> Result<Vec<PathBuf>> {
    let release = Release::new(&target_folder()?, &epoch()?, Linking::Dynamic)?;
    debian::make(&Release { version: version.into(), folder: folder.into(), ..release })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_choose_formats() {
        let all = Wish { formats: vec![Format::Debian, Format::Tarball], twice: false };
        assert_eq!(Wish::new(&[]), Some(all));
        let one = Wish { formats: vec![Format::Debian], twice: true };
        assert_eq!(Wish::new(&["--twice", "--only", "deb"]), Some(one));
        let other = Wish { formats: vec![Format::FreeBsd], twice: false };
        assert_eq!(Wish::new(&["--target", "freebsd"]), Some(other));
        assert_eq!(Wish::new(&["--target", "plan9"]), None);
        assert_eq!(Wish::new(&["--only"]), None);
        assert_eq!(Wish::new(&["--only", "rpm"]), None);
    }
}
