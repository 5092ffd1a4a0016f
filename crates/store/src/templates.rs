//! The templates of an operator in the configuration folder, read fresh: for each platform one file for packages,
//! `orb-build.template.PLATFORM`, and any number of those with parameters, `templates/NAME/PLATFORM`.

use crate::error::{StoreError, Tried};
use builder_model::{Platform, TemplateId, TemplateName, Timestamp, limits};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
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

/// The folder in which those with parameters lie.
const FOLDER: &str = "templates";
/// Most files that a list of templates has.
pub const TEMPLATES_LISTED_MAX: usize = 10_000;

/// Where a template of a platform lies.
pub fn path(config: &Path, id: &TemplateId, platform: &Platform) -> PathBuf {
    match id {
        TemplateId::Package => config.join(format!("orb-build.template.{platform}")),
        TemplateId::Named(name) => config.join(FOLDER).join(name.to_string()).join(platform.to_string()),
    }
}

/// The names of the templates with parameters, in order. What has no name for a template is passed over.
pub fn names(config: &Path) -> Result<Vec<TemplateName>, StoreError> {
    entries(&config.join(FOLDER), |name| TemplateName::parse(name).ok())
}

/// The platforms that have a template, in order. What has no name for a platform, such as the backup copies of an
/// editor, is passed over.
pub fn platforms(config: &Path, name: &TemplateName) -> Result<Vec<Platform>, StoreError> {
    if !name.is_strict() {
        return Ok(Vec::new());
    }
    entries(&config.join(FOLDER).join(name.to_string()), |name| Platform::parse(name).ok())
}

/// What is in a folder; nothing if it does not exist.
fn entries<T: Ord>(folder: &Path, parse: impl Fn(&[u8]) -> Option<T>) -> Result<Vec<T>, StoreError> {
    let found = match std::fs::read_dir(folder) {
        Ok(found) => found,
        // A file where a folder could be is no template.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error).tried("read", folder),
    };
    let mut names = Vec::new();
    for entry in found {
        names.extend(parse(entry.tried("read", folder)?.file_name().as_bytes()));
        if names.len() >= TEMPLATES_LISTED_MAX {
            break;
        }
    }
    names.sort();
    Ok(names)
}

/// Whether such a name is that of a file: an old state may hold others.
fn is_strict(id: &TemplateId, platform: &Platform) -> bool {
    let name = match id {
        TemplateId::Package => true,
        TemplateId::Named(name) => name.is_strict(),
    };
    name && platform.is_strict()
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
    /// Reads a template of a platform. A platform whose name is not strict, as an old state may hold, has none.
    pub fn of(config: &Path, id: &TemplateId, platform: &Platform, now: Timestamp) -> Self {
        if !is_strict(id, platform) {
            return Self { found: Found::Missing, stamp: None };
        }
        let path = path(config, id, platform);
        match read(&path) {
            Ok((stamp, template)) => {
                let is_long = template.len() > limits::SCRIPT_BYTES_MAX;
                let too_long = || format!("{} is over {} bytes", path.display(), limits::SCRIPT_BYTES_MAX);
                let found = if is_long { Found::Unreadable(too_long()) } else { Found::Present(template.into()) };
                Self { found, stamp: Some(stamp).filter(|stamp| stamp.is_settled(now)) }
            }
            Err(error) if is_missing(&error, id) => Self { found: Found::Missing, stamp: None },
            Err(error) => {
                let found = Found::Unreadable(format!("cannot read {}: {error}", path.display()));
                Self { found, stamp: None }
            }
        }
    }

    /// Whether reading it again would give the same, as far as a look at the file tells.
    pub fn is_fresh(&self, config: &Path, id: &TemplateId, platform: &Platform) -> bool {
        let Some(stamp) = &self.stamp else { return false };
        std::fs::metadata(path(config, id, platform)).is_ok_and(|metadata| Stamp::of(&metadata) == *stamp)
    }
}

fn is_missing(error: &io::Error, id: &TemplateId) -> bool {
    let is_named = matches!(id, TemplateId::Named(_));
    error.kind() == io::ErrorKind::NotFound || is_named && error.kind() == io::ErrorKind::NotADirectory
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
        for id in [TemplateId::Package, TemplateId::Named(TemplateName::parse(b"n").unwrap())] {
            let path = path(config.path(), &id, &platform);
            let read = |now| Reading::of(config.path(), &id, &platform, now);
            let is_fresh = |reading: &Reading| reading.is_fresh(config.path(), &id, &platform);
            let missing = read(Timestamp::MAX);
            assert!(missing.found == Found::Missing && !is_fresh(&missing));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "one").unwrap();
            assert!(!is_fresh(&read(Timestamp::MIN)), "it may be written again in the same instant");
            let settled = read(Timestamp::MAX);
            assert_eq!(settled.found, Found::Present(b"one".as_slice().into()));
            assert!(is_fresh(&settled));
            let other = config.path().join("other");
            std::fs::write(&other, "two").unwrap();
            std::fs::rename(&other, &path).unwrap();
            assert!(!is_fresh(&settled));
        }
    }

    #[test]
    fn lists_pass_over_what_has_no_name_for_it() {
        let config = tempfile::tempdir().unwrap();
        assert!(names(config.path()).unwrap().is_empty());
        for path in ["templates/b/q", "templates/b/p", "templates/b/p~", "templates/a/.p.swp", "templates/.git/x"] {
            let path = config.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        std::fs::write(config.path().join("templates/README"), "").unwrap();
        let listed: Vec<String> = (names(config.path()).unwrap().iter())
            .map(|name| {
                let platforms = platforms(config.path(), name).unwrap();
                format!("{name}:{}", platforms.iter().map(|platform| format!(" {platform}")).collect::<String>())
            })
            .collect();
        assert_eq!(listed, ["README:", "a:", "b: p q"]);
        let id = TemplateId::Named(TemplateName::parse(b"README").unwrap());
        let found = Reading::of(config.path(), &id, &Platform::parse(b"p").unwrap(), Timestamp::MAX).found;
        assert_eq!(found, Found::Missing);
    }
}
