//! What the system knows about processes and the machine: memory, processor time, load, descriptors.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs;

/// Memory of a process, in kB as the kernel counts it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    /// What is resident now (`VmRSS`).
    pub(crate) now_kb: u64,
    /// The most that was (`VmHWM`).
    pub(crate) peak_kb: u64,
}

/// The memory of a process; none where there is no such process or no `/proc`.
pub(crate) fn memory(pid: u32) -> Option<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    };
    Some(Memory { now_kb: field("VmRSS:")?, peak_kb: field("VmHWM:")? })
}

/// Starts the peak of a process anew; whether the kernel allowed it.
pub(crate) fn reset_peak(pid: u32) -> bool {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").is_ok()
}

/// Processor time that a process has used, in seconds, for a kernel with 100 ticks a second as all of ours are.
pub(crate) fn processor_seconds(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut ticks = rest.split(' ').skip(11).take(2).map(str::parse::<u64>);
    let (user, system) = (ticks.next()?.ok()?, ticks.next()?.ok()?);
    Some((user + system) as f64 / 100.0)
}

/// How many processes wanted to run in the last minute.
pub(crate) fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

/// Takes as many descriptors as the system allows; gives how many that are.
pub(crate) fn raise_descriptor_limit() -> nix::Result<usize> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(usize::try_from(hard).unwrap_or(usize::MAX))
}

/// The processes whose parent is `pid`.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_time() {
        let own = std::process::id();
        let memory = memory(own).unwrap();
        assert!(memory.now_kb > 0 && memory.peak_kb >= memory.now_kb, "{memory:?}");
        assert!(processor_seconds(own).is_some());
        assert!(load().is_some());
        assert_eq!(processor_seconds(u32::MAX), None);
    }
}
