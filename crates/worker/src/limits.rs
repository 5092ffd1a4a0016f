//! What a job may use of its host, and the words for a limit that was reached.
//!
//! Nothing is weakened silently: a limit is held by the kernel, or by a watcher that says how exact it is, or it is refused
//! with a [`Finding`] that says what the host lacks. Control groups are the business of `group`, what the kernel offers that
//! of `trees`, limits of single processes that of `process`, the room on the disk that of `disk`, and where a container takes it that of `layer`.

mod disk;
mod group;
mod layer;
mod process;
mod trees;

pub(crate) use disk::DiskWatch;
pub(crate) use group::Group;
pub(crate) use layer::Layer;
pub(crate) use process::ProcessLimits;
use trees::{Controller, Trees};

use crate::wait;
use builder_sandbox::size::size_text;
use builder_sandbox::{Finding, Kind, Limits, Policy, User};
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What can be limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    Memory,
    Processors,
    Processes,
    Disk,
    Time,
    OpenFiles,
}

impl Limit {
    /// What it is called in findings.
    const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory limit",
            Self::Processors => "processor limit",
            Self::Processes => "process limit",
            Self::Disk => "disk limit",
            Self::Time => "time limit",
            Self::OpenFiles => "open file limit",
        }
    }

    /// This host cannot hold it.
    fn missing(self, detail: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding::missing(self.name(), detail, mend)
    }
}

/// The group of a job that is to run under this policy.
///
/// # Errors
///
/// What this host lacks to hold the limits.
pub(crate) fn group(policy: &Policy) -> Result<Option<Group>, Finding> {
    let limits = if is_held_elsewhere(policy) { Limits::default() } else { policy.limits };
    Group::create(&limits, processes_beside(policy.kind))
}

/// The limits of each process of a job that is to run under this policy, as far as its supervisor outside holds them.
///
/// # Errors
///
/// What this host lacks to hold them.
pub(crate) fn of_processes(policy: &Policy) -> Result<ProcessLimits, Finding> {
    if is_held_elsewhere(policy) {
        return Ok(ProcessLimits::default());
    }
    let limits = ProcessLimits { open_files: policy.limits.open_files, file_bytes: policy.limits.disk_bytes };
    limits.lack().map_or(Ok(limits), Err)
}

/// Docker and podman make groups of their own, and are told the limits; jails are held by rctl.
fn is_held_elsewhere(policy: &Policy) -> bool {
    match policy.kind {
        Kind::Container | Kind::Jail => true,
        Kind::None | Kind::Bubblewrap | Kind::Nspawn => false,
    }
}

/// What a job in the jail of this name reached: there the kernel holds the limits, and tells of it in its messages only.
pub(crate) fn reached_in_jail(policy: &Policy, name: &str) -> Vec<Hit> {
    let (memory, processes) = (policy.limits.memory_bytes, policy.limits.processes);
    if policy.kind != Kind::Jail || (memory.is_none() && processes.is_none()) {
        return Vec::new();
    }
    let messages = match Command::new("dmesg").stdin(Stdio::null()).output() {
        Ok(output) => output.stdout,
        Err(error) => {
            tracing::warn!("cannot ask dmesg whether the job reached a limit: {error}");
            return Vec::new();
        }
    };
    let reached = builder_sandbox::reached_in_jail(&String::from_utf8_lossy(&messages), name);
    let memory = memory.filter(|_| reached.memory).map(Hit::Memory);
    let processes = processes.filter(|_| reached.processes).map(|limit| Hit::Processes { limit, times: 0 });
    memory.into_iter().chain(processes).collect()
}

/// How often the processes of a group are listed and killed when its job is over a limit: what was born in between is in
/// the next list. Of a container there is only the engine's client; what the supervisor starts when that has ended takes
/// the container away, and is not to be killed.
pub(crate) fn kill_rounds(policy: &Policy) -> usize {
    if is_held_elsewhere(policy) { 1 } else { 3 }
}

/// How many processes there are in the group of a job that are not its own: the supervisor, what makes the sandbox, and
/// the supervisor inside.
fn processes_beside(kind: Kind) -> u64 {
    match kind {
        Kind::None | Kind::Container | Kind::Jail => 1,
        Kind::Bubblewrap => 3,
        Kind::Nspawn => 4,
    }
}

