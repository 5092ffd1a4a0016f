//! The client side of builder: a library that speaks to a server and reads build records, and the two programs for
//! people and scripts over it, `builder-client` and `builder-inspect`.
//!
//! The library (everything but [`cli`] and its commands) knows no terminal, no environment and no command line, so
//! that other programs can use it: they give it a [`Remote`] and get owned values, or console lines as they come.

mod builds;
pub mod cli;
mod client;
mod commands;
mod connection;
mod console_text;
pub mod decode;
mod error;
mod farm;
pub mod inspect;
mod observe;
mod templates;

pub use builder_model::{Remote, RemoteError};
pub use builds::{BuildFilter, EndedBuild, WaitingUpload};
pub use client::Client;
pub use connection::{ANSWER_SECONDS_MAX, ARTIFACTS_SECONDS_MAX, CONNECT_SECONDS_MAX, HELLO_SECONDS_MAX};
pub use console_text::nanoseconds_text;
pub use error::Error;
pub use farm::{Farm, Queue, Running};
pub use observe::ConsoleEvent;
pub use templates::{Content, NewParameterJob, ParameterTold, TemplateTold};
