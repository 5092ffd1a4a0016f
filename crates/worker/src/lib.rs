//! The worker: it asks a server for a job, runs it where nothing of it can escape, and hands back what it made.
//!
//! [`run`] is a worker as a library: it knows no terminal, handles no signals and keeps no state of the process, so
//! that several may run as threads of one program. Such a program calls [`supervisor::run_if_asked`] first thing in
//! its `main`, because a job is started and watched by the program itself, executed anew. What a worker may say when
//! is in the protocol page of the documentation; bytes and messages are the business of `builder-wire`.

pub mod cli;
mod collect;
pub mod connection;
mod console;
mod containers;
mod deliver;
mod enclosure;
mod error;
mod folder;
mod job;
mod limits;
mod order;
mod owner;
mod prepared;
pub mod processes;
pub mod signals;
#[cfg(target_os = "linux")]
mod stage;
mod standby;
pub mod supervisor;
mod survey;
mod sys;
mod trial;
mod wait;
#[cfg(target_os = "linux")]
mod walls;
mod worker;

pub use builder_model::Remote;
pub use builder_sandbox::Policy;
pub use error::Error;
pub use processes::Orphans;
pub use signals::Stop;
pub use worker::{Ended, GRACE_DEFAULT, Settings, run};
