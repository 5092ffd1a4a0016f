//! The supervisor: a process between worker and job that starts the script, and does not end before all that
//! descends from the script is dead.
//!
//! It is this program once more, executed with a hidden first argument, while the worker still waits for the job: to
//! start it costs more than many a script. Its standard input is a socket to the worker. First an order comes from
//! there, which says what to run; then a byte asks for the end of the job, and so does the socket's end, because then
//! the worker is dead. What became of the job goes back over it as a report. Standard output and error are the console,
//! and belong to the script.

use crate::limits::{Group, ProcessLimits};
use crate::order::{BEGUN, End, Order, Report};
use crate::processes::{self, KILL_ROUND, KILL_TIME_MAX};
use crate::{enclosure, sys, wait};
use builder_sandbox::{Environment, Plan};
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::stat::{Mode, umask};
use nix::unistd::Pid;
use signal_hook::consts::{SIGCHLD, SIGTERM};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The first argument of a program that is asked to be a supervisor.
pub(crate) const ARGUMENT: &str = "__builder-supervise";
/// The first argument of one that is to be a supervisor inside of a sandbox.
const ARGUMENT_INSIDE: &str = "__builder-inside";
/// The argument in front of a control group that the supervisor enters.
const GROUP: &str = "--group";
/// What every job in a sandbox finds: its files are readable to all, and writable to itself.
const UMASK_INSIDE: Mode = Mode::from_bits_truncate(0o022);
/// What the worker sends to have the job ended.
pub(crate) const END: u8 = b'e';
/// How long processes that a script left running have between TERM and KILL.
const LEFT_GRACE: Duration = Duration::from_millis(500);
/// How long the script may be busy (ETXTBSY) before that is an error: another thread of the worker may have started a
/// process while the script was being written, which holds it open for a moment.
const BUSY_TIME_MAX: Duration = Duration::from_secs(5);
/// What a shell exits with when a program is not there, and when it cannot be executed.
const STATUS_NOT_FOUND: i32 = 127;
const STATUS_NOT_EXECUTABLE: i32 = 126;

/// The command that starts a supervisor, but for its streams.
pub(crate) fn command(program: &Path, grace: Duration, group: Option<&Group>, limits: ProcessLimits) -> Command {
    let mut command = Command::new(program);
    command.arg0("builder-worker").arg(ARGUMENT).arg(grace.as_millis().to_string()).args(limits.arguments());
    for folder in group.into_iter().flat_map(Group::folders) {
        command.arg(GROUP).arg(folder);
    }
    command
}

/// The arguments of a supervisor inside of a sandbox: with the number of the descriptor that is the console, if it is
/// not standard output and error.
pub(crate) fn arguments_inside(grace: Duration, console: Option<RawFd>) -> Vec<String> {
    let console = console.map(|console| console.to_string());
    [ARGUMENT_INSIDE.to_owned(), grace.as_millis().to_string()].into_iter().chain(console).collect()
}

/// Becomes a supervisor, and never comes back, if this program was started as one. Every program that runs workers
/// calls this first thing in its `main`, while it has one thread.
pub fn run_if_asked() {
    let mut arguments = std::env::args_os().skip(1);
    let role = match arguments.next() {
        Some(first) if first == ARGUMENT => Role::Outside,
        Some(first) if first == ARGUMENT_INSIDE => Role::Inside,
        Some(_) | None => return,
    };
    let status = match supervise(role, arguments) {
        Ok(()) => 0,
        Err(error) => {
            let why = format!("cannot supervise the job: {error}");
            let is_told = match role {
                Role::Outside => report_lost(&why).is_ok(),
                Role::Inside => false,
            };
            // The console is the only place left to say so; whoever listens sees that there is no report.
            if !is_told && writeln!(io::stderr(), "builder-worker: {why}").is_err() {
                // There is no console either.
            }
            1
        }
    };
    std::process::exit(status)
}

/// What a worker is told by a supervisor that cannot do its work.
fn report_lost(why: &str) -> io::Result<()> {
    UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?).write_all(Report::lost(why).to_text().as_bytes())
}

/// Where a supervisor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// On the host.
    Outside,
    /// Within the sandbox of its job.
    Inside,
}

/// Who may ask a supervisor for something.
pub(crate) struct Calls {
    /// The worker, or the supervisor outside.
    pub(crate) control: UnixStream,
    /// Somebody, by SIGTERM.
    pub(crate) asked: UnixStream,
    /// A child that has ended.
    pub(crate) woken: UnixStream,
}

