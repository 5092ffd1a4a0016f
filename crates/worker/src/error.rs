//! What can end a worker.

use crate::connection::AT_HELLO;
use builder_model::Remote;
use builder_sandbox::Finding;
use builder_wire::session::worker::Violation;
use builder_wire::{DecodeError, FrameError};
use std::io;
use std::path::PathBuf;

/// Why a worker ended without having handed in its job.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name has no address.
    #[error("cannot find the address of {remote}: {source}")]
    Resolve {
        /// Who.
        remote: Remote,
        /// Why.
        source: io::Error,
    },
    /// No connection to any of its addresses.
    #[error("cannot connect to {remote}: {source}")]
    Connect {
        /// Who.
        remote: Remote,
        /// Why, at the last address.
        source: io::Error,
    },
    /// The connection broke.
    #[error("lost the connection to the server {doing}: {source}")]
    Lost {
        /// What was going on.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The server closed instead of saying hello.
    #[error(
        "the server closed the connection instead of saying hello\n\
         hint: is a builder-server there, and does it speak version 5 of the worker's protocol?"
    )]
    NotWelcome,
    /// The server closed while a job was waited for.
    #[error("the server closed the connection while we waited for a job")]
    ClosedWaiting,
    /// The server closed while the job ran: it stops, or the build ran over its time.
    #[error("the server ended the build: it closed the connection while the job ran")]
    EndedByServer,
    /// The server has nothing to say while a job runs.
    #[error("the server sent bytes while the job ran, where silence was expected")]
    SpokeDuringJob,
    /// No sign of life.
    #[error("the server did nothing for {seconds} seconds {doing}")]
    Silent {
        /// How long.
        seconds: u64,
        /// What was going on.
        doing: &'static str,
    },
    /// A frame that is no message of the protocol.
    #[error("the server sent what is no message of the protocol: {0}")]
    Frame(#[from] FrameError),
    /// A message that is malformed.
    #[error("the server sent a malformed message: {0}")]
    Decode(#[from] DecodeError),
    /// A message that may not come now.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// The folder for a job cannot be made or filled.
    #[error("cannot {act} {}: {source}\nhint: --workdir DIR chooses where the folders of jobs are made", path.display())]
    Folder {
        /// What was tried.
        act: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// This host does not give what the policy asks.
    #[error("this host cannot give what the policy asks: {}", findings_text(findings))]
    Refused {
        /// What it lacks.
        findings: Vec<Finding>,
    },
    /// The sandbox of the job could not be made.
    #[error("{why}\nhint: `builder-worker check` says what this host lacks")]
    Sandbox {
        /// What was tried, and why it failed.
        why: String,
    },
    /// The process that watches over the job cannot be started or talked to.
    #[error("cannot {act} the supervisor of the job ({}): {source}", program.display())]
    Supervisor {
        /// What was tried.
        act: &'static str,
        /// The program that was executed.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file of the build changed while it was sent, or could not be opened any more.
    #[error("cannot send {path} from the build's folder: {source}")]
    Artifact {
        /// Its path below the folder.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// Waiting itself failed, or a thread could not be started.
    #[error("cannot {act}: {source}")]
    System {
        /// What was tried.
        act: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// The worker was asked to stop.
    #[error("asked to stop")]
    Stopped,
}

impl Error {
    /// Whether a server that does not speak our version of the protocol would look like this.
    pub(crate) fn may_be_the_version(&self) -> bool {
        match self {
            Self::NotWelcome => true,
            Self::Lost { doing, source } => *doing == AT_HELLO && source.kind() == io::ErrorKind::ConnectionReset,
            Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::ClosedWaiting
            | Self::EndedByServer
            | Self::SpokeDuringJob
            | Self::Silent { .. }
            | Self::Frame(_)
            | Self::Decode(_)
            | Self::Violation(_)
            | Self::Folder { .. }
            | Self::Refused { .. }
            | Self::Sandbox { .. }
            | Self::Supervisor { .. }
            | Self::Artifact { .. }
            | Self::System { .. }
            | Self::Stopped => false,
        }
    }

    /// Whether it is this worker that is at fault, and neither server nor network: then another worker may well be
    /// able to do the job.
    pub(crate) fn is_own(&self) -> bool {
        match self {
            Self::Folder { .. }
            | Self::Refused { .. }
            | Self::Sandbox { .. }
            | Self::Supervisor { .. }
            | Self::Artifact { .. }
            | Self::System { .. } => true,
            Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Lost { .. }
            | Self::NotWelcome
            | Self::ClosedWaiting
            | Self::EndedByServer
            | Self::SpokeDuringJob
            | Self::Silent { .. }
            | Self::Frame(_)
            | Self::Decode(_)
            | Self::Violation(_)
            | Self::Stopped => false,
        }
    }
}

/// What is missing, and a line for each hint.
fn findings_text(findings: &[Finding]) -> String {
    let missing: Vec<String> = findings.iter().map(|found| format!("{}: {}", found.subject, found.detail)).collect();
    let hints = findings.iter().filter_map(|found| found.mend.as_ref()).map(|mend| format!("\nhint: {mend}"));
    missing.join("; ") + &hints.collect::<String>()
}
