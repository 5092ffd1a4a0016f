//! Limits that the kernel holds each process to by itself. Only those are used here that hold what was asked for: the one
//! for processes counts those of a user, and the one for memory counts addresses, so neither stands in for a group.

use super::Limit;
use builder_sandbox::Finding;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::ffi::OsString;
use std::io;

/// What every process of a job is held to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ProcessLimits {
    /// How many files it may hold open.
    pub(crate) open_files: Option<u64>,
    /// How long it may make a file, in bytes. Whoever writes beyond gets the signal XFSZ.
    pub(crate) file_bytes: Option<u64>,
}

/// With less, neither a supervisor nor what makes a sandbox can work.
const OPEN_FILES_MIN: u64 = 32;
/// The argument in front of the first value, and of the second.
const OPEN_FILES: &str = "--open-files";
const FILE_BYTES: &str = "--file-bytes";

impl ProcessLimits {
    /// As arguments for the supervisor.
    pub(crate) fn arguments(self) -> Vec<String> {
        let pairs = [(OPEN_FILES, self.open_files), (FILE_BYTES, self.file_bytes)];
        pairs.into_iter().filter_map(|(key, value)| Some([key.to_owned(), value?.to_string()])).flatten().collect()
    }

    /// Takes one argument and its value; whether it was one of ours.
    pub(crate) fn take(&mut self, key: &str, value: &OsString) -> bool {
        let place = match key {
            OPEN_FILES => &mut self.open_files,
            FILE_BYTES => &mut self.file_bytes,
            _ => return false,
        };
        *place = value.to_str().and_then(|value| value.parse().ok());
        place.is_some()
    }

    /// Holds this process, and all that it starts from now on, to them.
    pub(crate) fn apply(self) -> io::Result<()> {
        for (resource, limit) in [(Resource::RLIMIT_NOFILE, self.open_files), (Resource::RLIMIT_FSIZE, self.file_bytes)]
        {
            if let Some(limit) = limit {
                let limit = for_system(limit);
                setrlimit(resource, limit, limit)?;
            }
        }
        Ok(())
    }

    /// What keeps this process from doing that.
    pub(crate) fn lack(self) -> Option<Finding> {
        let wanted = self.open_files?;
        if wanted < OPEN_FILES_MIN {
            let detail = format!("the supervisor of a job needs {OPEN_FILES_MIN}, more than {wanted}");
            return Some(Limit::OpenFiles.missing(detail, format!("open-files = {OPEN_FILES_MIN} in the policy")));
        }
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
        let asked: libc::rlim_t = for_system(wanted);
        if asked <= hard {
            return None;
        }
        // Root may raise it, but not in every container: it is tried, and taken back.
        let raised = setrlimit(Resource::RLIMIT_NOFILE, soft, asked);
        match raised.and_then(|()| setrlimit(Resource::RLIMIT_NOFILE, soft, hard)) {
            Ok(()) => None,
            Err(_) => Some(Limit::OpenFiles.missing(
                format!("the hard limit is {hard} here, less than {wanted}"),
                format!("LimitNOFILE={wanted} in the unit of the worker, or ulimit -Hn {wanted} as root"),
            )),
        }
    }
}

/// Systems have these numbers with and without a sign.
fn for_system<T: TryFrom<u64> + From<u32>>(limit: u64) -> T {
    T::try_from(limit).unwrap_or_else(|_| T::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_travel_as_arguments() {
        let limits = ProcessLimits { open_files: Some(64), file_bytes: Some(1 << 40) };
        let arguments = limits.arguments();
        let mut back = ProcessLimits::default();
        for pair in arguments.chunks(2) {
            assert!(back.take(&pair[0], &pair[1].clone().into()));
        }
        assert_eq!(back, limits);
        assert!(!back.take("--other", &"1".into()) && !back.take(OPEN_FILES, &"x".into()));
        assert!(ProcessLimits::default().arguments().is_empty());
    }

    #[test]
    fn what_can_be_held_is_not_complained_about() {
        assert_eq!(ProcessLimits { open_files: Some(32), file_bytes: Some(1) }.lack(), None);
        assert_eq!(ProcessLimits::default().lack(), None);
        // Beyond what the kernel has room for.
        for wanted in [OPEN_FILES_MIN - 1, u64::MAX - 1] {
            let lack = ProcessLimits { open_files: Some(wanted), file_bytes: None }.lack();
            assert!(lack.is_some_and(|finding| !finding.is_fulfilled()), "{wanted}");
        }
    }
}
