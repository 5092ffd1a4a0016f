//! The tarball: everything below one prefix, for Linux of any kind whose C library is not older than that of this system.

use super::Release;
use super::files::copy;
use super::tree;
use crate::command::{program, root, run};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// What else is for Linux only, below `packaging`, and where it goes.
const OTHERS: [(&str, &str); 7] = [
    ("sysusers.d", "lib/sysusers.d"),
    ("tmpfiles.d", "lib/tmpfiles.d"),
    ("etc/builder-server.toml", "share/builder-server/builder-server.toml.sample"),
    ("etc/builder-worker.toml", "share/builder-worker/builder-worker.toml.sample"),
    ("etc/builder-worker", "share/builder-worker/builder-worker.sample"),
    ("containers", "share/builder-worker/containers"),
    ("monitoring", "share/doc/builder/monitoring"),
];

/// Gathers and packs; returns the path of the package.
pub(super) fn make(release: &Release) -> Result<PathBuf> {
    let name = format!("builder-{}-{}-linux", release.version, std::env::consts::ARCH);
    let stage = release.empty_stage("tarball")?.join(&name);
    tree::gather(&release.binaries, &release.binaries, &stage)?;
    copy(&root().join("packaging/systemd"), &stage.join("lib/systemd/system"))?;
    copy(&root().join("packaging/apparmor.d"), &stage.join("share/builder-worker/apparmor.d"))?;
    for (from, to) in OTHERS {
        copy(&root().join("packaging").join(from), &stage.join(to))?;
    }
    pack(&stage, &name, &release.epoch, &release.folder)
}

/// Packs with sorted names, one time, one owner and plain modes; returns the path of the package.
fn pack(stage: &Path, name: &str, epoch: &str, folder: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let archive = folder.join(format!("{name}.tar"));
    let mut tar = program("tar", &["--create", "--format=ustar", "--sort=name", "--owner=0", "--group=0"]);
    tar.args(["--numeric-owner", "--mode=u=rwX,go=rX"]).arg(format!("--mtime=@{epoch}")).arg("--file").arg(&archive);
    let parent = stage.parent().context("the package has no folder around it")?;
    run(tar.arg("--directory").arg(parent).arg(name))?;
    run(program("gzip", &["-n", "-9", "--force"]).arg(&archive))?;
    Ok(archive.with_extension("tar.gz"))
}

#[cfg(test)]
mod tests {
    use super::super::files::write;
    use super::*;

    #[test]
    fn the_same_files_make_the_same_package() {
        let folder = std::env::temp_dir().join(format!("xtask-dist-{}", std::process::id()));
        let sum = |round: &str| {
            let stage = folder.join(round).join("builder-test");
            for file in ["b", "a", "sub/c"] {
                write(&stage.join(file), file.as_bytes()).unwrap();
            }
            std::fs::read(pack(&stage, "builder-test", "1700000000", &folder).unwrap()).unwrap()
        };
        let (first, second) = (sum("first"), sum("second"));
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(!first.is_empty());
        assert_eq!(first, second);
    }
}
