//! Names: of jobs, platforms and packages. They become folder and file names, so they are checked on arrival.

use crate::limits::NAME_BYTES_MAX;
use crate::shown::Shown;
use std::fmt;
use std::sync::Arc;

/// Why bytes are not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No bytes at all.
    #[error("{what} is empty")]
    Empty {
        /// The kind of name, such as "job name".
        what: &'static str,
    },
    /// Longer than [`NAME_BYTES_MAX`].
    #[error("{what} has {length} bytes, at most {NAME_BYTES_MAX} are allowed")]
    Long {
        /// The kind of name.
        what: &'static str,
        /// Its length in bytes.
        length: usize,
    },
    /// A byte that may not stand where it stands.
    #[error("{what} {name} may only have ASCII letters, digits and ._+-@ and may not start with a dot or a dash")]
    Characters {
        /// The kind of name.
        what: &'static str,
        /// The name, escaped.
        name: String,
    },
}

fn check(what: &'static str, bytes: &[u8]) -> Result<(), NameError> {
    if bytes.is_empty() {
        return Err(NameError::Empty { what });
    }
    if bytes.len() > NAME_BYTES_MAX {
        return Err(NameError::Long { what, length: bytes.len() });
    }
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"._+-@".contains(byte);
    if bytes.starts_with(b".") || bytes.starts_with(b"-") || !bytes.iter().all(allowed) {
        return Err(NameError::Characters { what, name: Shown(bytes).to_string() });
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<[u8]>);

        impl $type {
            /// Checks a name that arrives: 1 to 128 bytes of ASCII letters, digits and `._+-@`, not starting with a
            /// dot or a dash.
            pub fn parse(bytes: &[u8]) -> Result<Self, NameError> {
                check($what, bytes)?;
                Ok(Self(bytes.into()))
            }

            /// Takes any bytes: only for what an old state file, an old record or a database row already holds.
            pub fn from_history(bytes: &[u8]) -> Self {
                Self(bytes.into())
            }

            /// Whether [`Self::parse`] would take it.
            pub fn is_strict(&self) -> bool {
                check($what, &self.0).is_ok()
            }

            /// The bytes, as they go on the wire.
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&Shown(&self.0).to_string())
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($type), Shown(&self.0))
            }
        }

        impl std::str::FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text.as_bytes())
            }
        }
    };
}

name! {
    /// The name of a job; unique on a schedule, and a folder below the data folder.
    JobName, "job name"
}
name! {
    /// What a worker can build for, such as `freebsd-14`; also part of the file name of a template.
    Platform, "platform"
}
name! {
    /// The package that a templated job builds; replaces `%%OPAM_PACKAGE%%` in a template.
    PackageName, "package name"
}
name! {
    /// A root file system of a host; a folder below that of all of them.
    RootfsName, "name of a root file system"
}
name! {
    /// The name of a template with parameters; also the folder in which its files lie.
    TemplateName, "template name"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_were_dangerous_are_refused() {
        for good in ["a", "mirage-www", "freebsd-14.1", "A_b+c@d", "0", "state", &"x".repeat(128)] {
            assert!(JobName::parse(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", ".hidden", "-r", "a/b", "../up", "a b", "ünï", "a\0b", "a\nb", &"x".repeat(129)] {
            assert!(JobName::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        let error = Platform::parse(b"a/\x1b").unwrap_err().to_string();
        assert_eq!(
            error,
            "platform a/\\x1b may only have ASCII letters, digits and ._+-@ and may not start with a dot or a dash"
        );
    }
}
