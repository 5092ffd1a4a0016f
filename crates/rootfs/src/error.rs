//! What can go wrong with root file systems, in words for whoever looks after a host.

use crate::recipe::Distribution;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system did not do it.
    #[error("cannot {act} {}: {source}", path.display())]
    File {
        /// What was tried,
        act: &'static str,
        /// on what,
        path: PathBuf,
        /// and why not.
        source: io::Error,
    },
    /// There is none of that name.
    #[error(
        "there is no root file system {name} in {}\nhint: `builder rootfs list` names those that are there",
        folder.display()
    )]
    Missing {
        /// The name.
        name: String,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// There is one already.
    #[error("there is a root file system {name} already\nhint: `builder rootfs update {name}` makes it anew")]
    Exists {
        /// The name.
        name: String,
    },
    /// Somebody else makes or removes it just now.
    #[error("somebody else is changing the root file system {name}\nhint: wait until that is done")]
    Busy {
        /// The name.
        name: String,
    },
    /// A job runs in it.
    #[error("a job runs in the root file system {name}\nhint: try again when it has ended")]
    InUse {
        /// The name.
        name: String,
    },
    /// Jobs run in clones of its snapshot.
    #[error(
        "jobs run in the root file system {name}: {snapshot} has the clones {}\nhint: try again when `builder rootfs list` \
         shows it as free; `service builder_worker stop` ends all jobs",
        clones.join(", ")
    )]
    Cloned {
        /// The name.
        name: String,
        /// Of the whole name.
        snapshot: String,
        /// The datasets that were cloned from it.
        clones: Vec<String>,
    },
    /// The program that does the work left the snapshot in its place, and said nothing.
    #[error("{snapshot} is still what it was: a job began while poudriere was at work\nhint: {hint}")]
    Kept {
        /// Of the whole name.
        snapshot: String,
        /// What to do.
        hint: String,
    },
    /// What is noted about it makes no sense.
    #[error("cannot read {}: {why}\nhint: remove the root file system and create it again", path.display())]
    Note {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// An argument makes no sense.
    #[error("{0}")]
    Argument(String),
    /// A program that does the work is not there.
    #[error("{program} is not installed\nhint: {hint}")]
    NoProgram {
        /// Its name.
        program: String,
        /// What brings it.
        hint: &'static str,
    },
    /// The keys are not there that packages are signed with.
    #[error("there are no keys of {distribution} in {}\nhint: {hint}", path.display())]
    NoKeyring {
        /// Whose keys.
        distribution: Distribution,
        /// Where they were looked for.
        path: PathBuf,
        /// What brings them.
        hint: String,
    },
    /// A program failed.
    #[error("{program} failed ({status}){}\nhint: all that it said is in {}", told(last), log.display())]
    Program {
        /// Its name.
        program: String,
        /// How it ended.
        status: String,
        /// The last line that it said.
        last: String,
        /// Where all of them are.
        log: PathBuf,
    },
}

fn told(last: &str) -> String {
    if last.is_empty() { String::new() } else { format!(": {last}") }
}

impl Error {
    pub(crate) fn argument(text: impl Display) -> Self {
        Self::Argument(text.to_string())
    }
}

/// Says what was tried, and on what.
pub(crate) trait Tried<T> {
    fn tried(self, act: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T> Tried<T> for io::Result<T> {
    fn tried(self, act: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::File { act, path: path.to_owned(), source })
    }
}
