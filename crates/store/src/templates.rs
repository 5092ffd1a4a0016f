//! The templates of an operator: one file for each platform in the configuration folder, read fresh.

use builder_model::{Platform, limits};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What lies where a template is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Missing,
    /// Something that cannot be read, and why.
    Unreadable(String),
    /// A template.
    Present(Arc<[u8]>),
}

/// Where the template of a platform lies.
pub fn path(config: &Path, platform: &Platform) -> PathBuf {
    config.join(format!("orb-build.template.{platform}"))
}

/// Reads the template of a platform. A platform whose name is not strict, as an old state may hold, has none.
pub fn read(config: &Path, platform: &Platform) -> Found {
    if !platform.is_strict() {
        return Found::Missing;
    }
    let path = path(config, platform);
    let mut template = Vec::new();
    let limit = limits::SCRIPT_BYTES_MAX as u64;
    let read = File::open(&path).and_then(|file| file.take(limit + 1).read_to_end(&mut template));
    match read {
        Ok(count) if count as u64 > limit => Found::Unreadable(format!("{} is over {limit} bytes", path.display())),
        Ok(_) => Found::Present(template.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Missing,
        Err(error) => Found::Unreadable(format!("cannot read {}: {error}", path.display())),
    }
}
