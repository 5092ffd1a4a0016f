//! How much room a job takes on the disk. No kernel limits a folder, so it is measured again and again: a job that writes
//! quickly gets further than its limit before it is ended, by what it writes between two looks.
//!
//! What counts is the room that is taken, not the length of files; each file at least one block, because a file without
//! content takes room, too. Files that were removed and are still open count as long as the job's group can be listed.

use super::{Hit, Layer};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use nix::sys::statvfs::fstatvfs;
use std::collections::HashSet;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// With less than this left on the disk of its folder, in bytes, a job that has a limit is ended: what counting may miss
/// must not fill the worker's disk.
const RESERVE_BYTES: u64 = 64 << 20;
/// The unit in which systems give the room that a file takes, in bytes, whatever their blocks are.
const BLOCK_UNIT_BYTES: u64 = 512;
/// What a file counts at least, in bytes: without content it takes room, too.
const FILE_BYTES_MIN: u64 = 4096;
/// How a folder is opened that may belong to somebody hostile.
pub(super) const FOLDER: OFlag =
    OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).union(OFlag::O_RDONLY).union(OFlag::O_CLOEXEC);

/// The folders of a job, whose content counts.
#[derive(Debug)]
pub(crate) struct DiskWatch {
    folders: Vec<OwnedFd>,
    /// Another one, which is there only when the job runs.
    layer: Option<Layer>,
    limit_bytes: u64,
}

impl DiskWatch {
    /// Holds the folders open: a job may move them.
    pub(crate) fn open(folders: &[&Path], layer: Option<Layer>, limit_bytes: u64) -> nix::Result<Self> {
        let open = |path: &&Path| nix::fcntl::open(*path, FOLDER, Mode::empty());
        Ok(Self { folders: folders.iter().map(open).collect::<nix::Result<_>>()?, layer, limit_bytes })
    }

    /// Whether too much is there now, counting what these processes hold open.
    ///
    /// # Errors
    ///
    /// There is something that cannot be counted.
    pub(crate) fn hit(&self, processes: &[u32]) -> io::Result<Option<Hit>> {
        let layer = self.layer.as_ref().map(Layer::folder).transpose()?.flatten();
        let mut count = Count { limit_bytes: self.limit_bytes, ..Count::default() };
        for folder in self.folders.iter().chain(layer) {
            match count.below(folder) {
                // Something was moved or removed while it was looked at: what has been counted is there at least.
                Ok(()) | Err(_) => {}
            }
            if let Ok(status) = fstat(folder) {
                count.removed(processes, status.st_dev);
            }
        }
        if count.is_over() {
            return Ok(Some(Hit::Disk(self.limit_bytes)));
        }
        let is_full = |folder: &OwnedFd| {
            fstatvfs(folder).is_ok_and(|system| {
                wide(system.blocks_available()).saturating_mul(wide(system.fragment_size())) < RESERVE_BYTES
            })
        };
        Ok(self.folders.iter().chain(layer).any(is_full).then_some(Hit::HostDisk))
    }
}

/// What has been counted.
#[derive(Debug, Default)]
struct Count {
    bytes: u64,
    limit_bytes: u64,
    /// Files that may be met again: by device and number.
    seen: HashSet<(u64, u64)>,
}

/// A folder on the way down, with its folders that were not looked at yet.
struct Level {
    device: u64,
    number: u64,
    folders: Vec<CString>,
}

impl Count {
    fn is_over(&self) -> bool {
        self.bytes > self.limit_bytes
    }

    fn add(&mut self, device: u64, number: u64, links: u64, blocks: u64) {
        if links == 1 || self.seen.insert((device, number)) {
            self.bytes = self.bytes.saturating_add(blocks.saturating_mul(BLOCK_UNIT_BYTES).max(FILE_BYTES_MIN));
        }
    }

    /// Counts a folder and all below it. However deep they are, one of them is open at a time.
    fn below(&mut self, root: &OwnedFd) -> nix::Result<()> {
        let mut at = openat(root, ".", FOLDER, Mode::empty())?;
        let mut levels = vec![self.folder(&at)?];
        while let Some(level) = levels.last_mut() {
            if self.is_over() {
                return Ok(());
            }
            if let Some(name) = level.folders.pop() {
                // One that is gone, or that may not be read, has nothing to count.
                let Ok(child) = openat(&at, name.as_c_str(), FOLDER, Mode::empty()) else { continue };
                let Ok(found) = self.folder(&child) else { continue };
                if found.device == level.device {
                    at = child;
                    levels.push(found);
                }
                continue;
            }
            levels.pop();
            if let Some(parent) = levels.last() {
                at = openat(&at, "..", FOLDER, Mode::empty())?;
                let status = fstat(&at)?;
                if identity(&status) != (parent.device, parent.number) {
                    return Err(Errno::ESTALE);
                }
            }
        }
        Ok(())
    }

