//! What a host with jails can give, and the root file systems that it has: snapshots of ZFS, or folders. Gathered here by
//! the system's own programs, and judged beside.

use super::{JAILS_FOLDER, snapshot};
use crate::host::answer;
use crate::policy::Policy;
use crate::root::{Digest, Root, RootError};
use builder_rootfs::in_path;
use std::path::Path;

/// The facts.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct JailFacts {
    /// Whether the kernel counts what a jail uses: the setting `kern.racct.enable`.
    pub counts_resources: bool,
    /// Whether there are rules for the devices of jails.
    pub has_device_rules: bool,
    /// Whether there is a dataset for the clones of the snapshot.
    pub has_clones_dataset: bool,
    /// Whether the folder of jails is there or can be made.
    pub has_folder: bool,
}

impl JailFacts {
    /// Asks the system.
    pub(crate) fn gather(policy: &Policy) -> Self {
        if in_path("jail").is_none() {
            // Another system, on which nothing is to be made.
            return Self::default();
        }
        let says = |program: &str, arguments: &[&str]| answer(program, arguments).is_ok_and(|said| !said.is_empty());
        let clones = snapshot(policy).map(|snapshot| snapshot.clones_dataset());
        Self {
            counts_resources: answer("sysctl", &["-n", "kern.racct.enable"]).is_ok_and(|said| said == "1"),
            has_device_rules: says("devfs", &["rule", "-s", super::DEVICE_RULES, "show"]),
            has_clones_dataset: clones.is_some_and(|dataset| says("zfs", &["list", "-H", "-o", "name", &dataset])),
            has_folder: std::fs::create_dir_all(JAILS_FOLDER).is_ok(),
        }
    }
}

/// A root file system: a snapshot is known by the number that ZFS gave it, which no other one ever has.
pub(crate) fn root(path: &Path) -> Result<Root, RootError> {
    let Some(name) = path.to_str().filter(|_| !path.is_absolute()) else { return Root::read(path) };
    let failed = |why: String| RootError::Snapshot { name: name.to_owned(), why };
    let number = answer("zfs", &["get", "-H", "-p", "-o", "value", "guid", name]).map_err(failed)?;
    let digest = Digest::parse(format!("zfs-guid:{number}").as_bytes());
    Ok(Root::of_snapshot(path, digest))
}
