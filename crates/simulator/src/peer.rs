//! A worker's connection, as the server's session sees it: it waits, runs one build, and insists on its end being
//! known.

use builder_model::BuildId;
use builder_sched::{Event, Reply, WorkerId};
use builder_server::engine::{Assignment, Refused};
use builder_store::small::SmallRecord;
use std::sync::Arc;
use tokio::sync::oneshot;

/// The answer to an event.
pub(crate) type Answer = oneshot::Receiver<Result<Reply, Refused>>;

/// Where a connection stands.
pub(crate) enum Peer {
    /// It asked for a job.
    Waiting { worker: WorkerId, answer: Answer, assignment: oneshot::Receiver<Assignment> },
    /// It has a build.
    Running(Box<Assignment>),
    /// It is done; the engine must know, and says what follows. A small record is saved with that.
    Insisting {
        event: Event,
        record: Option<Arc<SmallRecord>>,
        answer: Option<Answer>,
        assignment: Option<Box<Assignment>>,
    },
    /// Nothing is left.
    Gone,
}

impl Peer {
    /// The build that it has.
    pub(crate) fn build(&self) -> Option<BuildId> {
        match self {
            Self::Running(assignment) => Some(assignment.running.build),
            Self::Waiting { .. } | Self::Insisting { .. } | Self::Gone => None,
        }
    }
}
