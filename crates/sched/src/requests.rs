//! What clients ask for.

use crate::calendar::next_after;
use crate::event::{ExecuteRefusal, Refusal, Template};
use crate::queue::{End, Lane, Place};
use crate::scheduler::{Scheduler, Step, abandoned};
use crate::templates::fits;
use builder_model::state::{Change, ScheduleEntry};
use builder_model::{Job, JobName, Period, Platform, RunsOn, TemplateId, Timestamp};

/// Why a build that waited for another attempt ends without one.
const UNSCHEDULED: &str = "job was unscheduled before the build could run again";
const DROPPED: &str = "platform was dropped before the build could run again";

impl Scheduler {
    pub(crate) fn schedule(&mut self, job: Job, period: Period, step: &mut Step<'_>) -> Result<(), Refusal> {
        if self.calendar.get(job.name()).is_some() {
            return Err(Refusal::NameUsed);
        }
        if let Some(platform) = job.platform() {
            if self.dropped.contains(platform) {
                return Err(Refusal::PlatformDropped);
            }
            self.room_for(platform)?;
        }
        if self.calendar.len() >= self.settings.jobs_max {
            return Err(Refusal::ScheduleFull(self.settings.jobs_max));
        }
        let new_template = job.template().is_some_and(|id| !self.calendar.uses(&id));
        if new_template && self.calendar.template_count() >= self.settings.templates_max {
            return Err(Refusal::TemplatesFull(self.settings.templates_max));
        }
        let next = next_after(step.now.wall, period);
        self.periodic.insert(job.name().clone());
        self.calendar.add(ScheduleEntry { job: job.clone(), period, next }, &mut step.changes);
        self.enqueue(&job, &mut step.changes);
        Ok(())
    }

    /// Whether a platform is known, or may become so.
    pub(crate) fn room_for(&self, platform: &Platform) -> Result<(), Refusal> {
        let count = self.queues.len() + self.dropped.len();
        if self.is_known(platform) || count < self.settings.platforms_max {
            return Ok(());
        }
        Err(Refusal::PlatformsFull(self.settings.platforms_max))
    }

    pub(crate) fn unschedule(&mut self, job: &JobName, step: &mut Step<'_>) -> Result<(), Refusal> {
        let Some(entry) = self.calendar.get(job) else { return Err(Refusal::UnknownJob(job.clone())) };
        let platforms: Vec<Platform> = match entry.job.runs_on() {
            RunsOn::One(platform) => vec![platform.clone()],
            RunsOn::EachWith(_) => self.queues.all().map(|(platform, _)| platform.clone()).collect(),
        };
        for platform in platforms {
            let Some(place) = self.queues.take(&platform, job, &mut step.changes) else { continue };
            if let Some(resume) = place.queued.resume {
                let row = abandoned(job.clone(), &platform, resume, step.now.wall, UNSCHEDULED);
                step.changes.push(Change::Finished(row));
            }
        }
        self.periodic.remove(job);
        self.calendar.remove(job, &mut step.changes);
        Ok(())
    }

