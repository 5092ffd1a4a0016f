//! The folder of a job: made fresh, and removed with all that the job put into it.
//!
//! A job may make its folder as deep, wide and unreadable as it likes, and may even move it away and put a link in
//! its place. So the folder is held open from the start, and emptied through that.

use crate::error::Error;
use crate::owner::Owner;
use builder_sandbox::HostUser;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, renameat};
use nix::sys::stat::{FchmodatFlags, Mode, fchmod, fchmodat, fstat, lstat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fchownat, geteuid, unlinkat};
use std::collections::hash_map::RandomState;
use std::ffi::{CStr, CString};
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The name of the script in the folder.
pub(crate) const SCRIPT: &str = "script.sh";
/// What the names of folders begin with.
const PREFIX: &str = "builder-";
/// How a folder is opened: never by a link.
const FOLDER: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).union(OFlag::O_RDONLY).union(OFlag::O_CLOEXEC);
/// How often another name is tried when one is taken.
const NAMES_MAX: usize = 1000;
/// How much must fit into a folder before a job is asked for, in bytes: most scripts are shorter.
const PROBE_BYTES: usize = 64 << 10;
/// The name of the file that holds them.
const PROBE: &str = "probe";
/// How many names of a folder are held in memory at once.
const BATCH: usize = 1024;

/// A folder that is removed when this value is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    held: OwnedFd,
    /// A file beside it that says whose it is, so that it can be told when its worker was killed.
    mark: Option<PathBuf>,
}

impl Folder {
    /// Makes a folder `builder-XXXXXX` that only we may enter.
    pub(crate) fn create(workdir: &Path) -> Result<Self, Error> {
        let mut folder = Self::create_unmarked(workdir)?;
        let mark = Owner::this().and_then(|owner| Some(workdir.join(owner.name(hex_of(&folder.path)?))));
        if let Some(path) = mark {
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(_) => folder.mark = Some(path),
                Err(source) => return Err(Error::Folder { act: "mark the folder by", path, source }),
            }
        }
        Ok(folder)
    }

    fn create_unmarked(workdir: &Path) -> Result<Self, Error> {
        let failed = |path: &Path, source| Error::Folder { act: "make the folder", path: path.to_owned(), source };
        for _ in 0..NAMES_MAX {
            let path = workdir.join(format!("{PREFIX}{:06x}", random() & 0x00ff_ffff));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {
                    let held = open(&path, FOLDER, Mode::empty()).map_err(|errno| failed(&path, errno.into()))?;
                    return Ok(Self { path, held, mark: None });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(&path, error)),
            }
        }
        Err(failed(&workdir.join("builder-XXXXXX"), io::ErrorKind::AlreadyExists.into()))
    }

    /// Makes sure that folders can be made here and written to, and leaves nothing behind.
    pub(crate) fn probe(workdir: &Path) -> Result<(), Error> {
        let folder = Self::create_unmarked(workdir)?;
        // Bytes without a pattern, because a file system may store others in no room at all.
        let bytes: Vec<u8> = (0..PROBE_BYTES / 8).flat_map(|_| random().to_ne_bytes()).collect();
        let path = folder.path.join(PROBE);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        // A file system may take bytes and find out later, at the sync, that it has no room for them.
        match file.and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all())) {
            Ok(()) => Ok(()),
            Err(source) => Err(Error::Folder { act: "write to", path, source }),
        }
    }

    /// Where it was made.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the script; gives its path.
    pub(crate) fn write_script(&self, script: &[u8]) -> Result<PathBuf, Error> {
        let path = self.path.join(SCRIPT);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o700).open(&path);
        match file.and_then(|mut file| file.write_all(script)) {
            Ok(()) => Ok(path),
            Err(source) => Err(Error::Folder { act: "write the script", path, source }),
        }
    }

    /// Gives the folder and the script in it to the user that the job runs as.
    pub(crate) fn give_to(&self, user: HostUser) -> Result<(), Error> {
        let (uid, gid) = (Some(Uid::from_raw(user.uid)), Some(Gid::from_raw(user.gid)));
        let given = fchownat(&self.held, SCRIPT, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW)
            .and_then(|()| fchown(&self.held, uid, gid));
        given.map_err(|errno| Error::Folder { act: "give away", path: self.path.clone(), source: errno.into() })
    }

    /// Makes a folder in it, for who the job runs as.
    pub(crate) fn add(&self, name: &str, user: Option<HostUser>) -> Result<(), Error> {
        let mode = Mode::S_IRWXU | Mode::S_IRGRP | Mode::S_IXGRP | Mode::S_IROTH | Mode::S_IXOTH;
        let (uid, gid) = (user.map(|user| Uid::from_raw(user.uid)), user.map(|user| Gid::from_raw(user.gid)));
        let made = mkdirat(&self.held, name, mode)
            .and_then(|()| fchmodat(&self.held, name, mode, FchmodatFlags::FollowSymlink))
            .and_then(|()| fchownat(&self.held, name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW));
        made.map_err(|errno| Error::Folder { act: "make", path: self.path.join(name), source: errno.into() })
    }

    /// What is in a file of the folder, up to a number of bytes. Whatever a job has put in its place does not lead astray.
    pub(crate) fn read(&self, name: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = File::from(openat(&self.held, name, flags, Mode::empty())?);
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut content = Vec::new();
        file.take(bytes_max).read_to_end(&mut content)?;
        Ok(content)
    }

    /// Whether the folder is still where it was made.
    pub(crate) fn is_in_place(&self) -> bool {
        match (fstat(&self.held), lstat(&self.path)) {
            (Ok(held), Ok(there)) => (held.st_dev, held.st_ino) == (there.st_dev, there.st_ino),
            (Err(_), _) | (_, Err(_)) => false,
        }
    }

    fn remove(&self) -> io::Result<()> {
        fchmod(&self.held, Mode::S_IRWXU)?;
        empty(&self.held)?;
        if self.is_in_place() {
            std::fs::remove_dir(&self.path)?;
        }
        // Last, so that a folder that stays is found again.
        self.mark.as_ref().map_or(Ok(()), std::fs::remove_file)
    }
}

