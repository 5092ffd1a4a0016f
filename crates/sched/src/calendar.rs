//! The schedule: which jobs exist, when each is due, and which belong to a platform.
//!
//! Every method that changes it pushes the change that must be saved.

use builder_model::state::{Change, ScheduleEntry};
use builder_model::{Job, JobName, Period, Platform, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// The schedule and its indexes. An entry is in `due` unless its next time is [`Timestamp::MAX`], and in `scripts` or
/// `templated` by the kind of its job.
#[derive(Debug, Default)]
pub(crate) struct Calendar {
    entries: BTreeMap<JobName, ScheduleEntry>,
    due: BTreeSet<(Timestamp, JobName)>,
    scripts: BTreeMap<Platform, BTreeSet<JobName>>,
    templated: BTreeSet<JobName>,
}

/// When a job that runs now runs next.
pub(crate) fn next_after(now: Timestamp, period: Period) -> Timestamp {
    period.seconds().map_or(Timestamp::MAX, |seconds| now.plus_milliseconds(seconds.saturating_mul(1000)))
}

impl Calendar {
    pub(crate) fn get(&self, job: &JobName) -> Option<&ScheduleEntry> {
        self.entries.get(job)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &ScheduleEntry> {
        self.entries.values()
    }

    /// Adds an entry whose name is free.
    pub(crate) fn add(&mut self, entry: ScheduleEntry, changes: &mut Vec<Change>) {
        let name = entry.job.name().clone();
        assert!(!self.entries.contains_key(&name), "job {name} is on the schedule already");
        match &entry.job {
            Job::Script(script) => {
                self.scripts.entry(script.platform.clone()).or_default().insert(name.clone());
            }
            Job::Templated(_) => {
                self.templated.insert(name.clone());
            }
        }
        if entry.next < Timestamp::MAX {
            self.due.insert((entry.next, name.clone()));
        }
        changes.push(Change::EntryPut(entry.clone()));
        self.entries.insert(name, entry);
    }

    /// Sets when an entry runs, if it exists.
    pub(crate) fn set_next(&mut self, job: &JobName, next: Timestamp, period: Period, changes: &mut Vec<Change>) {
        let Some(entry) = self.entries.get_mut(job) else { return };
        if (entry.next, entry.period) == (next, period) {
            return;
        }
        self.due.remove(&(entry.next, job.clone()));
        entry.next = next;
        entry.period = period;
        if next < Timestamp::MAX {
            self.due.insert((next, job.clone()));
        }
        changes.push(Change::EntryNext { job: job.clone(), next, period });
    }

    /// Removes an entry, if it exists.
    pub(crate) fn remove(&mut self, job: &JobName, changes: &mut Vec<Change>) {
        let Some(entry) = self.entries.remove(job) else { return };
        self.due.remove(&(entry.next, job.clone()));
        match &entry.job {
            Job::Script(script) => {
                if let Some(names) = self.scripts.get_mut(&script.platform) {
                    names.remove(job);
                    if names.is_empty() {
                        self.scripts.remove(&script.platform);
                    }
                }
            }
            Job::Templated(_) => {
                self.templated.remove(job);
            }
        }
        changes.push(Change::EntryRemoved(job.clone()));
    }

    /// The earliest time at which an entry is due.
    pub(crate) fn first_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(next, _)| *next)
    }

    /// The entry that is due first, if it is due now.
    pub(crate) fn due_at(&self, now: Timestamp) -> Option<ScheduleEntry> {
        let (_, job) = self.due.first().filter(|(next, _)| *next <= now)?;
        self.entries.get(job).cloned()
    }

    pub(crate) fn has_templated(&self) -> bool {
        !self.templated.is_empty()
    }

    pub(crate) fn has_scripts(&self, platform: &Platform) -> bool {
        self.scripts.contains_key(platform)
    }

    /// The script jobs of a platform.
    pub(crate) fn scripts(&self, platform: &Platform) -> impl Iterator<Item = &ScheduleEntry> {
        self.scripts.get(platform).into_iter().flatten().filter_map(|name| self.entries.get(name))
    }

    pub(crate) fn templated(&self) -> impl Iterator<Item = &ScheduleEntry> {
        self.templated.iter().filter_map(|name| self.entries.get(name))
    }

    /// Whether a job is on the schedule and may run on a platform.
    pub(crate) fn belongs(&self, job: &JobName, platform: &Platform) -> bool {
        self.entries.get(job).is_some_and(|entry| entry.job.platform().is_none_or(|own| own == platform))
    }

    /// Panics if the indexes do not agree with the entries.
    pub(crate) fn check(&self) {
        let (mut due, mut scripts, mut templated) = (0, 0, 0);
        for (name, entry) in &self.entries {
            assert_eq!(name, entry.job.name(), "an entry stands under its name");
            let is_due = self.due.contains(&(entry.next, name.clone()));
            assert_eq!(is_due, entry.next < Timestamp::MAX, "job {name} is in the calendar as its next time says");
            due += usize::from(is_due);
            match &entry.job {
                Job::Script(script) => {
                    let names = self.scripts.get(&script.platform);
                    assert!(names.is_some_and(|names| names.contains(name)), "script {name} is known to its platform");
                    scripts += 1;
                }
                Job::Templated(_) => {
                    assert!(self.templated.contains(name), "templated job {name} is known as such");
                    templated += 1;
                }
            }
        }
        assert_eq!(due, self.due.len(), "no stale times");
        assert_eq!(scripts, self.scripts.values().map(BTreeSet::len).sum::<usize>(), "no stale scripts");
        assert!(self.scripts.values().all(|names| !names.is_empty()), "no platform is kept for no scripts");
        assert_eq!(templated, self.templated.len(), "no stale templated jobs");
    }
}
