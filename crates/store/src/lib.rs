//! What builder keeps on disk: the database of the server's state, a log for each console, the records of builds, and
//! the reading of templates and of the original's `state` file.
//!
//! Everything here blocks; whoever calls decides on which thread. The layout is described in `docs/state.md`.

pub mod backup;
pub mod check;
pub mod console;
pub mod database;
mod error;
pub mod folder;
pub mod history;
mod jobs;
pub mod record;
pub mod small;
pub mod state_file;
pub mod templates;
mod write_behind;

pub use database::Store;
pub use error::StoreError;
pub use folder::Folder;
pub use history::History;
