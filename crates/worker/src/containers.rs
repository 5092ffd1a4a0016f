//! Containers of docker and podman, as far as their engine has to be asked about them: what they say of limits, and those
//! that a killed worker left.

use crate::enclosure::run_step;
use crate::folder::Folder;
use crate::limits::Hit;
use crate::order::Report;
use crate::owner::Owner;
use builder_sandbox::plan::Step;
use builder_sandbox::{COUNTS_FILE, Host, Kind, LABEL, Policy};

/// Most of what is read of the kernel's counts, in bytes.
const COUNTS_BYTES_MAX: u64 = 4096;

/// The limits that a job in a container reached: its engine knows of the memory, and of the processes the first one inside.
/// What that says could be forged by a job, but only about itself.
pub(crate) fn hits(policy: &Policy, folder: &Folder, report: Option<&Report>) -> Vec<Hit> {
    match policy.kind {
        Kind::Container => {}
        Kind::None | Kind::Bubblewrap | Kind::Nspawn | Kind::Jail => return Vec::new(),
    }
    // Without the file, the container ended before its time.
    let counts = folder.read(COUNTS_FILE, COUNTS_BYTES_MAX).unwrap_or_default();
    // Podman does not know of it everywhere, and docker does.
    let is_out_of_memory =
        report.is_some_and(|report| report.is_out_of_memory) || count(&counts, "memory oom_kill ") > 0;
    let memory = is_out_of_memory.then(|| policy.limits.memory_bytes.map_or(Hit::HostMemory, Hit::Memory));
    let times = count(&counts, "processes max ");
    let processes = policy.limits.processes.filter(|_| times > 0).map(|limit| Hit::Processes { limit, times });
    memory.into_iter().chain(processes).collect()
}

/// A count of the kernel, by what is in front of it.
fn count(counts: &[u8], key: &str) -> u64 {
    let text = String::from_utf8_lossy(counts);
    text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok()).unwrap_or(0)
}

/// Removes the containers of workers that are gone: a daemon lets them run on.
pub(crate) fn remove_left_behind(host: &Host) {
    let Some(facts) = host.container.as_ref().filter(|facts| facts.answer.is_ok()) else { return };
    let filter = format!("label={LABEL}");
    let list = Step { command: facts.command(&["ps", "--all", "--filter", &filter, "--format", "{{.Names}}"]) };
    let names = match run_step(&list) {
        Ok(names) => names,
        Err(error) => {
            tracing::warn!("cannot list containers, to remove those of killed workers: {error}");
            return;
        }
    };
    for name in names.lines().filter(|name| Owner::of(name).is_some_and(|owner| owner.is_gone())) {
        match run_step(&Step { command: facts.command(&["rm", "--force", "--volumes", name]) }) {
            Ok(_) => tracing::warn!("removed the container {name} of a killed worker"),
            Err(error) => tracing::warn!("cannot remove the container {name} of a killed worker: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_both_versions_are_read() {
        let text = b"memory max 5\nmemory oom_kill 1\nprocesses max 3\nprocesses max.imposed 4\n";
        assert_eq!((count(text, "processes max "), count(text, "memory oom_kill ")), (3, 1));
        for text in [&b""[..], b"processes max x\n", b"processes maximum 3", b"\xff"] {
            assert_eq!(count(text, "processes max "), 0, "{text:?}");
        }
    }
}
