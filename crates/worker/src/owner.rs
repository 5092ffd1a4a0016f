//! Who made something that outlives a process: control groups and containers carry it in their names, so that the next
//! worker can tell what a killed one left.

use std::fmt;
use std::fs;

/// What every such name begins with.
const PREFIX: &str = "builder-";

/// A process, told apart from every other one that this host has or had since it was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    /// Process ids mean something only within their namespace.
    namespace: u64,
    process: u32,
    /// When it began, in the kernel's ticks: process ids are used again.
    begun: u64,
}

impl Owner {
    /// This process; none where there is no `/proc` to tell it by.
    pub(crate) fn this() -> Option<Self> {
        let process = std::process::id();
        Some(Self { namespace: own_namespace()?, process, begun: begun(process)? })
    }

    /// The name of one thing that it made: the mark, of letters and digits, tells it from the others.
    pub(crate) fn name(&self, mark: impl fmt::Display) -> String {
        format!("{self}-{mark}")
    }

    /// The owner in a name made by [`Owner::name`].
    pub(crate) fn of(name: &str) -> Option<Self> {
        let mut parts = name.strip_prefix(PREFIX)?.split('-');
        let owner = Self {
            namespace: parts.next()?.parse().ok()?,
            process: parts.next()?.parse().ok()?,
            begun: parts.next()?.parse().ok()?,
        };
        let mark = parts.next()?;
        let is_mark = !mark.is_empty() && mark.bytes().all(|byte| byte.is_ascii_alphanumeric());
        (is_mark && parts.next().is_none()).then_some(owner)
    }

    /// Whether it is certain that it has ended: of processes in other namespaces we know nothing.
    pub(crate) fn is_gone(&self) -> bool {
        own_namespace() == Some(self.namespace) && begun(self.process) != Some(self.begun)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}-{}-{}", self.namespace, self.process, self.begun)
    }
}

fn own_namespace() -> Option<u64> {
    let link = fs::read_link("/proc/self/ns/pid").ok()?;
    let digits: String = link.to_str()?.chars().filter(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// The field `starttime` of proc_pid_stat(5): the twentieth after the name, which may have any bytes.
fn begun(process: u32) -> Option<u64> {
    let stat = fs::read(format!("/proc/{process}/stat")).ok()?;
    let after_name = stat.iter().rposition(|&byte| byte == b')')? + 1;
    str::from_utf8(&stat[after_name..]).ok()?.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn owners_are_read_from_names() {
        let this = Owner::this().unwrap();
        assert_eq!(Owner::of(&this.name(7)), Some(this.clone()));
        assert_eq!(Owner::of(&this.name("0a1b2c")), Some(this.clone()));
        assert!(!this.is_gone());
        assert!(Owner { begun: this.begun + 1, ..this.clone() }.is_gone());
        assert!(!Owner { begun: this.begun + 1, namespace: 1, ..this }.is_gone());
        for other in [
            "",
            "builder-",
            "builder-1-2-3",
            "builder-1-2-3-",
            "builder-1-2-3-_",
            "builder-1-2-3-4-5",
            "builder-1-2-x-4",
            "x-1-2-3-4",
        ] {
            assert_eq!(Owner::of(other), None, "{other}");
        }
    }
}
