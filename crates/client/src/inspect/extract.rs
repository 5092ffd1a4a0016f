//! Artifacts of a record into a folder, and nowhere else: each path is checked, folders are made one by one and must
//! be folders (not symbolic links to one), files are new. What is refused is reported and passed over.

use builder_model::{ArtifactPath, ArtifactPathError};
use builder_wire::stream::FileEvent;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Why an artifact was not extracted.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// Its path is none below a folder.
    #[error("{0}")]
    Path(#[from] ArtifactPathError),
    /// A folder of its path is something else, such as a symbolic link.
    #[error("artifact \"{artifact}\": {} is not a folder", .place.display())]
    NoFolder {
        /// The artifact.
        artifact: ArtifactPath,
        /// What is in its way.
        place: PathBuf,
    },
    /// There is something of its name already, from before or from this record.
    #[error("artifact \"{artifact}\": {} exists already", .place.display())]
    Exists {
        /// The artifact.
        artifact: ArtifactPath,
        /// What is in its way.
        place: PathBuf,
    },
    /// It cannot be written.
    #[error("artifact \"{artifact}\": cannot write {}: {source}", .place.display())]
    Write {
        /// The artifact.
        artifact: ArtifactPath,
        /// Where.
        place: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A file that is being written.
#[derive(Debug)]
struct Open {
    artifact: ArtifactPath,
    place: PathBuf,
    file: File,
}

/// Writes the files of a record below a folder.
#[derive(Debug)]
pub struct Extractor {
    folder: PathBuf,
    current: Option<Open>,
}

impl Extractor {
    /// Into this folder, which must be there; it may be a symbolic link to one, as it is the user's choice.
    pub fn new(folder: &Path) -> io::Result<Self> {
        if !fs::metadata(folder)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { folder: folder.to_owned(), current: None })
    }

    /// Takes the next event. After an error the rest of that artifact is passed over; the next one is tried again.
    pub fn take(&mut self, event: &FileEvent<'_>) -> Result<(), ExtractError> {
        match event {
            FileEvent::Start { path, data_bytes: _ } => {
                self.current = None;
                self.current = Some(self.create(ArtifactPath::parse(path)?)?);
                Ok(())
            }
            FileEvent::Data(data) => self.write(data),
            FileEvent::End | FileEvent::ListEnd => {
                self.current = None;
                Ok(())
            }
        }
    }

    fn create(&self, artifact: ArtifactPath) -> Result<Open, ExtractError> {
        let mut place = self.folder.clone();
        let (folders, name) = artifact.as_str().rsplit_once('/').unwrap_or(("", artifact.as_str()));
        for folder in folders.split('/').filter(|folder| !folder.is_empty()) {
            place.push(folder);
            // Asked of the name itself, not of what a link there may point to.
            match fs::symlink_metadata(&place) {
                Ok(metadata) if metadata.is_dir() => {}
                Ok(_) => return Err(ExtractError::NoFolder { artifact, place }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs::create_dir(&place).map_err(|source| failed(&artifact, &place, source))?;
                }
                Err(source) => return Err(failed(&artifact, &place, source)),
            }
        }
        place.push(name);
        // `create_new` never opens what is there, nor what a link there points to.
        let file = OpenOptions::new().write(true).create_new(true).open(&place);
        let file = file.map_err(|source| failed(&artifact, &place, source))?;
        Ok(Open { artifact, place, file })
    }

    /// A file that cannot be written to its end is removed: it was made here.
    fn write(&mut self, data: &[u8]) -> Result<(), ExtractError> {
        let Some(open) = &mut self.current else { return Ok(()) };
        let Err(source) = open.file.write_all(data) else { return Ok(()) };
        let error = failed(&open.artifact, &open.place, source);
        if fs::remove_file(&open.place).is_err() {
            // The error that is reported names the file that stays, too.
        }
        self.current = None;
        Err(error)
    }
}

fn failed(artifact: &ArtifactPath, place: &Path, source: io::Error) -> ExtractError {
    let (artifact, place) = (artifact.clone(), place.to_owned());
    if source.kind() == io::ErrorKind::AlreadyExists {
        ExtractError::Exists { artifact, place }
    } else {
        ExtractError::Write { artifact, place, source }
    }
}
