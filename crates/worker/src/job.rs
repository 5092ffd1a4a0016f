//! Running one job: its folder, its supervisor, its console, what it made, and its end, whatever brings that about.

use crate::collect::{Collection, Found, collect};
use crate::connection::{Assignment, Connection};
use crate::console::Console;
use crate::containers;
use crate::deliver::deliver;
use crate::error::Error;
use crate::folder::Folder;
use crate::limits::{self, DiskWatch, Group, Hit, Layer, Watch};
use crate::order::{End, Heard, Order, REPORT_BYTES_MAX, Report};
use crate::prepared::Prepared;
use crate::processes::{self, KILL_TIME_MAX};
use crate::signals::Stop;
use crate::standby::{Standby, Supervisor};
use crate::supervisor;
use crate::wait;
use crate::worker::{Settings, fulfilled};
use builder_model::outcome::TIMEOUT;
use builder_model::{ArtifactPath, Outcome};
use builder_sandbox::Host;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

/// How much longer than it has been told to a supervisor may take to end a job, before it is killed itself.
const SUPERVISOR_DELAY_MAX: Duration = KILL_TIME_MAX.saturating_add(Duration::from_secs(20));

/// The artifact with the digest of the root file system or image, as the repository knows it.
const ROOT_DIGEST: &str = "rootfs-digest";

/// Most of a reason that a server is told, in characters.
const REASON_CHARACTERS_MAX: usize = 1024;

/// Why a job was not handed in.
#[derive(Debug)]
enum Trouble {
    /// Its script has not begun: another worker may run the build as if nothing had been.
    Before(Error),
    /// Its script has begun, or may have.
    Since(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Since(error)
    }
}

/// Runs the job, hands it in, and waits until the server has it. Nothing of it is left afterwards, whatever happened.
///
/// A worker that is itself at fault does not end the build, and hands nothing in, so that the server gives the build to
/// another worker. If the script has not begun, it refuses the build, which costs the job nothing; else, and where the
/// server knows no refusals, it says in the console what is wrong.
pub(crate) fn run(
    connection: &Connection<'_>,
    settings: &Settings,
    host: &mut Host,
    stop: &Stop,
    standby: Standby,
    assignment: &Assignment,
) -> Result<(), Error> {
    let mut console = Console::new(connection, assignment.build);
    let trouble = match attempt(connection, settings, host, stop, standby, assignment, &mut console) {
        Ok(()) => return Ok(()),
        Err(trouble) => trouble,
    };
    let (error, is_refusal) = match trouble {
        Trouble::Before(error) => (error, connection.version().tells()),
        Trouble::Since(error) => (error, false),
    };
    if error.is_own() {
        // A hint in the lines after the first is for whoever looks after the worker.
        let text = error.to_string();
        let reason = text.lines().next().unwrap_or_default();
        let reason: String = reason.chars().take(REASON_CHARACTERS_MAX).collect();
        if !is_refusal {
            console.note(&reason);
        }
        let told = console.finish();
        let told = if is_refusal { told.and_then(|()| connection.refuse(assignment.build, &reason)) } else { told };
        if let Err(untold) = told {
            tracing::debug!("cannot tell the server what is wrong: {untold}");
        }
    }
    Err(error)
}

