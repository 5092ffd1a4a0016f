//! Puts up the stage of a sandbox: a view of the file system of this process and all that it starts. A sandbox that is
//! made by somebody with fewer rights finds there what it is to show, however deep it lies in folders that are closed
//! to others.

use builder_sandbox::Stage;
use builder_sandbox::plan::STAGE_FOLDER;
use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

/// Nothing is written there but names.
const STAGE_OPTIONS: &str = "mode=0755,size=1m";

/// Puts it up; only for a process of one thread that will never again need what lies in the folder of the stage.
pub(crate) fn put_up(stage: &Stage) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let nothing: Option<&str> = None;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)?;
    // Opened before they are hidden, and after they are mounts of our own: others cannot be bound.
    let opened: Vec<OwnedFd> = stage
        .binds
        .iter()
        .map(|bind| open_place(Path::new(&bind.source)).map_err(|error| named(Path::new(&bind.source), &error)))
        .collect::<io::Result<_>>()?;
    let folder = Path::new(STAGE_FOLDER);
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("tmpfs"), folder, Some("tmpfs"), flags, Some(STAGE_OPTIONS))?;
    for (bind, place) in stage.binds.iter().zip(&opened) {
        let source = format!("/proc/self/fd/{}", place.as_raw_fd());
        let target = folder.join(&bind.name);
        make_place(&target, Path::new(&source))?;
        mount(Some(source.as_str()), &target, nothing, MsFlags::MS_BIND | MsFlags::MS_REC, nothing)
            .map_err(|errno| named(Path::new(&bind.source), &errno.into()))?;
    }
    Ok(())
}

fn open_place(path: &Path) -> io::Result<OwnedFd> {
    Ok(open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?)
}

/// A folder for a folder, a file for everything else, for all to see.
fn make_place(target: &Path, source: &Path) -> io::Result<()> {
    if fs::metadata(source)?.is_dir() {
        DirBuilder::new().mode(0o755).create(target)
    } else {
        File::create_new(target)?.set_permissions(Permissions::from_mode(0o644))
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
