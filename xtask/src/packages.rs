//! What tests, and packages for FreeBSD, need from the registries of npm and Python, of the versions that the tree names. It lies in the target
//! folder, where nothing of the machine is touched.

use crate::command::{program, root, succeeds};
use crate::component::in_path;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Some packages, which are brought together.
#[derive(Clone, Copy)]
pub(crate) enum Packages {
    /// What drives the browser, and what looks for barriers in pages.
    Browser,
    /// What makes up requests from an OpenAPI document.
    Schemathesis,
    /// A C compiler and linker for FreeBSD. No test needs it.
    Ziglang,
}

impl Packages {
    /// What names them, each with its version.
    fn list(self) -> PathBuf {
        root().join(match self {
            Self::Browser => "crates/web/tests/browser/package-lock.json",
            Self::Schemathesis => "crates/web/tests/api/requirements.txt",
            Self::Ziglang => "xtask/freebsd/requirements.txt",
        })
    }

    /// Where they lie: below `CARGO_TARGET_TMPDIR` of the tests, in the target folder that we were built in.
    pub(crate) fn folder(self) -> Result<PathBuf> {
        let program = std::env::current_exe().context("find the target folder")?;
        let target = program.parent().and_then(Path::parent).context("find the target folder")?;
        Ok(target.join("tmp").join(match self {
            Self::Browser => "browser",
            Self::Schemathesis => "schemathesis",
            Self::Ziglang => "ziglang",
        }))
    }

    /// Whether they are there, all of them: a copy of their list is put there last.
    pub(crate) fn are_there(self) -> bool {
        let Ok(folder) = self.folder() else { return false };
        let (wanted, found) = (std::fs::read(self.list()), std::fs::read(folder.join("installed")));
        wanted.is_ok_and(|wanted| found.is_ok_and(|found| found == wanted))
    }

    /// Brings them. What fails here shows as packages that are still missing.
    pub(crate) fn install(self) -> Result<()> {
        let (folder, list) = (self.folder()?, self.list());
        std::fs::create_dir_all(&folder).with_context(|| format!("make the folder {}", folder.display()))?;
        let done = match self {
            Self::Browser => in_path("npm") && npm(&folder, &list)?,
            Self::Schemathesis | Self::Ziglang => in_path("python3") && pip(&folder, &list)?,
        };
        if done {
            std::fs::copy(&list, folder.join("installed")).context("note what is installed")?;
        } else {
            eprintln!("xtask: cannot bring what {} lists", list.display());
        }
        Ok(())
    }
}

fn npm(folder: &Path, list: &Path) -> Result<bool> {
    for from in [list, &list.with_file_name("package.json")] {
        let to = folder.join(from.file_name().unwrap_or_default());
        std::fs::copy(from, to).with_context(|| format!("copy {}", from.display()))?;
    }
    let mut command = program("npm", &["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    succeeds(command.current_dir(folder))
}

fn pip(folder: &Path, list: &Path) -> Result<bool> {
    let made = succeeds(program("python3", &["-m", "venv", "--clear"]).arg(folder))?;
    let mut command = Command::new(folder.join("bin/pip"));
    command.args(["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"]).arg(list);
    Ok(made && succeeds(&mut command)?)
}
