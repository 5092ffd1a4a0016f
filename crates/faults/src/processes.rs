//! Processes as `/proc` shows them: who descends from whom, and who carries the mark of a run.

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use std::collections::BTreeSet;

/// The variable of the environment that marks every process of a run.
pub(crate) const MARK: &str = "BUILDER_FAULTS_RUN";

/// A process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its number.
    pub(crate) id: Pid,
    parent: Pid,
    /// It has ended, and waits to be reaped.
    pub(crate) is_zombie: bool,
}

/// All processes.
pub(crate) fn list() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    // A process that ends while we look is not there.
    ids.filter_map(|id| parse(id, &std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?)).collect()
}

/// Reads `PID (NAME) STATE PARENT …` of proc(5).
fn parse(id: i32, stat: &str) -> Option<Process> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let is_zombie = matches!(fields.next()?, "Z" | "X");
    Some(Process { id: Pid::from_raw(id), parent: Pid::from_raw(fields.next()?.parse().ok()?), is_zombie })
}

/// All living processes below some.
pub(crate) fn below(roots: &[Pid]) -> Vec<Pid> {
    let all = list();
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
    found.sort();
    found
}

/// All living processes with the mark of a run, but for the known ones.
pub(crate) fn marked(mark: &str, known: &[Pid]) -> Vec<Pid> {
    let wanted = format!("{MARK}={mark}");
    let has_mark = |process: &Process| {
        let environment = std::fs::read(format!("/proc/{}/environ", process.id)).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes())
    };
    let all = list().into_iter().filter(|process| !process.is_zombie && !known.contains(&process.id));
    all.filter(has_mark).map(|process| process.id).collect()
}

/// Whether a process is a child of one of these, and has none itself.
pub(crate) fn is_childless_child_of(id: Pid, parents: &[Pid]) -> bool {
    let all = list();
    let is_child = all.iter().any(|process| process.id == id && parents.contains(&process.parent));
    is_child && !all.iter().any(|process| process.parent == id)
}

/// Whether a process is there and has not ended.
pub(crate) fn lives(id: Pid) -> bool {
    list().iter().any(|process| process.id == id && !process.is_zombie)
}

/// What a process runs, for people.
pub(crate) fn described(id: Pid) -> String {
    let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line).replace('\0', " ");
    format!("{id}: {}", line.trim_end())
}

/// Whether a process is the supervisor of a job, or of none yet.
pub(crate) fn is_supervisor(id: Pid) -> bool {
    described(id).contains("__builder-supervise")
}

/// Signals a process; whether it was there.
pub(crate) fn signal(id: Pid, signal: Signal) -> bool {
    kill(id, signal).is_ok()
}

/// Reaps what ended below us and is not a program that we know: processes of jobs whose worker was killed.
pub(crate) fn reap_strangers(known: &[Pid]) {
    let is_stranger =
        |process: &Process| process.is_zombie && process.parent == Pid::this() && !known.contains(&process.id);
    for process in list().into_iter().filter(is_stranger) {
        match waitpid(process.id, Some(WaitPidFlag::WNOHANG)) {
            // Somebody else may have reaped it just now.
            Ok(_) | Err(_) => {}
        }
    }
}
