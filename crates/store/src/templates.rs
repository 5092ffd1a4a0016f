//! The templates of an operator: one file for each platform in the configuration folder, read fresh.

use builder_model::{Platform, Timestamp, limits};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
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

/// How long a file must have been left alone before the times of its inode tell one content from the next: they come
/// from a clock that stands still for some milliseconds at a time.
const SETTLED_MILLISECONDS: i64 = 2_000;

/// What was read of a template, and what of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// What was found.
    pub found: Found,
    /// Which file that was, when another content of it would show.
    stamp: Option<Stamp>,
}

/// What differs when a file was written or replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        Self { inode: metadata.ino(), bytes: metadata.size(), modified, changed }
    }

    fn is_settled(&self, now: Timestamp) -> bool {
        let latest = self.modified.0.max(self.changed.0).saturating_mul(1000);
        now.milliseconds().saturating_sub(latest) > SETTLED_MILLISECONDS
    }
}

impl Reading {
    /// Reads the template of a platform. A platform whose name is not strict, as an old state may hold, has none.
    pub fn of(config: &Path, platform: &Platform, now: Timestamp) -> Self {
        if !platform.is_strict() {
            return Self { found: Found::Missing, stamp: None };
        }
        let path = path(config, platform);
        match read(&path) {
            Ok((stamp, template)) => {
                let is_long = template.len() > limits::SCRIPT_BYTES_MAX;
                let too_long = || format!("{} is over {} bytes", path.display(), limits::SCRIPT_BYTES_MAX);
                let found = if is_long { Found::Unreadable(too_long()) } else { Found::Present(template.into()) };
                Self { found, stamp: Some(stamp).filter(|stamp| stamp.is_settled(now)) }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self { found: Found::Missing, stamp: None },
            Err(error) => {
                let found = Found::Unreadable(format!("cannot read {}: {error}", path.display()));
                Self { found, stamp: None }
            }
        }
    }

    /// Whether reading it again would give the same, as far as a look at the file tells.
    pub fn is_fresh(&self, config: &Path, platform: &Platform) -> bool {
        let Some(stamp) = &self.stamp else { return false };
        std::fs::metadata(path(config, platform)).is_ok_and(|metadata| Stamp::of(&metadata) == *stamp)
    }
}

fn read(path: &Path) -> io::Result<(Stamp, Vec<u8>)> {
    let file = File::open(path)?;
    let stamp = Stamp::of(&file.metadata()?);
    let mut template = Vec::new();
    file.take(limits::SCRIPT_BYTES_MAX as u64 + 1).read_to_end(&mut template)?;
    Ok((stamp, template))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_fresh_until_its_file_changes() {
        let config = tempfile::tempdir().unwrap();
        let platform = Platform::parse(b"p").unwrap();
        let path = path(config.path(), &platform);
        let missing = Reading::of(config.path(), &platform, Timestamp::MAX);
        assert!(missing.found == Found::Missing && !missing.is_fresh(config.path(), &platform));
        std::fs::write(&path, "one").unwrap();
        let new = Reading::of(config.path(), &platform, Timestamp::MIN);
        assert!(!new.is_fresh(config.path(), &platform), "it may be written again in the same instant");
        let settled = Reading::of(config.path(), &platform, Timestamp::MAX);
        assert_eq!(settled.found, Found::Present(b"one".as_slice().into()));
        assert!(settled.is_fresh(config.path(), &platform));
        let other = config.path().join("other");
        std::fs::write(&other, "two").unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert!(!settled.is_fresh(config.path(), &platform));
    }
}
