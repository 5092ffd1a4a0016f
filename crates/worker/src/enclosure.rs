//! The supervision of a job in a sandbox, from outside of it: makes the sandbox ready, starts the command that makes it,
//! and does not end before all that descends from that command is dead.
//!
//! Inside, this program runs once more and does a supervisor's work, because only there the end of the script can be
//! told exactly, and only there processes can be given their grace. Nothing that comes from there is believed beyond
//! how the script ended.

use crate::order::{End, Order, REPORT_BYTES_MAX, Report};
use crate::processes::{self, KILL_ROUND, KILL_TIME_MAX};
use crate::supervisor::{self, Calls};
use crate::{folder, sys, wait};
use builder_sandbox::{Argument, COUNTS_FILE, Complaints, Enclosure, Inside, Plan, Step};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeReader, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What the supervisor inside says as soon as it has its order: the sandbox is there.
pub(crate) const READY: u8 = b'r';
/// How much longer than the grace the supervisor inside may take to end a job.
const INSIDE_DELAY_MAX: Duration = Duration::from_secs(5);
/// How much of what a command says is told, in bytes.
const COMPLAINTS_BYTES_MAX: usize = 2048;

/// Runs the job to its end, and takes away what the sandbox leaves.
pub(crate) fn run(enclosure: &Enclosure, order: &Order, grace: Duration, calls: &Calls) -> io::Result<Report> {
    let report = match start(enclosure, grace, calls) {
        Ok(Started { main, inside, complaints }) => {
            hand_over(enclosure, order, &inside)?;
            let (inside, phase) = (Some(inside), Phase::Running);
            let (status, said, is_begun) = (None, Vec::new(), false);
            Watch { main, status, inside, complaints, said, is_begun, phase, grace }.run(enclosure, calls)
        }
        Err(error) => Ok(Report::refused(format!("cannot start the sandbox {}: {error}", enclosure.name))),
    };
    let report = report.map(|report| judged(report, enclosure, Path::new(&order.folder)));
    for step in &enclosure.cleanup {
        if let Err(error) = run_step(step) {
            // The console is all there is to say it to; whoever looks after the worker reads it there.
            writeln!(io::stderr(), "builder-worker: cannot take away the sandbox: {error}")?;
        }
    }
    report
}

/// The report, with what only the maker of the sandbox knows.
fn judged(report: Report, enclosure: &Enclosure, folder: &Path) -> Report {
    let Some(step) = &enclosure.verdict else { return report };
    if report.refusal.is_some() {
        return report;
    }
    let why = match run_step(step) {
        Ok(said) => {
            let mut words = said.split_whitespace();
            match (words.next(), words.next()) {
                // It still runs when the command that started it had to be killed.
                (Some("exited" | "running" | "dead" | "stopped"), memory) => {
                    return Report { is_out_of_memory: memory == Some("true"), ..report };
                }
                (state, _) => format!("it is only {}", state.unwrap_or("there")),
            }
        }
        // It may have gone away in mid-job: the first process inside leaves a mark before the job begins.
        Err(error) if folder.join(COUNTS_FILE).symlink_metadata().is_ok() => {
            let why = format!("the sandbox {} is lost: {error}", enclosure.name);
            return Report { survived: report.survived, ..Report::lost(why) };
        }
        Err(error) => error.to_string(),
    };
    let why = format!("the sandbox {} could not be made: {why}", enclosure.name);
    Report { survived: report.survived, ..Report::refused(why) }
}

/// Runs a command to its end; gives what it prints.
pub(crate) fn run_step(step: &Step) -> io::Result<String> {
    let [program, arguments @ ..] = &step.command[..] else { return Ok(String::new()) };
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = &output.stderr[..output.stderr.len().min(COMPLAINTS_BYTES_MAX)];
    let said = String::from_utf8_lossy(said).trim().replace('\n', "; ");
    Err(io::Error::other(format!("{}: {}: {said}", program.display(), output.status)))
}

/// A command that has been started.
struct Started {
    main: Pid,
    /// Our end of the socket to the inside.
    inside: UnixStream,
    /// What the command itself says, where that is not the console.
    complaints: Option<PipeReader>,
}

