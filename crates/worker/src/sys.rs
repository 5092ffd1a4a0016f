//! Calls of the system that no safe library offers as we need them. The only unsafe code of this crate.
#![expect(unsafe_code, reason = "nix cannot wait for a process that a real-time signal ended, and has no procctl(2)")]

use nix::errno::Errno;
use nix::unistd::Pid;
use std::io;
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

#[cfg(target_os = "freebsd")]
pub(crate) use freebsd::{become_reaper, signal_descendants};

/// FreeBSD's calls for reapers, procctl(2).
#[cfg(target_os = "freebsd")]
mod freebsd {
    use nix::errno::Errno;
    use std::ptr;

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
        // SAFETY: PROC_REAP_ACQUIRE takes no data; id 0 is this process.
        let result = unsafe { libc::procctl(libc::P_PID, 0, libc::PROC_REAP_ACQUIRE, ptr::null_mut()) };
        Errno::result(result).map(drop)
    }

    /// Signals every descendant of this process, which is a reaper; gives how many were signalled.
    pub(crate) fn signal_descendants(signal: i32) -> usize {
        let mut request = ReaperKill { signal, flags: 0, subtree: 0, killed: 0, first_failed: 0, padding: [0; 15] };
        // SAFETY: PROC_REAP_KILL reads and writes one `struct procctl_reaper_kill`, which the pointer points to.
        let result = unsafe { libc::procctl(libc::P_PID, 0, libc::PROC_REAP_KILL, (&raw mut request).cast()) };
        // ESRCH says that there is nobody left.
        if result == 0 { usize::try_from(request.killed).unwrap_or(usize::MAX) } else { 0 }
    }
}