/// Whether this host can hold a job to the limits of a policy, and how.
pub(crate) fn findings(policy: &Policy) -> Vec<Finding> {
    let limits = &policy.limits;
    let (only, beside) = (Limits::default(), processes_beside(policy.kind));
    let kernel = Trees::examine();
    let by_group = |limit: Limit, controller, limits: Limits, value: String| {
        if is_held_elsewhere(policy) {
            return Finding::works(limit.name(), format!("{value}, held by what makes the sandbox"));
        }
        match Group::create(&limits, beside) {
            Ok(_) => Finding::works(limit.name(), format!("{value}, control groups of {}", kernel.version(controller))),
            Err(finding) => finding,
        }
    };
    let memory = limits.memory_bytes.map(|bytes| {
        let limits = Limits { memory_bytes: Some(bytes), ..only };
        by_group(Limit::Memory, Controller::Memory, limits, size_text(bytes))
    });
    let processors = limits.processors.map(|count| {
        let limits = Limits { processors: Some(count), ..only };
        let value = format!("{}.{:02} processors", count.hundredths / 100, count.hundredths % 100);
        by_group(Limit::Processors, Controller::Processors, limits, value)
    });
    let processes = limits.processes.map(|count| {
        let limits = Limits { processes: Some(count), ..only };
        by_group(Limit::Processes, Controller::Processes, limits, count.to_string())
    });
    let disk = limits
        .disk_bytes
        .map(|bytes| Finding::works(Limit::Disk.name(), format!("{}, {}", size_text(bytes), disk_counted(policy))));
    let time = limits.time.map(|time| Finding::works(Limit::Time.name(), format!("{time:?}")));
    let open_files = limits.open_files.map(|count| match of_processes(policy) {
        Ok(_) => Finding::works(Limit::OpenFiles.name(), count.to_string()),
        Err(finding) => finding,
    });
    [memory, processors, processes, disk, time, open_files].into_iter().flatten().collect()
}

/// What is counted of the disk, and what is not: it differs from one kind of sandbox to the other.
fn disk_counted(policy: &Policy) -> String {
    let (own, is_file_held) = match policy.kind {
        Kind::None => ("counted each second in the folder of the job, and nowhere else that it may write", true),
        Kind::Bubblewrap | Kind::Container | Kind::Nspawn if policy.is_root_writable => {
            ("counted each second in /build and in the root file system", true)
        }
        Kind::Bubblewrap | Kind::Container | Kind::Nspawn => ("counted each second in /build", true),
        // Root in a jail may raise the limits of its own processes.
        Kind::Jail if policy.is_root_writable => {
            ("counted each second in /build; a clone has it as its quota besides", policy.user != User::Root)
        }
        Kind::Jail => ("counted each second in /build", policy.user != User::Root),
    };
    let writable = if policy.writable.is_empty() { "" } else { ", and not in what `writable` names" };
    let file = if is_file_held { "; each single file is held to it exactly" } else { "" };
    format!("{own}{writable}{file}")
}

/// A limit that a job reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hit {
    /// Processes of it were killed for want of memory within its limit, in bytes.
    Memory(u64),
    /// Processes of it were killed, because the host had no memory left, or a limit above the job's own was reached.
    HostMemory,
    /// This many times it was refused a process or thread above its limit.
    Processes {
        /// The limit.
        limit: u64,
        /// How often.
        times: u64,
    },
    /// Its files took more than this many bytes.
    Disk(u64),
    /// The worker's disk is nearly full, whoever filled it.
    HostDisk,
}

impl Hit {
    /// Whether a job that did this is ended: one that is refused a process may go on.
    pub(crate) fn ends_job(&self) -> bool {
        match self {
            Self::Memory(_) | Self::HostMemory | Self::Disk(_) | Self::HostDisk => true,
            Self::Processes { .. } => false,
        }
    }

