//! The folder of all root file systems of a host: names, the versions of each, and who holds one.
//!
//! A version is made beside the one that is used, and takes its place by the exchange of one link. A job holds the
//! version that it began with; an old one goes when nobody holds it.

use crate::digest::digest;
use crate::error::{Error, Tried};
use crate::recipe::Recipe;
use builder_model::RootfsName;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

/// The link to the version that is used.
const CURRENT: &str = "current";
/// In a version: the tree,
const TREE: &str = "root";
/// what it is,
const NOTE: &str = "rootfs.toml";
/// and what whoever uses it has locked.
const HOLD: &str = "hold";
/// What locks a name for whoever changes it.
const LOCK: &str = "lock";
/// A version that is being made,
const NEW: &str = "new";
/// and the log of the program that makes it; it stays when that fails.
const LOG: &str = "make.log";
/// What the name of a version begins with that is being removed.
const REMOVED: &str = "removed-";
/// How many digits of its digest name a version.
const VERSION_DIGITS: usize = 16;
/// How often a version that is exchanged at the very moment is looked up again.
const HOLD_TRIES_MAX: usize = 100;

/// The folder.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

/// What a version is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    /// The SHA-256 of the tree.
    digest: String,
    /// What it was made of.
    recipe: Recipe,
}

/// A version that stays as long as this lives.
#[derive(Debug)]
pub struct Held {
    root: PathBuf,
    note: Note,
    _hold: File,
}

impl Held {
    /// The tree.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The SHA-256 of the tree when it was made.
    pub fn digest(&self) -> &str {
        &self.note.digest
    }

    /// What it was made of.
    pub fn recipe(&self) -> &Recipe {
        &self.note.recipe
    }
}

/// A root file system, as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Described {
    /// Its name.
    pub name: String,
    /// The SHA-256 of its tree when it was made.
    pub digest: String,
    /// What it was made of.
    #[serde(flatten)]
    pub recipe: Recipe,
    /// When it was made, in seconds since 1970.
    pub made: i64,
    /// Where its tree lies.
    pub path: PathBuf,
    /// Whether a job runs in it.
    pub in_use: bool,
    /// How many older versions wait for their jobs to end.
    pub old_versions: usize,
}

/// What came of making a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The digest before.
    pub before: Option<String>,
    /// The digest now.
    pub now: String,
    /// Where the tree lies.
    pub path: PathBuf,
}

/// What came of removing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// All of it is gone.
    All,
    /// Some versions are held by jobs, and the name is still taken.
    ButHeld(usize),
}

impl Folder {
    /// The folder at a path.
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    fn of(&self, name: &RootfsName) -> PathBuf {
        self.0.join(name.to_string())
    }

    fn missing(&self, name: &RootfsName) -> Error {
        Error::Missing { name: name.to_string(), folder: self.0.clone() }
    }

    /// Whether there is one of that name.
    pub fn keeps(&self, name: &RootfsName) -> bool {
        matches!(current(&self.of(name)), Ok(Some(_)))
    }

    /// Takes hold of what has a name now.
    ///
    /// # Errors
    ///
    /// There is none of that name, or it cannot be read.
    pub fn hold(&self, name: &RootfsName) -> Result<Held, Error> {
        let folder = self.of(name);
        for _ in 0..HOLD_TRIES_MAX {
            let version = current(&folder)?.ok_or_else(|| self.missing(name))?;
            let path = version.join(HOLD);
            let hold = match File::open(&path) {
                // It was exchanged and removed since we looked.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened.tried("open", &path)?,
            };
            // Whoever has it alone looks whether it is used, or removes it: both take no long time.
            hold.lock_shared().tried("lock", &path)?;
            if is_same(&hold, &path) {
                let note = read_note(&version)?;
                return Ok(Held { root: version.join(TREE), note, _hold: hold });
            }
        }
        Err(Error::Busy { name: name.to_string() })
    }

    /// All there are, by name.
    ///
    /// # Errors
    ///
    /// What cannot be read.
    pub fn list(&self) -> Result<Vec<Described>, Error> {
        let mut described = Vec::new();
        for name in names(&self.0)? {
            let Ok(name) = RootfsName::parse(name.as_bytes()) else { continue };
            if let Some(version) = current(&self.of(&name))? {
                described.push(self.describe(&name, &version)?);
            }
        }
        Ok(described)
    }

