//! A control group for each job: it holds limits of all its processes together, and what is in it dies in one stroke,
//! also what escaped its supervisor.
//!
//! To the kernel it is one folder in the tree of version 2, or one folder in each tree of version 1, or, on hosts that
//! have both, some of either. Limits are asked for of whichever tree has the controller.

use super::trees::{Controller, Trees};
use super::{Hit, Limit};
use crate::owner::Owner;
use builder_sandbox::size::size_text;
use builder_sandbox::{Finding, Limits, Processors};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a group may take to be empty after its processes were killed.
const EMPTY_TIME_MAX: Duration = Duration::from_secs(5);
/// How often to look.
const EMPTY_ROUND: Duration = Duration::from_millis(2);
/// The span in which the kernel counts time on processors, in microseconds: its own default.
const PERIOD_MICROSECONDS: u64 = 100_000;
/// The least that the kernel takes for such a span, in microseconds.
const QUOTA_MICROSECONDS_MIN: u64 = 1000;
/// Memory is used up when at most one part in this many is left: the kernel hands it out in pieces.
const NEAR_LIMIT: u64 = 16;
/// With less memory than this, in bytes, the supervisors of a job would be killed before it begins.
const MEMORY_BYTES_MIN: u64 = 16 << 20;
/// Where a worker goes that has to leave its own group: in version 2 a group that hands limits down has no processes.
const LEAF: &str = "builder-workers";
/// Tells the groups of this process apart.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// The group of one job: gone, with all that is in it, when this is dropped.
#[derive(Debug)]
pub(crate) struct Group {
    /// Its folder in the tree of version 2.
    unified: Option<PathBuf>,
    /// Its folders in trees of version 1.
    legacy: Vec<PathBuf>,
    /// Where systemd-nspawn may have made one of the same name.
    of_systemd: Option<PathBuf>,
    memory: Option<Memory>,
    processes: Option<Processes>,
}

/// Where the kernel counts what happened for want of memory.
#[derive(Debug)]
struct Memory {
    folder: PathBuf,
    is_unified: bool,
    limit_bytes: Option<u64>,
}

/// Where the kernel counts processes that it refused.
#[derive(Debug)]
struct Processes {
    folder: PathBuf,
    limit: u64,
}

impl Group {
    /// A new group below our own that holds these limits. `beside` is how many processes will be in it that are not the
    /// job's own. Where nothing is asked of it, a host that has no groups to give is none to complain about.
    ///
    /// # Errors
    ///
    /// What the host lacks.
    pub(crate) fn create(limits: &Limits, beside: u64) -> Result<Option<Self>, Finding> {
        let trees = Trees::examine();
        remove_left_behind(&trees);
        let wanted = Wanted::of(limits, beside);
        if let Some(bytes) = limits.memory_bytes.filter(|&bytes| bytes < MEMORY_BYTES_MIN) {
            let detail = format!("{} is less than a supervisor and a shell need", size_text(bytes));
            let mend = format!("limits.memory = \"{}M\" or more in the policy", MEMORY_BYTES_MIN >> 20);
            return Err(Limit::Memory.missing(detail, mend));
        }
        let Some(owner) = Owner::this() else {
            return wanted.first().map_or(Ok(None), |limit| Err(no_groups(limit)));
        };
        let name = owner.name(NEXT.fetch_add(1, Ordering::Relaxed));
        let mut group = Self { unified: None, legacy: Vec::new(), of_systemd: None, memory: None, processes: None };
        group.of_systemd = trees.of_systemd.as_ref().map(|own| own.join(&name));
        group.open_unified(&trees, &name, &wanted)?;
        for &(limit, controller, value) in &wanted.values {
            group.set(&trees, &name, limit, controller, value)?;
        }
        if let (Some(processes), Some(asked)) = (&mut group.processes, limits.processes) {
            processes.limit = asked;
        }
        Ok((group.unified.is_some() || !group.legacy.is_empty()).then_some(group))
    }

    /// The folders that a process has to enter, see [`Group::enter`].
    pub(crate) fn folders(&self) -> impl Iterator<Item = &Path> {
        self.unified.iter().chain(&self.legacy).map(PathBuf::as_path)
    }

