//! The archive of a package: a tar of the old kind, two manifests first, then every file under its absolute name, and zstd
//! over all of it.

use crate::command::{output, program, run};
use anyhow::{Context, Result};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What is run, and so has the mode for that; everything else has not.
const RUN: [&str; 6] = [
    "usr/local/bin/",
    "usr/local/etc/rc.d/",
    "usr/local/etc/periodic/",
    "usr/local/libexec/",
    "usr/local/share/builder-web/hooks/",
    "usr/local/share/examples/builder/bin/",
];
/// Levels above this one want more memory than small machines have to unpack.
const ZSTD_LEVEL: &str = "-19";

/// All files below a folder, as they are called below it, sorted.
pub(super) fn files(stage: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![stage.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))? {
            let path = entry.with_context(|| format!("list {}", folder.display()))?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(stage).unwrap_or(&path).to_path_buf());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The same modes whatever the umask and the modes of the sources are.
pub(super) fn set_modes(stage: &Path, files: &[PathBuf]) -> Result<()> {
    for file in files {
        let mode = if RUN.iter().any(|place| file.starts_with(place)) { 0o755 } else { 0o644 };
        let path = stage.join(file);
        let set = std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode));
        set.with_context(|| format!("set the mode of {}", path.display()))?;
    }
    Ok(())
}

/// Packs, and returns the path of the package.
pub(super) fn pack(meta: &Path, stage: &Path, files: &[PathBuf], epoch: &str, package: &Path) -> Result<PathBuf> {
    let folder = package.parent().context("the package has no folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let unpacked = package.with_extension("tar");
    let mut tar = program("tar", &["--create", "--format=ustar", "--absolute-names", "--no-recursion"]);
    tar.args(["--owner=root:0", "--group=wheel:0", "--mode=u=rwX,go=rX", r"--transform=s,^\./,/,"]);
    tar.arg(format!("--mtime=@{epoch}")).arg("--file").arg(&unpacked);
    tar.arg("--directory").arg(meta).args(["+COMPACT_MANIFEST", "+MANIFEST"]).arg("--directory").arg(stage);
    output(tar.args(files.iter().map(|file| Path::new(".").join(file))))?;
    let mut zstd = program("zstd", &["--quiet", "--force", "--rm", "--single-thread", ZSTD_LEVEL]);
    run(zstd.arg(&unpacked).arg("-o").arg(package))?;
    Ok(package.to_path_buf())
}