/// Starts the command.
fn start(enclosure: &Enclosure, grace: Duration, calls: &Calls) -> io::Result<Started> {
    if let Some(stage) = &enclosure.stage {
        #[cfg(target_os = "linux")]
        crate::stage::put_up(stage)
            .map_err(|error| io::Error::new(error.kind(), format!("cannot put up its stage: {error}")))?;
        #[cfg(not(target_os = "linux"))]
        return Err(io::Error::other(format!("this system has no stages such as {stage:?}")));
    }
    for step in &enclosure.prepare {
        run_step(step)?;
    }
    let files = enclosure.descriptors.iter().map(|content| file_of(content)).collect::<io::Result<Vec<_>>>()?;
    let own = enclosure.command.contains(&Argument::OwnProgram).then(own_program).transpose()?;
    let number = |fd: Option<RawFd>| OsString::from(fd.unwrap_or(-1).to_string());
    let mut arguments = enclosure.command.iter().map(|argument| match argument {
        Argument::Text(text) => text.clone(),
        Argument::Descriptor(index) => number(files.get(*index).map(AsRawFd::as_raw_fd)),
        Argument::OwnProgram => number(own.as_ref().map(AsRawFd::as_raw_fd)),
    });
    let program = arguments.next().ok_or_else(|| io::Error::other("there is no command"))?;
    let (ours, theirs) = UnixStream::pair()?;
    let mut command = Command::new(&program);
    command.args(arguments).env_clear().current_dir("/");
    let (console, complaints) = match enclosure.complaints {
        Complaints::OnConsole => (None, None),
        Complaints::ToSupervisor => {
            let (reader, writer) = io::pipe()?;
            command.stdout(writer.try_clone()?).stderr(writer);
            (Some(inherited(io::stderr())?), Some(reader))
        }
    };
    match &enclosure.inside {
        Inside::Script => {
            calls.begin()?;
            command.stdin(Stdio::from(OwnedFd::from(theirs)))
        }
        Inside::Supervisor { .. } => {
            let console = console.as_ref().map(AsRawFd::as_raw_fd);
            command.args(supervisor::arguments_inside(grace, console)).stdin(Stdio::from(OwnedFd::from(theirs)))
        }
    };
    if let Some(user) = enclosure.host_user {
        // The standard library drops all other groups of root with this.
        command.gid(user.gid).uid(user.uid);
    }
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", Path::new(&program).display()));
    let child = command.spawn().map_err(named)?;
    ours.set_nonblocking(true)?;
    Ok(Started { main: processes::id_of(&child), inside: ours, complaints })
}

/// The file of this program, which the command inherits.
fn own_program() -> io::Result<OwnedFd> {
    inherited(File::open("/proc/self/exe")?)
}

/// The same descriptor once more, so that the command inherits it.
fn inherited(of: impl AsFd) -> io::Result<OwnedFd> {
    let fd = of.as_fd().try_clone_to_owned()?;
    fcntl(&fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(fd)
}

/// A file without a name that the command inherits.
fn file_of(content: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create(c"builder", MFdFlags::empty())?);
    file.write_all(content)?;
    file.rewind()?;
    Ok(file)
}

fn hand_over(enclosure: &Enclosure, order: &Order, inside: &UnixStream) -> io::Result<()> {
    let Inside::Supervisor { folder, environment, writable, file_bytes } = &enclosure.inside else { return Ok(()) };
    let script = Path::new(folder).join(folder::SCRIPT).into();
    let plan = Plan::Bare(environment.clone());
    debug_assert!(Path::new(&order.script).ends_with(folder::SCRIPT), "the script has its name from the folder");
    let (folder, writable) = (folder.clone(), writable.clone());
    match (Order { folder, script, plan, writable, file_bytes: *file_bytes }).write(inside) {
        // There is no sandbox after all: its end tells why.
        Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => Ok(()),
        result => result,
    }
}

/// Where the supervision stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The command runs.
    Running,
    /// The inside has been asked to end, and has until then.
    Asked(Instant),
    /// Everybody is killed, again and again, until then.
    Killing(Instant),
}

struct Watch {
    main: Pid,
    /// How the command ended.
    status: Option<ExitStatus>,
    /// Until it has said all.
    inside: Option<UnixStream>,
    complaints: Option<PipeReader>,
    said: Vec<u8>,
    /// Whether the worker knows that the inside is about to begin the script.
    is_begun: bool,
    phase: Phase,
    grace: Duration,
}

impl Watch {
    /// Watches until nobody is left, or nothing helps.
    fn run(mut self, enclosure: &Enclosure, calls: &Calls) -> io::Result<Report> {
        loop {
            if !self.reap()? {
                return Ok(self.report(enclosure, 0));
            }
            let now = Instant::now();
            let until = match self.phase {
                // What a sandbox leaves behind when it ends is nothing that deserves a grace.
                Phase::Running | Phase::Asked(_) if self.status.is_some() => {
                    self.phase = Phase::Killing(now + KILL_TIME_MAX);
                    continue;
                }
                Phase::Running => None,
                Phase::Asked(until) if now >= until => {
                    self.phase = Phase::Killing(now + KILL_TIME_MAX);
                    continue;
                }
                Phase::Asked(until) => Some(until),
                Phase::Killing(until) => {
                    let living = processes::signal_descendants(Signal::SIGKILL);
                    if now >= until {
                        return Ok(self.report(enclosure, living.max(1)));
                    }
                    Some(now + KILL_ROUND)
                }
            };
            self.wait(enclosure, calls, until)?;
        }
    }