    /// Moves this process into one folder of a group; its children are then born there.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub(crate) fn enter(folder: &Path) -> io::Result<()> {
        fs::write(folder.join("cgroup.procs"), "0")
    }

    /// The limits that were reached until now.
    pub(crate) fn hits(&self) -> Vec<Hit> {
        let memory = self.memory.as_ref().and_then(Memory::hit);
        let processes = self.processes.as_ref().and_then(|processes| {
            let times = count(&processes.folder, "pids.events", "max");
            (times > 0).then_some(Hit::Processes { limit: processes.limit, times })
        });
        memory.into_iter().chain(processes).collect()
    }

    /// Whether a process that is killed for want of memory leaves others of the job running, so that somebody has to look.
    /// Version 2 ends them all in one stroke.
    pub(crate) fn needs_watching(&self) -> bool {
        self.memory.as_ref().is_some_and(|memory| memory.limit_bytes.is_some() && !memory.is_unified)
    }

    /// The processes that are in it now.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let Some(folder) = self.folders().next() else { return Vec::new() };
        let listed = below(folder).into_iter().map(|group| fs::read_to_string(group.join("cgroup.procs")));
        listed
            .flatten()
            .flat_map(|text| text.lines().filter_map(|line| line.parse().ok()).collect::<Vec<_>>())
            .collect()
    }

    /// Kills what is in it but for one process, whose business it is to tidy up: whoever went over a limit gets no grace, in
    /// which to go further.
    pub(crate) fn kill_all_but(&self, spared: u32, rounds: usize) {
        for folder in self.folders() {
            // Nobody is born any more. Not every group has this file.
            match fs::write(folder.join("pids.max"), "0") {
                Ok(()) | Err(_) => {}
            }
        }
        for _ in 0..rounds {
            for process in self.processes().into_iter().filter(|&process| process != spared) {
                kill_one(process);
            }
        }
    }

    /// A folder in the tree of version 2, if it is of use: because it ends all processes at once, or holds a limit.
    fn open_unified(&mut self, trees: &Trees, name: &str, wanted: &Wanted) -> Result<(), Finding> {
        let Some(own) = &trees.unified else { return Ok(()) };
        let parent = if own.ends_with(LEAF) { own.parent().unwrap_or(own) } else { own };
        let asked: Vec<(Limit, Controller)> = wanted.of_unified(trees).collect();
        for &(limit, controller) in &asked {
            hand_down(parent, limit, controller)?;
        }
        let folder = parent.join(name);
        let made = fs::create_dir(&folder).and_then(|()| fs::metadata(folder.join("cgroup.kill")));
        match (made, asked.first()) {
            (Ok(_), _) => {
                if fs::metadata(folder.join("memory.events")).is_ok() {
                    self.memory = Some(Memory { folder: folder.clone(), is_unified: true, limit_bytes: None });
                }
                self.unified = Some(folder);
                Ok(())
            }
            // Linux has `cgroup.kill` since 5.14; without it the group holds limits all the same.
            (Err(_), Some(_)) if folder.is_dir() => {
                self.unified = Some(folder);
                Ok(())
            }
            (Err(error), Some((limit, _))) => Err(refused(*limit, "make the control group", &folder, &error)),
            (Err(error), None) => {
                tracing::debug!("no control group for the job: {}: {error}", folder.display());
                match fs::remove_dir(&folder) {
                    // Most likely it was not even made.
                    Ok(()) | Err(_) => Ok(()),
                }
            }
        }
    }

    fn set(
        &mut self,
        trees: &Trees,
        name: &str,
        limit: Limit,
        controller: Controller,
        value: u64,
    ) -> Result<(), Finding> {
        let (folder, is_unified) = match (trees.legacy(controller), &self.unified) {
            (Some(own), _) => (self.open_legacy(limit, &own.join(name))?, false),
            (None, Some(folder)) => (folder.clone(), true),
            (None, None) => return Err(no_groups(limit)),
        };
        let write = |file: &str, text: String| {
            let path = folder.join(file);
            fs::write(&path, text).map_err(|error| refused(limit, "write to", &path, &error))
        };
        match controller {
            Controller::Memory => {
                write(if is_unified { "memory.max" } else { "memory.limit_in_bytes" }, value.to_string())?;
                deny_swap(&folder, is_unified, value)?;
                if is_unified {
                    write("memory.oom.group", "1".to_owned())?;
                }
                self.memory = Some(Memory { folder, is_unified, limit_bytes: Some(value) });
            }
            Controller::Processors if is_unified => write("cpu.max", format!("{value} {PERIOD_MICROSECONDS}"))?,
            Controller::Processors => {
                write("cpu.cfs_period_us", PERIOD_MICROSECONDS.to_string())?;
                write("cpu.cfs_quota_us", value.to_string())?;
            }
            Controller::Processes => {
                write("pids.max", value.to_string())?;
                self.processes = Some(Processes { folder, limit: value });
            }
        }
        Ok(())
    }

    /// A folder in a tree of version 1; several controllers may share one.
    fn open_legacy(&mut self, limit: Limit, folder: &Path) -> Result<PathBuf, Finding> {
        if !self.legacy.iter().any(|known| known == folder) {
            fs::create_dir(folder).map_err(|error| {
                let finding = refused(limit, "make the control group", folder, &error);
                // Nobody hands groups of version 1 down to other users.
                let mend = "run the worker as root, or boot Linux with systemd.unified_cgroup_hierarchy=1";
                let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
                if is_denied { limit.missing(finding.detail, mend) } else { finding }
            })?;
            self.legacy.push(folder.to_owned());
        }
        Ok(folder.to_owned())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for folder in self.unified.iter().chain(&self.legacy).chain(&self.of_systemd) {
            if let Err(error) = remove(folder) {
                tracing::warn!("cannot remove the control group {}: {error}", folder.display());
            }
        }
    }
}

