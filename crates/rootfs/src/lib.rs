//! Root file systems for sandboxes: made from a distribution's packages, kept in versions, held while a job runs in
//! one. On disk they are described in `docs/rootfs.md`.
//!
//! What a sandbox does with one is not decided here.

mod digest;
mod error;
mod folder;
mod make;
mod recipe;
mod strip;
pub mod zfs;

pub use digest::digest;
pub use error::Error;
pub use folder::{Changed, Described, Folder, Held, Removed};
pub use make::{in_path, make, may_make};
pub use recipe::{Distribution, Recipe, Snapshot, Tool};

/// Where root file systems lie unless told otherwise.
pub const FOLDER_DEFAULT: &str =
    if cfg!(target_os = "freebsd") { "/var/db/builder-worker/rootfs" } else { "/var/lib/builder-worker/rootfs" };