/// Removes the folders that killed workers left here. What cannot be removed is said, and tried again another time.
pub(crate) fn remove_left(workdir: &Path) {
    let Ok(entries) = std::fs::read_dir(workdir) else { return };
    for mark in entries.flatten() {
        let name = mark.file_name();
        let Some(name) = name.to_str().filter(|name| Owner::of(name).is_some_and(|owner| owner.is_gone())) else {
            continue;
        };
        // Others may write here, too: only what we have marked ourselves says anything.
        let is_ours = |metadata: Metadata| metadata.is_file() && metadata.uid() == geteuid().as_raw();
        let hex = name.rsplit('-').next().filter(|_| mark.metadata().is_ok_and(is_ours));
        let Some(path) = hex.map(|hex| workdir.join(format!("{PREFIX}{hex}"))) else { continue };
        match open(&path, FOLDER, Mode::empty()) {
            Ok(held) => {
                tracing::warn!("removing the folder that a killed worker left: {}", path.display());
                drop(Folder { path, held, mark: Some(mark.path()) });
            }
            // Another worker was quicker, or it was killed between the two.
            Err(Errno::ENOENT) => match std::fs::remove_file(mark.path()) {
                Ok(()) | Err(_) => {}
            },
            Err(errno) => tracing::warn!("cannot remove {}, which a killed worker left: {errno}", path.display()),
        }
    }
}

/// What tells a folder from others, in its name.
fn hex_of(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()?.strip_prefix(PREFIX)
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            tracing::error!("cannot remove the job's folder {}: {error}", self.path.display());
        }
    }
}

/// Any number: the standard library's hashers are keyed at random.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Removes all that is in a folder. What lies deeper than one level is first moved up, so that neither memory nor
/// open files depend on how deep a job has nested its folders.
fn empty(root: &OwnedFd) -> nix::Result<()> {
    let mut moved = 0_u64;
    loop {
        let names = some_names(root)?;
        if names.is_empty() {
            return Ok(());
        }
        for name in names {
            if !unlink(root, &name)? {
                remove_subfolder(root, &name, &mut moved)?;
            }
        }
    }
}

fn remove_subfolder(root: &OwnedFd, name: &CStr, moved: &mut u64) -> nix::Result<()> {
    let folder = open_folder(root, name)?;
    loop {
        let names = some_names(&folder)?;
        if names.is_empty() {
            break;
        }
        for name in names {
            if !unlink(&folder, &name)? {
                // A folder cannot be moved without the right to write to it.
                fchmodat(&folder, &*name, Mode::S_IRWXU, FchmodatFlags::FollowSymlink)?;
                move_up(&folder, &name, root, moved)?;
            }
        }
    }
    unlinkat(root, name, UnlinkatFlags::RemoveDir)
}

fn move_up(folder: &OwnedFd, name: &CStr, root: &OwnedFd, moved: &mut u64) -> nix::Result<()> {
    loop {
        *moved += 1;
        let target = format!(".builder-removed-{moved}");
        match renameat(folder, name, root, target.as_str()) {
            // The job has something of that name.
            Err(Errno::EEXIST | Errno::ENOTEMPTY | Errno::ENOTDIR) => {}
            result => return result,
        }
    }
}