impl Calls {
    /// Listens to all of them.
    fn listen() -> io::Result<Self> {
        let control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        let (woken, waker) = UnixStream::pair()?;
        woken.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(SIGCHLD, waker)?;
        // A polite request from outside is a request to end the job, which is not for the supervisor to do first.
        let (asked, asker) = UnixStream::pair()?;
        signal_hook::low_level::pipe::register(SIGTERM, asker)?;
        Ok(Self { control, asked, woken })
    }

    /// Tells the worker that the job begins.
    pub(crate) fn begin(&self) -> io::Result<()> {
        match (&self.control).write_all(&[BEGUN]) {
            // The worker is dead, and the job will be ended.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }
}

fn supervise(role: Role, mut arguments: impl Iterator<Item = OsString>) -> io::Result<()> {
    let usage = || io::Error::other("this is not how a supervisor is started");
    let grace = arguments.next().and_then(|text| text.to_str()?.parse().ok()).ok_or_else(usage)?;
    let grace = Duration::from_millis(grace);
    let mut limits = ProcessLimits::default();
    match role {
        Role::Outside => {
            while let (Some(key), Some(value)) = (arguments.next(), arguments.next()) {
                match key.to_str() {
                    Some(GROUP) => Group::enter(Path::new(&value))?,
                    Some(key) if limits.take(key, &value) => {}
                    Some(_) | None => return Err(usage()),
                }
            }
        }
        Role::Inside => {
            if let Some(console) = arguments.next() {
                sys::take_console(console.to_str().and_then(|text| text.parse().ok()).ok_or_else(usage)?)?;
            }
        }
    }
    // What the worker has open, or has been given by who started it, is not for jobs.
    sys::close_inherited()?;
    match nix::unistd::setsid() {
        // EPERM: this process leads a group already, so whoever started it has set it apart.
        Ok(_) | Err(Errno::EPERM) => {}
        Err(errno) => return Err(errno.into()),
    }
    name_process();
    processes::become_reaper()?;
    let mut calls = Calls::listen()?;
    let Some(order) = await_order(&calls)? else { return Ok(()) };
    std::env::set_current_dir(&order.folder)?;
    limits.file_bytes = order.file_bytes.or(limits.file_bytes);
    limits.apply()?;
    if role == Role::Inside {
        settle_inside(&order)?;
        calls.control.write_all(&[enclosure::READY])?;
    }
    let report = match &order.plan {
        Plan::Bare(environment) => {
            match role {
                Role::Outside => calls.begin()?,
                // The supervisor outside has heard that it is ready.
                Role::Inside => {}
            }
            run_bare(&order, environment, grace, &calls)?
        }
        Plan::Enclosed(enclosure) => enclosure::run(enclosure, &order, grace, &calls)?,
    };
    match calls.control.write_all(report.to_text().as_bytes()) {
        // The worker is dead; nobody wants to know.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// What every job finds the same, and what keeps it off its supervisor.
fn settle_inside(order: &Order) -> io::Result<()> {
    umask(UMASK_INSIDE);
    // Whoever has the same user as we have could else attach to us, and change what we do.
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_dumpable(false)?;
    #[cfg(target_os = "freebsd")]
    sys::forbid_tracing()?;
    #[cfg(target_os = "linux")]
    if let Some(writable) = &order.writable {
        crate::walls::put_up(writable)?;
    }
    #[cfg(not(target_os = "linux"))]
    debug_assert!(order.writable.is_none(), "only Linux has such walls");
    Ok(())
}

fn run_bare(order: &Order, environment: &Environment, grace: Duration, calls: &Calls) -> io::Result<Report> {
    match start(Path::new(&order.script), environment) {
        Ok(main) => Supervision::new(main, grace).watch(calls),
        Err(error) => {
            let status = if error.kind() == io::ErrorKind::NotFound { STATUS_NOT_FOUND } else { STATUS_NOT_EXECUTABLE };
            Ok(Report { end: Some(End::Exited(status)), failure: Some(error.to_string()), ..Report::default() })
        }
    }
}

/// Waits for a job; there is none when the worker ends before, or this process is asked to.
fn await_order(calls: &Calls) -> io::Result<Option<Order>> {
    let mut fds = [&calls.asked, &calls.control].map(|stream| wait::to_read(stream.as_fd()));
    wait::poll_until(&mut fds, None)?;
    if wait::happened(&fds[0]) {
        return Ok(None);
    }
    match Order::read(&calls.control) {
        Ok(order) => Ok(Some(order)),
        Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes the supervisor easy to tell in a list of processes.
fn name_process() {
    #[cfg(target_os = "linux")]
    match nix::sys::prctl::set_name(c"builder-superv") {
        // It is only a name.
        Ok(()) | Err(_) => {}
    }
}

/// Starts the script in a process group of its own: what names its interpreter, or is a program, is executed; anything
/// else is a script for the shell.
fn start(script: &Path, environment: &Environment) -> io::Result<Pid> {
    let mut head = Vec::new();
    std::fs::File::open(script)?.take(4).read_to_end(&mut head)?;
    let mut command = if is_executable(&head) { Command::new(script) } else { Command::new("/bin/sh") };
    if !is_executable(&head) {
        command.arg(script);
    }
    if !environment.inherits {
        command.env_clear();
    }
    command.envs(environment.set.iter().cloned()).stdin(Stdio::null()).process_group(0);
    let until = Instant::now() + BUSY_TIME_MAX;
    loop {
        match command.spawn() {
            Ok(child) => return Ok(processes::id_of(&child)),
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && Instant::now() < until => {
                // tidy: nothing tells when nobody writes to the script any more
                std::thread::sleep(KILL_ROUND);
            }
            Err(error) => return Err(error),
        }
    }
}

fn is_executable(head: &[u8]) -> bool {
    head.starts_with(b"#!") || head.starts_with(b"\x7fELF")
}

/// Where the supervision stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The script runs.
    Running,
    /// Everybody has been asked to end, and has until then.
    Terminating(Instant),
    /// Everybody is killed, again and again, until then.
    Killing(Instant),
}

struct Supervision {
    main: Pid,
    grace: Duration,
    phase: Phase,
    report: Report,
}

impl Supervision {
    fn new(main: Pid, grace: Duration) -> Self {
        Self { main, grace, phase: Phase::Running, report: Report::default() }
    }

    /// Watches until nobody is left, or nothing helps.
    fn watch(mut self, calls: &Calls) -> io::Result<Report> {
        loop {
            if !self.reap()? {
                return Ok(self.report);
            }
            let now = Instant::now();
            let until = match self.phase {
                Phase::Running if self.report.end.is_some() => {
                    self.report.left = self.terminate(LEFT_GRACE);
                    continue;
                }
                Phase::Running => None,
                Phase::Terminating(until) if now >= until => {
                    self.phase = Phase::Killing(now + KILL_TIME_MAX);
                    continue;
                }
                Phase::Terminating(until) => Some(until),
                Phase::Killing(until) => {
                    let living = self.signal_all(Signal::SIGKILL);
                    if now >= until {
                        // Whoever cannot be listed is there all the same: we still have a child.
                        self.report.survived = living.max(1);
                        return Ok(self.report);
                    }
                    Some(now + KILL_ROUND)
                }
            };
            let mut fds = [&calls.woken, &calls.asked, &calls.control].map(|stream| wait::to_read(stream.as_fd()));
            // Once it has been asked for, the end needs no second request.
            let count = if self.phase == Phase::Running { 3 } else { 1 };
            wait::poll_until(&mut fds[..count], until)?;
            if self.phase == Phase::Running && fds[1..].iter().any(wait::happened) {
                self.terminate(self.grace);
            }
            drain(&calls.woken)?;
        }
    }

    /// Asks everybody to end; gives how many that were.
    fn terminate(&mut self, grace: Duration) -> usize {
        self.phase = Phase::Terminating(Instant::now() + grace);
        self.signal_all(Signal::SIGTERM)
    }

    fn signal_all(&self, signal: Signal) -> usize {
        let count = processes::signal_descendants(signal);
        // Where descendants cannot be listed, there is at least the group of the script; its number is taken as long
        // as the script has not been reaped.
        if count == 0 && self.report.end.is_none() {
            for signal in [signal, Signal::SIGCONT] {
                match killpg(self.main, signal) {
                    // The group may have ended just now.
                    Ok(()) | Err(_) => {}
                }
            }
        }
        count
    }

    /// Takes note of whoever ended; gives whether somebody is left. As a reaper has all orphans for its children, a
    /// reaper without children has no descendants.
    fn reap(&mut self) -> io::Result<bool> {
        loop {
            let (process, status) = match sys::wait_any() {
                Ok(Some(ended)) => ended,
                Ok(None) => return Ok(true),
                Err(Errno::ECHILD) => return Ok(false),
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            if process == self.main && self.report.end.is_none() {
                self.report.end = End::of(status);
            }
        }
    }
}

/// Forgets what made a descriptor readable.
pub(crate) fn drain(mut stream: &UnixStream) -> io::Result<()> {
    let mut ignored = [0; 64];
    loop {
        match stream.read(&mut ignored) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_executed_and_what_is_for_the_shell() {
        for (head, expected) in
            [(&b"#!/b"[..], true), (b"\x7fELF", true), (b"echo", false), (b"#", false), (b"", false)]
        {
            assert_eq!(is_executable(head), expected, "{head:?}");
        }
    }
}