    pub(crate) fn execute(
        &mut self,
        job: &JobName,
        platform: Option<&Platform>,
        step: &mut Step<'_>,
    ) -> Result<(), ExecuteRefusal> {
        let Some(entry) = self.calendar.get(job) else { return Err(ExecuteRefusal::JobNotFound) };
        let job = entry.job.clone();
        match job.runs_on() {
            RunsOn::One(own) => {
                if platform.is_some_and(|asked| asked != own) {
                    return Err(ExecuteRefusal::OtherPlatform(own.clone()));
                }
                if self.dropped.contains(own) {
                    return Err(ExecuteRefusal::NoSuchPlatform);
                }
                if let Some(id) = job.template() {
                    self.can_be_filled(&job, &id, own)?;
                }
                if !self.queues.has(own) {
                    self.open_queue(own, &mut step.changes);
                }
                self.run_next(own, &job, step);
            }
            RunsOn::EachWith(id) => {
                let platforms = match platform {
                    Some(asked) if !self.queues.has(asked) => return Err(ExecuteRefusal::NoSuchPlatform),
                    Some(asked) => {
                        self.can_be_filled(&job, &id, asked)?;
                        vec![asked.clone()]
                    }
                    None => self.platforms_with(&id),
                };
                if platforms.is_empty() {
                    return Err(ExecuteRefusal::NoTemplate(id));
                }
                for on in &platforms {
                    self.run_next(on, &job, step);
                    if platform.is_some() {
                        // Asked for by name: should there be no template, the job waits and `info` says for what.
                        self.queues.keep(on, job.name());
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether a platform has a template that makes a script of a job, as far as is known.
    fn can_be_filled(&self, job: &Job, id: &TemplateId, platform: &Platform) -> Result<(), ExecuteRefusal> {
        let (platform, id) = (platform.clone(), id.clone());
        match self.templates.get(&platform, &id) {
            None => Ok(()),
            Some(Template::Present(text)) => {
                fits(job, text).map_err(|why| ExecuteRefusal::Misfit { platform, id, why })
            }
            Some(Template::Missing) => Err(ExecuteRefusal::PlatformWithoutTemplate { platform, id }),
            Some(Template::Unreadable(why)) => {
                Err(ExecuteRefusal::TemplateUnreadable { platform, id, why: why.clone() })
            }
        }
    }

    /// Puts or moves a job to the front of a queue; it does not pause there.
    fn run_next(&mut self, platform: &Platform, job: &Job, step: &mut Step<'_>) {
        let first = self.queues.get(platform).and_then(|queue| queue.places().next());
        let is_paused = |place: &Place| matches!(place.lane, Lane::Paused(..));
        if first.is_some_and(|(_, place)| place.queued.job == *job.name() && !is_paused(place)) {
            return;
        }
        let place = self.queues.take(platform, job.name(), &mut step.changes);
        let place = place.unwrap_or_else(|| self.new_place(platform, job));
        self.queues.push(platform, End::Front, place, &mut step.changes);
        self.touched.insert(platform.clone());
    }

    pub(crate) fn reschedule(
        &mut self,
        job: &JobName,
        next: Timestamp,
        period: Option<Period>,
        step: &mut Step<'_>,
    ) -> Result<(), Refusal> {
        let Some(entry) = self.calendar.get(job) else { return Err(Refusal::JobNotFound(job.clone())) };
        let entry = ScheduleEntry { next, period: period.unwrap_or(entry.period), job: entry.job.clone() };
        if next <= step.now.wall {
            self.run_due(&entry, step);
        } else {
            self.periodic.remove(job);
            self.calendar.set_next(job, next, entry.period, &mut step.changes);
        }
        Ok(())
    }

    /// The clock was ahead and is set right: no job waits longer than its period for what a wrong clock had decided.
    pub(crate) fn clock_went_back(&mut self, step: &mut Step<'_>) {
        for job in &self.periodic {
            let Some(entry) = self.calendar.get(job) else { continue };
            let (period, latest) = (entry.period, next_after(step.now.wall, entry.period));
            if entry.next > latest {
                self.calendar.set_next(job, latest, period, &mut step.changes);
            }
        }
    }

    /// Queues an entry whose time has come, once, however long ago that was.
    pub(crate) fn run_due(&mut self, entry: &ScheduleEntry, step: &mut Step<'_>) {
        let next = next_after(step.now.wall, entry.period);
        self.periodic.insert(entry.job.name().clone());
        self.calendar.set_next(entry.job.name(), next, entry.period, &mut step.changes);
        self.enqueue(&entry.job, &mut step.changes);
    }

    pub(crate) fn drop_platform(&mut self, platform: Platform, step: &mut Step<'_>) -> Result<(), Refusal> {
        if !self.is_known(&platform) {
            return Err(Refusal::UnknownPlatform(platform));
        }
        for (job, resume) in self.queues.remove(&platform, &mut step.changes) {
            let row = abandoned(job, &platform, resume, step.now.wall, DROPPED);
            step.changes.push(Change::Finished(row));
        }
        let bound: Vec<JobName> = self.calendar.bound(&platform).map(|entry| entry.job.name().clone()).collect();
        for job in bound {
            self.periodic.remove(&job);
            self.calendar.remove(&job, &mut step.changes);
        }
        if self.dropped.insert(platform.clone()) {
            step.changes.push(Change::PlatformDropped(platform));
        }
        Ok(())
    }

    pub(crate) fn undrop_platform(&mut self, platform: &Platform, step: &mut Step<'_>) -> Result<(), Refusal> {
        if !self.dropped.remove(platform) {
            return Err(Refusal::UnknownPlatform(platform.clone()));
        }
        step.changes.push(Change::PlatformUndropped(platform.clone()));
        if self.workers.count(platform) > 0 {
            self.open_queue(platform, &mut step.changes);
        }
        Ok(())
    }
}
