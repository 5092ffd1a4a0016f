//! Puts up the stage of a sandbox: a view of the file system of this process and all that it starts. A sandbox that is
//! made by somebody with fewer rights finds there what it is to show, however deep it lies in folders that are closed
//! to others; and a root file system with a layer over it that takes what the job writes.

use crate::sys;
use builder_sandbox::plan::{LAYER_FOLDERS, RANGE_USERS, STAGE_FOLDER, STAGE_ROOT, StageLayer, StageUsers};
use builder_sandbox::{HostUser, Stage, StageRoot};
use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, getgid, getuid, setgid, setgroups, setuid};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Nothing is written there but names.
const STAGE_OPTIONS: &str = "mode=0755,size=1m";
/// Where a layer is found while it is put over its root file system.
const LAYER: &str = "/tmp/layer";
/// Where the root file system lies below that.
const LOWER: &str = "/tmp/lower";

/// Puts it up; only for a process of one thread that will never again need what lies in the folder of the stage.
pub(crate) fn put_up(stage: &Stage) -> io::Result<()> {
    let range = match stage.users {
        StageUsers::Host => {
            unshare(CloneFlags::CLONE_NEWNS)?;
            None
        }
        StageUsers::Own => {
            enter_own_namespace()?;
            None
        }
        StageUsers::Range { first } => {
            let range = Range::make(first)?;
            unshare(CloneFlags::CLONE_NEWNS)?;
            Some(range)
        }
    };
    mount_at(None, Path::new("/"), MsFlags::MS_REC | MsFlags::MS_PRIVATE)?;
    // Opened before they are hidden, and after they are mounts of our own: others cannot be bound.
    let opened = stage.binds.iter().map(|bind| place(&bind.source)).collect::<io::Result<Vec<_>>>()?;
    let root = stage.root.as_ref().map(Opened::of).transpose()?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("tmpfs"), STAGE_FOLDER, Some("tmpfs"), flags, Some(STAGE_OPTIONS))?;
    for (bind, place) in stage.binds.iter().zip(&opened) {
        bind_at(place, &Path::new(STAGE_FOLDER).join(&bind.name))?;
    }
    if let Some(root) = root {
        root.put_up(range.as_ref())?;
    }
    range.map_or(Ok(()), |range| range.enter())
}

/// A path of the host that is to be bound, and why it cannot be.
struct Place {
    path: PathBuf,
    held: OwnedFd,
}

fn place(path: impl AsRef<Path>) -> io::Result<Place> {
    let path = path.as_ref().to_owned();
    match open(&path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()) {
        Ok(held) => Ok(Place { path, held }),
        Err(errno) => Err(named(&path, &errno.into())),
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn mount_at(source: Option<&Path>, target: &Path, flags: MsFlags) -> io::Result<()> {
    let nothing: Option<&str> = None;
    mount(source, target, nothing, flags, nothing).map_err(|errno| named(source.unwrap_or(target), &errno.into()))
}

/// Binds at a new folder for a folder, at a new file for everything else.
fn bind_at(place: &Place, target: &Path) -> io::Result<()> {
    let source = PathBuf::from(format!("/proc/self/fd/{}", place.held.as_raw_fd()));
    if fs::metadata(&source)?.is_dir() {
        make_folder(target)?;
    } else {
        File::create_new(target)?.set_permissions(Permissions::from_mode(0o644))?;
    }
    mount_at(Some(&source), target, MsFlags::MS_BIND | MsFlags::MS_REC).map_err(|error| named(&place.path, &error))
}

fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o755).create(path).map_err(|error| named(path, &error))
}

/// A root file system that is to be put up.
struct Opened<'a> {
    source: Place,
    layer: Option<(&'a StageLayer, Place)>,
}

impl<'a> Opened<'a> {
    fn of(root: &'a StageRoot) -> io::Result<Self> {
        let layer = root.layer.as_ref().map(|layer| Ok::<_, io::Error>((layer, place(&layer.source)?)));
        Ok(Self { source: place(&root.source)?, layer: layer.transpose()? })
    }

