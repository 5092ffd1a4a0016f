//! What a fresh root file system loses: all that tells of the machine and the moment where it was made, so that the
//! same packages give the same digest, and what only takes room.

use crate::error::{Error, Tried};
use crate::recipe::Recipe;
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Files that are removed.
const FILES: &[&str] = &[
    "etc/.pwd.lock",
    "etc/group-",
    "etc/gshadow-",
    "etc/passwd-",
    "etc/resolv.conf",
    "etc/shadow-",
    "var/cache/apt/pkgcache.bin",
    "var/cache/apt/srcpkgcache.bin",
    "var/cache/debconf/config.dat-old",
    "var/cache/debconf/templates.dat-old",
    "var/cache/ldconfig/aux-cache",
    "var/lib/dbus/machine-id",
    "var/lib/dpkg/available-old",
    "var/lib/dpkg/diversions-old",
    "var/lib/dpkg/status-old",
    "var/lib/systemd/catalog/database",
];
/// Folders that are emptied of files, and of nothing that lies deeper.
const FOLDERS: &[&str] = &["var/cache/apt/archives", "var/lib/apt/lists", "var/log", "var/log/apt"];
/// When a password was changed, in the file of passwords: a day since 1970 on which nobody did.
const PASSWORD_DAY: &str = "1";
/// Where a job's folder appears in a sandbox.
const JOB_FOLDER: &str = "build";
/// Files that a sandbox shows its own in the place of, for which something has to be there.
const MOUNT_POINTS: [&str; 5] = ["etc/group", "etc/hosts", "etc/nsswitch.conf", "etc/passwd", "etc/resolv.conf"];
/// The name of the host, as every job sees it.
const HOST: &str = "builder";

/// Takes all of that away, and puts in what jobs expect.
pub(crate) fn strip(root: &Path, recipe: &Recipe) -> Result<(), Error> {
    for file in FILES {
        remove(&root.join(file))?;
    }
    for folder in FOLDERS {
        empty(&root.join(folder))?;
    }
    let shadow = root.join("etc/shadow");
    if let Some(text) = read(&shadow)? {
        fs::write(&shadow, without_days(&text)).tried("write", &shadow)?;
    }
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        fs::write(&path, text).tried("write", &path)
    };
    write("etc/machine-id", "")?;
    write("etc/hostname", &format!("{HOST}\n"))?;
    write("etc/apt/sources.list", &recipe.sources_list())?;
    for path in MOUNT_POINTS.map(|path| root.join(path)) {
        File::options().create(true).append(true).open(&path).tried("create", &path)?;
    }
    let folder = root.join(JOB_FOLDER);
    match fs::create_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.tried("make the folder", &folder),
    }
}

/// The file of passwords without the days on which they were set.
fn without_days(shadow: &str) -> String {
    let line = |line: &str| {
        let mut fields: Vec<&str> = line.split(':').collect();
        if let Some(day) = fields.get_mut(2).filter(|day| !day.is_empty()) {
            *day = PASSWORD_DAY;
        }
        fields.join(":") + "\n"
    };
    shadow.lines().map(line).collect()
}

fn read(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some).tried("read", path),
    }
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(()),
        removed => removed.tried("remove", path),
    }
}

fn empty(folder: &Path) -> Result<(), Error> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.tried("read the folder", folder)?,
    };
    for entry in entries {
        let path = entry.tried("read the folder", folder)?.path();
        if !fs::symlink_metadata(&path).tried("look at", &path)?.is_dir() {
            remove(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{Distribution, Tool};

    #[test]
    fn what_tells_of_the_day_goes_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for path in ["etc/apt", "var/log/apt", "var/lib/apt/lists/partial"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        for path in ["var/log/bootstrap.log", "var/log/apt/history.log", "etc/passwd-", "etc/passwd"] {
            fs::write(root.join(path), "x").unwrap();
        }
        fs::write(root.join("etc/shadow"), "root:*:20417:0:99999:7:::\nodd\n").unwrap();
        let recipe = Recipe::new(Distribution::Debian, "bookworm", Tool::Debootstrap);
        strip(root, &recipe).unwrap();
        strip(root, &recipe).unwrap();
        for gone in ["var/log/bootstrap.log", "var/log/apt/history.log", "etc/passwd-"] {
            assert!(!root.join(gone).exists(), "{gone}");
        }
        assert!(root.join("var/lib/apt/lists/partial").is_dir() && root.join("etc/passwd").exists());
        assert_eq!(fs::read_to_string(root.join("etc/shadow")).unwrap(), "root:*:1:0:99999:7:::\nodd\n");
        assert_eq!(
            fs::read_to_string(root.join("etc/apt/sources.list")).unwrap(),
            "deb http://deb.debian.org/debian bookworm main\n"
        );
        assert!(root.join(JOB_FOLDER).is_dir() && root.join("etc/hosts").is_file());
    }
}
