//! How the programs end: exit statuses, and what they say when something failed.

use crate::error::Error;
use crate::inspect::RecordError;
use builder_model::Outcome;
use builder_model::limits::SCRIPT_BYTES_MAX;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// How a program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is done.
    Success = 0,
    /// All is done, and the observed build failed.
    BuildFailed = 1,
    /// Something was not done; the number is the original's.
    Failed = 124,
}

impl Exit {
    /// How a program ends that observed a build to this outcome.
    pub(crate) fn of(outcome: &Outcome) -> Self {
        if outcome.is_success() { Self::Success } else { Self::BuildFailed }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What was not done, and on what.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The server, or the way to it.
    #[error("{0}")]
    Client(#[from] Error),
    /// The script of a job cannot be read.
    #[error("cannot read the script {name}: {source}")]
    Script {
        /// Which file.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// The script of a job is longer than a server takes.
    #[error("the script {name} has more than {SCRIPT_BYTES_MAX} bytes")]
    ScriptLong {
        /// Which file.
        name: String,
    },
    /// A template is there, and is none.
    #[error("the template {name} of platform {platform} cannot be read: {why}")]
    TemplateUnreadable {
        /// Which.
        name: String,
        /// Where.
        platform: String,
        /// Why.
        why: String,
    },
    /// Standard output does not take what we print.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    /// Standard input cannot be read.
    #[error("cannot read standard input: {0}")]
    Input(io::Error),
    /// A man page cannot be written.
    #[error("cannot write man pages to {}: {source}", .folder.display())]
    Man {
        /// Where.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A build record cannot be read.
    #[error("{}: {source}", .path.display())]
    Record {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: RecordError,
    },
    /// The folder for artifacts is none.
    #[error("cannot extract to {}: {source}", .folder.display())]
    Folder {
        /// Which folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Artifacts were left out; each was reported.
    #[error("{count} of the artifacts were not extracted to {}", .folder.display())]
    Extraction {
        /// How many.
        count: u64,
        /// Where to.
        folder: PathBuf,
    },
    /// Neither a record nor a command was given.
    #[error("no file was given")]
    NoFile,
}

impl Failure {
    /// The exit status that tells of it.
    pub(crate) fn exit(&self) -> Exit {
        // A reader that has seen enough, as in `… info | head`, is no failure; but an observed build has no outcome
        // then.
        let enough = matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe);
        if enough { Exit::Success } else { Exit::Failed }
    }

    /// Says on stderr what failed, unless it is only that nobody reads on.
    pub(crate) fn complain(&self, program: &str) {
        let broken_pipe = matches!(
            self,
            Self::Output(error) | Self::Client(Error::Sink(error)) if error.kind() == io::ErrorKind::BrokenPipe
        );
        if !broken_pipe {
            complain(program, &self.to_string(), self.hint().as_deref());
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Client(error) => error.hint(),
            Self::ScriptLong { .. } => Some("have the script fetch what is large".to_owned()),
            Self::Record { source, .. } => source.hint().map(str::to_owned),
            Self::Folder { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("the folder must exist".to_owned())
            }
            Self::NoFile => Some("see builder-inspect --help".to_owned()),
            Self::Script { .. }
            | Self::TemplateUnreadable { .. }
            | Self::Output(_)
            | Self::Input(_)
            | Self::Man { .. }
            | Self::Folder { .. }
            | Self::Extraction { .. } => None,
        }
    }
}

/// One line on stderr, and a hint below it.
pub(crate) fn complain(program: &str, message: &str, hint: Option<&str>) {
    let hint = hint.map(|hint| format!("hint: {hint}\n")).unwrap_or_default();
    let text = format!("{program}: {message}\n{hint}");
    if io::stderr().lock().write_all(text.as_bytes()).is_err() {
        // Nobody listens on stderr: the exit status still tells.
    }
}