/// What is asked of the kernel, in its own units.
struct Wanted {
    values: Vec<(Limit, Controller, u64)>,
}

impl Wanted {
    fn of(limits: &Limits, beside: u64) -> Self {
        let quota = |processors: Processors| {
            (u64::from(processors.hundredths) * PERIOD_MICROSECONDS / 100).max(QUOTA_MICROSECONDS_MIN)
        };
        let values = [
            limits.memory_bytes.map(|bytes| (Limit::Memory, Controller::Memory, bytes)),
            limits.processors.map(|count| (Limit::Processors, Controller::Processors, quota(count))),
            limits.processes.map(|count| (Limit::Processes, Controller::Processes, count.saturating_add(beside))),
        ];
        Self { values: values.into_iter().flatten().collect() }
    }

    fn first(&self) -> Option<Limit> {
        self.values.first().map(|(limit, ..)| *limit)
    }

    /// What only the tree of version 2 can hold.
    fn of_unified(&self, trees: &Trees) -> impl Iterator<Item = (Limit, Controller)> {
        let values = self.values.iter().filter(|(_, controller, _)| trees.legacy(*controller).is_none());
        values.map(|(limit, controller, _)| (*limit, *controller))
    }
}

impl Memory {
    fn hit(&self) -> Option<Hit> {
        let (kills, at_limit) = if self.is_unified {
            let events = |key| count(&self.folder, "memory.events", key);
            // Without processes that were killed it was only short of memory for a while.
            (events("oom_kill"), events("oom") > 0)
        } else {
            // Version 1 does not count why; not every kernel counts in `memory.failcnt`.
            let most = number(&self.folder, "memory.max_usage_in_bytes");
            let at_limit = self.limit_bytes.is_some_and(|limit| most >= limit - limit / NEAR_LIMIT);
            (count(&self.folder, "memory.oom_control", "oom_kill"), at_limit)
        };
        match self.limit_bytes {
            Some(bytes) if kills > 0 && at_limit => Some(Hit::Memory(bytes)),
            Some(_) | None => (kills > 0).then_some(Hit::HostMemory),
        }
    }
}

