//! Root file systems on FreeBSD: snapshots of ZFS that `poudriere jail` makes. Which command does what, and what its
//! answer means, is pure; a caller runs it.

use serde::Serialize;

/// The snapshot that poudriere takes of a jail that it has made or updated.
pub const SNAPSHOT: &str = "clean";
/// How many columns `zfs list` was asked for.
const COLUMNS: usize = 4;

/// A snapshot that a jail can be cloned from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// The name of poudriere's jail.
    pub name: String,
    /// The whole name, with dataset, as `zfs clone` takes it.
    pub snapshot: String,
    /// What tells it from all others: every snapshot has a number of its own. Stands for a digest in records.
    pub guid: String,
    /// When it was taken, in seconds since 1970.
    pub made: i64,
    /// How much it takes that nothing else does, in bytes.
    pub used: u64,
}

/// Makes a jail of a release, such as `14.1-RELEASE`.
pub fn create(name: &str, release: &str, architecture: Option<&str>) -> Vec<String> {
    let mut words = vec!["poudriere", "jail", "-c", "-j", name, "-v", release];
    if let Some(architecture) = architecture {
        words.extend(["-a", architecture]);
    }
    words.into_iter().map(str::to_owned).collect()
}

/// Brings a jail to the newest patches of its release.
pub fn update(name: &str) -> Vec<String> {
    ["poudriere", "jail", "-u", "-j", name].map(str::to_owned).to_vec()
}

/// Removes a jail.
pub fn remove(name: &str) -> Vec<String> {
    ["poudriere", "jail", "-d", "-y", "-j", name].map(str::to_owned).to_vec()
}

/// Lists all snapshots.
pub fn list() -> Vec<String> {
    ["zfs", "list", "-H", "-p", "-t", "snapshot", "-o", "name,guid,creation,used"].map(str::to_owned).to_vec()
}

/// What of the answer is a root file system: snapshots `…/jails/NAME@clean`.
pub fn listed(answer: &str) -> Vec<Snapshot> {
    answer.lines().filter_map(snapshot).collect()
}

fn snapshot(line: &str) -> Option<Snapshot> {
    let columns: Vec<&str> = line.split('\t').collect();
    let [whole, guid, made, used] = <[&str; COLUMNS]>::try_from(columns).ok()?;
    let (dataset, SNAPSHOT) = whole.split_once('@')? else { return None };
    let (above, name) = dataset.rsplit_once('/')?;
    let is_jail = above.ends_with("/jails");
    is_jail.then_some(Snapshot {
        name: name.to_owned(),
        snapshot: whole.to_owned(),
        guid: guid.to_owned(),
        made: made.parse().ok()?,
        used: used.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clean_snapshots_of_jails_are_root_file_systems() {
        let answer = "zroot/poudriere/jails/141amd64@clean\t1234567890123456789\t1769817600\t40960\n\
                      zroot/poudriere/jails/141amd64@before\t1\t1\t0\n\
                      zroot/home@clean\t2\t1\t0\n\
                      no datasets available\n";
        let expected = Snapshot {
            name: "141amd64".to_owned(),
            snapshot: "zroot/poudriere/jails/141amd64@clean".to_owned(),
            guid: "1234567890123456789".to_owned(),
            made: 1_769_817_600,
            used: 40_960,
        };
        assert_eq!(listed(answer), [expected]);
        assert_eq!(
            create("a", "14.1-RELEASE", Some("amd64")).join(" "),
            "poudriere jail -c -j a -v 14.1-RELEASE -a amd64"
        );
    }
}
