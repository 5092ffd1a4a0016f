//! Calls of the system that no safe library offers as we need them. The only unsafe code of this crate.
#![expect(
    unsafe_code,
    reason = "nix cannot wait for a process that a real-time signal ended, and has neither procctl(2) nor sysctl(3) nor mount_setattr(2); the crate landlock does not tell its version"
)]

use nix::errno::Errno;
use nix::unistd::Pid;
use std::io;
use std::os::fd::RawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// Reaps a child that has ended; nothing if none has, ECHILD if there is none.
///
/// nix's `waitpid` fails for a child that a real-time signal ended, after it has reaped it.
pub(crate) fn wait_any() -> Result<Option<(Pid, ExitStatus)>, Errno> {
    let mut status = 0;
    // SAFETY: `status` is an int that waitpid(2) may write to for the time of the call.
    let process = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    let process = Errno::result(process)?;
    Ok((process != 0).then(|| (Pid::from_raw(process), ExitStatus::from_raw(status))))
}

/// Makes standard output and error of an inherited descriptor. Only for a process that has not opened any itself.
pub(crate) fn take_console(console: RawFd) -> io::Result<()> {
    for stream in [libc::STDOUT_FILENO, libc::STDERR_FILENO] {
        // SAFETY: dup2(2) takes any numbers. Nobody in this process holds what the two streams were.
        Errno::result(unsafe { libc::dup2(console, stream) })?;
    }
    Ok(())
}

/// Closes every descriptor but the three standard streams. Only for a process that has not opened any itself.
pub(crate) fn close_inherited() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    // SAFETY: nothing in this process owns a descriptor above 2 yet, so none is closed behind somebody's back.
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
    #[cfg(not(target_os = "linux"))]
    // SAFETY: as above.
    let result = unsafe {
        libc::closefrom(3);
        0
    };
    match Errno::result(result) {
        // Linux has the call since 5.9; before, what was inherited stays as it always was.
        Ok(_) | Err(Errno::ENOSYS | Errno::EPERM) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(target_os = "linux")]
pub(crate) use linux::{bind_with_users, landlock_version};

/// Other systems have none.
#[cfg(not(target_os = "linux"))]
pub(crate) const fn landlock_version() -> Option<u32> {
    None
}

#[cfg(target_os = "freebsd")]
pub(crate) use freebsd::{become_reaper, forbid_tracing, processes, signal_descendants};

/// FreeBSD's calls for reapers and against tracers, procctl(2), and its list of processes, sysctl(3).
#[cfg(target_os = "freebsd")]
mod freebsd {
    use crate::processes::Process;
    use nix::errno::Errno;
    use nix::unistd::Pid;
    use std::{mem, ptr};

    /// How often to ask for the list of processes while it outgrows the room that it was said to need.
    const ROUNDS_MAX: usize = 8;
    /// How many processes more than there were a moment ago the list has room for.
    const SPARE_PROCESSES: usize = 64;
    /// `SZOMB` of <sys/proc.h>.
    const ZOMBIE: libc::c_char = 5;
    // `KINFO_PROC_SIZE` of <sys/user.h>, which the kernel keeps from one release to the next.
    #[cfg(target_pointer_width = "64")]
    const _: () = assert!(size_of::<libc::kinfo_proc>() == 1088, "the list of processes has entries of another size");

    /// `struct procctl_reaper_kill` of <sys/procctl.h>.
    #[repr(C)]
    struct ReaperKill {
        signal: libc::c_int,
        flags: libc::c_uint,
        subtree: libc::pid_t,
        killed: libc::c_uint,
        first_failed: libc::pid_t,
        padding: [libc::c_uint; 15],
    }

    /// Makes this process the reaper of its descendants.
    pub(crate) fn become_reaper() -> nix::Result<()> {
        // SAFETY: PROC_REAP_ACQUIRE takes no data.
        let result = unsafe { libc::procctl(libc::P_PID, own_id(), libc::PROC_REAP_ACQUIRE, ptr::null_mut()) };
        Errno::result(result).map(drop)
    }

    /// Keeps others from tracing this process, and its children until they execute another program.
    pub(crate) fn forbid_tracing() -> nix::Result<()> {
        let mut state = libc::PROC_TRACE_CTL_DISABLE;
        // SAFETY: PROC_TRACE_CTL reads one int, which the pointer points to.
        let result = unsafe { libc::procctl(libc::P_PID, own_id(), libc::PROC_TRACE_CTL, (&raw mut state).cast()) };
        Errno::result(result).map(drop)
    }

    /// Signals every descendant of this process, which is a reaper; gives how many were signalled.
    pub(crate) fn signal_descendants(signal: i32) -> usize {
        let mut request = ReaperKill { signal, flags: 0, subtree: 0, killed: 0, first_failed: 0, padding: [0; 15] };
        // SAFETY: PROC_REAP_KILL reads and writes one `struct procctl_reaper_kill`, which the pointer points to.
        let result = unsafe { libc::procctl(libc::P_PID, own_id(), libc::PROC_REAP_KILL, (&raw mut request).cast()) };
        // ESRCH says that there is nobody left.
        if result == 0 { usize::try_from(request.killed).unwrap_or(usize::MAX) } else { 0 }
    }
    fn own_id() -> libc::id_t {
        libc::id_t::from(std::process::id())
    }