/// The number behind a key in a file of lines `KEY NUMBER`; 0 if it is not there.
fn count(folder: &Path, file: &str, key: &str) -> u64 {
    let text = fs::read_to_string(folder.join(file)).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

fn number(folder: &Path, file: &str) -> u64 {
    fs::read_to_string(folder.join(file)).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// What a job may not have in memory it may not have on a disk either: swapping for one job slows all.
fn deny_swap(folder: &Path, is_unified: bool, limit_bytes: u64) -> Result<(), Finding> {
    let (file, value) = if is_unified { ("memory.swap.max", 0) } else { ("memory.memsw.limit_in_bytes", limit_bytes) };
    match fs::write(folder.join(file), value.to_string()) {
        Ok(()) => Ok(()),
        // A kernel that does not count swap: no matter where there is none.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !has_swap() => Ok(()),
        Err(error) => Err(Limit::Memory.missing(
            format!("the kernel does not limit swap ({}: {error})", folder.join(file).display()),
            "swapoff -a, or boot Linux with swapaccount=1",
        )),
    }
}

fn has_swap() -> bool {
    // The first line is a heading.
    fs::read_to_string("/proc/swaps").is_ok_and(|text| text.lines().count() > 1)
}

/// Makes the groups below this one have a controller of version 2.
fn hand_down(parent: &Path, limit: Limit, controller: Controller) -> Result<(), Finding> {
    let has = |file: &str| {
        let text = fs::read_to_string(parent.join(file)).unwrap_or_default();
        text.split_whitespace().any(|name| name == controller.name())
    };
    if has("cgroup.subtree_control") {
        return Ok(());
    }
    if !has("cgroup.controllers") {
        return Err(limit.missing(
            format!("the controller `{}` is not handed down to {}", controller.name(), parent.display()),
            "Delegate=yes in the unit of the worker (systemctl edit), or run it as root outside of a container",
        ));
    }
    let file = parent.join("cgroup.subtree_control");
    let enable = || fs::write(&file, format!("+{}", controller.name()));
    let enabled = match enable() {
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => leave(parent).and_then(|()| enable()),
        result => result,
    };
    enabled.map_err(|error| refused(limit, "write to", &file, &error))
}

/// Moves all processes of a group one group down, this one among them.
fn leave(group: &Path) -> io::Result<()> {
    let leaf = group.join(LEAF);
    match fs::create_dir(&leaf) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    for process in fs::read_to_string(group.join("cgroup.procs"))?.lines() {
        match fs::write(leaf.join("cgroup.procs"), process) {
            // It ended just now.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
            result => result?,
        }
    }
    Ok(())
}

fn no_groups(limit: Limit) -> Finding {
    limit.missing(
        "no control groups are mounted that could hold it",
        "mount -t cgroup2 none /sys/fs/cgroup, or boot Linux with systemd",
    )
}

fn refused(limit: Limit, act: &str, path: &Path, error: &io::Error) -> Finding {
    let mends = [
        (
            io::ErrorKind::ReadOnlyFilesystem,
            "ProtectControlGroups=no in the unit of the worker; in a container, limit the container instead",
        ),
        (io::ErrorKind::PermissionDenied, "Delegate=yes in the unit of the worker (systemctl edit), or run it as root"),
        (io::ErrorKind::ResourceBusy, "Delegate=yes in the unit of the worker, so that its group is its own"),
    ];
    let other = "see what the kernel says of it, in dmesg; or leave this limit out of the policy";
    let mend = mends.iter().find(|(kind, _)| *kind == error.kind()).map_or(other, |(_, mend)| mend);
    limit.missing(format!("cannot {act} {}: {error}", path.display()), mend)
}

/// Ends what is in a group, and removes it with the groups that were made below it.
fn remove(folder: &Path) -> io::Result<()> {
    let until = Instant::now() + EMPTY_TIME_MAX;
    // A group that may have no more processes cannot grow while it is killed. Not every group has this file.
    match fs::write(folder.join("pids.max"), "0") {
        Ok(()) | Err(_) => {}
    }
    loop {
        if fs::write(folder.join("cgroup.kill"), "1").is_err() {
            kill_each(folder);
        }
        match remove_below(folder) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < until => {
                // tidy: the kernel takes a moment to bury what it killed
                std::thread::sleep(EMPTY_ROUND);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            removed => return removed,
        }
    }
}

/// Removes a group, the deepest below it first.
fn remove_below(folder: &Path) -> io::Result<()> {
    for group in below(folder).iter().rev() {
        fs::remove_dir(group)?;
    }
    Ok(())
}

/// A group and all groups below it, parents before children.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut groups = vec![folder.to_owned()];
    let mut next = 0;
    while let Some(group) = groups.get(next) {
        next += 1;
        let Ok(entries) = fs::read_dir(group) else { continue };
        groups.extend(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()));
    }
    groups
}

/// Kills every process in a group: what version 1 has instead of `cgroup.kill`.
fn kill_each(folder: &Path) {
    for group in below(folder) {
        let processes = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        processes.lines().filter_map(|line| line.parse().ok()).for_each(kill_one);
    }
}

fn kill_one(process: u32) {
    // Who is in another namespace of process ids has the number 0 here, which would be all of us.
    let Some(process) = i32::try_from(process).ok().filter(|&process| process > 0) else { return };
    match kill(Pid::from_raw(process), Signal::SIGKILL) {
        // Whether it is gone is seen at the next look.
        Ok(()) | Err(_) => {}
    }
}

