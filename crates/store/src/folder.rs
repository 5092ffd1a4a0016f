//! The data folder: where everything lies, and who may use it.

use crate::error::{StoreError, Tried};
use builder_model::limits::NAME_BYTES_MAX;
use builder_model::{BuildId, JobName};
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What our own files and folders in the data folder begin with; no job's folder does.
pub(crate) const OWN_PREFIX: &str = "builder-server.";
/// The original's state file and its temporary name.
const STATE_FILES: [&str; 2] = ["state", "state.tmp"];

/// A data folder that this process alone uses.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    /// Holds the lock as long as it is open.
    _lock: File,
}

impl Folder {
    /// Takes a data folder that exists, and refuses one that another server has.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        if !root.is_dir() {
            return Err(StoreError::Missing { what: "the data folder", path: root.to_owned() });
        }
        let lock = lock(root)?;
        let folder = Self { root: root.to_owned(), _lock: lock };
        for own in [folder.consoles(), folder.incoming()] {
            if !own.is_dir() {
                fs::DirBuilder::new().mode(0o750).create(&own).tried("create", &own)?;
            }
        }
        Ok(folder)
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The database of a data folder.
    pub fn database_of(root: &Path) -> PathBuf {
        root.join("builder-server.sqlite3")
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        Self::database_of(&self.root)
    }

    /// The original's state file, which is imported once and never changed.
    pub fn state_file(&self) -> PathBuf {
        self.root.join("state")
    }

    fn consoles(&self) -> PathBuf {
        self.root.join("builder-server.console")
    }

    /// The console log of a build that has no record yet.
    pub fn console(&self, build: &BuildId) -> PathBuf {
        self.consoles().join(format!("{build}.log"))
    }

    fn incoming(&self) -> PathBuf {
        self.root.join("builder-server.incoming")
    }

    /// Where the record of a build is written until it is complete.
    pub fn incoming_record(&self, build: &BuildId) -> PathBuf {
        self.incoming().join(build.to_string())
    }

    /// The folder of a job's builds.
    pub fn job(&self, job: &JobName) -> PathBuf {
        self.root.join(job_folder_name(job))
    }

    /// The record of a build in a data folder.
    pub fn record_of(root: &Path, job: &JobName, build: &BuildId) -> PathBuf {
        root.join(job_folder_name(job)).join(build.to_string()).join("full")
    }

    /// The record of a build.
    pub fn record(&self, job: &JobName, build: &BuildId) -> PathBuf {
        Self::record_of(&self.root, job, build)
    }

    /// Removes what a crash left half written, and the consoles of builds that `keep` does not know. Gives how many
    /// files that were.
    pub fn remove_leftovers(&self, mut keep: impl FnMut(&BuildId) -> bool) -> Result<usize, StoreError> {
        let mut removed = 0;
        for (folder, is_console) in [(self.incoming(), false), (self.consoles(), true)] {
            for entry in fs::read_dir(&folder).tried("list", &folder)? {
                let path = entry.tried("list", &folder)?.path();
                let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
                let kept = is_console && stem.parse().is_ok_and(|build| keep(&build));
                if !kept {
                    fs::remove_file(&path).tried("remove", &path)?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    /// Removes the record of a build and the folders that are empty without it.
    pub fn remove_record(&self, job: &JobName, build: &BuildId) -> Result<(), StoreError> {
        let path = self.record(job, build);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).tried("remove", &path),
            Ok(()) | Err(_) => {}
        }
        let folders = path.ancestors().skip(1).take(2);
        for folder in folders {
            // A folder that is not empty stays; so does one that somebody removed before us.
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }
}

fn lock(root: &Path) -> Result<File, StoreError> {
    let path = root.join("builder-server.lock");
    let mut options = OpenOptions::new();
    let mut file =
        options.read(true).write(true).create(true).truncate(false).mode(0o640).open(&path).tried("open", &path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            file.read_to_string(&mut text).tried("read", &path)?;
            return Err(StoreError::Locked { path: root.to_owned(), pid: text.trim().parse().ok() });
        }
        Err(TryLockError::Error(error)) => return Err(error).tried("lock", &path),
    }
    file.set_len(0).tried("write", &path)?;
    file.rewind().tried("write", &path)?;
    writeln!(file, "{}", std::process::id()).tried("write", &path)?;
    Ok(file)
}

/// The name of a job's folder: its own name where that is safe. Names that came from an old state and ours alone may
/// not have are escaped with `%`, which no strict name contains, and cut to a length that every file system takes.
fn job_folder_name(job: &JobName) -> String {
    let own = |name: &str| STATE_FILES.contains(&name) || name.starts_with(OWN_PREFIX);
    if let Ok(name) = std::str::from_utf8(job.as_bytes())
        && job.is_strict()
        && !own(name)
    {
        return name.to_owned();
    }
    let mut escaped = String::from("%");
    for &byte in job.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"._+-@".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02x}"));
        }
    }
    if escaped.len() > NAME_BYTES_MAX {
        let digest = Sha256::digest(job.as_bytes());
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        escaped.truncate(NAME_BYTES_MAX);
        escaped.push_str("%%");
        escaped.push_str(&digest);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> String {
        job_folder_name(&JobName::from_history(text.as_bytes()))
    }

    #[test]
    fn folder_names_are_safe_and_distinct() {
        assert_eq!(name("mirage-www"), "mirage-www");
        assert_eq!(name("state"), "%state");
        assert_eq!(name("builder-server.sqlite3"), "%builder-server.sqlite3");
        assert_eq!(name(".."), "%..");
        assert_eq!(name("../x"), "%..%2fx");
        assert_eq!(name("%state"), "%%25state");
        assert_eq!(name(""), "%");
        let (long_a, long_b) = (name(&"/".repeat(5000)), name(&"/".repeat(5001)));
        assert!(long_a.len() < 255 && long_a != long_b);
    }

    #[test]
    fn one_server_a_folder() {
        let root = tempfile::tempdir().unwrap();
        let first = Folder::open(root.path()).unwrap();
        let error = Folder::open(root.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("(process {})", std::process::id())), "{error}");
        drop(first);
        Folder::open(root.path()).unwrap();
        let error = Folder::open(&root.path().join("none")).unwrap_err().to_string();
        assert!(error.contains("does not exist\nhint: create it"), "{error}");
    }
}