    /// What the console says besides the outcome, if there is more to say.
    pub(crate) fn remark(&self) -> Option<String> {
        match self {
            // Whether more were wanted is not always known.
            Self::Processes { times: 0, .. } => Some(self.to_string()),
            Self::Processes { times: 1, .. } => Some(format!("{self}: 1 process or thread was refused")),
            Self::Processes { times, .. } => Some(format!("{self}: {times} processes or threads were refused")),
            Self::Memory(_) | Self::HostMemory | Self::Disk(_) | Self::HostDisk => None,
        }
    }
}

impl fmt::Display for Hit {
    /// The words of the outcome: `memory limit 2 GiB reached`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(bytes) => write!(f, "memory limit {} reached", size_text(*bytes)),
            Self::HostMemory => f.write_str("the worker's host ran out of memory"),
            Self::Processes { limit, .. } => write!(f, "process limit {limit} reached"),
            Self::Disk(bytes) => write!(f, "disk limit {} reached", size_text(*bytes)),
            Self::HostDisk => f.write_str("the worker's disk is full"),
        }
    }
}

/// How often what the kernel does not tell by itself is looked at.
const WATCH_ROUND: Duration = Duration::from_secs(1);
/// Looking takes at most one part in this many of the time, however many files there are.
const WATCH_SHARE: u32 = 4;

/// What has to be looked at while a job runs.
#[derive(Debug)]
pub(crate) struct Watch<'a> {
    /// The group of the job.
    pub(crate) group: Option<&'a Group>,
    /// Its folders, if they have a limit.
    pub(crate) disk: Option<&'a DiskWatch>,
}

impl Watch<'_> {
    /// Looks again and again until `finish` ends, or until a limit is reached that ends the job: then `exceed` ends.
    ///
    /// # Errors
    ///
    /// A limit cannot be held after all; `exceed` has ended then, too.
    pub(crate) fn tell(&self, finish: &UnixStream, exceed: UnixStream) -> io::Result<Option<Hit>> {
        let is_needed = self.disk.is_some() || self.group.is_some_and(Group::needs_watching);
        let mut pause = WATCH_ROUND;
        loop {
            let until = is_needed.then(|| Instant::now() + pause);
            if wait::poll_until(&mut [wait::to_read(finish.as_fd())], until)? {
                return Ok(None);
            }
            let begun = Instant::now();
            if let Some(hit) = self.look()? {
                drop(exceed);
                return Ok(Some(hit));
            }
            pause = WATCH_ROUND.max(begun.elapsed() * WATCH_SHARE);
        }
    }

    fn look(&self) -> io::Result<Option<Hit>> {
        let memory = self.group.and_then(|group| group.hits().into_iter().find(Hit::ends_job));
        match (memory, self.disk) {
            (None, Some(disk)) => disk.hit(&self.group.map(Group::processes).unwrap_or_default()),
            (hit, _) => Ok(hit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_says_what_is_counted_of_the_disk() {
        let policy = |kind, is_root_writable| Policy { kind, is_root_writable, ..Policy::default() };
        let file = "; each single file is held to it exactly";
        for (policy, expected) in [
            (policy(Kind::None, false), "in the folder of the job, and nowhere else that it may write; each"),
            (policy(Kind::Container, false), "counted each second in /build; each"),
            (policy(Kind::Container, true), "in /build and in the root file system; each"),
            (policy(Kind::Nspawn, true), "in /build and in the root file system; each"),
            (policy(Kind::Jail, true), "in /build; a clone has it as its quota besides; each"),
            (Policy { user: User::Root, ..policy(Kind::Jail, false) }, "in /build"),
            (
                Policy { writable: vec!["/var/cache".into()], ..policy(Kind::Bubblewrap, false) },
                "in /build, and not in what `writable` names; each",
            ),
        ] {
            let text = disk_counted(&policy);
            assert!(text.contains(expected), "{text}");
            assert_eq!(text.ends_with(file), policy.user != User::Root, "{text}");
        }
    }

    #[test]
    fn a_limit_has_words() {
        assert_eq!(Hit::Memory(2 << 30).to_string(), "memory limit 2 GiB reached");
        let refused = Hit::Processes { limit: 64, times: 3 };
        assert_eq!(refused.to_string(), "process limit 64 reached");
        assert_eq!(refused.remark().unwrap(), "process limit 64 reached: 3 processes or threads were refused");
    }
}