    /// All processes that this one may see: those of its jail, and of its user where the system hides others.
    pub(crate) fn processes() -> nix::Result<Vec<Process>> {
        let name = [libc::CTL_KERN, libc::KERN_PROC, libc::KERN_PROC_PROC, 0];
        let (_, needed) = ask(&name, &mut [])?;
        let mut room = needed / size_of::<libc::kinfo_proc>();
        for _ in 0..ROUNDS_MAX {
            room += SPARE_PROCESSES;
            let mut list = Vec::with_capacity(room);
            match ask(&name, list.spare_capacity_mut()) {
                Err(Errno::ENOMEM) => {}
                Err(errno) => return Err(errno),
                Ok((count, _)) => {
                    // SAFETY: the kernel has written that many whole entries to the start of the room, and any octets are
                    // a `kinfo_proc`, which has numbers and pointers only; the pointers are the kernel's and are not used.
                    unsafe { list.set_len(count) };
                    return Ok(list.iter().map(process).collect());
                }
            }
        }
        Err(Errno::ENOMEM)
    }

    /// Calls sysctl(3); gives how many entries were written, and the octets that they all need.
    fn ask(name: &[libc::c_int; 4], room: &mut [mem::MaybeUninit<libc::kinfo_proc>]) -> nix::Result<(usize, usize)> {
        let mut octets = size_of_val(room);
        let to = if room.is_empty() { ptr::null_mut() } else { room.as_mut_ptr().cast() };
        // SAFETY: `name` has as many numbers as is said; `to` is null or has room for `octets` octets, which the call
        // replaces by how many it wrote, or would write; nothing is set.
        let result = unsafe { libc::sysctl(name.as_ptr(), 4, to, &raw mut octets, ptr::null(), 0) };
        Errno::result(result)?;
        let written = if room.is_empty() { 0 } else { octets / size_of::<libc::kinfo_proc>() };
        Ok((written.min(room.len()), octets))
    }

    fn process(info: &libc::kinfo_proc) -> Process {
        Process {
            id: Pid::from_raw(info.ki_pid),
            parent: Pid::from_raw(info.ki_ppid),
            session: Pid::from_raw(info.ki_sid),
            is_zombie: info.ki_stat == ZOMBIE,
        }
    }
}

/// Linux's calls for mounts that show files as somebody else's.
#[cfg(target_os = "linux")]
mod linux {
    use nix::errno::Errno;
    use std::ffi::CString;
    use std::io;
    use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    /// `LANDLOCK_CREATE_RULESET_VERSION` of <linux/landlock.h>.
    const VERSION_FLAG: libc::c_uint = 1;

    /// The version of Landlock that the kernel has switched on; none where it has none, or does not say.
    pub(crate) fn landlock_version() -> Option<u32> {
        let nothing: *const libc::c_void = std::ptr::null();
        // SAFETY: asked for its version, landlock_create_ruleset(2) reads no memory and makes nothing.
        let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0_usize, VERSION_FLAG) };
        u32::try_from(version).ok().filter(|version| *version > 0)
    }

    /// Binds a folder at another one in such a way that its files belong there to the users of a namespace: user 0 of the
    /// file system is user 0 of the namespace. Needs Linux 5.12, and a file system that can do this.
    pub(crate) fn bind_with_users(source: BorrowedFd<'_>, users: BorrowedFd<'_>, target: &Path) -> io::Result<()> {
        let target = CString::new(target.as_os_str().as_bytes())?;
        let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_EMPTY_PATH.unsigned_abs();
        // SAFETY: open_tree(2) reads an empty path, which is static, and gives a new descriptor or an error.
        let tree = unsafe { libc::syscall(libc::SYS_open_tree, source.as_raw_fd(), c"".as_ptr(), flags) };
        let tree = i32::try_from(Errno::result(tree)?).map_err(io::Error::other)?;
        // SAFETY: the descriptor has just been made, and nobody else knows it.
        let tree = unsafe { OwnedFd::from_raw_fd(tree) };
        let users = u64::from(users.as_raw_fd().unsigned_abs());
        let attributes =
            libc::mount_attr { attr_set: libc::MOUNT_ATTR_IDMAP, attr_clr: 0, propagation: 0, userns_fd: users };
        let (at, path, size) = (tree.as_raw_fd(), c"".as_ptr(), size_of_val(&attributes));
        // SAFETY: mount_setattr(2) reads an empty path and `size` bytes of the attributes, which outlive the call.
        let result = unsafe {
            libc::syscall(libc::SYS_mount_setattr, at, path, libc::AT_EMPTY_PATH, &raw const attributes, size)
        };
        Errno::result(result)?;
        let (cwd, empty) = (libc::AT_FDCWD, libc::MOVE_MOUNT_F_EMPTY_PATH);
        // SAFETY: move_mount(2) reads two paths that end with a zero and outlive the call.
        let result = unsafe { libc::syscall(libc::SYS_move_mount, at, path, cwd, target.as_ptr(), empty) };
        Errno::result(result)?;
        Ok(())
    }
}
