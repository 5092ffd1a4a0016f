//! What tests of the farm share: a server in this process, peers that do what a test tells them, spawned programs, and
//! the golden bytes.
//!
//! Everything here ends the test where something is not as it should be, and nothing waits for ever. No fixed ports,
//! no shared folders, no sleeps: what has no other way to be waited for is asked again until it is so.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests ends the test where it fails")]

mod client;
mod farm;
mod http;
mod peer;
mod program;
mod record;
mod vectors;
mod wait;
mod worker;

pub use client::{Observed, Observer, Seen, command, command_bytes, info, schedule};
pub use farm::{Farm, Grounds};
pub use http::{Answer, Post, Repository, get, metric};
pub use peer::Peer;
pub use program::Program;
pub use record::Told;
pub use vectors::{Vector, vectors};
pub use wait::{PATIENCE, eventually, in_time};
pub use worker::{FakeWorker, JobSeen};
