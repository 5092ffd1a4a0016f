//! Where the kernel's control groups are: which tree limits what, and where in it this process is. What is read here is
//! text of `/proc`, and so can be tried with the text of any host.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// What systemd calls its own tree.
const SYSTEMD: &str = "name=systemd";

/// A part of the kernel that limits what a group uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Controller {
    /// `memory`.
    Memory,
    /// `cpu`.
    Processors,
    /// `pids`.
    Processes,
}

impl Controller {
    /// All that we use.
    pub(crate) const ALL: [Self; 3] = [Self::Memory, Self::Processors, Self::Processes];

    /// The kernel's name for it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Processors => "cpu",
            Self::Processes => "pids",
        }
    }
}

/// The trees of control groups of a host, as this process sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Trees {
    /// The folder of our own group in the tree of version 2, if that is mounted.
    pub(super) unified: Option<PathBuf>,
    /// The folders of our own groups in trees of version 1.
    legacy: Vec<(Controller, PathBuf)>,
    /// The folder of our own group in the tree of version 1 that systemd has for itself: it limits nothing, but
    /// systemd-nspawn makes groups there, and leaves them.
    pub(super) of_systemd: Option<PathBuf>,
}

impl Trees {
    /// Looks at this host.
    pub(crate) fn examine() -> Self {
        // A host without these files has no control groups.
        let text = |path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        Self::parse(&text("/proc/self/mountinfo"), &text("/proc/self/cgroup"))
    }

    fn parse(mounts: &str, groups: &str) -> Self {
        let mut host = Self::default();
        for mount in mounts.lines().filter_map(Mount::parse) {
            match mount.kind {
                "cgroup2" if host.unified.is_none() => {
                    let own = groups.lines().find_map(|line| line.strip_prefix("0::"));
                    host.unified = own.and_then(|own| mount.folder_of(own));
                }
                "cgroup" if mount.options.split(',').any(|option| option == SYSTEMD) => {
                    let own = groups.lines().find_map(|line| own_legacy(line, SYSTEMD));
                    host.of_systemd = own.and_then(|own| mount.folder_of(own));
                }
                "cgroup" => {
                    for controller in Controller::ALL {
                        let is_here = mount.options.split(',').any(|option| option == controller.name());
                        if is_here && host.legacy(controller).is_none() {
                            let own = groups.lines().find_map(|line| own_legacy(line, controller.name()));
                            let folder = own.and_then(|own| mount.folder_of(own));
                            host.legacy.extend(folder.map(|folder| (controller, folder)));
                        }
                    }
                }
                _ => {}
            }
        }
        host
    }

    /// The folder of our own group in the tree of version 1 that this controller belongs to.
    pub(super) fn legacy(&self, controller: Controller) -> Option<&Path> {
        self.legacy.iter().find(|(which, _)| *which == controller).map(|(_, folder)| folder.as_path())
    }

    /// In which version of control groups this controller is, in words.
    pub(super) fn version(&self, controller: Controller) -> &'static str {
        if self.legacy(controller).is_some() { "version 1" } else { "version 2" }
    }
}

/// A line `NUMBER:CONTROLLERS:PATH` of `/proc/self/cgroup`, if it is about this controller.
fn own_legacy<'a>(line: &'a str, controller: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(':')?;
    let (controllers, path) = rest.split_once(':')?;
    controllers.split(',').any(|name| name == controller).then_some(path)
}

/// A line of `/proc/self/mountinfo`, see proc_pid_mountinfo(5).
struct Mount<'a> {
    root: &'a str,
    place: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (mount, system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let mut system = system.split(' ');
        Some(Self { root: mount.next()?, place: mount.next()?, kind: system.next()?, options: system.nth(1)? })
    }

    /// The folder of a group: in a container, only a part of the tree may be mounted.
    fn folder_of(&self, group: &str) -> Option<PathBuf> {
        let below = if self.root == "/" { group } else { group.strip_prefix(self.root)? };
        let below = below.trim_start_matches('/');
        // A group outside of our namespace has no folder that we could reach.
        let is_outside = below.split('/').any(|part| part == "..");
        let place = unescape(self.place);
        (!is_outside).then(|| if below.is_empty() { place } else { place.join(below) })
    }
}

/// Paths in mountinfo have blanks and backslashes as three octal digits.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..3).and_then(|digits| str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if first == b'\\' => {
                bytes.push(byte);
                rest = &after[3..];
            }
            Some(_) | None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_with_version_2_only() {
        let mounts = "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n\
                      29 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let host = Trees::parse(mounts, "0::/system.slice/builder-worker@debian-12.service\n");
        let own = Path::new("/sys/fs/cgroup/system.slice/builder-worker@debian-12.service");
        assert_eq!((host.unified.as_deref(), host.version(Controller::Memory)), (Some(own), "version 2"));
        assert_eq!(host.legacy(Controller::Memory), None);
    }

    #[test]
    fn a_host_with_both_versions() {
        let mounts = "30 29 0:25 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n\
                      33 29 0:28 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
                      37 29 0:32 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n\
                      39 29 0:34 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
        let groups = "8:pids:/\n4:memory:/process_api/1ff1\n1:cpu,cpuacct:/\n0::/\n";
        let host = Trees::parse(mounts, groups);
        assert_eq!(host.legacy(Controller::Memory), Some(Path::new("/sys/fs/cgroup/memory/process_api/1ff1")));
        assert_eq!(host.legacy(Controller::Processors), Some(Path::new("/sys/fs/cgroup/cpu")));
        assert_eq!(host.legacy(Controller::Processes), Some(Path::new("/sys/fs/cgroup/pids")));
        assert_eq!(host.unified.as_deref(), Some(Path::new("/sys/fs/cgroup/unified")));
        assert_eq!(host.version(Controller::Memory), "version 1");
    }

    #[test]
    fn a_container_sees_a_part_of_the_tree() {
        let mounts = "5 4 0:28 /docker/abc /sys/fs/cgroup/memory ro,relatime - cgroup cgroup rw,memory\n\
                      6 4 0:29 / /sys/fs/a\\040b rw - cgroup cgroup rw,pids\n";
        let host = Trees::parse(mounts, "4:memory:/docker/abc/inner\n3:pids:/../..\n");
        assert_eq!(host.legacy(Controller::Memory), Some(Path::new("/sys/fs/cgroup/memory/inner")));
        assert_eq!(host.legacy(Controller::Processes), None);
        let host = Trees::parse(mounts, "4:memory:/other\n3:pids:/x\n");
        assert_eq!(host.legacy(Controller::Memory), None);
        assert_eq!(host.legacy(Controller::Processes), Some(Path::new("/sys/fs/a b/x")));
    }

    #[test]
    fn text_that_makes_no_sense_is_a_host_without_groups() {
        for mounts in ["", "\n", " - ", "1 2 3 - cgroup2", "1 2 3 / /x - cgroup2 a", "- - -"] {
            assert_eq!(Trees::parse(mounts, "0::/\n::\n:\n"), Trees::default(), "{mounts:?}");
        }
        assert_eq!(unescape("a\\04"), Path::new("a\\04"));
    }
}
