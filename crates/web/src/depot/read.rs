//! Reading artifacts into memory, to show or compare what is in them. A file may be missing, or be larger than anybody
//! expected: that is said on the page, and never fails it.

use crate::depot::Depot;
use crate::digest::Digest;
use std::fs::File;
use std::io::{self, Read};

/// Why an artifact could not be read into memory.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Its row is there, its file is not.
    #[error("its file is missing on this server")]
    Missing,
    /// It is larger than so many bytes.
    #[error("it has more than {0} bytes, which is more than is read")]
    Long(u64),
    /// The system refused to read it.
    #[error("its file cannot be read on this server")]
    Io(#[source] io::Error),
}

impl Depot {
    /// Reads an artifact of at most so many bytes.
    pub fn read_artifact(&self, digest: &Digest, most: u64) -> Result<Vec<u8>, Unreadable> {
        let path = self.artifact(digest);
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(most.saturating_add(1)).read_to_end(&mut bytes));
        match read {
            Ok(count) if u64::try_from(count).unwrap_or(u64::MAX) > most => Err(Unreadable::Long(most)),
            Ok(_) => Ok(bytes),
            Err(error) => {
                tracing::warn!("cannot read {}: {error}", path.display());
                Err(if error.kind() == io::ErrorKind::NotFound { Unreadable::Missing } else { Unreadable::Io(error) })
            }
        }
    }
}
