//! Waiting for several descriptors at once, until a point in time.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// The longest single wait; longer ones are made of several.
const POLL_MAX: Duration = Duration::from_secs(3600);

/// One descriptor that is waited for until it can be read from.
pub(crate) fn to_read(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::new(fd, PollFlags::POLLIN)
}

/// One descriptor that is waited for until it can be written to.
pub(crate) fn to_write(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::new(fd, PollFlags::POLLOUT)
}

/// Whether something happened at this descriptor: what it was waited for, an end, or an error.
pub(crate) fn happened(fd: &PollFd<'_>) -> bool {
    fd.any() == Some(true)
}

/// Waits until something happens at one of the descriptors (`true`) or the time has come (`false`).
pub(crate) fn poll_until(fds: &mut [PollFd<'_>], until: Option<Instant>) -> io::Result<bool> {
    loop {
        let left = until.map_or(POLL_MAX, |until| until.saturating_duration_since(Instant::now()).min(POLL_MAX));
        // Rounded up, so that a wait does not end a little early and start again many times.
        let milliseconds = u32::try_from(left.as_micros().div_ceil(1000)).unwrap_or(u32::MAX);
        let timeout = PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX);
        match poll(fds, timeout) {
            Ok(0) if until.is_some_and(|until| Instant::now() >= until) => return Ok(false),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Whether this descriptor can be read from right now.
pub(crate) fn is_readable(fd: BorrowedFd<'_>) -> io::Result<bool> {
    poll_until(&mut [to_read(fd)], Some(Instant::now()))
}
