//! The bytes of builder: DER, messages and their frames, the state file, build records, and the sessions of server,
//! worker and client as state machines.
//!
//! No IO, no clock, no randomness, no threads, no logging: bytes in, values out, and the other way round. The
//! reference for every shape is `docs/protocol.md`.

pub mod der;
mod element;
pub mod frame;
pub mod message;
pub mod record;
pub mod session;
pub mod state;
pub mod stream;
mod time;
mod version;

pub use der::{DecodeError, Fault};
pub use element::Encoded;
pub use frame::{FrameError, Inbox};
pub use message::{
    Ask, File, Info, InfoQueue, InfoRunning, Job, Message, MessageKind, ParameterJob, Role, ScheduleEntry, ScriptJob,
    Told,
};
pub use record::Record;
pub use state::StateItem;
pub use version::{ClientVersion, WorkerVersion};

/// The version that every client and server speaks; [`ClientVersion`] has all of them.
pub const CLIENT_VERSION: i64 = ClientVersion::Thirteen.number();
/// The version that every worker and server speaks; [`WorkerVersion`] has all of them.
pub const WORKER_VERSION: i64 = WorkerVersion::Five.number();