    /// Counts what lies in a folder, and gives the folders in it.
    fn folder(&mut self, folder: &OwnedFd) -> nix::Result<Level> {
        let (device, number) = identity(&fstat(folder)?);
        let mut folders = Vec::new();
        for entry in Dir::openat(folder, ".", FOLDER, Mode::empty())?.iter() {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(status) = fstatat(folder.as_fd(), name, nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW) else { continue };
            let is_folder = SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR;
            let (device, number) = identity(&status);
            let links = if is_folder { 1 } else { wide(status.st_nlink) };
            self.add(device, number, links, wide(status.st_blocks));
            if self.is_over() {
                break;
            }
            if is_folder {
                folders.push(name.to_owned());
            }
        }
        Ok(Level { device, number, folders })
    }

    /// Counts files on this device that these processes have open, and that have no name any more.
    fn removed(&mut self, processes: &[u32], device: impl TryInto<u64>) {
        let device = wide(device);
        for process in processes {
            let Ok(open) = fs::read_dir(format!("/proc/{process}/fd")) else { continue };
            for file in open.flatten().filter_map(|entry| fs::metadata(entry.path()).ok()) {
                if file.is_file() && file.nlink() == 0 && file.dev() == device {
                    self.add(file.dev(), file.ino(), 0, file.blocks());
                }
            }
        }
    }
}

fn identity(status: &FileStat) -> (u64, u64) {
    (wide(status.st_dev), wide(status.st_ino))
}

/// Systems have these numbers in different widths; none is negative.
fn wide(number: impl TryInto<u64>) -> u64 {
    number.try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn counted(path: &Path) -> u64 {
        let watch = DiskWatch::open(&[path], None, u64::MAX).unwrap();
        let mut count = Count { limit_bytes: u64::MAX, ..Count::default() };
        count.below(&watch.folders[0]).unwrap();
        count.bytes
    }

    #[test]
    fn room_is_counted_once_and_in_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert_eq!(counted(folder.path()), 0);
        fs::write(at("empty"), "").unwrap();
        assert_eq!(counted(folder.path()), 4096);
        fs::write(at("full"), vec![1; 1 << 20]).unwrap();
        fs::File::open(at("full")).unwrap().sync_all().unwrap();
        let full = counted(folder.path());
        assert!((1 << 20..(1 << 20) + (64 << 10)).contains(&full), "{full}");
        // A second name, a link that leads out, and a file that is long and empty.
        fs::hard_link(at("full"), at("again")).unwrap();
        symlink("/", at("out")).unwrap();
        fs::File::create(at("sparse")).unwrap().set_len(1 << 30).unwrap();
        let all = counted(folder.path());
        assert!(all < full + (64 << 10), "{all}");
    }

    #[test]
    fn a_very_deep_folder_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut at = nix::fcntl::open(folder.path(), FOLDER, Mode::empty()).unwrap();
        for _ in 0..1200 {
            nix::sys::stat::mkdirat(&at, "d", Mode::S_IRWXU).unwrap();
            at = openat(&at, "d", FOLDER, Mode::empty()).unwrap();
        }
        assert!(counted(folder.path()) >= 1200 * 4096);
        std::process::Command::new("rm").arg("-rf").arg(folder.path().join("d")).status().unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_removed_file_counts_while_it_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hidden");
        let file = fs::File::create(&path).unwrap();
        fs::write(&path, vec![1; 1 << 20]).unwrap();
        fs::remove_file(&path).unwrap();
        let watch = DiskWatch::open(&[folder.path()], None, 1 << 19).unwrap();
        assert_eq!(watch.hit(&[]).unwrap(), None);
        assert_eq!(watch.hit(&[std::process::id()]).unwrap(), Some(Hit::Disk(1 << 19)));
        drop(file);
        assert_eq!(watch.hit(&[std::process::id()]).unwrap(), None);
    }
}
