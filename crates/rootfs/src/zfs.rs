//! Root file systems on FreeBSD: snapshots of ZFS that `poudriere jail` makes. Which command does what, and what its
//! answer means, is pure; a caller runs it.

use crate::error::Error;
use serde::Serialize;

/// The snapshot that poudriere takes of a jail that it has made or updated.
pub const SNAPSHOT: &str = "clean";
/// How many columns `zfs list` was asked for.
const COLUMNS: usize = 5;

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
    /// The datasets that were cloned from it, one for each job that runs in it.
    pub clones: Vec<String>,
}

impl Snapshot {
    fn dataset(&self) -> &str {
        self.snapshot.split('@').next().unwrap_or(&self.snapshot)
    }
}

/// What becomes of a jail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It gets the newest patches of its release.
    Update,
    /// It goes.
    Remove,
}

/// Makes a jail of a release, such as `14.1-RELEASE`.
pub fn create(name: &str, release: &str, architecture: Option<&str>) -> Vec<String> {
    let mut words = vec!["poudriere", "jail", "-c", "-j", name, "-v", release];
    if let Some(architecture) = architecture {
        words.extend(["-a", architecture]);
    }
    words.into_iter().map(str::to_owned).collect()
}

/// Changes a jail.
pub fn change(name: &str, change: Change) -> Vec<String> {
    let act: &[&str] = match change {
        Change::Update => &["-u"],
        Change::Remove => &["-d", "-y"],
    };
    ["poudriere", "jail"].iter().chain(act).chain(&["-j", name]).map(|word| (*word).to_owned()).collect()
}

/// Makes sure that nobody uses a jail that is to be changed. Poudriere does not: it passes over in silence that a snapshot
/// with clones cannot be destroyed, and says that all is done.
///
/// # Errors
///
/// Names the clones.
pub fn free(name: &str, all: &[Snapshot]) -> Result<(), Error> {
    all.iter().find(|one| one.name == name && !one.clones.is_empty()).map_or(Ok(()), |one| {
        let (snapshot, clones) = (one.snapshot.clone(), one.clones.clone());
        Err(Error::Cloned { name: name.to_owned(), snapshot, clones })
    })
}

/// Makes sure that a jail was changed: what there was before is there no more.
///
/// # Errors
///
/// Names the snapshot that stayed, and what to do about it.
pub fn changed(name: &str, change: Change, before: &[Snapshot], after: &[Snapshot]) -> Result<(), Error> {
    let was_there = |one: &&Snapshot| before.iter().any(|other| other.guid == one.guid);
    let Some(kept) = after.iter().filter(|one| one.name == name).find(was_there) else { return Ok(()) };
    let when = "when `builder rootfs list` shows it as free";
    let hint = match change {
        Change::Update => format!("try again {when}"),
        // Poudriere knows nothing of it any more.
        Change::Remove => format!("{when}, `zfs destroy -r {}`", kept.dataset()),
    };
    Err(Error::Kept { snapshot: kept.snapshot.clone(), hint })
}

/// Lists all snapshots.
pub fn list() -> Vec<String> {
    ["zfs", "list", "-H", "-p", "-t", "snapshot", "-o", "name,guid,creation,used,clones"].map(str::to_owned).to_vec()
}

/// What of the answer is a root file system: snapshots `…/jails/NAME@clean`.
pub fn listed(answer: &str) -> Vec<Snapshot> {
    answer.lines().filter_map(snapshot).collect()
}

fn snapshot(line: &str) -> Option<Snapshot> {
    let columns: Vec<&str> = line.split('\t').collect();
    let [whole, guid, made, used, clones] = <[&str; COLUMNS]>::try_from(columns).ok()?;
    let (dataset, SNAPSHOT) = whole.split_once('@')? else { return None };
    let (above, name) = dataset.rsplit_once('/')?;
    let is_jail = above.ends_with("/jails");
    is_jail.then_some(Snapshot {
        name: name.to_owned(),
        snapshot: whole.to_owned(),
        guid: guid.to_owned(),
        made: made.parse().ok()?,
        used: used.parse().ok()?,
        clones: clones.split(',').filter(|clone| !matches!(*clone, "" | "-")).map(str::to_owned).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clean_snapshots_of_jails_are_root_file_systems() {
        let answer = "zroot/poudriere/jails/141amd64@clean\t1234567890123456789\t1769817600\t40960\t-\n\
                      zroot/poudriere/jails/141amd64@before\t1\t1\t0\t\n\
                      zroot/home@clean\t2\t1\t0\t-\n\
                      no datasets available\n";
        let expected = Snapshot {
            name: "141amd64".to_owned(),
            snapshot: "zroot/poudriere/jails/141amd64@clean".to_owned(),
            guid: "1234567890123456789".to_owned(),
            made: 1_769_817_600,
            used: 40_960,
            clones: Vec::new(),
        };
        assert_eq!(listed(answer), [expected]);
        assert_eq!(change("a", Change::Update).join(" "), "poudriere jail -u -j a");
        assert_eq!(change("a", Change::Remove).join(" "), "poudriere jail -d -y -j a");
        assert_eq!(
            create("a", "14.1-RELEASE", Some("amd64")).join(" "),
            "poudriere jail -c -j a -v 14.1-RELEASE -a amd64"
        );
    }

    fn at(guid: u8, clones: &str) -> Vec<Snapshot> {
        listed(&format!("z/p/jails/a@clean\t{guid}\t1\t0\t{clones}\nz/p/jails/b@clean\t9\t1\t0\tz/builder/jobs/x\n"))
    }

    #[test]
    fn a_jail_that_jobs_run_in_is_not_changed() {
        free("a", &at(1, "")).unwrap();
        free("c", &at(1, "z/c")).unwrap();
        let error = free("a", &at(1, "z/builder/jobs/one,z/builder/jobs/two")).unwrap_err().to_string();
        assert_eq!(
            error,
            "jobs run in the root file system a: z/p/jails/a@clean has the clones z/builder/jobs/one, z/builder/jobs/two\n\
             hint: try again when `builder rootfs list` shows it as free; `service builder_worker stop` ends all jobs"
        );
    }

    #[test]
    fn what_poudriere_left_as_it_was_is_told() {
        changed("a", Change::Update, &at(1, ""), &at(2, "")).unwrap();
        changed("a", Change::Remove, &at(1, ""), &at(1, "")[1..]).unwrap();
        let kept = |change| changed("a", change, &at(1, ""), &at(1, "z/x")).unwrap_err().to_string();
        assert!(kept(Change::Update).starts_with("z/p/jails/a@clean is still what it was"), "{}", kept(Change::Update));
        assert!(kept(Change::Remove).ends_with("`zfs destroy -r z/p/jails/a`"), "{}", kept(Change::Remove));
    }
}
