//! A root file system on disk: a folder, and beside it a file that says its digest.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// What the name of the file with the digest ends with: it lies beside the folder.
pub const DIGEST_SUFFIX: &str = ".digest";
/// Longest digest, in bytes.
const DIGEST_BYTES_MAX: usize = 256;

/// A root file system that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Its folder.
    pub path: PathBuf,
    /// What it has been recorded to hold.
    pub digest: Option<Digest>,
    /// What lies in it, by name.
    pub entries: Vec<Entry>,
}

/// A folder, a link or a file at the top of a root file system.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its name.
    pub name: OsString,
    /// Where it leads to, if it is a link.
    pub link: Option<PathBuf>,
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
    fn parse(text: &[u8]) -> Option<Self> {
        let line = str::from_utf8(text).ok()?.trim_end();
        let is_line = (1..=DIGEST_BYTES_MAX).contains(&line.len()) && line.bytes().all(|byte| byte.is_ascii_graphic());
        is_line.then(|| Self(line.to_owned()))
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
    /// It cannot be looked into.
    #[error("cannot read the root file system in {}: {source}", path.display())]
    Unreadable {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
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
    /// Looks at a folder.
    ///
    /// # Errors
    ///
    /// It is not there, or what is recorded of it cannot be read.
    pub fn read(path: &Path) -> Result<Self, RootError> {
        if !path.is_dir() {
            return Err(RootError::Missing { path: path.to_owned() });
        }
        let place = Self::digest_path(path);
        let digest = match std::fs::read(&place) {
            Ok(text) => {
                let bad = || io::Error::new(io::ErrorKind::InvalidData, "it is not one line of visible characters");
                let digest = Digest::parse(&text).ok_or_else(bad);
                Some(digest.map_err(|source| RootError::Digest { path: place, source })?)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(RootError::Digest { path: place, source }),
        };
        let unreadable = |source| RootError::Unreadable { path: path.to_owned(), source };
        let entry = |entry: io::Result<std::fs::DirEntry>| {
            let entry = entry?;
            Ok(Entry { name: entry.file_name(), link: std::fs::read_link(entry.path()).ok() })
        };
        let entries = std::fs::read_dir(path).and_then(|entries| entries.map(entry).collect::<io::Result<Vec<_>>>());
        let mut entries = entries.map_err(unreadable)?;
        entries.sort();
        Ok(Self { path: path.to_owned(), digest, entries })
    }

    /// Where the digest of a root file system is written.
    pub fn digest_path(path: &Path) -> PathBuf {
        let mut place = OsString::from(path);
        place.push(DIGEST_SUFFIX);
        place.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_lies_beside_its_root() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bookworm");
        assert!(Root::read(&path).unwrap_err().to_string().contains("builder rootfs create"));
        std::fs::create_dir(&path).unwrap();
        assert_eq!(Root::read(&path).unwrap().digest, None);
        std::fs::write(folder.path().join("bookworm.digest"), "sha256:abc\n").unwrap();
        assert_eq!(Root::read(&path).unwrap().digest.as_ref().map(Digest::as_str), Some("sha256:abc"));
        for bad in ["", "a b", "a\nb", "\u{e9}"] {
            std::fs::write(folder.path().join("bookworm.digest"), bad).unwrap();
            assert!(Root::read(&path).is_err(), "{bad:?}");
        }
    }
}
