//! `man DIR`.

use crate::cli::{Exit, Failure, client_command, inspect_command};
use std::path::PathBuf;

/// Write the man pages of builder-client and builder-inspect to a folder.
#[derive(Debug, clap::Args)]
pub(crate) struct Man {
    /// The folder, which must exist.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Man {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let write = |command| clap_mangen::generate_to(command, &self.folder);
        match write(client_command()).and_then(|()| write(inspect_command())) {
            Ok(()) => Ok(Exit::Success),
            Err(source) => Err(Failure::Man { folder: self.folder, source }),
        }
    }
}