    fn wait(&mut self, enclosure: &Enclosure, calls: &Calls, until: Option<Instant>) -> io::Result<()> {
        let inside = self.inside.as_ref().map_or(calls.woken.as_fd(), AsFd::as_fd);
        let mut fds = [inside, calls.woken.as_fd(), calls.asked.as_fd(), calls.control.as_fd()].map(wait::to_read);
        // Once it has been asked for, the end needs no second request.
        let count = if self.phase == Phase::Running { 4 } else { 2 };
        wait::poll_until(&mut fds[..count], until)?;
        let is_asked = self.phase == Phase::Running && fds[2..].iter().any(wait::happened);
        self.listen()?;
        if !self.is_begun && self.said.first() == Some(&READY) {
            self.is_begun = true;
            calls.begin()?;
        }
        supervisor::drain(&calls.woken)?;
        if is_asked {
            self.ask(enclosure)?;
        }
        Ok(())
    }

    /// Takes what the inside says.
    fn listen(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        while let Some(inside) = &mut self.inside {
            match inside.read(&mut buffer) {
                Ok(0) => self.inside = None,
                Ok(count) => {
                    self.said.extend_from_slice(&buffer[..count]);
                    if self.said.len() > REPORT_BYTES_MAX {
                        self.inside = None;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => self.inside = None,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn ask(&mut self, enclosure: &Enclosure) -> io::Result<()> {
        self.phase = Phase::Asked(Instant::now() + self.grace + INSIDE_DELAY_MAX);
        match (&enclosure.inside, &mut self.inside) {
            (Inside::Supervisor { .. }, Some(inside)) => match inside.write_all(&[supervisor::END]) {
                // It does not listen any more, and its time runs.
                Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::WouldBlock) => Ok(()),
                result => result,
            },
            (Inside::Supervisor { .. }, None) => Ok(()),
            (Inside::Script, _) => {
                self.phase = Phase::Asked(Instant::now() + self.grace);
                processes::signal_descendants(Signal::SIGTERM);
                Ok(())
            }
        }
    }

    /// Takes note of whoever ended; gives whether somebody is left.
    fn reap(&mut self) -> io::Result<bool> {
        loop {
            match sys::wait_any() {
                Ok(Some((process, status))) if process == self.main => self.status = Some(status),
                Ok(Some(_)) | Err(Errno::EINTR) => {}
                Ok(None) => return Ok(true),
                Err(Errno::ECHILD) => {
                    self.listen()?;
                    return Ok(false);
                }
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// What the command said itself, on one line.
    fn complaints(&mut self) -> String {
        let mut said = Vec::new();
        // All who could write are dead. Whoever got away may still hold it open: so only what is there is read.
        if let Some(complaints) = &mut self.complaints
            && wait::is_readable(complaints.as_fd()).unwrap_or(false)
        {
            said.resize(COMPLAINTS_BYTES_MAX, 0);
            let count = complaints.read(&mut said).unwrap_or(0);
            said.truncate(count);
        }
        let said = String::from_utf8_lossy(&said);
        if said.trim().is_empty() { String::new() } else { format!(": {}", said.trim().replace('\n', "; ")) }
    }

    fn report(mut self, enclosure: &Enclosure, survived: usize) -> Report {
        let complaints = self.complaints();
        let ended = self.status.map_or_else(|| "it does not end".to_owned(), |status| format!("{status}{complaints}"));
        match (&enclosure.inside, self.said.split_first()) {
            (Inside::Script, _) => {
                let end = self.status.and_then(End::of);
                Report { end, survived, ..Report::default() }
            }
            (Inside::Supervisor { .. }, Some((&READY, said))) => {
                let said = str::from_utf8(said).ok().and_then(Report::parse);
                let lost = || Report { failure: Some(format!("the sandbox ended: {ended}")), ..Report::default() };
                // That there was no sandbox is not for somebody in it to say.
                Report { survived, refusal: None, ..said.unwrap_or_else(lost) }
            }
            (Inside::Supervisor { .. }, _) => {
                let why = format!("the sandbox {} could not be made: {ended}", enclosure.name);
                Report { survived, ..Report::refused(why) }
            }
        }
    }
}