/// Ends and removes the groups of workers that were killed together with their supervisors.
pub(crate) fn remove_left_behind(trees: &Trees) {
    let own = trees.unified.iter().chain(&trees.of_systemd).map(PathBuf::as_path);
    let own = own.chain(Controller::ALL.into_iter().filter_map(|controller| trees.legacy(controller)));
    for parent in own.map(|own| if own.ends_with(LEAF) { own.parent().unwrap_or(own) } else { own }) {
        let Ok(entries) = fs::read_dir(parent) else { continue };
        for entry in entries.flatten() {
            let owner = entry.file_name().to_str().and_then(Owner::of);
            if owner.is_some_and(|owner| owner.is_gone()) {
                match remove(&entry.path()) {
                    Ok(()) => {
                        tracing::warn!("removed the control group of a killed worker: {}", entry.path().display())
                    }
                    Err(error) => tracing::debug!("cannot remove {}: {error}", entry.path().display()),
                }
            }
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn what_is_in_a_group_dies_with_it() {
        // Not every system has one to give; where none can be made, the worker does without.
        let Some(group) = Group::create(&Limits::default(), 1).unwrap() else { return };
        let mut child = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
        let folders: Vec<PathBuf> = group.folders().map(Path::to_owned).collect();
        for folder in &folders {
            fs::write(folder.join("cgroup.procs"), child.id().to_string()).unwrap();
        }
        assert_eq!(group.processes(), [child.id()]);
        drop(group);
        assert!(!child.wait().unwrap().success());
        assert!(!folders.iter().any(|folder| folder.exists()));
    }

    #[test]
    fn a_cgroup_of_several_trees_goes_with_what_was_made_in_it() {
        let limits = Limits { memory_bytes: Some(64 << 20), processes: Some(9), ..Limits::default() };
        let group = Group::create(&limits, 1).unwrap().unwrap();
        let folders: Vec<PathBuf> = group.folders().map(Path::to_owned).collect();
        let mut child = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
        for folder in &folders {
            fs::create_dir_all(folder.join("deep/deeper")).unwrap();
            let place =
                if folder.join("cgroup.subtree_control").exists() { folder.clone() } else { folder.join("deep") };
            fs::write(place.join("cgroup.procs"), child.id().to_string()).unwrap();
        }
        assert_eq!((group.hits(), group.processes()), (Vec::new(), vec![child.id()]));
        drop(group);
        assert!(!child.wait().unwrap().success());
        assert!(!folders.iter().any(|folder| folder.exists()));
    }

    #[test]
    fn groups_of_dead_workers_are_removed() {
        let Some(group) = Group::create(&Limits::default(), 1).unwrap() else { return };
        let parent = group.folders().next().unwrap().parent().unwrap().to_owned();
        let own = group.folders().next().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        // A process of our number that began at another time.
        let mut parts: Vec<&str> = own.split('-').collect();
        parts[3] = "1";
        let stale = parent.join(parts.join("-"));
        fs::create_dir(&stale).unwrap();
        remove_left_behind(&Trees::examine());
        assert!(!stale.exists() && group.folders().all(Path::exists));
    }

    #[test]
    fn too_little_memory_to_begin_with_is_said() {
        let limits = Limits { memory_bytes: Some(100 << 10), ..Limits::default() };
        let finding = Group::create(&limits, 1).unwrap_err();
        assert_eq!(finding.detail, "100 KiB is less than a supervisor and a shell need");
        assert_eq!(finding.mend.as_deref(), Some("limits.memory = \"16M\" or more in the policy"));
    }

    #[test]
    fn counts_are_read_by_their_keys() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("memory.events"), "low 0\noom 3\noom_kill 2\noom_group_kill 1\n").unwrap();
        let read = |key| count(folder.path(), "memory.events", key);
        assert_eq!([read("oom"), read("oom_kill"), read("max"), count(folder.path(), "none", "max")], [3, 2, 0, 0]);
        let memory = |limit_bytes| Memory { folder: folder.path().to_owned(), is_unified: true, limit_bytes };
        assert_eq!(memory(Some(7)).hit(), Some(Hit::Memory(7)));
        assert_eq!(memory(None).hit(), Some(Hit::HostMemory));
        fs::write(folder.path().join("memory.events"), "oom 0\noom_kill 2\n").unwrap();
        assert_eq!(memory(Some(7)).hit(), Some(Hit::HostMemory));
    }
}