    fn describe(&self, name: &RootfsName, version: &Path) -> Result<Described, Error> {
        let note = read_note(version)?;
        let file = version.join(NOTE);
        let made = fs::metadata(&file).tried("look at", &file)?.mtime();
        let folder = self.of(name);
        let old_versions = versions(&folder)?.into_iter().filter(|other| other != version).count();
        Ok(Described {
            name: name.to_string(),
            digest: note.digest,
            recipe: note.recipe,
            made,
            path: version.join(TREE),
            in_use: locked_alone(version)?.is_none(),
            old_versions,
        })
    }

    /// Makes a new root file system: `make` fills an empty folder and may write a log.
    ///
    /// # Errors
    ///
    /// The name is taken, `make` fails, or the file system does not do what it should.
    pub fn create(
        &self,
        name: &RootfsName,
        recipe: &Recipe,
        make: impl FnOnce(&Recipe, &Path, &Path) -> Result<(), Error>,
    ) -> Result<Changed, Error> {
        fs::create_dir_all(&self.0).tried("make the folder", &self.0)?;
        let folder = self.of(name);
        fs::create_dir_all(&folder).tried("make the folder", &folder)?;
        let _lock = lock(&folder, name)?;
        if current(&folder)?.is_some() {
            return Err(Error::Exists { name: name.to_string() });
        }
        renew(&folder, recipe, make)
    }

    /// Makes one anew, of the same or of something else, beside the one that jobs run in.
    ///
    /// # Errors
    ///
    /// There is none of that name; as [`Self::create`].
    pub fn update(
        &self,
        name: &RootfsName,
        change: impl FnOnce(Recipe) -> Recipe,
        make: impl FnOnce(&Recipe, &Path, &Path) -> Result<(), Error>,
    ) -> Result<Changed, Error> {
        let folder = self.of(name);
        if !folder.is_dir() {
            return Err(self.missing(name));
        }
        let _lock = lock(&folder, name)?;
        let version = current(&folder)?.ok_or_else(|| self.missing(name))?;
        let recipe = change(read_note(&version)?.recipe);
        renew(&folder, &recipe, make)
    }

    /// Removes one, with all its versions that nobody holds.
    ///
    /// # Errors
    ///
    /// There is none of that name, or a job runs in it.
    pub fn remove(&self, name: &RootfsName) -> Result<Removed, Error> {
        let folder = self.of(name);
        if !folder.is_dir() {
            return Err(self.missing(name));
        }
        let lock = lock(&folder, name)?;
        if let Some(version) = current(&folder)? {
            // Held until it is gone, so that no job begins in it.
            let Some(_alone) = locked_alone(&version)? else {
                return Err(Error::InUse { name: name.to_string() });
            };
            let link = folder.join(CURRENT);
            fs::remove_file(&link).tried("remove", &link)?;
        }
        sweep(&folder, None)?;
        let held = versions(&folder)?.len();
        if held > 0 {
            return Ok(Removed::ButHeld(held));
        }
        fs::remove_dir_all(&folder).tried("remove", &folder)?;
        drop(lock);
        Ok(Removed::All)
    }

    /// The digest of the tree as it is, and as it was when it was made.
    ///
    /// # Errors
    ///
    /// As [`Self::hold`]; what cannot be read.
    pub fn verify(&self, name: &RootfsName) -> Result<(String, Held), Error> {
        let held = self.hold(name)?;
        Ok((digest(held.root())?, held))
    }
}

/// Makes a version and puts it in the place of the one that is used.
fn renew(
    folder: &Path,
    recipe: &Recipe,
    make: impl FnOnce(&Recipe, &Path, &Path) -> Result<(), Error>,
) -> Result<Changed, Error> {
    let before = current(folder)?.map(|version| read_note(&version)).transpose()?.map(|note| note.digest);
    let new = folder.join(NEW);
    remove_tree(&new)?;
    let tree = new.join(TREE);
    fs::create_dir_all(&tree).tried("make the folder", &tree)?;
    if let Err(error) = make(recipe, &tree, &folder.join(LOG)) {
        remove_tree(&new)?;
        return Err(error);
    }
    let now = digest(&tree)?;
    let version = folder.join(&now[..VERSION_DIGITS.min(now.len())]);
    let path = version.join(TREE);
    let note = Note { digest: now.clone(), recipe: recipe.clone() };
    if current(folder)?.as_deref() == Some(version.as_path()) {
        // The same again: the note may tell of another recipe, and that it was looked at today.
        remove_tree(&new)?;
        write_note(&version, &note)?;
        sweep(folder, Some(&version))?;
        return Ok(Changed { before, now, path });
    }
    write_note(&new, &note)?;
    let hold = new.join(HOLD);
    File::create(&hold).tried("create", &hold)?;
    // An older version of the same content gives way, held or not: what holds it goes on holding its files.
    if version.exists() {
        retire(folder, &version)?;
    }
    fs::rename(&new, &version).tried("rename", &new)?;
    let next = folder.join("next");
    match fs::remove_file(&next) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        removed => removed.tried("remove", &next)?,
    }
    symlink(version.file_name().unwrap_or_default(), &next).tried("link", &next)?;
    let link = folder.join(CURRENT);
    fs::rename(&next, &link).tried("rename", &next)?;
    File::open(folder).and_then(|folder| folder.sync_all()).tried("sync", folder)?;
    sweep(folder, Some(&version))?;
    Ok(Changed { before, now, path })
}

