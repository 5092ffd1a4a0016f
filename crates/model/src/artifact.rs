//! Where an artifact lies below the folder of a build.

use crate::limits::ARTIFACT_PATH_BYTES_MAX;
use crate::shown::Shown;
use std::fmt;

/// A relative path that stays below the folder it is joined to: UTF-8, no empty, `.` or `..` segment, no NUL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArtifactPath(String);

/// Why a path is not taken as the place of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("artifact path \"{path}\" {why}")]
pub struct ArtifactPathError {
    /// The path, escaped.
    pub path: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl ArtifactPath {
    /// Checks a path that arrives.
    pub fn parse(bytes: &[u8]) -> Result<Self, ArtifactPathError> {
        let refuse = |why| {
            let head = &bytes[..bytes.len().min(ARTIFACT_PATH_BYTES_MAX)];
            Err(ArtifactPathError { path: Shown(head).to_string(), why })
        };
        if bytes.len() > ARTIFACT_PATH_BYTES_MAX {
            return refuse("is longer than 4096 bytes");
        }
        let Ok(text) = std::str::from_utf8(bytes) else { return refuse("is not UTF-8") };
        if text.starts_with('/') {
            return refuse("is absolute");
        }
        if text.contains('\0') {
            return refuse("contains NUL");
        }
        for segment in text.split('/') {
            match segment {
                "" => return refuse("has an empty segment"),
                "." | ".." => return refuse("has a . or .. segment"),
                _ => {}
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ArtifactPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_below_the_folder() {
        for good in ["a", "bin/hello.hvt", "with space", "a..b", "ünï"] {
            assert!(ArtifactPath::parse(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in [&b""[..], b"/", b"/abs", b"..", b"a/../b", b"a/", b"a//b", b"./a", b"\xff", b"a\0"] {
            assert!(ArtifactPath::parse(bad).is_err(), "{bad:?}");
        }
        assert!(ArtifactPath::parse(&[b'x'; 4097]).is_err());
    }
}
