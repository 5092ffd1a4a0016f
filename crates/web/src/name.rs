//! Names of jobs and platforms, as a repository takes them: wider than those of a server, since old data folders hold
//! such, and still never a way out of the data folder.

use crate::limits::NAME_BYTES_MAX;
use std::fmt;

/// What the names of the database's files begin with.
const DATABASE: &str = "builder.sqlite3";

/// A name that is safe as a folder of the data folder: text of 1 to [`NAME_BYTES_MAX`] bytes without slashes and
/// control characters, that does not begin with a dot, an underscore or a dash.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No text at all.
    #[error("the {what} is empty")]
    Empty {
        /// The kind of name, such as "job name".
        what: &'static str,
    },
    /// Longer than [`NAME_BYTES_MAX`].
    #[error("the {what} has {length} bytes, at most {NAME_BYTES_MAX} are allowed")]
    Long {
        /// The kind of name.
        what: &'static str,
        /// Its length in bytes.
        length: usize,
    },
    /// The name of a file of the database.
    #[error("the job name may not begin with {DATABASE}: the database has files of such names")]
    Database,
    /// A byte that may not stand where it stands.
    #[error(
        "the {what} {name:?} may not hold slashes or control characters, nor begin with a dot, an underscore or a dash"
    )]
    Characters {
        /// The kind of name.
        what: &'static str,
        /// The name.
        name: String,
    },
}

impl Name {
    /// Checks the name of a job.
    pub fn job(bytes: &[u8]) -> Result<Self, NameError> {
        // A folder `builder.sqlite3-journal` would be a broken journal to SQLite, and the database could not be opened.
        if bytes.starts_with(DATABASE.as_bytes()) {
            return Err(NameError::Database);
        }
        Self::parse("job name", bytes)
    }

    /// Checks the name of a platform.
    pub fn platform(bytes: &[u8]) -> Result<Self, NameError> {
        Self::parse("platform", bytes)
    }

    fn parse(what: &'static str, bytes: &[u8]) -> Result<Self, NameError> {
        if bytes.is_empty() {
            return Err(NameError::Empty { what });
        }
        if bytes.len() > NAME_BYTES_MAX {
            return Err(NameError::Long { what, length: bytes.len() });
        }
        let refused = || NameError::Characters { what, name: String::from_utf8_lossy(bytes).into_owned() };
        let text = std::str::from_utf8(bytes).map_err(|_| refused())?;
        if text.starts_with(['.', '_', '-']) || text.chars().any(|at| at == '/' || at == '\\' || at.is_control()) {
            return Err(refused());
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({:?})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_never_lead_out_of_the_data_folder() {
        for good in ["a", "mirage-www", "with space", "grün", "a..b", &"x".repeat(255)] {
            assert_eq!(Name::job(good.as_bytes()).unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "_artifacts", "_cache", "-r", "a/b", "/", "a\\b", "a\0b", "a\nb", &"x".repeat(256)] {
            assert!(Name::job(bad.as_bytes()).is_err(), "{bad:?}");
        }
        for file in ["builder.sqlite3", "builder.sqlite3-journal", "builder.sqlite3-wal"] {
            assert_eq!(Name::job(file.as_bytes()), Err(NameError::Database));
        }
        assert!(Name::platform(b"\xff").is_err());
        assert_eq!(Name::job(b"").unwrap_err().to_string(), "the job name is empty");
    }
}
