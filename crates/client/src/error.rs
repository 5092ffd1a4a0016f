//! What can go wrong between a client and its server.

use builder_model::{BuildId, ParameterError, Remote};
use builder_wire::session::client::Violation;
use builder_wire::{ClientVersion, DecodeError, FrameError};
use std::io;
use std::net::SocketAddr;

/// Why something asked of a server was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name of the host means no address.
    #[error("cannot look up {remote}: {source}")]
    Lookup {
        /// Which server.
        remote: Remote,
        /// Why.
        source: io::Error,
    },
    /// None of the host's addresses took the connection.
    #[error("cannot connect to {remote}: {}", attempts(.failures))]
    Connect {
        /// Which server.
        remote: Remote,
        /// Each address that was tried, in order, and why it failed.
        failures: Vec<(SocketAddr, io::Error)>,
    },
    /// The connection broke.
    #[error("lost the connection to {remote} while {doing}: {source}")]
    Lost {
        /// Which server.
        remote: Remote,
        /// What was being done.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The server closed the connection instead of saying hello.
    #[error("{remote} closed the connection without a hello")]
    NoHello {
        /// Which server.
        remote: Remote,
    },
    /// The server is too old for the question.
    #[error("the server at {remote} speaks protocol {}: it cannot {cannot}", ClientVersion::Thirteen.number())]
    OldServer {
        /// Which server.
        remote: Remote,
        /// What it cannot do.
        cannot: &'static str,
    },
    /// The server has no such template.
    #[error("platform {platform} has no template {name}")]
    NoTemplate {
        /// Which.
        name: String,
        /// Where.
        platform: String,
    },
    /// The server tells of a job with values that cannot be.
    #[error("{remote} tells of a job that cannot be: {source}")]
    Values {
        /// Which server.
        remote: Remote,
        /// What is wrong.
        source: ParameterError,
    },
    /// The server goes round in circles.
    #[error("{remote} sends pages of its history that do not follow one another")]
    Pages {
        /// Which server.
        remote: Remote,
    },
    /// The server closed the connection instead of answering.
    #[error("{remote} closed the connection without an answer")]
    NoAnswer {
        /// Which server.
        remote: Remote,
    },
    /// The connection ended before the build did.
    #[error("the connection to {remote} ended before build {build} did; it may still run")]
    ConsoleCut {
        /// Which server.
        remote: Remote,
        /// Which build.
        build: BuildId,
    },
    /// The server said that it has shown everything, but not how the build ended.
    #[error("the server ended the console of build {build} without an outcome")]
    NoOutcome {
        /// Which build.
        build: BuildId,
    },
    /// A frame that is none of the protocol's.
    #[error("{remote} does not speak the protocol of builder: {source}")]
    Frame {
        /// Which server.
        remote: Remote,
        /// What is wrong.
        source: FrameError,
    },
    /// A message that cannot be read.
    #[error("{remote} sent a malformed message: {source}")]
    Decode {
        /// Which server.
        remote: Remote,
        /// What is wrong, and where.
        source: DecodeError,
    },
    /// A message that may not come now.
    #[error("{0}")]
    Violation(#[from] Violation),
    /// The server refuses.
    #[error("the server refuses: {reason}")]
    Refused {
        /// Why, in its own words, escaped.
        reason: String,
    },
    /// The one who wanted to see the console does not take it.
    #[error("cannot write the console: {0}")]
    Sink(io::Error),
}

impl Error {
    /// What to do about it, if we know something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Lookup { .. } => {
                Some("check the name; -r HOST:PORT or BUILDER_REMOTE names another server".to_owned())
            }
            Self::Connect { .. } => {
                Some("is builder-server running there? -r HOST:PORT or BUILDER_REMOTE names another server".to_owned())
            }
            Self::NoHello { .. } => Some(format!(
                "it may speak another version of the protocol (this program speaks {}), or be no builder-server",
                ClientVersion::ALL.map(|version| version.number().to_string()).join(" and ")
            )),
            Self::NoTemplate { .. } => Some("`builder-client template list` lists all of them".to_owned()),
            Self::Refused { reason } if reason.contains("has no template") || reason.contains("has the template") => {
                Some("`builder-client template list` lists all of them".to_owned())
            }
            Self::OldServer { .. } => Some("update builder-server there".to_owned()),
            Self::NoAnswer { .. } => Some("look with `builder-client info` whether it was done".to_owned()),
            Self::ConsoleCut { build, .. } => Some(format!("observe it again: builder-client observe {build}")),
            Self::Frame { .. } => Some("is it a builder-server that listens there?".to_owned()),
            Self::Refused { reason } if reason == "uuid not found" => {
                Some("`builder-client info` lists what is running, `builder-client builds` what has ended".to_owned())
            }
            Self::Lost { .. }
            | Self::Values { .. }
            | Self::Pages { .. }
            | Self::NoOutcome { .. }
            | Self::Decode { .. }
            | Self::Violation(_)
            | Self::Refused { .. }
            | Self::Sink(_) => None,
        }
    }
}

fn attempts(failures: &[(SocketAddr, io::Error)]) -> String {
    if failures.is_empty() {
        return "the name has no address".to_owned();
    }
    let texts: Vec<String> = failures.iter().map(|(address, error)| format!("{address}: {error}")).collect();
    texts.join("; ")
}
