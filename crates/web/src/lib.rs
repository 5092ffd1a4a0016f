//! The repository: receives finished builds, stores artifacts once, shows and compares what was built, and serves it.
//!
//! Octets come in through `ingest`, which leaves files in the [`depot`] and rows in the [`database`]; everything that
//! is shown is read from there. Routes and pages decide nothing that rows do not say.

pub mod accounts;
pub mod admin;
pub(crate) mod api;
pub mod app;
pub mod archive;
pub mod cli;
mod comparison;
pub mod config;
pub mod console;
pub mod database;
pub mod depot;
pub mod digest;
pub mod error;
pub(crate) mod feeds;
pub(crate) mod hooks;
pub mod http;
pub mod ingest;
pub(crate) mod json;
pub mod limits;
pub mod markdown;
pub(crate) mod metrics;
pub mod mirror;
pub mod name;
pub mod outline;
pub(crate) mod pages;
pub mod record;
pub mod removal;
pub mod settings;
pub mod start;
mod turns;
pub mod visualization;

pub use app::App;
pub use database::Database;
pub use depot::Depot;
pub use digest::Digest;
pub use error::WebError;
pub use name::Name;
pub use settings::Settings;
pub use start::Repository;
