//! The files of a data folder: artifacts by their digest, the folder of each build, and what is on its way in.
//!
//! ```text
//! _artifacts/<first 2 digits>/<64 digits>    an artifact, shared by all builds that have it
//! _staging/<uuid>.<random>/                  one upload in progress, or what a crash left of it
//! _cache/<kind>_<version>/<digest>.html      visualizations, made by hooks
//! <job>/<uuid>/script.txt, console.txt       what ran and what it said
//! <job>/<uuid>/outline.gz                    how the record was put together: see `outline`
//! ```
//!
//! Whoever removes artifacts holds [`Depot::lock_removal`]; whoever counts on one that is there holds
//! [`Depot::lock_sharing`] until its row is committed. Whoever makes a build durable holds [`Depot::lock_turn`], and whoever
//! receives one a lock on its staging folder, which tells it from what a crash left. The locks hold across processes: a
//! mirror may store builds beside the server.

mod read;

pub use read::Unreadable;

use crate::digest::Digest;
use crate::error::{Tried, WebError};
use crate::name::Name;
use builder_model::BuildId;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Where artifacts lie, below the data folder.
const ARTIFACTS: &str = "_artifacts";
const STAGING: &str = "_staging";
const CACHE: &str = "_cache";

/// The data folder of a repository.
#[derive(Debug, Clone)]
pub struct Depot {
    root: PathBuf,
}

/// A lock on the artifacts, until it is dropped.
#[derive(Debug)]
pub struct ArtifactsLock {
    _folder: File,
}

/// The lock of the one server of a data folder, until it is dropped.
#[derive(Debug)]
pub struct ServerLock {
    _folder: File,
}

/// The turn to make a build durable, until it is dropped.
#[derive(Debug)]
pub(crate) struct TurnLock {
    _folder: File,
}

/// The lock on one staging folder, until it is dropped.
#[derive(Debug)]
pub(crate) struct StagingLock {
    _folder: File,
}

impl Depot {
    /// Opens a data folder that exists, and makes the folders in it that are missing.
    pub fn open(root: &Path) -> Result<Self, WebError> {
        if !root.is_dir() {
            return Err(WebError::Missing { what: "the data folder", path: root.to_owned() });
        }
        let depot = Self { root: root.to_owned() };
        for folder in [depot.artifacts(), depot.stagings()] {
            make_folder(&folder)?;
        }
        Ok(depot)
    }

    /// The data folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of all artifacts.
    pub fn artifacts(&self) -> PathBuf {
        self.root.join(ARTIFACTS)
    }

    /// The folder of all uploads in progress.
    pub fn stagings(&self) -> PathBuf {
        self.root.join(STAGING)
    }

    /// The folder of visualizations.
    pub fn cache(&self) -> PathBuf {
        self.root.join(CACHE)
    }

    /// An artifact.
    pub fn artifact(&self, digest: &Digest) -> PathBuf {
        let text = digest.to_string();
        self.root.join(ARTIFACTS).join(&text[..2]).join(text)
    }

    /// The folder of a build, relative to the data folder.
    pub fn build_folder(job: &Name, build: &BuildId) -> PathBuf {
        Path::new(job.as_str()).join(build.to_string())
    }

    /// A file that a row names, such as `<job>/<uuid>/console.txt`; none when the row would lead out of the data
    /// folder.
    pub fn file_of_row(&self, path: &str) -> Option<PathBuf> {
        use std::path::Component;
        let path = Path::new(path);
        path.components().all(|part| matches!(part, Component::Normal(_))).then(|| self.root.join(path))
    }

    /// The outline of a build's record, beside its console; none when the row would lead out of the data folder.
    pub fn outline_of_row(&self, console: &str) -> Option<PathBuf> {
        Some(self.file_of_row(console)?.with_file_name("outline.gz"))
    }

    /// Keeps artifacts from being removed; waits for a removal that goes on.
    pub fn lock_sharing(&self) -> Result<ArtifactsLock, WebError> {
        let folder = self.artifacts();
        let file = File::open(&folder).tried("open", &folder)?;
        file.lock_shared().tried("lock", &folder)?;
        Ok(ArtifactsLock { _folder: file })
    }

    /// Keeps uploads from counting on artifacts that are there; waits for those that do.
    pub fn lock_removal(&self) -> Result<ArtifactsLock, WebError> {
        let folder = self.artifacts();
        let file = File::open(&folder).tried("open", &folder)?;
        file.lock().tried("lock", &folder)?;
        Ok(ArtifactsLock { _folder: file })
    }

