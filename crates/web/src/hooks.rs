//! Hooks: what is to happen because of an upload. Scripts of the operator that run here, and webhooks that tell others.
//!
//! Each is a row of `repository_hook_run`, written in the very transaction that stores the build, so that none is lost
//! and none runs for a build that is not there. The runner takes the rows that are due, those of one target one after
//! the other, and writes down how they went. What scripts do is their business.

mod enqueue;
mod process;
mod queue;
mod runner;
mod script;
mod scripts;
mod subject;
mod webhook;

pub(crate) use enqueue::{Fresh, enqueue};
pub(crate) use queue::retry;
pub(crate) use runner::run;
pub(crate) use scripts::Scripts;
pub(crate) use webhook::address_without_user;

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Runs a script of the configuration folder.
    Hook,
    /// Tells another server.
    Webhook,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// A build was stored.
    Upload,
    /// A build was stored whose script failed.
    Failure,
    /// A good build was stored whose output is not that of the good one before it.
    OutputChanged,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It is tried when its time has come.
    Waiting,
    /// It is tried just now.
    Running,
    /// It went well.
    Done,
    /// It failed, and is not tried again by itself.
    Failed,
}

impl Kind {
    /// As it stands in a row.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Hook => "hook",
            Self::Webhook => "webhook",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Hook, Self::Webhook].into_iter().find(|kind| kind.as_str() == text)
    }
}

impl Event {
    /// As it stands in a row, in the configuration, and in the header of a webhook.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Failure => "failure",
            Self::OutputChanged => "output-changed",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Upload, Self::Failure, Self::OutputChanged].into_iter().find(|event| event.as_str() == text)
    }
}

impl State {
    /// As it stands in a row.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}