fn attempt(
    connection: &Connection<'_>,
    settings: &Settings,
    host: &mut Host,
    stop: &Stop,
    standby: Standby,
    assignment: &Assignment,
    console: &mut Console<'_>,
) -> Result<(), Trouble> {
    host.hold_root(&settings.policy);
    fulfilled(builder_sandbox::check(&settings.policy, host)).map_err(Trouble::Before)?;
    let prepared = Prepared::of(settings, host, &assignment.job.script).map_err(Trouble::Before)?;
    let disk = watch_disk(settings, host, &prepared).map_err(Trouble::Before)?;
    let own_digest = settings.rootfs_digest.as_ref();
    if let Some(description) = builder_sandbox::description(&settings.policy, host, own_digest) {
        console.note(&description);
    }
    let (supervisor, pipe) = standby.ready(settings).map_err(Trouble::Before)?;
    let supervised = Supervised { settings, supervisor, order: &prepared.order, said: Vec::new() };
    let mut watched = supervised.run(connection, stop, console, pipe, disk.as_ref())?;
    watched.hits.extend(limits::reached_in_jail(&settings.policy, &prepared.name));
    watched.hits.extend(containers::hits(&settings.policy, &prepared.folder, watched.report.as_ref().ok()));
    judge(&watched)?;
    for note in notes(&watched, settings) {
        tracing::warn!("{note}");
        console.note(&note);
    }
    match watched.ending {
        Ending::Stopped => return Err(Error::Stopped.into()),
        // When sending the console failed, that is why the connection ended.
        Ending::Lost(error) => return Err(console.finish().err().unwrap_or(error).into()),
        Ending::ByItself | Ending::Timeout | Ending::Limit => {}
    }
    let mut outcome = outcome(&watched, settings.policy.limits.disk_bytes);
    let mut collection = Collection::default();
    // As the original does it: files after any exit status, none after a signal.
    if matches!(outcome, Outcome::Exited(_)) {
        match collected(&prepared.folder) {
            Ok(found) => {
                collection = found;
                digest_of(settings, host).into_iter().for_each(|file| collection.add(file));
            }
            Err(reason) => {
                console.note(&reason);
                outcome = Outcome::aborted(reason);
            }
        }
    }
    for remark in &collection.remarks {
        console.note(remark);
    }
    console.finish()?;
    deliver(connection, &assignment.build, &outcome, &collection.files)?;
    connection.await_close("after we had handed in the build")?;
    tracing::info!("job uuid {}: {outcome}, {} files", assignment.build, collection.files.len());
    Ok(())
}

