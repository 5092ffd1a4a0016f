//! The supervisor: a process between worker and job that starts the script, and does not end before all that
//! descends from the script is dead.
//!
//! It is this program once more, executed with a hidden first argument, while the worker still waits for the job: to
//! start it costs more than many a script. Its standard input is a socket to the worker. First an order comes from
//! there, which says what to run; then a byte asks for the end of the job, and so does the socket's end, because then
//! the worker is dead. What became of the job goes back over it as a report. Standard output and error are the console,
//! and belong to the script.

use crate::processes::{self, KILL_ROUND, KILL_TIME_MAX};
use crate::{cgroup, sys, wait};
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use signal_hook::consts::{SIGCHLD, SIGTERM};
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The first argument of a program that is asked to be a supervisor.
pub(crate) const ARGUMENT: &str = "__builder-supervise";
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

/// The size of the length in front of an order.
const ORDER_HEADER_BYTES: usize = 4;

/// What became of a job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Report {
    /// How the script ended; nothing if it did not.
    pub(crate) end: Option<End>,
    /// Why it did not even start.
    pub(crate) failure: Option<String>,
    /// How many processes it left running, which were then ended.
    pub(crate) left: usize,
    /// How many processes could not be ended.
    pub(crate) survived: usize,
}

/// How a script ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With this status.
    Exited(i32),
    /// By this signal of the system.
    Signalled(i32),
}

impl Report {
    fn to_text(&self) -> String {
        let end = match self.end {
            Some(End::Exited(status)) => format!("exited {status}\n"),
            Some(End::Signalled(signal)) => format!("signalled {signal}\n"),
            None => String::new(),
        };
        let failure = self.failure.as_ref().map(|failure| format!("failure {}\n", failure.replace('\n', " ")));
        format!("{end}{}left {}\nsurvived {}\n", failure.unwrap_or_default(), self.left, self.survived)
    }

    /// Reads what a supervisor wrote; nothing if it is not whole.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut report = Self::default();
        let mut is_whole = false;
        for line in text.split_inclusive('\n') {
            let (key, value) = line.strip_suffix('\n')?.split_once(' ')?;
            match key {
                "exited" => report.end = Some(End::Exited(value.parse().ok()?)),
                "signalled" => report.end = Some(End::Signalled(value.parse().ok()?)),
                "failure" => report.failure = Some(value.to_owned()),
                "left" => report.left = value.parse().ok()?,
                "survived" => (report.survived, is_whole) = (value.parse().ok()?, true),
                _ => return None,
            }
        }
        is_whole.then_some(report)
    }
}

/// The command that starts a supervisor, but for its streams.
pub(crate) fn command(program: &Path, grace: Duration, group: Option<&Path>) -> Command {
    let mut command = Command::new(program);
    command.arg0("builder-worker").arg(ARGUMENT).arg(grace.as_millis().to_string()).args(group);
    command
}

/// What a supervisor is to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// Where.
    pub(crate) folder: PathBuf,
    /// What.
    pub(crate) script: PathBuf,
}

impl Order {
    /// Sends it to a supervisor.
    pub(crate) fn write(&self, mut to: impl Write) -> io::Result<()> {
        let mut order = vec![0; ORDER_HEADER_BYTES];
        for path in [&self.folder, &self.script] {
            order.extend_from_slice(path.as_os_str().as_bytes());
            order.push(0);
        }
        let length = u32::try_from(order.len() - ORDER_HEADER_BYTES).map_err(io::Error::other)?;
        order[..ORDER_HEADER_BYTES].copy_from_slice(&length.to_be_bytes());
        to.write_all(&order)
    }

