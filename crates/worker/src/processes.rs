//! Which processes there are below one of ours, and ending them.
//!
//! Processes find no way out by daemonizing: the supervisor of a job is a *reaper*, so that whoever loses its parent
//! becomes the supervisor's child, instead of init's. On Linux descendants are found in `/proc`; FreeBSD has calls
//! for all of this.

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::io;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long killed processes may take to be gone; one that hangs in the kernel takes longer, and dies when it wakes.
pub(crate) const KILL_TIME_MAX: Duration = Duration::from_secs(10);
/// How long to wait before looking again for processes that are being killed.
pub(crate) const KILL_ROUND: Duration = Duration::from_millis(10);
/// After this many rounds that find nobody, nobody is there. One would not do: a process that forks and ends may
/// hand over between the two looks at its place and its child's.
const EMPTY_ROUNDS: usize = 3;

/// A process as the system shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) id: Pid,
    pub(crate) parent: Pid,
    pub(crate) session: Pid,
    /// It has ended, and only waits to be reaped.
    pub(crate) is_zombie: bool,
}

/// Makes this process the one that inherits the orphans among its descendants.
pub(crate) fn become_reaper() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_child_subreaper(true)?;
    #[cfg(target_os = "freebsd")]
    crate::sys::become_reaper()?;
    Ok(())
}

/// Sends a signal to every living descendant of this process; gives how many there were. Where descendants cannot be
/// listed there seem to be none.
pub(crate) fn signal_descendants(signal: Signal) -> usize {
    #[cfg(target_os = "freebsd")]
    {
        let count = crate::sys::signal_descendants(signal as i32);
        // Who is stopped does not hear it otherwise.
        if signal != Signal::SIGKILL {
            crate::sys::signal_descendants(Signal::SIGCONT as i32);
        }
        count
    }
    #[cfg(not(target_os = "freebsd"))]
    {
        let descendants = below(&[Pid::this()], &list());
        for &process in &descendants {
            send(process, signal);
        }
        descendants.len()
    }
}

/// Kills every process of a session, and waits until they are gone; gives how many did not go.
pub(crate) fn kill_session(session: Pid) -> usize {
    kill_until_none(|| {
        let members = list().into_iter().filter(|process| process.session == session && !process.is_zombie);
        members.map(|process| process.id).collect()
    })
}

/// Signals one process, and wakes it if it was stopped, so that it can take notice.
pub(crate) fn send(process: Pid, signal: Signal) {
    // It may be gone, or run as somebody else; whether it is there is seen at the next look, not here.
    let wake = (signal != Signal::SIGKILL).then_some(Signal::SIGCONT);
    for signal in [Some(signal), wake].into_iter().flatten() {
        match kill(process, signal) {
            Ok(()) | Err(_) => {}
        }
    }
}

fn kill_until_none(mut find: impl FnMut() -> Vec<Pid>) -> usize {
    let until = Instant::now() + KILL_TIME_MAX;
    let mut empty_rounds = 0;
    loop {
        let found = find();
        empty_rounds = if found.is_empty() { empty_rounds + 1 } else { 0 };
        if empty_rounds == EMPTY_ROUNDS || Instant::now() >= until {
            return found.len();
        }
        for &process in &found {
            send(process, Signal::SIGKILL);
        }
        // tidy: nothing tells when processes that are not our children are gone
        std::thread::sleep(if found.is_empty() { Duration::from_millis(1) } else { KILL_ROUND });
    }
}

/// All living processes below the roots.
fn below(roots: &[Pid], all: &[Process]) -> Vec<Pid> {
    let mut parents = roots.to_vec();
    let mut seen: BTreeSet<Pid> = roots.iter().copied().collect();
    let mut found = Vec::new();
    while let Some(parent) = parents.pop() {
        for process in all.iter().filter(|process| process.parent == parent) {
            if seen.insert(process.id) {
                parents.push(process.id);
                found.extend((!process.is_zombie).then_some(process.id));
            }
        }
    }
    found
}

/// All processes, or none where they cannot be listed.
#[cfg(target_os = "freebsd")]
fn list() -> Vec<Process> {
    crate::sys::processes().unwrap_or_else(|errno| {
        tracing::warn!("cannot list the processes of this system: {errno}");
        Vec::new()
    })
}

/// All processes, or none where there is no `/proc`.
#[cfg(not(target_os = "freebsd"))]
fn list() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    // A process that ends while we look is not there.
    ids.filter_map(|id| parse_stat(&std::fs::read(format!("/proc/{id}/stat")).ok()?)).collect()
}