    /// The same where nobody counts on artifacts now; none where somebody does.
    pub fn try_lock_removal(&self) -> Result<Option<ArtifactsLock>, WebError> {
        let folder = self.artifacts();
        let file = File::open(&folder).tried("open", &folder)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(ArtifactsLock { _folder: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).tried("lock", &folder),
        }
    }

    /// Takes the data folder for this server, and refuses one that another server has.
    pub fn lock_server(&self) -> Result<ServerLock, WebError> {
        let folder = self.stagings();
        let file = File::open(&folder).tried("open", &folder)?;
        match file.try_lock() {
            Ok(()) => Ok(ServerLock { _folder: file }),
            Err(TryLockError::WouldBlock) => Err(WebError::Locked { path: self.root.clone() }),
            Err(TryLockError::Error(error)) => Err(error).tried("lock", &folder),
        }
    }

    /// Waits for the turn to make the files and rows of one build durable, whichever process has it now.
    pub(crate) fn lock_turn(&self) -> Result<TurnLock, WebError> {
        let file = File::open(&self.root).tried("open", &self.root)?;
        file.lock().tried("lock", &self.root)?;
        Ok(TurnLock { _folder: file })
    }

    /// Takes a staging folder; none when somebody has it, or when it is gone by now.
    pub(crate) fn try_lock_staging(staging: &Path) -> Result<Option<StagingLock>, WebError> {
        let file = match File::open(staging) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).tried("open", staging),
        };
        match file.try_lock() {
            // Whoever had it may have removed it while it was opened here.
            Ok(())
                if file.metadata().ok().map(|open| FileIdentity::of_metadata(&open)) == FileIdentity::of(staging) =>
            {
                Ok(Some(StagingLock { _folder: file }))
            }
            Ok(()) | Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).tried("lock", staging),
        }
    }

    /// Removes a file or a folder with all that is in it; one that is not there is no error.
    pub fn remove(path: &Path) -> Result<(), WebError> {
        let removed = match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
            Ok(_) => fs::remove_file(path),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).tried("remove", path),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// Which file it is, whatever its name: its device and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileIdentity(u64, u64);

impl FileIdentity {
    /// Of what lies there now. It is not opened: to close a database would take SQLite's locks on it away.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|metadata| Self::of_metadata(&metadata))
    }

    fn of_metadata(metadata: &fs::Metadata) -> Self {
        Self(metadata.dev(), metadata.ino())
    }
}

/// Random bytes of the system.
pub(crate) fn random<const COUNT: usize>() -> Result<[u8; COUNT], WebError> {
    let mut bytes = [0; COUNT];
    getrandom::fill(&mut bytes)
        .map_err(|error| io::Error::other(error.to_string()))
        .tried("read", Path::new("/dev/urandom"))?;
    Ok(bytes)
}

/// Makes a folder where there is none.
pub(crate) fn make_folder(path: &Path) -> Result<(), WebError> {
    match fs::DirBuilder::new().mode(0o755).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error).tried("create", path),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), WebError> {
    File::open(path).and_then(|folder| folder.sync_all()).tried("sync", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_do_not_lead_out_of_the_data_folder() {
        let folder = tempfile::tempdir().unwrap();
        let depot = Depot::open(folder.path()).unwrap();
        assert_eq!(depot.file_of_row("j/u/console.txt"), Some(folder.path().join("j/u/console.txt")));
        for bad in ["/etc/passwd", "../x", "j/../../x", "./x"] {
            assert_eq!(depot.file_of_row(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_staging_folder_is_had_by_one_until_it_is_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let staging = folder.path().join("staging");
        fs::create_dir(&staging).unwrap();
        let lock = Depot::try_lock_staging(&staging).unwrap();
        assert!(lock.is_some() && Depot::try_lock_staging(&staging).unwrap().is_none());
        drop(lock);
        assert!(Depot::try_lock_staging(&staging).unwrap().is_some());
        assert!(Depot::try_lock_staging(&folder.path().join("gone")).unwrap().is_none());
    }

    #[test]
    fn a_data_folder_has_one_server() {
        let folder = tempfile::tempdir().unwrap();
        let depot = Depot::open(folder.path()).unwrap();
        let lock = depot.lock_server().unwrap();
        assert!(matches!(depot.lock_server(), Err(WebError::Locked { .. })));
        drop(lock);
        depot.lock_server().unwrap();
        assert!(matches!(Depot::open(&folder.path().join("nowhere")), Err(WebError::Missing { .. })));
    }
}