/// Removes all versions but one, unless they are held, and what was left half done.
fn sweep(folder: &Path, but: Option<&Path>) -> Result<(), Error> {
    for version in versions(folder)? {
        if Some(version.as_path()) == but {
            continue;
        }
        if let Some(_alone) = locked_alone(&version)? {
            remove_tree(&version)?;
        }
    }
    Ok(())
}

/// Gives a version a name under which nobody looks for it.
fn retire(folder: &Path, version: &Path) -> Result<(), Error> {
    for number in 0_u32.. {
        let name = format!("{REMOVED}{number}");
        let other = folder.join(name);
        if !other.exists() {
            return fs::rename(version, &other).tried("rename", version);
        }
    }
    Ok(())
}

/// All versions, used or not.
fn versions(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let is_version = |name: &String| {
        name.starts_with(REMOVED) || (name.len() == VERSION_DIGITS && name.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    Ok(names(folder)?.into_iter().filter(is_version).map(|name| folder.join(name)).collect())
}

/// The names in a folder, sorted; none if it is not there.
fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.tried("read the folder", folder)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        if let Ok(name) = entry.tried("read the folder", folder)?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The version that is used.
fn current(folder: &Path) -> Result<Option<PathBuf>, Error> {
    let link = folder.join(CURRENT);
    match fs::read_link(&link) {
        Ok(target) => Ok(target.file_name().map(|name| folder.join(name))),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(source).tried("read the link", &link),
    }
}

/// Locks a version for us alone; nothing if somebody holds it.
fn locked_alone(version: &Path) -> Result<Option<File>, Error> {
    let path = version.join(HOLD);
    let file = match OpenOptions::new().write(true).open(&path) {
        // Only one that is not whole has none; and whoever may read may not always write.
        Err(error) if error.kind() == io::ErrorKind::NotFound => File::open(version).tried("open", version)?,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => File::open(&path).tried("open", &path)?,
        opened => opened.tried("open", &path)?,
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(source).tried("lock", &path),
    }
}

/// Locks a name for whoever changes it.
fn lock(folder: &Path, name: &RootfsName) -> Result<File, Error> {
    let path = folder.join(LOCK);
    let file = File::create(&path).tried("create", &path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Busy { name: name.to_string() }),
        Err(TryLockError::Error(source)) => Err(source).tried("lock", &path),
    }
}

/// Whether a file is still the one at a path.
fn is_same(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(file), Ok(there)) => (file.dev(), file.ino()) == (there.dev(), there.ino()),
        (Err(_), _) | (_, Err(_)) => false,
    }
}

fn read_note(version: &Path) -> Result<Note, Error> {
    let path = version.join(NOTE);
    let text = fs::read_to_string(&path).tried("read", &path)?;
    toml::from_str(&text).map_err(|error| Error::Note { path, why: error.message().to_owned() })
}

fn write_note(version: &Path, note: &Note) -> Result<(), Error> {
    let (path, next) = (version.join(NOTE), version.join("rootfs.toml.new"));
    let text = toml::to_string(note).map_err(|error| Error::Note { path: path.clone(), why: error.to_string() })?;
    fs::write(&next, text).tried("write", &next)?;
    File::open(&next).and_then(|file| file.sync_all()).tried("sync", &next)?;
    fs::rename(&next, &path).tried("rename", &next)
}

