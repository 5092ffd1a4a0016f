//! Runs a program of strangers: in a process group of its own, not longer than it may, with the end of what it prints.
//! What it leaves running is ended with it.

use crate::limits::{HOOK_END_WAIT, HOOK_LOG_BYTES_MAX};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long what a program left running may go on, such as a `tee` of its output.
const LEFT_WAIT: Duration = Duration::from_millis(500);
/// How long to wait for the end of the output when the group is gone: only who left the group can hold it open.
const OUTPUT_WAIT: Duration = Duration::from_millis(500);
/// How much is read at once, in bytes.
const READ_BYTES: usize = 16 << 10;
/// The longest that a program may run, whatever the configuration says: clocks overflow.
const LIMIT_MAX: Duration = Duration::from_secs(30 * 86_400);
/// The stack of the thread that waits for the end, in bytes.
const WAITER_STACK_BYTES: usize = 64 << 10;

/// What became of a program.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) end: End,
    /// The end of what it printed.
    pub(super) output: String,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// By itself.
    Itself(ExitStatus),
    /// It ran too long, and was ended.
    TooLong,
    /// It was to stop, and was ended.
    Stopped,
}

/// Runs a program, not longer than `limit`, and not longer than until `stop` is closed.
pub(super) fn run(mut command: Command, limit: Duration, stop: &PipeReader) -> io::Result<Ended> {
    let (output, writer) = io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).process_group(0);
    let child = command.spawn()?;
    // With it goes our end for writing, so that the output has an end.
    drop(command);
    Running::new(child, output)?.finish(limit.min(LIMIT_MAX), stop)
}

/// What was seen first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// The program ended.
    Ended,
    /// It is to stop.
    Stop,
    /// The time is over.
    Late,
}

struct Running {
    child: Child,
    is_reaped: bool,
    /// The number of its process group; ours as long as it is not reaped.
    group: Pid,
    /// None once all writers are gone.
    output: Option<PipeReader>,
    /// Closed when it has ended.
    ended: PipeReader,
    tail: Tail,
}

impl Running {
    fn new(mut child: Child, output: PipeReader) -> io::Result<Self> {
        let group = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
        let waiting = io::pipe().and_then(|(ended, writer)| {
            let wait = move || {
                let _until_then = writer;
                // It stays a zombie, so that its number, by which its group is signalled, is not given to another.
                // Whatever the error is, there is nothing to wait for then.
                while waitid(Id::Pid(group), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
            };
            std::thread::Builder::new().name("hook".into()).stack_size(WAITER_STACK_BYTES).spawn(wait)?;
            Ok(ended)
        });
        match waiting {
            Ok(ended) => {
                Ok(Self { child, is_reaped: false, group, output: Some(output), ended, tail: Tail::default() })
            }
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    /// Sees to it that it ends.
    fn finish(mut self, limit: Duration, stop: &PipeReader) -> io::Result<Ended> {
        let end = match self.watch(Some(stop.as_fd()), Instant::now() + limit)? {
            Seen::Ended => None,
            Seen::Late => Some(End::TooLong),
            Seen::Stop => Some(End::Stopped),
        };
        match end {
            None => self.drain(LEFT_WAIT)?,
            Some(_) => {
                self.signal(Signal::SIGTERM);
                self.watch(None, Instant::now() + HOOK_END_WAIT)?;
            }
        }
        self.signal(Signal::SIGKILL);
        match self.watch(None, Instant::now() + HOOK_END_WAIT)? {
            Seen::Ended => {}
            Seen::Late | Seen::Stop => return Err(io::Error::other("it cannot be ended; it hangs within the system")),
        }
        let status = self.child.wait()?;
        self.is_reaped = true;
        self.drain(OUTPUT_WAIT)?;
        Ok(Ended { end: end.unwrap_or(End::Itself(status)), output: std::mem::take(&mut self.tail).text() })
    }

    /// Keeps what is printed, until something else happens.
    fn watch(&mut self, stop: Option<BorrowedFd<'_>>, until: Instant) -> io::Result<Seen> {
        loop {
            let output = self.output.as_ref().map(AsFd::as_fd);
            let [prints, ended, stops] = wait([output, Some(self.ended.as_fd()), stop], until)?;
            if prints {
                self.read()?;
            }
            if ended {
                return Ok(Seen::Ended);
            }
            if stops {
                return Ok(Seen::Stop);
            }
            if Instant::now() >= until {
                return Ok(Seen::Late);
            }
        }
    }

    /// Keeps what is printed, until nobody can print any more, or so long.
    fn drain(&mut self, at_most: Duration) -> io::Result<()> {
        let until = Instant::now() + at_most;
        while let Some(output) = &self.output
            && Instant::now() < until
        {
            if let [true] = wait([Some(output.as_fd())], until)? {
                self.read()?;
            }
        }
        Ok(())
    }

    fn read(&mut self) -> io::Result<()> {
        let Some(output) = &mut self.output else { return Ok(()) };
        let mut buffer = [0; READ_BYTES];
        match output.read(&mut buffer) {
            Ok(0) => self.output = None,
            Ok(count) => self.tail.push(buffer.split_at(count).0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Signals the whole group; that nobody is left in it is fine.
    fn signal(&self, signal: Signal) {
        match killpg(self.group, signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => tracing::warn!("cannot signal the process group {} of a hook: {error}", self.group),
        }
    }
}

impl Drop for Running {
    /// Whatever went wrong, it does not go on unseen.
    fn drop(&mut self) {
        if self.is_reaped {
            return;
        }
        self.signal(Signal::SIGKILL);
        match self.watch(None, Instant::now() + HOOK_END_WAIT).and_then(|_| self.child.try_wait()) {
            Ok(Some(_)) => {}
            Ok(None) => tracing::error!("the process group {} of a hook cannot be ended", self.group),
            Err(error) => tracing::error!("the process group {} of a hook is not waited for: {error}", self.group),
        }
    }
}

/// Waits until one of these can be read, or is closed; says which of them.
fn wait<const COUNT: usize>(fds: [Option<BorrowedFd<'_>>; COUNT], until: Instant) -> io::Result<[bool; COUNT]> {
    let mut polled: Vec<PollFd<'_>> = fds.iter().flatten().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    // Rounded up: else the last millisecond would be spent in a busy loop.
    let left = until.saturating_duration_since(Instant::now()).as_millis().saturating_add(1);
    let timeout = PollTimeout::try_from(left.min(60_000)).unwrap_or(PollTimeout::MAX);
    match poll(&mut polled, timeout) {
        Ok(_) => {}
        Err(Errno::EINTR) => return Ok([false; COUNT]),
        Err(error) => return Err(error.into()),
    }
    let mut events = polled.iter().map(|polled| polled.revents().is_some_and(|events| !events.is_empty()));
    Ok(fds.map(|fd| fd.is_some() && events.next() == Some(true)))
}

/// The end of an output.
#[derive(Debug, Default)]
struct Tail {
    kept: VecDeque<u8>,
    dropped: u64,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.kept.extend(bytes);
        let surplus = self.kept.len().saturating_sub(HOOK_LOG_BYTES_MAX);
        self.kept.drain(..surplus);
        self.dropped += surplus as u64;
    }

    /// As text; what was dropped is said.
    fn text(self) -> String {
        let kept = Vec::from(self.kept);
        let text = String::from_utf8_lossy(&kept);
        match self.dropped {
            0 => text.into_owned(),
            dropped => format!("[{dropped} bytes before this are not kept]\n{text}"),
        }
    }
}