    /// Reads it, and not a byte of what follows.
    fn read(mut from: impl Read) -> io::Result<Self> {
        let mut length = [0; ORDER_HEADER_BYTES];
        from.read_exact(&mut length)?;
        let mut order = Vec::new();
        from.take(u64::from(u32::from_be_bytes(length))).read_to_end(&mut order)?;
        let mut paths = order.split(|&byte| byte == 0).map(|path| PathBuf::from(OsStr::from_bytes(path)));
        match (paths.next(), paths.next()) {
            (Some(folder), Some(script)) => Ok(Self { folder, script }),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Becomes a supervisor, and never comes back, if this program was started as one. Every program that runs workers
/// calls this first thing in its `main`, while it has one thread.
pub fn run_if_asked() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().as_deref() != Some(OsStr::new(ARGUMENT)) {
        return;
    }
    let status = match supervise(arguments) {
        Ok(()) => 0,
        Err(error) => {
            // The console is the only place left to say so; the worker sees that there is no report.
            match writeln!(io::stderr(), "builder-worker: cannot supervise the job: {error}") {
                Ok(()) | Err(_) => 1,
            }
        }
    };
    std::process::exit(status)
}

fn supervise(mut arguments: impl Iterator<Item = OsString>) -> io::Result<()> {
    let usage = || io::Error::other("this is not how a supervisor is started");
    let grace = arguments.next().and_then(|text| text.to_str()?.parse().ok()).ok_or_else(usage)?;
    if let Some(group) = arguments.next() {
        cgroup::enter(Path::new(&group))?;
    }
    let mut control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    match nix::unistd::setsid() {
        // EPERM: this process leads a group already, so whoever started it has set it apart.
        Ok(_) | Err(Errno::EPERM) => {}
        Err(errno) => return Err(errno.into()),
    }
    name_process();
    processes::become_reaper()?;
    let (woken, waker) = UnixStream::pair()?;
    woken.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(SIGCHLD, waker)?;
    // A polite request from outside is a request to end the job, which is not for the supervisor to do first.
    let (asked, asker) = UnixStream::pair()?;
    signal_hook::low_level::pipe::register(SIGTERM, asker)?;

    let Some(order) = await_order(&control, &asked)? else { return Ok(()) };
    std::env::set_current_dir(&order.folder)?;
    let report = match start(&order.script) {
        Ok(main) => Supervision::new(main, Duration::from_millis(grace)).watch(&control, &asked, &woken)?,
        Err(error) => {
            let status = if error.kind() == io::ErrorKind::NotFound { STATUS_NOT_FOUND } else { STATUS_NOT_EXECUTABLE };
            Report { end: Some(End::Exited(status)), failure: Some(error.to_string()), ..Report::default() }
        }
    };
    match control.write_all(report.to_text().as_bytes()) {
        // The worker is dead; nobody wants to know.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Waits for a job; there is none when the worker ends before, or this process is asked to.
fn await_order(control: &UnixStream, asked: &UnixStream) -> io::Result<Option<Order>> {
    let mut fds = [asked, control].map(|stream| wait::to_read(stream.as_fd()));
    wait::poll_until(&mut fds, None)?;
    if wait::happened(&fds[0]) {
        return Ok(None);
    }
    match Order::read(control) {
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
fn start(script: &Path) -> io::Result<Pid> {
    let mut head = Vec::new();
    std::fs::File::open(script)?.take(4).read_to_end(&mut head)?;
    let mut command = if is_executable(&head) { Command::new(script) } else { Command::new("/bin/sh") };
    if !is_executable(&head) {
        command.arg(script);
    }
    command.stdin(Stdio::null()).process_group(0);
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
    fn watch(mut self, control: &UnixStream, asked: &UnixStream, woken: &UnixStream) -> io::Result<Report> {
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
            let mut fds = [woken, asked, control].map(|stream| wait::to_read(stream.as_fd()));
            // Once it has been asked for, the end needs no second request.
            let count = if self.phase == Phase::Running { 3 } else { 1 };
            wait::poll_until(&mut fds[..count], until)?;
            if self.phase == Phase::Running && fds[1..].iter().any(wait::happened) {
                self.terminate(self.grace);
            }
            drain(woken)?;
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
                self.report.end = status.code().map(End::Exited).or(status.signal().map(End::Signalled));
            }
        }
    }
}

fn drain(mut stream: &UnixStream) -> io::Result<()> {
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
    fn reports_come_back_whole_or_not_at_all() {
        let report = Report { end: Some(End::Exited(3)), failure: Some("a\nb".to_owned()), left: 2, survived: 0 };
        let text = report.to_text();
        assert_eq!(Report::parse(&text), Some(Report { failure: Some("a b".to_owned()), ..report }));
        for cut in 0..text.len() {
            assert_eq!(Report::parse(&text[..cut]), None, "{cut}");
        }
        let signalled = Report { end: Some(End::Signalled(9)), ..Report::default() };
        assert_eq!(Report::parse(&signalled.to_text()), Some(signalled));
    }

    #[test]
    fn orders_come_over_whole_and_alone() {
        let order = Order { folder: "/tmp/a folder".into(), script: OsStr::from_bytes(b"/tmp/\xff/script.sh").into() };
        let mut sent = Vec::new();
        order.write(&mut sent).unwrap();
        sent.push(END);
        let mut from = &sent[..];
        assert_eq!((Order::read(&mut from).unwrap(), from), (order, &[END][..]));
        assert!(Order::read(&sent[..2]).is_err() && Order::read(&b"\0\0\0\x01x"[..]).is_err());
    }

    #[test]
    fn what_is_executed_and_what_is_for_the_shell() {
        for (head, expected) in
            [(&b"#!/b"[..], true), (b"\x7fELF", true), (b"echo", false), (b"#", false), (b"", false)]
        {
            assert_eq!(is_executable(head), expected, "{head:?}");
        }
    }
}