/// Removes a tree, if it is there. What is mounted in it is left alone, and said.
fn remove_tree(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.tried("remove", path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{Distribution, Tool};

    fn name(text: &str) -> RootfsName {
        text.parse().unwrap()
    }

    fn recipe() -> Recipe {
        Recipe::new(Distribution::Debian, "bookworm", Tool::Debootstrap)
    }

    fn filled(text: &'static str) -> impl FnOnce(&Recipe, &Path, &Path) -> Result<(), Error> {
        move |_, root, _| fs::write(root.join("file"), text).tried("write", root)
    }

    #[test]
    fn created_listed_updated_and_removed() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(&temporary.path().join("rootfs"));
        assert!(folder.list().unwrap().is_empty());
        let one = folder.create(&name("debian-12"), &recipe(), filled("one")).unwrap();
        assert_eq!(one.before, None);
        assert!(matches!(folder.create(&name("debian-12"), &recipe(), filled("x")), Err(Error::Exists { .. })));

        let again = folder.update(&name("debian-12"), |recipe| recipe, filled("one")).unwrap();
        assert_eq!((again.before.as_ref(), &again.now, &again.path), (Some(&one.now), &one.now, &one.path));
        let pinned = |recipe| Recipe { snapshot: Some("20260131".parse().unwrap()), ..recipe };
        let two = folder.update(&name("debian-12"), pinned, filled("two")).unwrap();
        assert_ne!(two.now, one.now);
        assert!(!one.path.exists(), "nobody held it");
        let listed = folder.list().unwrap();
        assert_eq!((listed.len(), &listed[0].digest, listed[0].in_use), (1, &two.now, false));
        assert!(listed[0].recipe.snapshot.is_some());

        let (now, held) = folder.verify(&name("debian-12")).unwrap();
        assert_eq!(now, held.digest());
        fs::write(held.root().join("file"), "three").unwrap();
        assert_ne!(folder.verify(&name("debian-12")).unwrap().0, held.digest(), "a change shows");
        drop(held);
        assert_eq!(folder.remove(&name("debian-12")).unwrap(), Removed::All);
        assert!(folder.list().unwrap().is_empty());
        assert!(matches!(folder.hold(&name("debian-12")), Err(Error::Missing { .. })));
    }

    #[test]
    fn what_a_job_holds_stays_until_it_ends() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path());
        folder.create(&name("a"), &recipe(), filled("one")).unwrap();
        let held = folder.hold(&name("a")).unwrap();
        assert!(folder.list().unwrap()[0].in_use);
        assert!(matches!(folder.remove(&name("a")), Err(Error::InUse { .. })));
        folder.update(&name("a"), |recipe| recipe, filled("two")).unwrap();
        assert_eq!(fs::read_to_string(held.root().join("file")).unwrap(), "one");
        assert_eq!(folder.list().unwrap()[0].old_versions, 1);
        // Back to the content that is still held.
        let third = folder.update(&name("a"), |recipe| recipe, filled("one")).unwrap();
        assert_eq!(fs::read_to_string(third.path.join("file")).unwrap(), "one");
        drop(held);
        folder.update(&name("a"), |recipe| recipe, filled("one")).unwrap();
        assert_eq!(folder.list().unwrap()[0].old_versions, 0);
        let again = folder.hold(&name("a")).unwrap();
        assert_eq!(again.digest(), third.now);
    }

    #[test]
    fn what_fails_leaves_what_there_was() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path());
        let failing = |_: &Recipe, root: &Path, _: &Path| {
            fs::write(root.join("half"), "").tried("write", root)?;
            Err(Error::argument("no"))
        };
        assert!(folder.create(&name("a"), &recipe(), failing).is_err());
        assert!(folder.list().unwrap().is_empty());
        let one = folder.create(&name("a"), &recipe(), filled("one")).unwrap();
        assert!(folder.update(&name("a"), |recipe| recipe, failing).is_err());
        assert_eq!(folder.hold(&name("a")).unwrap().digest(), one.now);
        // A maker that was killed left this.
        fs::create_dir_all(temporary.path().join("a/new/root/x")).unwrap();
        folder.update(&name("a"), |recipe| recipe, filled("two")).unwrap();
        assert!(!temporary.path().join("a/new").exists());
    }

    #[test]
    fn only_one_at_a_time_changes_a_name() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path());
        let inner = folder.clone();
        let busy = |_: &Recipe, root: &Path, _: &Path| {
            assert!(matches!(inner.create(&name("a"), &recipe(), filled("x")), Err(Error::Busy { .. })));
            fs::write(root.join("file"), "").tried("write", root)
        };
        folder.create(&name("a"), &recipe(), busy).unwrap();
    }
}
