//! The volumes of a server's data, each a small file system in memory that can be full or read-only.
//!
//! They are mounted in a mount namespace of our own: nobody else sees them, and they are gone with us.

use crate::plan::Volume;
use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::statvfs::statvfs;
use std::path::{Path, PathBuf};

/// How large a volume is when it is not full, in bytes.
const ROOMY_BYTES: u64 = 1 << 30;
/// How often a volume is made smaller, until it is not written to at the same moment.
const TRIES: usize = 20;

/// The volumes, and where they are mounted.
#[derive(Debug)]
pub(crate) struct Mounts {
    volumes: Vec<(Volume, PathBuf)>,
}

/// Enters a mount namespace of our own. For a program with one thread: its threads and children are then in it.
pub(crate) fn enter_namespace() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("a mount namespace of our own")?;
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).context("a private mount namespace")
}

impl Mounts {
    /// Mounts the volumes of a data folder that is empty.
    pub(crate) fn new(data: &Path, database: &Path) -> Result<Self> {
        let consoles = data.join("builder-server.console");
        let volumes = vec![
            (Volume::Records, data.to_owned()),
            (Volume::Consoles, consoles.clone()),
            (Volume::Database, database.to_owned()),
        ];
        for (volume, path) in &volumes {
            if *volume == Volume::Consoles {
                std::fs::create_dir(&consoles).context("make the folder of the consoles")?;
            }
            let size = format!("size={ROOMY_BYTES}");
            mount(Some("none"), path, Some("tmpfs"), MsFlags::empty(), Some(size.as_str()))
                .with_context(|| format!("mount {}", path.display()))?;
        }
        let link = data.join("builder-server.sqlite3");
        std::os::unix::fs::symlink(database.join("builder-server.sqlite3"), link).context("link the database")?;
        Ok(Self { volumes })
    }

    fn path(&self, volume: Volume) -> &Path {
        let found = self.volumes.iter().find(|(candidate, _)| *candidate == volume);
        found.map_or(Path::new("/nowhere"), |(_, path)| path)
    }

    fn resize(&self, volume: Volume, bytes: u64) -> nix::Result<()> {
        let size = format!("size={bytes}");
        mount(None::<&str>, self.path(volume), None::<&str>, MsFlags::MS_REMOUNT, Some(size.as_str()))
    }

    /// Leaves a volume only so many bytes, rounded up to pages.
    pub(crate) fn fill(&self, volume: Volume, spare_bytes: u64) -> Result<()> {
        let mut resized = Ok(());
        for _ in 0..TRIES {
            let now = statvfs(self.path(volume)).context("ask how full a volume is")?;
            let used = (now.blocks() - now.blocks_free()) * now.fragment_size();
            // Of size 0 means without a limit.
            resized = self.resize(volume, used.max(4096) + spare_bytes);
            if resized.is_ok() {
                break;
            }
        }
        resized.with_context(|| format!("make {volume:?} full"))
    }

    /// Makes room again.
    pub(crate) fn free(&self, volume: Volume) -> Result<()> {
        self.resize(volume, ROOMY_BYTES).with_context(|| format!("make room for {volume:?}"))
    }

    /// Lets nothing new be written below the path of a volume. Files that are open for writing stay so: a mount with
    /// such files cannot be made read-only, so one that is comes to lie over it.
    pub(crate) fn make_read_only(&self, volume: Volume) -> Result<()> {
        let path = self.path(volume);
        let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
        mount(Some(path), path, None::<&str>, bind, None::<&str>).context("mount a volume once more")?;
        let read_only = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
        mount(None::<&str>, path, None::<&str>, read_only, None::<&str>).context("make a volume read-only")
    }

    /// Takes that back.
    pub(crate) fn make_writable(&self, volume: Volume) -> Result<()> {
        umount2(self.path(volume), MntFlags::MNT_DETACH).context("unmount what is read-only")
    }

    /// Unmounts everything.
    pub(crate) fn unmount(&self) {
        for (_, path) in self.volumes.iter().rev() {
            match umount2(path, MntFlags::MNT_DETACH) {
                // What is still used goes with the namespace.
                Ok(()) | Err(_) => {}
            }
        }
    }
}
