//! The scheduler itself: what it holds, the one door in, and what the edge asks it between events.

use crate::calendar::Calendar;
use crate::event::{Act, Decision, Event, Now, Refusal, Reply, Template};
use crate::queue::{End, Lane, Place, Queues};
use crate::running::RunningBuilds;
use crate::settings::Settings;
use crate::templates::Templates;
use crate::workers::Workers;
use builder_model::state::{Change, FinishedBuild, Queued, Resume, ScheduleEntry, State};
use builder_model::{BuildId, Job, JobName, Outcome, Platform, RunsOn, TemplateId, Timestamp};
use std::collections::BTreeSet;
use std::time::Duration;

/// Decides what runs where and when. See the crate's page for how its decisions are carried out.
///
/// What holds between two events: a job is on the schedule under one name and at most once in each queue; every
/// queued job is on the schedule, and a script only in the queue of its platform; a build is running, or waits in one
/// queue for another attempt, or is finished, and only one of these; a dropped platform has no queue; no worker waits
/// where a job could be handed to it. [`Scheduler::check`] asserts all of it.
#[derive(Debug)]
pub struct Scheduler {
    pub(crate) settings: Settings,
    pub(crate) calendar: Calendar,
    pub(crate) queues: Queues,
    pub(crate) dropped: BTreeSet<Platform>,
    pub(crate) running: RunningBuilds,
    pub(crate) workers: Workers,
    pub(crate) templates: Templates,
    /// Where a worker and a job may have met since the last hand-out.
    pub(crate) touched: BTreeSet<Platform>,
    /// The time of day at the last event.
    pub(crate) wall: Timestamp,
    /// Jobs whose next time follows from their period, as far as this process knows; those of others may be a client's
    /// choice.
    pub(crate) periodic: BTreeSet<JobName>,
}

/// When the scheduler wants [`Event::TimePassed`] next; nothing for never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wake {
    /// When the first job is due, by the time of day. It stays past while more jobs are due than one event takes.
    pub wall: Option<Timestamp>,
    /// When the first running build is over its time, or the first pause of a refused one.
    pub monotonic: Option<Duration>,
}

/// One event being handled: what it may use and what it leads to.
pub(crate) struct Step<'a> {
    pub(crate) now: Now,
    pub(crate) fresh_build: &'a mut dyn FnMut() -> BuildId,
    pub(crate) changes: Vec<Change>,
    pub(crate) acts: Vec<Act>,
}

impl Scheduler {
    /// Decides what follows from an event. `fresh_build` makes an id that no build had before.
    pub fn handle(&mut self, now: Now, event: Event, fresh_build: &mut dyn FnMut() -> BuildId) -> Decision {
        let mut step = Step { now, fresh_build, changes: Vec::new(), acts: Vec::new() };
        if now.wall < self.wall {
            self.clock_went_back(&mut step);
        }
        self.wall = now.wall;
        let reply = self.decide(event, &mut step);
        for platform in std::mem::take(&mut self.touched) {
            self.dispatch(&platform, &mut step);
        }
        Decision { reply, changes: step.changes, acts: step.acts }
    }

    fn decide(&mut self, event: Event, step: &mut Step<'_>) -> Result<Reply, Refusal> {
        match event {
            Event::Schedule { job, period } => self.schedule(job, period, step)?,
            Event::Unschedule { job } => self.unschedule(&job, step)?,
            Event::Execute { job, platform } => self.execute(&job, platform.as_ref(), step)?,
            Event::Reschedule { job, next, period } => self.reschedule(&job, next, period, step)?,
            Event::DropPlatform(platform) => self.drop_platform(platform, step)?,
            Event::UndropPlatform(platform) => self.undrop_platform(&platform, step)?,
            Event::WorkerWaits { worker, platform } => self.worker_waits(worker, platform, step)?,
            Event::WorkerGone { worker } => self.workers.leave(worker),
            Event::Lost { build, why } => return self.lost(build, why, step),
            Event::Finished { build, finished, outcome, record_bytes } => {
                self.finished(build, finished, outcome, record_bytes, step)?;
            }
            Event::TimePassed => self.time_passed(step),
            Event::TemplateRead { platform, id, template } => self.template_read(platform, id, template, step),
        }
        Ok(Reply::Done)
    }

    /// When [`Event::TimePassed`] is wanted next.
    pub fn wake_at(&self) -> Wake {
        let monotonic = [self.running.first_deadline(), self.queues.first_pause()].into_iter().flatten().min();
        Wake { wall: self.calendar.first_due(), monotonic }
    }

    /// The durable state: what all changes so far have led to.
    pub fn to_state(&self) -> State {
        let places = |(platform, queue): (&Platform, &crate::queue::Queue)| {
            let places = queue.places().map(|(position, place)| (position, place.queued.clone()));
            (platform.clone(), places.collect())
        };
        State {
            schedule: self.calendar.entries().cloned().collect(),
            queues: self.queues.all().map(places).collect(),
            running: self.running.all().map(|running| running.build.clone()).collect(),
            dropped: self.dropped.iter().cloned().collect(),
        }
    }

