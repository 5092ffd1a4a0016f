//! A root file system on disk: one that `builder rootfs` keeps in versions, or any folder, and beside it a file that
//! says its digest.

use builder_model::RootfsName;
use builder_rootfs::{Folder, Held};
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What the name of the file with the digest ends with: it lies beside the folder.
pub const DIGEST_SUFFIX: &str = ".digest";
/// Where the shell may lie: `/bin` can be a link.
const SHELLS: [&str; 2] = ["usr/bin/sh", "bin/sh"];
/// Longest digest, in bytes.
const DIGEST_BYTES_MAX: usize = 256;

/// A root file system that is there.
#[derive(Debug)]
pub struct Root {
    /// What people call it: the last part of the path that the policy names.
    pub name: OsString,
    /// The folder of its files, or the name of a ZFS snapshot.
    pub path: PathBuf,
    /// What it has been recorded to hold.
    pub digest: Option<Digest>,
    /// Whom its folder belongs to.
    pub owner: u32,
    /// What lies in it, by name.
    pub entries: Vec<Entry>,
    /// What lies in its `/etc`, by name.
    pub etc: Vec<Entry>,
    /// Whether it has what runs scripts, as far as it can be looked into.
    pub has_shell: bool,
    /// Keeps this version of it from being removed.
    held: Option<Held>,
}

/// What lies in a folder of a root file system.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its name.
    pub name: OsString,
    /// What it is.
    pub kind: EntryKind,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// A folder.
    Folder,
    /// A file, or anything else that has no entries.
    File,
    /// A link, with where it leads to.
    Link(PathBuf),
}

/// The recorded digest of a root file system: one line of visible ASCII, such as `sha256:…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest(String);

impl Digest {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes the content of a file.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let line = str::from_utf8(text).ok()?.trim_end();
        let is_line = (1..=DIGEST_BYTES_MAX).contains(&line.len()) && line.bytes().all(|byte| byte.is_ascii_graphic());
        is_line.then(|| Self(line.to_owned()))
    }
}