    fn put_up(&self, range: Option<&Range>) -> io::Result<()> {
        let lower = Path::new(if self.layer.is_some() { LOWER } else { STAGE_ROOT });
        match range {
            None => bind_at(&self.source, lower)?,
            Some(range) => {
                make_folder(lower)?;
                sys::bind_with_users(self.source.held.as_fd(), range.namespace.as_fd(), lower)
                    .map_err(|error| named(&self.source.path, &error))?;
            }
        }
        let Some((layer, place)) = &self.layer else { return Ok(()) };
        bind_at(place, Path::new(LAYER))?;
        let root = Path::new(STAGE_ROOT);
        make_folder(root)?;
        let [upper, work] = LAYER_FOLDERS;
        // Who is not root on the host may not use the attributes that are usual for this.
        let attributes = if getuid().is_root() { "" } else { ",userxattr" };
        let options = format!("lowerdir={LOWER},upperdir={LAYER}/{upper},workdir={LAYER}/{work}{attributes}");
        mount(Some("overlay"), root, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
            .map_err(|errno| io::Error::new(io::Error::from(errno).kind(), format!("overlay: {errno}")))?;
        fill(root, layer, range.map(|range| range.root))
    }
}

/// Writes what a job finds in its layer, for its root.
fn fill(root: &Path, layer: &StageLayer, owner: Option<HostUser>) -> io::Result<()> {
    let give = |path: &Path| match owner {
        Some(user) => chown(path, Some(user.uid), Some(user.gid)),
        None => Ok(()),
    };
    for name in &layer.folders {
        let mut path = root.to_owned();
        for part in Path::new(name).components() {
            path.push(part);
            match DirBuilder::new().mode(0o755).create(&path) {
                Ok(()) => give(&path)?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(named(&path, &error)),
            }
        }
    }
    for (name, content) in &layer.files {
        let path = root.join(name);
        // A link in its place could lead out of here.
        if path.parent().is_none_or(|parent| !parent.symlink_metadata().is_ok_and(|metadata| metadata.is_dir())) {
            return Err(io::Error::other(format!("the root file system has no folder for {name}")));
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(named(&path, &error)),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path)?;
        file.write_all(content)?;
        give(&path)?;
    }
    Ok(())
}

/// Enters a user namespace in which there is nobody but us, and so may mount, in a mount namespace that belongs to it.
fn enter_own_namespace() -> io::Result<()> {
    let (uid, gid) = (getuid(), getgid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))
}

/// A user namespace with all the users that a system has.
struct Range {
    namespace: File,
    /// Its root, as the host sees it.
    root: HostUser,
}

impl Range {
    /// Makes one. A process has to be in it while it gets its users, and it is not to be us yet: there are mounts that
    /// only root of the host can make.
    fn make(first: u32) -> io::Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--user", "sh", "-c", "echo; read end"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| named(Path::new("unshare"), &error))?;
        let made = (|| {
            let mut entered = [0];
            let stdout = child.stdout.as_mut().ok_or_else(|| io::Error::other("unshare has no output"))?;
            stdout.read_exact(&mut entered)?;
            let process = PathBuf::from(format!("/proc/{}", child.id()));
            for map in ["uid_map", "gid_map"] {
                fs::write(process.join(map), format!("0 {first} {RANGE_USERS}"))?;
            }
            File::open(process.join("ns/user"))
        })();
        child.kill()?;
        child.wait()?;
        let made = made.map_err(|error| io::Error::new(error.kind(), format!("a range of users: {error}")));
        Ok(Self { namespace: made?, root: HostUser { uid: first, gid: first } })
    }

    /// Becomes its root, for good.
    fn enter(self) -> io::Result<()> {
        setns(&self.namespace, CloneFlags::CLONE_NEWUSER)?;
        setgroups(&[])?;
        setgid(Gid::from_raw(0))?;
        setuid(Uid::from_raw(0))?;
        // No job makes another one below it.
        fs::write("/proc/sys/user/max_user_namespaces", "0")
    }
}