/// Whether there is something to be handed in.
fn judge(watched: &Watched) -> Result<(), Trouble> {
    match watched.ending {
        Ending::ByItself | Ending::Timeout | Ending::Limit => {}
        // That is why it has no end here, whatever became of it.
        Ending::Stopped | Ending::Lost(_) => return Ok(()),
    }
    match &watched.report {
        Ok(Report { refusal: Some(why), .. }) => Err(Trouble::Before(Error::Sandbox { why: with_hits(why, watched) })),
        Ok(Report { lost: Some(why), .. }) => {
            let trouble = if watched.is_begun { Trouble::Since } else { Trouble::Before };
            Err(trouble(Error::Sandbox { why: with_hits(why, watched) }))
        }
        Err(status) if !watched.is_begun => {
            Err(Trouble::Before(Error::Sandbox { why: with_hits(&supervisor_lost(*status), watched) }))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Why a job has not begun, and what limits it met before that.
fn with_hits(why: &str, watched: &Watched) -> String {
    watched.hits.iter().filter(|hit| hit.ends_job()).fold(why.to_owned(), |why, hit| format!("{why}; {hit}"))
}

/// The artifact by which the repository knows the root file system or image that a build ran in.
fn digest_of(settings: &Settings, host: &Host) -> Option<Found> {
    let digest = builder_sandbox::root_digest(host, settings.rootfs_digest.as_ref())?;
    let path = ArtifactPath::parse(ROOT_DIGEST.as_bytes()).ok()?;
    Some(Found::added(path, format!("{digest}\n").into_bytes()))
}

fn collected(folder: &Folder) -> Result<Collection, String> {
    if !folder.is_in_place() {
        let remarks = vec!["not collected: the build's folder was moved away or removed".to_owned()];
        return Ok(Collection { remarks, ..Collection::default() });
    }
    collect(folder.path()).map_err(|error| error.to_string())
}

/// Why a job ends.
#[derive(Debug)]
enum Ending {
    /// Nobody but the job itself wants it to end.
    ByItself,
    /// It ran over our own time limit.
    Timeout,
    /// It used more than it may: [`Watched::hits`] say what.
    Limit,
    /// The worker has to stop.
    Stopped,
    /// The server is gone, or what it says makes no sense.
    Lost(Error),
}

/// What came of watching a job.
#[derive(Debug)]
struct Watched {
    ending: Ending,
    /// What the supervisor says, or how it ended without saying anything, because it was killed.
    report: Result<Report, ExitStatus>,
    /// Whether the script has begun, or may have.
    is_begun: bool,
    /// How many processes got away.
    survived: usize,
    /// Limits that it reached.
    hits: Vec<Hit>,
}

/// A job with its supervisor, from outside.
struct Supervised<'a> {
    settings: &'a Settings,
    supervisor: Supervisor,
    order: &'a Order,
    /// What the supervisor said.
    said: Vec<u8>,
}

/// What is left of a supervisor.
struct Buried {
    report: Result<Report, ExitStatus>,
    is_begun: bool,
    survived: usize,
}

impl<'a> Supervised<'a> {
    /// Sends the console while the job runs; when this comes back, no process of the job is left.
    fn run(
        mut self,
        connection: &Connection<'_>,
        stop: &Stop,
        console: &mut Console<'_>,
        pipe: PipeReader,
        disk: Option<&DiskWatch>,
    ) -> Result<Watched, Trouble> {
        let pairs = UnixStream::pair().and_then(|first| Ok((first, UnixStream::pair()?)));
        let ((finish, finished), (exceeded, exceed)) = match pairs {
            Ok(pairs) => pairs,
            Err(source) => {
                self.bury()?;
                return Err(Trouble::Before(system("make a socket pair", source)));
            }
        };
        let group = self.supervisor.group.take();
        let limits = Watch { group: group.as_ref(), disk };
        std::thread::scope(|scope| {
            let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
            let reader = thread("console").spawn_scoped(scope, || console.pump(pipe, &finished));
            let looker = thread("limits").spawn_scoped(scope, || limits.tell(&finished, exceed));
            // The job is not begun before everybody is there who looks after it.
            let given = match (&reader, &looker) {
                (Ok(_), Ok(_)) => self.supervisor.give(self.order),
                (Err(_), _) | (_, Err(_)) => Ok(()),
            };
            let watched = match (&reader, &looker, &given) {
                (Ok(_), Ok(_), Ok(())) => self.watch(connection, stop, &exceeded, group.as_ref()),
                (Err(_), _, _) | (_, Err(_), _) | (_, _, Err(_)) => Ok(Ending::ByItself),
            };
            // Whatever happened: first everything is dead, then the console is read to its end.
            let buried = self.bury();
            drop(finish);
            let unstarted = |act| move |source| Trouble::Before(system(act, source));
            let reader = reader.map_err(unstarted("start a thread for the console"))?;
            let looker = looker.map_err(unstarted("start a thread for the limits"))?;
            given.map_err(Trouble::Before)?;
            joined(reader.join()).map_err(|source| system("read the console of the job", source))?;
            let hit = joined(looker.join()).map_err(|source| system("watch the limits of the job", source))?;
            let Buried { report, is_begun, survived } = buried?;
            // Counted once more: the last one may have been reached in the last moment.
            let hits = hit.into_iter().chain(group.as_ref().map(Group::hits).unwrap_or_default()).collect();
            Ok(Watched { ending: watched?, report, is_begun, survived, hits })
        })
    }

    /// Waits for the supervisor to end, and sees to it when something else comes first.
    fn watch(
        &mut self,
        connection: &Connection<'_>,
        stop: &Stop,
        exceeded: &UnixStream,
        group: Option<&Group>,
    ) -> Result<Ending, Error> {
        let mut ending = Ending::ByItself;
        let mut until = self.settings.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let mut fds =
                [self.supervisor.control.as_fd(), stop.fd(), connection.fd(), exceeded.as_fd()].map(wait::to_read);
            let is_ending = !matches!(ending, Ending::ByItself);
            let count = if is_ending { 1 } else { fds.len() };
            let ready = wait::poll_until(&mut fds[..count], until).map_err(|source| system("wait", source))?;
            let [reported, stopped, broken, is_exceeded] = fds.map(|fd| wait::happened(&fd));
            if reported && self.read_report()? {
                return Ok(ending);
            }
            if is_ending {
                if !ready {
                    // It should have been done long ago. Burying it takes what is left of the job.
                    return Ok(ending);
                }
                continue;
            }
            ending = if stopped {
                Ending::Stopped
            } else if !ready {
                Ending::Timeout
            } else if is_exceeded {
                if let Some(group) = group {
                    group.kill_all_but(self.supervisor.child.id(), limits::kill_rounds(&self.settings.policy));
                }
                Ending::Limit
            } else if let Some(error) = broken.then(|| connection.broken()).flatten() {
                Ending::Lost(error)
            } else {
                continue;
            };
            self.ask_to_end()?;
            until = Instant::now().checked_add(self.settings.grace + SUPERVISOR_DELAY_MAX);
        }
    }

    fn ask_to_end(&mut self) -> Result<(), Error> {
        match self.supervisor.control.write_all(&[supervisor::END]) {
            // It has ended just now: what it has to say is still to be read.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result.map_err(|source| self.failed("talk to", source)),
        }
    }

    /// Takes what the supervisor says; gives whether it is done.
    fn read_report(&mut self) -> Result<bool, Error> {
        let mut buffer = [0; 4096];
        match self.supervisor.control.read(&mut buffer) {
            Ok(0) => Ok(true),
            Ok(count) => {
                self.said.extend_from_slice(&buffer[..count]);
                Ok(self.said.len() > REPORT_BYTES_MAX)
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(true),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(false),
            Err(source) => Err(self.failed("talk to", source)),
        }
    }

    /// Reaps the supervisor. If it did not do its work, because it was killed, its work is done here, as far as that
    /// is possible from outside.
    fn bury(&mut self) -> Result<Buried, Error> {
        let Heard { report, is_begun } = Heard::of(&self.said);
        let supervisor = processes::id_of(&self.supervisor.child);
        let mut survived = report.as_ref().map_or(0, |report| report.survived);
        if report.is_none() {
            // As long as it is a zombie, its number, and so that of its session, is nobody else's.
            processes::send(supervisor, Signal::SIGKILL);
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
            while let Err(errno) = waitid(Id::Pid(supervisor), flags) {
                if errno != Errno::EINTR {
                    return Err(self.failed("wait for", errno.into()));
                }
            }
            survived = processes::kill_session(supervisor);
        }
        let status = self.supervisor.child.wait().map_err(|source| self.failed("wait for", source))?;
        if let Some(orphans) = &self.settings.orphans {
            orphans.forget(supervisor);
            if report.is_none() {
                survived += orphans.kill();
            }
        }
        Ok(Buried { report: report.ok_or(status), is_begun, survived })
    }

    fn failed(&self, act: &'static str, source: io::Error) -> Error {
        Error::Supervisor { act, program: self.supervisor.program.clone(), source }
    }
}

/// What a thread gives, or its panic.
fn joined<T>(result: std::thread::Result<T>) -> T {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// What counts the room that a job takes, if that is limited.
fn watch_disk(settings: &Settings, host: &Host, prepared: &Prepared) -> Result<Option<DiskWatch>, Error> {
    let Some(limit_bytes) = settings.policy.limits.disk_bytes else { return Ok(None) };
    let folders: Vec<&Path> = [&prepared.folder].into_iter().chain(&prepared.layer).map(Folder::path).collect();
    let path = prepared.folder.path();
    let watch = DiskWatch::open(&folders, Layer::of(&settings.policy, host, &prepared.name), limit_bytes);
    watch.map(Some).map_err(|errno| Error::Folder { act: "open", path: path.to_owned(), source: errno.into() })
}

fn system(act: &'static str, source: io::Error) -> Error {
    Error::System { act, source }
}

/// What there is to say about the end of a job, besides its outcome.
fn notes(watched: &Watched, settings: &Settings) -> Vec<String> {
    let mut notes = Vec::new();
    if matches!(watched.ending, Ending::Timeout) {
        let limit = settings.timeout.unwrap_or_default();
        notes.push(format!("the build ran longer than {limit:?} and was ended"));
    }
    match &watched.report {
        Ok(report) => {
            let is_killed = watched.hits.iter().any(Hit::ends_job);
            if let Some(failure) = report.failure.as_ref().filter(|_| !is_killed) {
                notes.push(format!("cannot run {}: {failure}", crate::folder::SCRIPT));
            }
            if report.left > 0 {
                notes.push(format!("ended {} that the script left running", processes_text(report.left)));
            }
        }
        // Whoever has used too much may have taken the supervisor along.
        Err(_) if watched.hits.iter().any(Hit::ends_job) => {}
        Err(status) => notes.push(supervisor_lost(*status)),
    }
    notes.extend(watched.hits.iter().filter_map(Hit::remark));
    if watched.survived > 0 {
        notes.push(format!("{} of the build cannot be killed", processes_text(watched.survived)));
    }
    notes
}

fn processes_text(count: usize) -> String {
    if count == 1 { "1 process".to_owned() } else { format!("{count} processes") }
}

/// The reason of a build that has no other end.
fn supervisor_lost(status: ExitStatus) -> String {
    format!("the build's supervisor ended before its time: {status}")
}

fn outcome(watched: &Watched, disk_bytes: Option<u64>) -> Outcome {
    if matches!(watched.ending, Ending::Timeout) {
        return Outcome::aborted(TIMEOUT);
    }
    if let Some(hit) = watched.hits.iter().find(|hit| hit.ends_job()) {
        return Outcome::aborted(hit.to_string());
    }
    let outcome = match &watched.report {
        Ok(Report { end: Some(End::Exited(status)), .. }) => Outcome::Exited(i64::from(*status)),
        Ok(Report { end: Some(End::Signalled(signal)), .. }) => Outcome::Signalled(portable(*signal)),
        Ok(Report { end: None, .. }) => Outcome::aborted("the build did not end"),
        Err(status) => Outcome::aborted(supervisor_lost(*status)),
    };
    match (watched.hits.first(), disk_bytes) {
        // What was refused may not have mattered.
        (_, _) if outcome.is_success() => outcome,
        (Some(hit), _) => Outcome::aborted(format!("{hit}, then {outcome}")),
        // The kernel holds each single file to the limit, quicker than we can look.
        (None, Some(bytes)) if is_file_too_long(&outcome) => Outcome::aborted(Hit::Disk(bytes).to_string()),
        (None, _) => outcome,
    }
}

/// The script, or a child of which the shell tells, was ended by the signal XFSZ.
fn is_file_too_long(outcome: &Outcome) -> bool {
    let signal = Signal::SIGXFSZ as i32;
    *outcome == Outcome::Signalled(portable(signal)) || *outcome == Outcome::Exited(i64::from(128 + signal))
}

/// The portable number of a signal of this system, or its own where there is none.
fn portable(signal: i32) -> i64 {
    let name = Signal::try_from(signal).ok().and_then(|signal| signal.as_str().strip_prefix("SIG"));
    // Linux calls POLL by its older name.
    let name = name.map(|name| if name == "IO" { "POLL" } else { name });
    name.and_then(Outcome::signal_number).unwrap_or(i64::from(signal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn signals_travel_with_portable_numbers() {
        for (signal, number) in
            [(Signal::SIGKILL, -7), (Signal::SIGSEGV, -10), (Signal::SIGTERM, -11), (Signal::SIGXFSZ, -28)]
        {
            assert_eq!(portable(signal as i32), number);
        }
        #[cfg(target_os = "linux")]
        assert_eq!(portable(Signal::SIGIO as i32), -23);
        #[cfg(target_os = "linux")]
        assert_eq!(portable(Signal::SIGSTKFLT as i32), 16);
        assert_eq!(portable(40), 40);
    }

    #[test]
    fn outcomes_of_all_ends() {
        let watched = |ending, report| Watched { ending, report, is_begun: true, survived: 0, hits: Vec::new() };
        let ended = |end| Ok(Report { end: Some(end), ..Report::default() });
        for (watched, expected) in [
            (watched(Ending::ByItself, ended(End::Exited(3))), "exited 3"),
            (watched(Ending::ByItself, ended(End::Signalled(9))), "signalled -7"),
            (watched(Ending::Timeout, ended(End::Exited(0))), "execution aborted: timeout"),
            (
                watched(Ending::ByItself, Err(ExitStatus::from_raw(9))),
                "execution aborted: the build's supervisor ended before its time: signal: 9 (SIGKILL)",
            ),
            (watched(Ending::ByItself, Ok(Report::default())), "execution aborted: the build did not end"),
        ] {
            assert_eq!(outcome(&watched, None).to_string(), expected);
        }
    }
}