/// What is no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a digest is 1 to {DIGEST_BYTES_MAX} visible ASCII characters, such as sha256:…")]
pub struct DigestError;

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        Self::parse(text.as_bytes()).filter(|digest| digest.0 == text).ok_or(DigestError)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why there is no root file system to use.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// No such folder.
    #[error("there is no root file system in {}\nhint: `builder rootfs create` makes one", path.display())]
    Missing {
        /// Where.
        path: PathBuf,
    },
    /// No such snapshot, or none that can be asked for.
    #[error("there is no root file system in the snapshot {name}: {why}\nhint: `poudriere jail -c` makes one")]
    Snapshot {
        /// Its name.
        name: String,
        /// Why.
        why: String,
    },
    /// It cannot be looked into.
    #[error("cannot read the root file system in {}: {source}", path.display())]
    Unreadable {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be held.
    #[error("{0}")]
    Versions(#[from] builder_rootfs::Error),
    /// The file with the digest holds none, or cannot be read.
    #[error("cannot read the digest of the root file system in {}: {source}", path.display())]
    Digest {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Root {
    /// Looks at a folder, and holds what `builder rootfs` keeps there as long as the value lives.
    ///
    /// # Errors
    ///
    /// It is not there, or what is recorded of it cannot be read.
    pub fn read(path: &Path) -> Result<Self, RootError> {
        if !path.is_dir() {
            return Err(RootError::Missing { path: path.to_owned() });
        }
        let name = path.file_name().unwrap_or(path.as_os_str()).to_owned();
        match versions(path) {
            Some((folder, of)) => {
                let held = folder.hold(&of)?;
                let digest = Some(Digest(format!("sha256:{}", held.digest())));
                Self::look(name, held.root().to_owned(), digest, Some(held))
            }
            None => Self::look(name, path.to_owned(), digest_beside(path)?, None),
        }
    }

    fn look(name: OsString, path: PathBuf, digest: Option<Digest>, held: Option<Held>) -> Result<Self, RootError> {
        let owner = std::fs::metadata(&path);
        let owner = owner.map_err(|source| RootError::Unreadable { path: path.clone(), source })?.uid();
        let entries = entries(&path)?;
        let etc = match entries.iter().find(|entry| entry.name == "etc") {
            Some(Entry { kind: EntryKind::Folder, .. }) => self::entries(&path.join("etc"))?,
            Some(_) | None => Vec::new(),
        };
        // It may be a link to anything, but a link that leads to a folder of the host is not followed.
        let has_shell = SHELLS.iter().any(|shell| path.join(shell).symlink_metadata().is_ok());
        Ok(Self { name, path, digest, owner, entries, etc, has_shell, held })
    }

    /// A ZFS snapshot, which cannot be looked into before it is cloned.
    pub(crate) fn of_snapshot(path: &Path, digest: Option<Digest>) -> Self {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_owned();
        let (entries, etc) = (Vec::new(), Vec::new());
        Self { name, path: path.to_owned(), digest, owner: 0, entries, etc, has_shell: true, held: None }
    }

    /// No longer keeps its version: a job must not run in it any more.
    pub(crate) fn release(&mut self) {
        self.held = None;
    }

    /// Where the digest of a root file system is written.
    pub fn digest_path(path: &Path) -> PathBuf {
        let mut place = OsString::from(path);
        place.push(DIGEST_SUFFIX);
        place.into()
    }
}

/// The folder and the name, if `builder rootfs` keeps versions there.
fn versions(path: &Path) -> Option<(Folder, RootfsName)> {
    let name = RootfsName::parse(path.file_name()?.as_encoded_bytes()).ok()?;
    let folder = Folder::new(path.parent()?);
    folder.keeps(&name).then_some((folder, name))
}

fn digest_beside(path: &Path) -> Result<Option<Digest>, RootError> {
    let place = Root::digest_path(path);
    match std::fs::read(&place) {
        Ok(text) => {
            let bad = || io::Error::new(io::ErrorKind::InvalidData, "it is not one line of visible characters");
            let digest = Digest::parse(&text).ok_or_else(bad);
            Ok(Some(digest.map_err(|source| RootError::Digest { path: place, source })?))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(RootError::Digest { path: place, source }),
    }
}

fn entries(path: &Path) -> Result<Vec<Entry>, RootError> {
    let entry = |entry: io::Result<std::fs::DirEntry>| {
        let entry = entry?;
        let kind = entry.file_type()?;
        let kind = if kind.is_symlink() {
            EntryKind::Link(std::fs::read_link(entry.path())?)
        } else if kind.is_dir() {
            EntryKind::Folder
        } else {
            EntryKind::File
        };
        Ok(Entry { name: entry.file_name(), kind })
    };
    let entries = std::fs::read_dir(path).and_then(|entries| entries.map(entry).collect::<io::Result<Vec<_>>>());
    let mut entries = entries.map_err(|source| RootError::Unreadable { path: path.to_owned(), source })?;
    entries.sort();
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use builder_rootfs::{Distribution, Recipe, Tool};

    #[test]
    fn a_digest_lies_beside_its_root() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bookworm");
        assert!(Root::read(&path).unwrap_err().to_string().contains("builder rootfs create"));
        std::fs::create_dir_all(path.join("etc/apt")).unwrap();
        std::os::unix::fs::symlink("usr/bin", path.join("bin")).unwrap();
        let root = Root::read(&path).unwrap();
        assert_eq!((&root.digest, root.name.to_str(), root.has_shell), (&None, Some("bookworm"), false));
        let entry = |name: &str, kind| Entry { name: name.into(), kind };
        assert_eq!(root.entries, [entry("bin", EntryKind::Link("usr/bin".into())), entry("etc", EntryKind::Folder)]);
        assert_eq!(root.etc, [entry("apt", EntryKind::Folder)]);
        std::fs::write(folder.path().join("bookworm.digest"), "sha256:abc\n").unwrap();
        assert_eq!(Root::read(&path).unwrap().digest.as_ref().map(Digest::as_str), Some("sha256:abc"));
        for bad in ["", "a b", "a\nb", "\u{e9}"] {
            std::fs::write(folder.path().join("bookworm.digest"), bad).unwrap();
            assert!(Root::read(&path).is_err(), "{bad:?}");
            assert!(bad.parse::<Digest>().is_err(), "{bad:?}");
        }
        assert_eq!("zfs-guid:1".parse::<Digest>().unwrap().as_str(), "zfs-guid:1");
        assert!(
            "sha256:abc\n".parse::<Digest>().is_err() && "x".repeat(DIGEST_BYTES_MAX + 1).parse::<Digest>().is_err()
        );
    }

    #[test]
    fn what_is_kept_in_versions_is_held_and_recorded() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path());
        let name: RootfsName = "bookworm".parse().unwrap();
        let recipe = Recipe::new(Distribution::Debian, "bookworm", Tool::Debootstrap);
        let made = folder.create(&name, &recipe, |_, root, _| {
            std::fs::create_dir_all(root.join("usr/bin")).unwrap();
            std::fs::write(root.join("usr/bin/sh"), "").unwrap();
            Ok(())
        });
        let mut root = Root::read(&temporary.path().join("bookworm")).unwrap();
        assert!(root.has_shell);
        let recorded = format!("sha256:{}", made.unwrap().now);
        assert_eq!(root.digest.as_ref().map(Digest::as_str), Some(recorded.as_str()));
        assert_eq!((root.name.to_str(), root.entries.len()), (Some("bookworm"), 1));
        assert!(folder.remove(&name).is_err(), "it is held");
        root.release();
        folder.remove(&name).unwrap();
        assert!(Root::read(&temporary.path().join("bookworm")).is_err());
    }
}
