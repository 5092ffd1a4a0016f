//! What can go wrong on disk, in words for the operator who can mend it.

use builder_wire::DecodeError;
use std::io;
use std::path::{Path, PathBuf};

/// A failure of the data folder or of something in it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A folder that must be there is not.
    #[error("{what} {} does not exist\nhint: create it, owned by the user that runs builder-server, or name another one", .path.display())]
    Missing {
        /// Which folder.
        what: &'static str,
        /// Where.
        path: PathBuf,
    },
    /// Another server has the data folder.
    #[error(
        "another builder-server{} uses the data folder {}\nhint: stop it first, or give this one a folder of its own", pid_text(.pid), .path.display()
    )]
    Locked {
        /// The data folder.
        path: PathBuf,
        /// The other server's process, as far as it is known.
        pid: Option<u32>,
    },
    /// The system refused an operation.
    #[error("cannot {action} {}: {source}{}", .path.display(), io_hint(.source))]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// SQLite refused an operation.
    #[error("cannot {action} the database {}: {source}{}", .path.display(), database_hint(.source))]
    Database {
        /// What was tried.
        action: &'static str,
        /// Which database.
        path: PathBuf,
        /// Why not.
        source: rusqlite::Error,
    },
    /// Another file lies where the open database was.
    #[error("the database {} was replaced while it was open\nhint: restart builder-server", .path.display())]
    Replaced {
        /// Which database.
        path: PathBuf,
    },
    /// The file system has no shared memory, so SQLite keeps no write-ahead log on it.
    #[error("the database {} cannot have a write-ahead log here: SQLite offers the journal mode {mode:?}\nhint: the data folder must lie on a local file system, not on one of the network", .path.display())]
    Journal {
        /// Which database.
        path: PathBuf,
        /// The journal that it has instead.
        mode: String,
    },
    /// The database was written by a newer builder.
    #[error("the database {} has version {found}, this builder-server knows versions up to {known}\nhint: install the newer builder-server again", .path.display())]
    Newer {
        /// Which database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The database was written by an older builder.
    #[error("the database {} has version {found}, this builder-server reads version {known}\nhint: start builder-server on the folder once, which brings the database to that version; on a copy if it is a backup", .path.display())]
    Older {
        /// Which database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// A folder cannot become a backup.
    #[error("cannot make a backup in {}: {reason}; nothing was changed", .path.display())]
    Backup {
        /// Which folder.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The original's state file cannot be read.
    #[error(
        "the state file {} is damaged: {source}\nhint: nothing was changed; restore the file from a backup, or move it away to start with an empty schedule", .path.display()
    )]
    StateFile {
        /// Which file.
        path: PathBuf,
        /// Where and how.
        source: DecodeError,
    },
    /// A build record cannot be read.
    #[error("the build record {} is damaged: {reason}", .path.display())]
    Record {
        /// Which file.
        path: PathBuf,
        /// Where and how.
        reason: String,
    },
}

fn pid_text(pid: &Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is the standard library's, and grows")]
fn io_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "\nhint: make room on this file system",
        io::ErrorKind::PermissionDenied => "\nhint: it must belong to the user that runs builder-server",
        io::ErrorKind::ReadOnlyFilesystem => "\nhint: the file system must be mounted writable",
        _ => "",
    }
}

fn database_hint(error: &rusqlite::Error) -> &'static str {
    use rusqlite::ErrorCode;
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "\nhint: nothing was changed; restore the file from a backup, or save what can be read with \
             `sqlite3 builder-server.sqlite3 .recover`, and move the damaged file away"
        }
        Some(ErrorCode::DiskFull) => "\nhint: make room on this file system",
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            "\nhint: it must be writable for the user that runs builder-server"
        }
        _ => "",
    }
}

/// Names what was tried and on which path when an operation fails.
pub(crate) trait Tried<T> {
    fn tried(self, action: &'static str, path: &Path) -> Result<T, StoreError>;
}

impl<T> Tried<T> for io::Result<T> {
    fn tried(self, action: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Io { action, path: path.to_owned(), source })
    }
}

impl<T> Tried<T> for rusqlite::Result<T> {
    fn tried(self, action: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Database { action, path: path.to_owned(), source })
    }
}
