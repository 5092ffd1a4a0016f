//! The schedule: which jobs exist, when each is due, and which belong to a platform.
//!
//! Every method that changes it pushes the change that must be saved.

use builder_model::state::{Change, ScheduleEntry};
use builder_model::{JobName, Period, Platform, RunsOn, TemplateId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// The schedule and its indexes. An entry is in `due` unless its next time is [`Timestamp::MAX`], and in `bound` or
/// `unbound` by where its job runs.
#[derive(Debug, Default)]
pub(crate) struct Calendar {
    entries: BTreeMap<JobName, ScheduleEntry>,
    due: BTreeSet<(Timestamp, JobName)>,
    /// Jobs of one platform.
    bound: BTreeMap<Platform, BTreeSet<JobName>>,
    /// Jobs of each platform that has their template.
    unbound: BTreeMap<TemplateId, BTreeSet<JobName>>,
    /// How many jobs use a template, by where: on one platform, or on each that has it.
    uses: BTreeMap<TemplateId, BTreeMap<Option<Platform>, usize>>,
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
        match entry.job.runs_on() {
            RunsOn::One(platform) => self.bound.entry(platform.clone()).or_default().insert(name.clone()),
            RunsOn::EachWith(id) => self.unbound.entry(id).or_default().insert(name.clone()),
        };
        if let Some(id) = entry.job.template() {
            *self.uses.entry(id).or_default().entry(entry.job.platform().cloned()).or_default() += 1;
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
        match entry.job.runs_on() {
            RunsOn::One(platform) => remove_from(&mut self.bound, platform, job),
            RunsOn::EachWith(id) => remove_from(&mut self.unbound, &id, job),
        }
        if let Some(id) = entry.job.template() {
            self.used_no_more(&id, entry.job.platform());
        }
        changes.push(Change::EntryRemoved(job.clone()));
    }

    fn used_no_more(&mut self, id: &TemplateId, on: Option<&Platform>) {
        let Some(places) = self.uses.get_mut(id) else { return };
        let on = on.cloned();
        if let Some(count) = places.get_mut(&on) {
            *count -= 1;
            if *count == 0 {
                places.remove(&on);
            }
        }
        if places.is_empty() {
            self.uses.remove(id);
        }
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

    /// The templates that jobs use, each with where: on one platform, or on each that has it.
    pub(crate) fn templates_used(&self) -> impl Iterator<Item = (&TemplateId, Option<&Platform>)> {
        self.uses.iter().flat_map(|(id, places)| places.keys().map(move |on| (id, on.as_ref())))
    }

    /// How many templates jobs use.
    pub(crate) fn template_count(&self) -> usize {
        self.uses.len()
    }

    /// Whether any job uses a template.
    pub(crate) fn uses(&self, id: &TemplateId) -> bool {
        self.uses.contains_key(id)
    }

    /// Whether a job uses the template of a platform.
    pub(crate) fn uses_on(&self, id: &TemplateId, platform: &Platform) -> bool {
        let places = self.uses.get(id);
        self.unbound.contains_key(id) || places.is_some_and(|places| places.contains_key(&Some(platform.clone())))
    }

    pub(crate) fn has_bound(&self, platform: &Platform) -> bool {
        self.bound.contains_key(platform)
    }

    /// The jobs that run on a platform and nowhere else.
    pub(crate) fn bound(&self, platform: &Platform) -> impl Iterator<Item = &ScheduleEntry> {
        self.bound.get(platform).into_iter().flatten().filter_map(|name| self.entries.get(name))
    }

    /// The jobs of each platform that has one of these templates.
    pub(crate) fn unbound(&self, has: impl Fn(&TemplateId) -> bool) -> impl Iterator<Item = &ScheduleEntry> {
        let names = self.unbound.iter().filter(move |(id, _)| has(id)).flat_map(|(_, names)| names);
        names.filter_map(|name| self.entries.get(name))
    }

    /// Whether a job is on the schedule and may run on a platform.
    pub(crate) fn belongs(&self, job: &JobName, platform: &Platform) -> bool {
        self.entries.get(job).is_some_and(|entry| entry.job.platform().is_none_or(|own| own == platform))
    }

    /// Panics if the indexes do not agree with the entries.
    pub(crate) fn check(&self) {
        let (mut due, mut bound, mut unbound) = (0, 0, 0);
        let mut uses: BTreeMap<TemplateId, BTreeMap<Option<Platform>, usize>> = BTreeMap::new();
        for (name, entry) in &self.entries {
            assert_eq!(name, entry.job.name(), "an entry stands under its name");
            let is_due = self.due.contains(&(entry.next, name.clone()));
            assert_eq!(is_due, entry.next < Timestamp::MAX, "job {name} is in the calendar as its next time says");
            due += usize::from(is_due);
            if let Some(id) = entry.job.template() {
                *uses.entry(id).or_default().entry(entry.job.platform().cloned()).or_default() += 1;
            }
            let (names, count) = match entry.job.runs_on() {
                RunsOn::One(platform) => (self.bound.get(platform), &mut bound),
                RunsOn::EachWith(id) => (self.unbound.get(&id), &mut unbound),
            };
            assert!(names.is_some_and(|names| names.contains(name)), "job {name} is known where it runs");
            *count += 1;
        }
        assert_eq!(due, self.due.len(), "no stale times");
        assert_eq!(bound, self.bound.values().map(BTreeSet::len).sum::<usize>(), "no stale jobs of one platform");
        assert!(self.bound.values().all(|names| !names.is_empty()), "no platform is kept for no jobs");
        assert_eq!(unbound, self.unbound.values().map(BTreeSet::len).sum::<usize>(), "no stale jobs of templates");
        assert!(self.unbound.values().all(|names| !names.is_empty()), "no template is kept for no jobs");
        assert_eq!(uses, self.uses, "the use of templates is counted");
    }
}

fn remove_from<K: Ord>(index: &mut BTreeMap<K, BTreeSet<JobName>>, key: &K, job: &JobName) {
    if let Some(names) = index.get_mut(key) {
        names.remove(job);
        if names.is_empty() {
            index.remove(key);
        }
    }
}
