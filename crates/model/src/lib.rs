//! The nouns of builder, shared by every program.
//!
//! This crate knows nothing of ours: no bytes of the protocol, no files, no clock. A value that exists here has
//! been checked; what could not be checked because it comes from an old installation says so in its constructor.

pub mod artifact;
pub mod build;
pub mod duration;
pub mod job;
pub mod limits;
pub mod name;
pub mod outcome;
pub mod parameter;
pub mod remote;
pub mod shown;
pub mod state;
pub mod time;

pub use artifact::{ArtifactPath, ArtifactPathError};
pub use build::{BuildId, BuildIdError};
pub use duration::{DurationError, parse_duration};
pub use job::{Job, ParameterJob, Period, RunsOn, ScriptJob, TemplateId, TemplatedJob};
pub use name::{JobName, NameError, PackageName, Platform, RootfsName, TemplateName};
pub use outcome::Outcome;
pub use parameter::{ParameterError, ParameterName, ParameterValue, Values};
pub use remote::{Remote, RemoteError};
pub use shown::Shown;
pub use time::{Timestamp, TimestampError};
