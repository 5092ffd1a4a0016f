//! A control group for each job, where the system has version 2 of them and lets us make one: what is in it dies in one
//! stroke, also what escaped its supervisor. Without one, the supervisor and the guard against orphans do the work.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a group may take to be empty after its processes were killed.
const EMPTY_TIME_MAX: Duration = Duration::from_secs(2);
/// How often to look.
const EMPTY_ROUND: Duration = Duration::from_millis(2);
/// Tells the groups of this process apart.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// The group of one job: gone, with all that is in it, when this is dropped.
#[derive(Debug)]
pub(crate) struct Cgroup(PathBuf);

impl Cgroup {
    /// A new group below our own; none where that cannot be had.
    pub(crate) fn create() -> Option<Self> {
        let parent = own_group()?;
        let prefix = prefix()?;
        remove_stale(&parent, &prefix);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = parent.join(format!("{prefix}{}-{number}", std::process::id()));
        let made = fs::create_dir(&folder).and_then(|()| fs::metadata(folder.join("cgroup.kill")));
        match made {
            Ok(_) => Some(Self(folder)),
            Err(error) => {
                tracing::debug!("no control group for the job: {}: {error}", folder.display());
                // Where only `cgroup.kill` is missing, which Linux has since 5.14, the group is of no use.
                let _not_made: io::Result<()> = fs::remove_dir(&folder);
                None
            }
        }
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.0) {
            tracing::warn!("cannot remove the control group {}: {error}", self.0.display());
        }
    }
}

/// Moves this process into a group; its children are then born there.
pub(crate) fn enter(group: &Path) -> io::Result<()> {
    fs::write(group.join("cgroup.procs"), "0")
}

fn remove(group: &Path) -> io::Result<()> {
    fs::write(group.join("cgroup.kill"), "1")?;
    let until = Instant::now() + EMPTY_TIME_MAX;
    loop {
        match fs::remove_dir(group) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < until => {
                // tidy: the kernel takes a moment to bury what it killed
                std::thread::sleep(EMPTY_ROUND);
            }
            removed => return removed,
        }
    }
}

/// Ends what a worker left that was killed together with its supervisor.
fn remove_stale(parent: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(prefix)?.split_once('-')).map(|(pid, _)| pid);
        if let Some(owner) = owner
            && !Path::new("/proc").join(owner).exists()
        {
            match remove(&entry.path()) {
                Ok(()) => tracing::warn!("ended what a job of a killed worker had left: {}", entry.path().display()),
                Err(error) => tracing::debug!("cannot remove {}: {error}", entry.path().display()),
            }
        }
    }
}

/// What the names of our groups begin with: process ids mean something only within their namespace.
fn prefix() -> Option<String> {
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    let number: String = namespace.to_str()?.chars().filter(char::is_ascii_digit).collect();
    Some(format!("builder-{number}-"))
}

/// The folder of our own group of version 2.
fn own_group() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?.split(' ').nth(4)?;
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(Path::new(mount).join(own))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn what_is_in_a_group_dies_with_it() {
        // Not every system has one to give; where none can be made, the worker does without.
        let Some(group) = Cgroup::create() else { return };
        let mut child = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
        fs::write(group.path().join("cgroup.procs"), child.id().to_string()).unwrap();
        let path = group.path().to_owned();
        drop(group);
        assert!(!child.wait().unwrap().success());
        assert!(!path.exists());
    }

    #[test]
    fn groups_of_dead_workers_are_removed() {
        let Some(group) = Cgroup::create() else { return };
        let parent = group.path().parent().unwrap().to_owned();
        let stale = parent.join(format!("{}4194999-0", prefix().unwrap()));
        fs::create_dir(&stale).unwrap();
        remove_stale(&parent, &prefix().unwrap());
        assert!(!stale.exists() && group.path().exists());
    }
}