    /// Whether anything is known of a platform: a queue, a job for it alone, a waiting worker, or that it is dropped.
    pub fn is_known(&self, platform: &Platform) -> bool {
        self.queues.has(platform)
            || self.dropped.contains(platform)
            || self.calendar.has_bound(platform)
            || self.workers.count(platform) > 0
    }

    /// The templates that matter: those that jobs on the schedule use, on each platform with a queue where they could
    /// be handed out. The edge reads these again from time to time and sends [`Event::TemplateRead`] for what changed.
    pub fn templates_wanted(&self) -> Vec<(Platform, TemplateId)> {
        let mut wanted = BTreeSet::new();
        for (id, on) in self.calendar.templates_used() {
            match on {
                Some(platform) if !self.queues.has(platform) => {}
                Some(platform) => {
                    wanted.insert((platform.clone(), id.clone()));
                }
                None => wanted.extend(self.queues.all().map(|(platform, _)| (platform.clone(), id.clone()))),
            }
        }
        wanted.into_iter().collect()
    }

    /// Whether a template of a platform matters and was not told yet. The edge may tell it before the event that
    /// makes the platform known, or after it.
    pub fn wants_template(&self, platform: &Platform, id: &TemplateId) -> bool {
        let matters = self.queues.has(platform) && self.calendar.uses_on(id, platform);
        matters && self.templates.get(platform, id).is_none()
    }

    fn template_read(&mut self, platform: Platform, id: TemplateId, template: Template, step: &mut Step<'_>) {
        if self.templates.get(&platform, &id) == Some(&template) {
            return;
        }
        // Read for platforms that then never came to be, such as those of refused requests, or for jobs that are gone.
        if self.templates.are_many() {
            let (queues, dropped, calendar) = (&self.queues, &self.dropped, &self.calendar);
            self.templates.retain(|on, id| (queues.has(on) || dropped.contains(on)) && calendar.uses_on(id, on));
        }
        let on_trial = self.queues.end_trial(&platform, &id);
        if template == Template::Missing {
            for job in on_trial {
                self.queues.take(&platform, &job, &mut step.changes);
            }
        }
        self.queues.retry_aside(&platform, &id);
        self.templates.set(platform.clone(), id, template);
        self.touched.insert(platform);
    }

    /// A platform gets its queue, filled with every job that belongs there: what runs soonest by its period first.
    pub(crate) fn open_queue(&mut self, platform: &Platform, changes: &mut Vec<Change>) {
        self.queues.add(platform, changes);
        let mut entries: Vec<&ScheduleEntry> = self.calendar.bound(platform).collect();
        entries.extend(self.calendar.unbound(|id| self.templates.may_exist(platform, id)));
        entries.sort_by_key(|entry| (entry.next, entry.job.name()));
        let jobs: Vec<Job> = entries.into_iter().map(|entry| entry.job.clone()).collect();
        for job in jobs {
            self.enqueue_on(platform, &job, changes);
        }
    }

    /// Queues a job wherever it belongs and is not queued yet.
    pub(crate) fn enqueue(&mut self, job: &Job, changes: &mut Vec<Change>) {
        match job.runs_on() {
            RunsOn::One(platform) if self.dropped.contains(platform) => {}
            RunsOn::One(platform) if !self.queues.has(platform) => self.open_queue(platform, changes),
            RunsOn::One(platform) => self.enqueue_on(platform, job, changes),
            RunsOn::EachWith(id) => {
                for platform in self.platforms_with(&id) {
                    self.enqueue_on(&platform, job, changes);
                }
            }
        }
    }

    /// Where a job may run that belongs wherever there is its template.
    pub(crate) fn platforms_with(&self, id: &TemplateId) -> Vec<Platform> {
        let platforms = self.queues.all().map(|(platform, _)| platform);
        platforms.filter(|platform| self.templates.may_exist(platform, id)).cloned().collect()
    }

    fn enqueue_on(&mut self, platform: &Platform, job: &Job, changes: &mut Vec<Change>) {
        if self.queues.place(platform, job.name()).is_none() {
            let place = self.new_place(platform, job);
            self.queues.push(platform, End::Back, place, changes);
            self.touched.insert(platform.clone());
        }
    }

    /// A place for a build of its own.
    pub(crate) fn new_place(&self, platform: &Platform, job: &Job) -> Place {
        let lane = Lane::of(job);
        let on_trial = match job.runs_on() {
            // There it waits for its template.
            RunsOn::One(_) => false,
            RunsOn::EachWith(id) => self.templates.get(platform, &id).is_none(),
        };
        let queued = Queued { job: job.name().clone(), retries: 0, resume: None };
        Place { queued, lane, on_trial, refused: None }
    }
}

/// The row of a build that ends without another attempt and without a record.
pub(crate) fn abandoned(
    job: JobName,
    platform: &Platform,
    resume: Resume,
    now: Timestamp,
    reason: &str,
) -> FinishedBuild {
    FinishedBuild {
        build: resume.build,
        job,
        platform: platform.clone(),
        attempts: resume.attempts,
        started: resume.started,
        finished: now,
        outcome: Outcome::aborted(reason),
        record_bytes: None,
    }
}
