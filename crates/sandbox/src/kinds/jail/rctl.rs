//! Limits of a job as rules of rctl(8), and what the kernel says when one of them was reached.

use crate::limits::Limits;

/// The subject of the rules of a jail.
pub(super) fn subject(name: &str) -> String {
    format!("jail:{name}")
}

/// The rules that hold a jail to these limits. Room on the disk and time are not rctl's.
///
/// `memoryuse` cannot be denied, only be pushed out to swap, so a process that takes too much is killed, as it is on other
/// systems. `nthr` counts threads, of which each process has one; the supervisor inside is one of them.
pub(super) fn rules(name: &str, limits: &Limits) -> Vec<String> {
    let subject = subject(name);
    let mut rules = Vec::new();
    let mut add = |rule: String| rules.push(format!("{subject}:{rule}"));
    if let Some(bytes) = limits.memory_bytes {
        // The order matters: what is killed is told of before.
        add(format!("memoryuse:log={bytes}"));
        add(format!("memoryuse:sigkill={bytes}"));
    }
    if let Some(count) = limits.processes {
        let count = count.saturating_add(SUPERVISORS);
        // What is refused at a fork is never told of; that the last one is taken is.
        add(format!("nthr:log={}", count - 1));
        add(format!("nthr:deny={count}"));
        add(format!("maxproc:deny={count}"));
    }
    if let Some(processors) = limits.processors {
        add(format!("pcpu:deny={}", processors.hundredths));
    }
    if let Some(count) = limits.open_files {
        add(format!("openfiles:deny={count}/process"));
    }
    rules
}

/// Processes of ours in each jail.
const SUPERVISORS: u64 = 1;

/// Whether any of the limits is rctl's to hold.
pub(super) fn is_needed(limits: &Limits) -> bool {
    !rules("", limits).is_empty()
}

/// What the kernel said of the limits of a jail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reached {
    /// Processes were killed for want of memory.
    pub memory: bool,
    /// As many processes and threads were there as there may be.
    pub processes: bool,
}

/// Looks for the rules of a jail in the messages of the kernel, as dmesg(8) shows them.
pub fn reached(messages: &str, name: &str) -> Reached {
    let is_told = |resource: &str| messages.contains(&format!("rctl: rule \"{}:{resource}:log=", subject(name)));
    Reached { memory: is_told("memoryuse"), processes: is_told("nthr") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Processors;
    use std::time::Duration;

    #[test]
    fn limits_become_rules() {
        let limits = Limits {
            memory_bytes: Some(2 << 30),
            processors: Some(Processors { hundredths: 150 }),
            processes: Some(512),
            disk_bytes: Some(1 << 30),
            time: Some(Duration::from_secs(60)),
            open_files: Some(1024),
        };
        assert_eq!(
            rules("builder-0a1b2c", &limits),
            [
                "jail:builder-0a1b2c:memoryuse:log=2147483648",
                "jail:builder-0a1b2c:memoryuse:sigkill=2147483648",
                "jail:builder-0a1b2c:nthr:log=512",
                "jail:builder-0a1b2c:nthr:deny=513",
                "jail:builder-0a1b2c:maxproc:deny=513",
                "jail:builder-0a1b2c:pcpu:deny=150",
                "jail:builder-0a1b2c:openfiles:deny=1024/process",
            ]
        );
        assert!(is_needed(&limits) && !is_needed(&Limits { disk_bytes: Some(1), ..Limits::default() }));
    }
    #[test]
    fn what_the_kernel_says_is_told_apart_by_jail_and_limit() {
        let messages = "rctl: rule \"jail:builder-1:memoryuse:log=2147483648\" matched by pid 4711 (cc1), uid 1000, \
             jail builder-1\nrctl: rule \"jail:builder-12:nthr:log=65\" matched by pid 1 (sh), uid 1000, jail \
             builder-12\nrctl: rule \"jail:builder-12:nthr:log=65\" matched by pid 1 (sh), uid 1000, jail builder-12\n";
        assert_eq!(reached(messages, "builder-1"), Reached { memory: true, processes: false });
        assert_eq!(reached(messages, "builder-12"), Reached { memory: false, processes: true });
        assert_eq!(reached(messages, "builder-2"), Reached::default());
    }
}