/// Reads `PID (NAME) STATE PARENT GROUP SESSION …` of proc(5); the name may have any bytes.
#[cfg(any(not(target_os = "freebsd"), test))]
fn parse_stat(stat: &[u8]) -> Option<Process> {
    let (open, close) = (stat.iter().position(|&b| b == b'(')?, stat.iter().rposition(|&b| b == b')')?);
    let number = |text: &str| text.parse().ok().map(Pid::from_raw);
    let id = number(str::from_utf8(&stat[..open]).ok()?.trim())?;
    let mut fields = str::from_utf8(&stat[close + 1..]).ok()?.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = number(fields.next()?)?;
    let session = number(fields.nth(1)?)?;
    Some(Process { id, parent, session, is_zombie: matches!(state, "Z" | "X") })
}

/// For a program whose only children are the supervisors of jobs: processes of a job whose supervisor was killed
/// become this program's children, and are killed. Without it only those are found that stayed in the job's session.
///
/// Clones are the same guard; all workers of a program share one, in [`crate::Settings::orphans`].
#[derive(Debug, Clone)]
pub struct Orphans {
    /// Our own children. Held while one is started, so that no one takes it for an orphan.
    known: Arc<Mutex<BTreeSet<Pid>>>,
}

impl Orphans {
    /// Makes this process inherit the orphans among its descendants. From now on every child of this process that was
    /// not started by a worker with this guard may be killed.
    pub fn adopt() -> io::Result<Self> {
        become_reaper()?;
        Ok(Self { known: Arc::default() })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Pid>> {
        // The set is whole between any two statements.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a child that is not an orphan.
    pub(crate) fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let mut known = self.lock();
        let child = command.spawn()?;
        known.insert(id_of(&child));
        Ok(child)
    }

    /// The child has been reaped.
    pub(crate) fn forget(&self, child: Pid) {
        self.lock().remove(&child);
    }

    /// Kills all orphans and reaps them; gives how many did not go.
    pub(crate) fn kill(&self) -> usize {
        let known = self.lock();
        kill_until_none(|| {
            let all = list();
            let is_orphan = |process: &&Process| process.parent == Pid::this() && !known.contains(&process.id);
            let orphans: Vec<Pid> = all.iter().filter(is_orphan).map(|process| process.id).collect();
            for &orphan in &orphans {
                match waitpid(orphan, Some(WaitPidFlag::WNOHANG)) {
                    // Not yet dead, dead and reaped, or not ours after all: the next look tells.
                    Ok(_) | Err(_) => {}
                }
            }
            let mut found = below(&orphans, &all);
            found.extend(all.iter().filter(|p| is_orphan(p) && !p.is_zombie).map(|process| process.id));
            found
        })
    }
}

/// The id of a child that has not been reaped.
pub(crate) fn id_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_forge_a_stat() {
        let pid = Pid::from_raw;
        let process = Process { id: pid(7), parent: pid(3), session: pid(5), is_zombie: false };
        assert_eq!(parse_stat(b"7 (sh) S 3 4 5 0 -1 4194304"), Some(process));
        assert_eq!(parse_stat(b"7 (a) Z 1 1 1 (\xff) S 3 4 5 0"), Some(process));
        assert_eq!(parse_stat(b"7 (sh) Z 3 4 5 0"), Some(Process { is_zombie: true, ..process }));
        for bad in [&b""[..], b"7", b"7 (sh", b"7 (sh)", b"7 (sh) S 3 4", b"x (sh) S 3 4 5", b")("] {
            assert_eq!(parse_stat(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn descendants_of_the_dead_count() {
        let process = |id, parent, is_zombie| Process {
            id: Pid::from_raw(id),
            parent: Pid::from_raw(parent),
            session: Pid::from_raw(1),
            is_zombie,
        };
        let all = [process(2, 1, false), process(3, 2, true), process(4, 3, false), process(5, 1, false)];
        let mut found = below(&[Pid::from_raw(2)], &all);
        assert_eq!(found, [Pid::from_raw(4)]);
        found = below(&[Pid::from_raw(1)], &all);
        found.sort();
        assert_eq!(found, [2, 4, 5].map(Pid::from_raw));
    }

    #[test]
    fn this_process_is_listed() {
        assert!(list().iter().any(|process| process.id == Pid::this() && process.parent == Pid::parent()));
    }
}
