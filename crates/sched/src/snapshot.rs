//! Pictures of the scheduler for people: what is planned, what waits and for what, what runs.

use crate::endings::times;
use crate::event::{Template, WorkerId, a_template, named};
use crate::queue::{Aside, Lane, Place};
use crate::scheduler::Scheduler;
use crate::templates::fits;
use builder_model::limits::SCRIPT_BYTES_MAX;
use builder_model::state::{Resume, RunningBuild, ScheduleEntry};
use builder_model::{Job, JobName, Platform, ScriptJob, TemplateId};
use builder_template::Misfit;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The schedule, what is due first first.
    pub schedule: Vec<ScheduleEntry>,
    /// The queues by platform, what runs first first.
    pub queues: Vec<(Platform, Vec<Job>)>,
    /// What each place of `queues` waits for, in the same order.
    pub waits: Vec<QueuedWait>,
    /// The running builds, what started first first.
    pub running: Vec<RunningSnapshot>,
    /// The platforms that are refused.
    pub dropped: Vec<Platform>,
}

/// What a queued job waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedWait {
    /// The queue.
    pub platform: Platform,
    /// The job.
    pub job: JobName,
    /// What must happen for it to run.
    pub waits: Waits,
}

/// A running build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningSnapshot {
    /// The build.
    pub build: RunningBuild,
    /// What it runs: a templated job filled in.
    pub script: ScriptJob,
    /// Who has it.
    pub worker: WorkerId,
}

/// Why a job does not run now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waits {
    /// For a free worker of the platform, after the jobs before it.
    Worker,
    /// For a worker that can begin it, after the jobs before it.
    AfterRefusal {
        /// How often workers refused it.
        refusals: u32,
        /// Why the last one did, where that is still known.
        why: Option<String>,
        /// Whether it is passed over for a while, lest the same worker gets it at once.
        pauses: bool,
    },
    /// For a template of the platform: there is none.
    Template(TemplateId),
    /// For a template of the platform to be read for the first time.
    TemplateUnread(TemplateId),
    /// For a template of the platform to become readable.
    TemplateUnreadable {
        /// Which.
        id: TemplateId,
        /// Why it is not.
        why: String,
    },
    /// For a template that takes the values of the job.
    Misfit {
        /// Which.
        id: TemplateId,
        /// Why the present one does not.
        why: Misfit,
    },
    /// For a shorter template: filled in, the present one makes a script of this many bytes.
    ScriptTooLong {
        /// The length of that script.
        bytes: usize,
    },
    /// For the platform to be welcome again.
    PlatformDropped,
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Worker => f.write_str("a free worker"),
            Self::AfterRefusal { refusals, why, pauses } => {
                let worker = if *pauses { "a pause, then a worker" } else { "a worker" };
                write!(f, "{worker} that can begin it: it was refused {}", times(*refusals))?;
                why.as_ref().map_or(Ok(()), |why| write!(f, ", the last time: {why}"))
            }
            Self::Template(id) => write!(f, "{}: the platform has none", a_template(id)),
            Self::TemplateUnread(id) => write!(f, "the template{}, which is not read yet", named(id)),
            Self::TemplateUnreadable { id, why } => {
                write!(f, "the template{}, which cannot be read: {why}", named(id))
            }
            Self::Misfit { id, why } => write!(f, "the template{}, which does not take its values: {why}", named(id)),
            Self::ScriptTooLong { bytes } => {
                write!(
                    f,
                    "a shorter template: the script would have {bytes} bytes, at most {SCRIPT_BYTES_MAX} are allowed"
                )
            }
            Self::PlatformDropped => f.write_str("the platform, which is dropped"),
        }
    }
}

/// How much there is of everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Jobs on the schedule.
    pub scheduled: usize,
    /// By platform: all with a queue, a waiting worker or a running build, and the dropped ones.
    pub platforms: Vec<PlatformCounts>,
}

/// How much there is on one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformCounts {
    /// The platform.
    pub platform: Platform,
    /// Whether it is refused.
    pub dropped: bool,
    /// Queued jobs.
    pub queued: usize,
    /// Waiting workers.
    pub waiting: usize,
    /// Running builds.
    pub running: usize,
}

