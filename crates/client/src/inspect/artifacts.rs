//! The artifacts of a record as they pass: each with its size and its SHA-256.

use builder_wire::stream::FileEvent;
use sha2::{Digest, Sha256};

/// An artifact that has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its path, as the worker gave it: any bytes.
    pub path: Vec<u8>,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: [u8; 32],
}

impl Artifact {
    /// The SHA-256 as 64 hex digits.
    pub fn sha256_text(&self) -> String {
        use std::fmt::Write;
        self.sha256.iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a string cannot fail.
            match write!(text, "{byte:02x}") {
                Ok(()) | Err(_) => text,
            }
        })
    }
}

/// Follows the files of a record.
#[derive(Debug, Default)]
pub struct Artifacts {
    current: Option<(Vec<u8>, u64)>,
    hash: Sha256,
}

impl Artifacts {
    /// Takes the next event; gives an artifact when it is complete.
    pub fn take(&mut self, event: &FileEvent<'_>) -> Option<Artifact> {
        match event {
            FileEvent::Start { path, data_bytes } => {
                self.current = Some((path.clone(), *data_bytes));
                None
            }
            FileEvent::Data(data) => {
                self.hash.update(data);
                None
            }
            FileEvent::End => {
                let (path, bytes) = self.current.take()?;
                Some(Artifact { path, bytes, sha256: self.hash.finalize_reset().into() })
            }
            FileEvent::ListEnd => None,
        }
    }
}
