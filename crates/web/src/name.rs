//! Names of jobs and platforms, as a repository takes them: wider than those of a server, since old data folders hold
//! such, and still never a way out of the data folder.

use crate::limits::NAME_BYTES_MAX;
use std::fmt;

/// What the names of the database's files begin with.
const DATABASE: &str = "builder.sqlite3";

/// A name that is safe as a folder of the data folder: text of 1 to [`NAME_BYTES_MAX`] bytes without slashes and
/// control characters, that does not begin with a dot, an underscore or a dash. One of an upload is also what it looks
/// like; older data folders may hold others.
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
    /// It would look like another name, or like none.
    #[error(
        "the {what} {name:?} may not begin or end with a space, nor hold other white space or characters that are not \
         seen, such as marks of direction"
    )]
    Unseen {
        /// The kind of name.
        what: &'static str,
        /// The name.
        name: String,
    },
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
    /// Checks the name of a job that is uploaded.
    pub fn job(bytes: &[u8]) -> Result<Self, NameError> {
        Self::stored_job(bytes)?.seen("job name")
    }

    /// Checks the name of a job that a data folder may hold: it is safe, however it looks.
    pub fn stored_job(bytes: &[u8]) -> Result<Self, NameError> {
        // A folder `builder.sqlite3-journal` would be a broken journal to SQLite, and the database could not be opened.
        if bytes.starts_with(DATABASE.as_bytes()) {
            return Err(NameError::Database);
        }
        Self::parse("job name", bytes)
    }

    /// Checks the name of a platform that is uploaded.
    pub fn platform(bytes: &[u8]) -> Result<Self, NameError> {
        Self::parse("platform", bytes)?.seen("platform")
    }

    fn seen(self, what: &'static str) -> Result<Self, NameError> {
        let is_bare = self.0.trim() == self.0;
        if is_bare && self.0.chars().all(|character| character == ' ' || !is_unseen(character)) {
            return Ok(self);
        }
        Err(NameError::Unseen { what, name: self.0 })
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

/// Whether a character is white space, or not seen at all: those of the general category Cf of Unicode 16, which hold
/// the marks of direction, and letters that are blank.
fn is_unseen(character: char) -> bool {
    let is_format = matches!(character,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
        | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0001}' | '\u{e0020}'..='\u{e007f}');
    let is_blank = matches!(character, '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}');
    character.is_whitespace() || is_format || is_blank
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
        for bad in [" ", "a ", " a", "\u{202e}abc", "a\u{200b}b", "a\u{a0}b", "\u{3164}", "a\u{2028}b", "a\u{ad}b"] {
            assert!(matches!(Name::job(bad.as_bytes()), Err(NameError::Unseen { .. })), "{bad:?}");
            assert!(matches!(Name::platform(bad.as_bytes()), Err(NameError::Unseen { .. })), "{bad:?}");
            assert_eq!(Name::stored_job(bad.as_bytes()).unwrap().as_str(), bad, "a data folder may hold it");
        }
        let error = Name::job("\u{202e}abc".as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("the job name \"\\u{202e}abc\" may not begin or end with a space"), "{error}");
        assert_eq!(Name::job(b"").unwrap_err().to_string(), "the job name is empty");
    }
}