impl Scheduler {
    /// A picture of everything. O(n).
    pub fn snapshot(&self) -> Snapshot {
        let mut schedule: Vec<ScheduleEntry> = self.calendar.entries().cloned().collect();
        schedule.sort_by(|a, b| (a.next, a.job.name()).cmp(&(b.next, b.job.name())));
        let mut running: Vec<RunningSnapshot> = (self.running.all())
            .map(|running| RunningSnapshot {
                build: running.build.clone(),
                script: running.script.clone(),
                worker: running.worker,
            })
            .collect();
        running.sort_by_key(|running| (running.build.started, running.build.build));
        let mut queues = Vec::with_capacity(self.queues.len());
        let mut waits = Vec::new();
        for (platform, queue) in self.queues.all() {
            let mut jobs = Vec::with_capacity(queue.len());
            for (_, place) in queue.places() {
                let name = &place.queued.job;
                let Some(entry) = self.calendar.get(name) else { continue };
                jobs.push(entry.job.clone());
                let wait = self.place_waits_for(platform, place);
                waits.push(QueuedWait { platform: platform.clone(), job: name.clone(), waits: wait });
            }
            queues.push((platform.clone(), jobs));
        }
        Snapshot { schedule, queues, waits, running, dropped: self.dropped.iter().cloned().collect() }
    }

    /// What a job waits for on a platform; none if it waits for nothing there but its time.
    pub fn waits_for(&self, platform: &Platform, job: &JobName) -> Option<Waits> {
        if self.dropped.contains(platform) && self.calendar.belongs(job, platform) {
            return Some(Waits::PlatformDropped);
        }
        Some(self.place_waits_for(platform, self.queues.place(platform, job)?))
    }

    fn place_waits_for(&self, platform: &Platform, place: &Place) -> Waits {
        let id = match &place.lane {
            Lane::Script | Lane::Paused(..) => return waits_for_worker(place),
            Lane::Aside(_, Aside::TooLong { bytes }) => return Waits::ScriptTooLong { bytes: *bytes },
            Lane::Aside(id, Aside::Misfit(why)) => return Waits::Misfit { id: id.clone(), why: why.clone() },
            Lane::Template(id) => id.clone(),
        };
        match self.templates.get(platform, &id) {
            None => Waits::TemplateUnread(id),
            Some(Template::Missing) => Waits::Template(id),
            Some(Template::Unreadable(why)) => Waits::TemplateUnreadable { id, why: why.clone() },
            // Nobody has tried yet where no worker came.
            Some(Template::Present(text)) => {
                let job = self.calendar.get(&place.queued.job).map(|entry| &entry.job);
                match job.map_or(Ok(()), |job| fits(job, text)) {
                    Ok(()) => waits_for_worker(place),
                    Err(why) => Waits::Misfit { id, why },
                }
            }
        }
    }

    /// How much there is of everything. O(platforms).
    pub fn counts(&self) -> Counts {
        let queued: BTreeMap<&Platform, usize> = self.queues.all().map(|(on, queue)| (on, queue.len())).collect();
        let platforms: BTreeSet<&Platform> = (queued.keys().copied())
            .chain(self.workers.platforms())
            .chain(self.running.platforms())
            .chain(&self.dropped)
            .collect();
        let platforms = platforms.into_iter().map(|platform| PlatformCounts {
            platform: platform.clone(),
            dropped: self.dropped.contains(platform),
            queued: queued.get(platform).copied().unwrap_or(0),
            waiting: self.workers.count(platform),
            running: self.running.count(platform),
        });
        Counts { scheduled: self.calendar.len(), platforms: platforms.collect() }
    }
}

fn waits_for_worker(place: &Place) -> Waits {
    match &place.queued.resume {
        Some(Resume { refusals, .. }) if *refusals > 0 => Waits::AfterRefusal {
            refusals: *refusals,
            why: place.refused.clone(),
            pauses: matches!(place.lane, Lane::Paused(..)),
        },
        Some(_) | None => Waits::Worker,
    }
}