fn open_folder(parent: &OwnedFd, name: &CStr) -> nix::Result<OwnedFd> {
    fchmodat(parent, name, Mode::S_IRWXU, FchmodatFlags::FollowSymlink)?;
    openat(parent, name, FOLDER, Mode::empty())
}

/// Removes what is no folder; gives whether it is gone.
fn unlink(folder: &OwnedFd, name: &CStr) -> nix::Result<bool> {
    match unlinkat(folder, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(true),
        // Linux says EISDIR for a folder, POSIX and others EPERM.
        Err(Errno::EISDIR | Errno::EPERM) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn some_names(folder: &OwnedFd) -> nix::Result<Vec<CString>> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let mut listing = Dir::openat(folder, ".", flags, Mode::empty())?;
    let mut names = Vec::new();
    for entry in listing.iter() {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            names.push(name.to_owned());
        }
        if names.len() == BATCH {
            break;
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_folder_is_ours_alone_and_goes_with_everything() {
        let workdir = tempfile::tempdir().unwrap();
        let outside = workdir.path().join("outside");
        std::fs::write(&outside, "kept").unwrap();
        let folder = Folder::create(workdir.path()).unwrap();
        let mode = std::fs::metadata(folder.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700);
        let script = folder.write_script(b"true").unwrap();
        assert_eq!(std::fs::metadata(&script).unwrap().permissions().mode() & 0o700, 0o700);

        let path = folder.path().to_owned();
        std::fs::create_dir_all(path.join("a/b/.builder-removed-1/c")).unwrap();
        std::fs::create_dir_all(path.join(".builder-removed-1/x")).unwrap();
        std::fs::write(path.join(".builder-removed-2"), "").unwrap();
        for index in 0..BATCH + 10 {
            std::fs::write(path.join(format!("a/b/{index}")), "").unwrap();
        }
        symlink(workdir.path(), path.join("a/link")).unwrap();
        for below in ["a/b/.builder-removed-1", "a/b", "a", ""] {
            std::fs::set_permissions(path.join(below), std::fs::Permissions::from_mode(0o500)).unwrap();
        }
        drop(folder);
        assert!(!path.exists());
        assert_eq!(std::fs::read(&outside).unwrap(), b"kept");
    }

    #[test]
    fn a_probe_leaves_nothing() {
        let workdir = tempfile::tempdir().unwrap();
        Folder::probe(workdir.path()).unwrap();
        assert_eq!(std::fs::read_dir(workdir.path()).unwrap().count(), 0);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_a_killed_worker_left_is_removed_and_nothing_else() {
        let workdir = tempfile::tempdir().unwrap();
        let at = |name: &str| workdir.path().join(name);
        let living = Folder::create(workdir.path()).unwrap();
        std::fs::create_dir_all(at("builder-00000a/sub")).unwrap();
        std::fs::create_dir_all(at("builder-00000b")).unwrap();
        // A process of our namespace with a number that none has.
        let this = Owner::this().unwrap().name("00000a");
        let dead = this.replace(&format!("-{}-", std::process::id()), "-4194999-");
        std::fs::write(at(&dead), "").unwrap();
        remove_left(workdir.path());
        assert!(!at("builder-00000a").exists() && !at(&dead).exists());
        assert!(at("builder-00000b").exists() && living.path().exists());
        // A mark that is none: a folder of that name.
        std::fs::create_dir(at(&dead.replace("00000a", "00000b"))).unwrap();
        remove_left(workdir.path());
        assert!(at("builder-00000b").exists());
        drop(living);
        assert_eq!(std::fs::read_dir(workdir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_very_deep_folder_goes_too() {
        let workdir = tempfile::tempdir().unwrap();
        let folder = Folder::create(workdir.path()).unwrap();
        let mut at = folder.held.try_clone().unwrap();
        for _ in 0..5000 {
            mkdirat(&at, "d", Mode::S_IRWXU).unwrap();
            at = open_folder(&at, c"d").unwrap();
        }
        let path = folder.path().to_owned();
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn a_link_in_the_place_of_the_folder_is_left_alone() {
        let workdir = tempfile::tempdir().unwrap();
        let folder = Folder::create(workdir.path()).unwrap();
        let (path, victim) = (folder.path().to_owned(), workdir.path().join("victim"));
        std::fs::create_dir(&victim).unwrap();
        std::fs::write(victim.join("file"), "kept").unwrap();
        std::fs::rename(&path, workdir.path().join("moved")).unwrap();
        symlink(&victim, &path).unwrap();
        assert!(!folder.is_in_place());
        drop(folder);
        assert_eq!(std::fs::read(victim.join("file")).unwrap(), b"kept");
    }
}
