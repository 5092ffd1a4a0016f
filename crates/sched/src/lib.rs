//! The scheduler: which job runs where and when, and what becomes of a build.
//!
//! Pure: an [`Event`] and the time go in, a [`Decision`] comes out. No IO, no clock, no randomness, no threads, no
//! logging, no bytes of the protocol. The same events give the same decisions.
//!
//! Who calls [`Scheduler::handle`] saves [`Decision::changes`] first, all or nothing, and only then performs
//! [`Decision::acts`] and answers with [`Decision::reply`]. When saving failed, [`Scheduler::restore_live`] makes a
//! scheduler of what is saved and of the workers that are still connected.

#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::as_conversions))]

mod calendar;
mod check;
mod dispatch;
mod endings;
mod event;
mod queue;
mod requests;
mod restore;
mod running;
mod scheduler;
mod settings;
mod snapshot;
mod templates;
mod workers;

#[cfg(test)]
mod tests;

pub use event::{Act, Decision, Event, ExecuteRefusal, LostWhy, Now, Refusal, Reply, Template, TemplateText, WorkerId};
pub use restore::Live;
pub use scheduler::{Scheduler, Wake};
pub use settings::Settings;
pub use snapshot::{Counts, PlatformCounts, QueuedWait, RunningSnapshot, Snapshot, Waits};
