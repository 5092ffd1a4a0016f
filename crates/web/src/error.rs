//! What can go wrong in a repository, in words for the operator who can mend it.

use std::io;
use std::path::PathBuf;

/// A failure of the data folder or of something in it.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// A folder that must be there is not.
    #[error("{what} {} does not exist\nhint: create it, owned by the user that runs builder-web, or name another one", .path.display())]
    Missing {
        /// Which folder.
        what: &'static str,
        /// Where.
        path: PathBuf,
    },
    /// Another server has the data folder.
    #[error("another builder-web uses the data folder {}\nhint: stop it first, or give this one a folder of its own", .path.display())]
    Locked {
        /// The data folder.
        path: PathBuf,
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
    /// There is no database.
    #[error("there is no database {}\nhint: `builder-db migrate` makes one", .path.display())]
    DatabaseMissing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// There is a database already.
    #[error("the database {} exists already; nothing was changed", .path.display())]
    DatabaseExists {
        /// Which one.
        path: PathBuf,
    },
    /// The database is of another program, or of another version of the original.
    #[error("Wrong database version: {} is of application {application}, version {version}; expected application {}, version {}{}", .path.display(), crate::database::schema::APPLICATION_ID, crate::database::schema::SCHEMA_VERSION, version_hint(*.application, *.version))]
    DatabaseVersion {
        /// Which database.
        path: PathBuf,
        /// The application that it names.
        application: i64,
        /// The version that it has.
        version: i64,
    },
    /// Our own tables were written by another builder-web.
    #[error("the database {} has own tables of version {found}, this builder-web knows version {known}\nhint: install the newer builder-web again", .path.display())]
    OwnVersion {
        /// Which database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The file system has no shared memory, so SQLite keeps no write-ahead log on it.
    #[error("the database {} cannot have a write-ahead log here: SQLite offers the journal mode {mode:?}\nhint: the data folder must lie on a local file system, not on one of the network", .path.display())]
    Journal {
        /// Which database.
        path: PathBuf,
        /// The journal that it has instead.
        mode: String,
    },
    /// Another file lies where the database was that is open.
    #[error("the database {} was replaced by another file while it was open; nothing was changed\nhint: restart builder-web", .path.display())]
    DatabaseReplaced {
        /// Which database.
        path: PathBuf,
    },
    /// Something that is asked for is not there.
    #[error("there is no {what}")]
    Unknown {
        /// What, with its name.
        what: String,
    },
    /// A file of ours cannot be read.
    #[error("{} is damaged: {reason}", .path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where and how.
        reason: String,
    },
}

impl WebError {
    /// Whether somebody has to make room before it can go well.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            Self::Database { source, .. } => source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull),
            Self::Missing { .. }
            | Self::Locked { .. }
            | Self::DatabaseMissing { .. }
            | Self::DatabaseExists { .. }
            | Self::DatabaseVersion { .. }
            | Self::OwnVersion { .. }
            | Self::Journal { .. }
            | Self::DatabaseReplaced { .. }
            | Self::Unknown { .. }
            | Self::Damaged { .. } => false,
        }
    }
}

impl WebError {
    /// Whether another program was at work on the database for longer than we wait: later it may go well.
    pub fn is_busy(&self) -> bool {
        use rusqlite::ErrorCode;
        let Self::Database { source, .. } = self else { return false };
        matches!(source.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
    }
}

/// Puts what was tried, and on what, to an error of the system.
pub(crate) trait Tried<T> {
    fn tried(self, action: &'static str, path: &std::path::Path) -> Result<T, WebError>;
}

impl<T> Tried<T> for io::Result<T> {
    fn tried(self, action: &'static str, path: &std::path::Path) -> Result<T, WebError> {
        self.map_err(|source| WebError::Io { action, path: path.to_owned(), source })
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is the standard library's, and grows")]
fn io_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "\nhint: make room on this file system",
        io::ErrorKind::PermissionDenied => "\nhint: it must belong to the user that runs builder-web",
        io::ErrorKind::ReadOnlyFilesystem => "\nhint: the file system must be mounted writable",
        _ => "",
    }
}

fn database_hint(error: &rusqlite::Error) -> &'static str {
    use rusqlite::ErrorCode;
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "\nhint: nothing was changed; restore the file from a backup, or save what can be read with \
             `sqlite3 builder.sqlite3 .recover`, and move the damaged file away"
        }
        Some(ErrorCode::DiskFull) => "\nhint: make room on this file system",
        // Also where there is no room for what lies beside the database while it is open.
        Some(ErrorCode::SystemIoFailure) => {
            "\nhint: look whether its file system is full (`df`); else the log of the kernel may tell what is wrong with the disk"
        }
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            "\nhint: it and its folder must be writable for the user that runs builder-web"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => "\nhint: another program is at work on it",
        Some(_) | None => "",
    }
}

fn version_hint(application: i64, version: i64) -> &'static str {
    let known = crate::database::schema::SCHEMA_VERSION;
    if application != crate::database::schema::APPLICATION_ID {
        "\nhint: this is not the database of a repository"
    } else if version < known {
        "\nhint: `builder-db migrate` brings versions 16 and 17 to 18; an older one needs the original's builder-migrations first"
    } else {
        "\nhint: install a builder-web that knows this version"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_is_full_when_a_database_is_opened_is_hinted_at() {
        let source = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(4874), None);
        let error = WebError::Database { action: "open", path: "builder.sqlite3".into(), source }.to_string();
        assert!(error.starts_with("cannot open the database builder.sqlite3: ") && error.contains("`df`"), "{error}");
    }
}
