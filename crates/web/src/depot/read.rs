//! Reading artifacts into memory, to show or compare what is in them. A file may be missing, or be larger than anybody
//! expected: that is said on the page, and never fails it.

use crate::depot::Depot;
use crate::digest::Digest;
use crate::limits::FACTS_BYTES_MAX;
use std::fs::{self, File};
use std::io::{self, Read};

/// Why an artifact could not be read into memory.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Its row is there, its file is not.
    #[error("its file is missing on this server")]
    Missing,
    /// It is larger than [`FACTS_BYTES_MAX`].
    #[error("it has more than {FACTS_BYTES_MAX} bytes, which is more than is read")]
    Long,
    /// The system refused to read it.
    #[error("its file cannot be read on this server")]
    Io(#[source] io::Error),
}

impl Depot {
    /// Reads an artifact of at most [`FACTS_BYTES_MAX`] bytes.
    pub fn read_artifact(&self, digest: &Digest) -> Result<Vec<u8>, Unreadable> {
        let path = self.artifact(digest);
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(FACTS_BYTES_MAX + 1).read_to_end(&mut bytes));
        match read {
            Ok(count) if u64::try_from(count).unwrap_or(u64::MAX) > FACTS_BYTES_MAX => Err(Unreadable::Long),
            Ok(_) => Ok(bytes),
            Err(error) => {
                tracing::warn!("cannot read {}: {error}", path.display());
                Err(if error.kind() == io::ErrorKind::NotFound { Unreadable::Missing } else { Unreadable::Io(error) })
            }
        }
    }

    /// Whether a hook made a visualization of this kind of the artifact, with any version of its tool.
    pub(crate) fn has_visualization(&self, kind: &str, of: &Digest) -> bool {
        let Ok(folders) = fs::read_dir(self.cache()) else { return false };
        let file = format!("{of}.html");
        folders.filter_map(Result::ok).any(|folder| {
            let name = folder.file_name();
            let version = name.to_str().and_then(|name| name.strip_prefix(kind)?.strip_prefix('_'));
            version.is_some_and(|version| version.parse::<u64>().is_ok()) && folder.path().join(&file).is_file()
        })
    }
}
