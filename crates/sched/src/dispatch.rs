//! Workers that wait, and jobs that are handed to them.

use crate::event::{Act, Refusal, WorkerId};
use crate::queue::Place;
use crate::running::{Phase, Running};
use crate::scheduler::{Scheduler, Step};
use crate::templates::fill;
use builder_model::state::{Queued, Resume, RunningBuild};
use builder_model::{Job, Platform, ScriptJob, TemplateId};

impl Scheduler {
    pub(crate) fn worker_waits(
        &mut self,
        worker: WorkerId,
        platform: Platform,
        step: &mut Step<'_>,
    ) -> Result<(), Refusal> {
        if self.running.is_busy(worker) {
            return Err(Refusal::WorkerBusy);
        }
        if !self.dropped.contains(&platform) && !self.queues.has(&platform) {
            self.room_for(&platform)?;
            self.open_queue(&platform, &mut step.changes);
        }
        self.touched.insert(platform.clone());
        self.workers.wait(worker, platform);
        Ok(())
    }

    /// Hands jobs of a platform to its waiting workers, until either are gone.
    pub(crate) fn dispatch(&mut self, platform: &Platform, step: &mut Step<'_>) {
        while let Some(worker) = self.workers.first(platform) {
            let Some((place, script)) = self.take_head(platform, step) else { return };
            self.workers.leave(worker);
            self.assign(worker, place, script, step);
        }
    }

    /// Takes the first job that can be handed out, with the script that its worker runs.
    fn take_head(&mut self, platform: &Platform, step: &mut Step<'_>) -> Option<(Place, ScriptJob)> {
        loop {
            let has_template = |id: &TemplateId| self.templates.text(platform, id).is_some();
            let (position, name) = self.queues.head(platform, has_template)?;
            let job = self.calendar.get(name).map(|entry| &entry.job);
            assert!(job.is_some(), "queued job {name} is on the schedule");
            let filled = match (job?, job?.template()) {
                (Job::Script(script), _) => Ok(script.clone()),
                (job, Some(id)) => fill(job, self.templates.text(platform, &id)?, platform).map_err(|why| (id, why)),
                (Job::Templated(_) | Job::Parameter(_), None) => return None,
            };
            match filled {
                Ok(script) => return Some((self.queues.take(platform, &script.name, &mut step.changes)?, script)),
                Err((id, why)) => self.queues.set_aside(platform, position, id, why),
            }
        }
    }

    fn assign(&mut self, worker: WorkerId, place: Place, script: ScriptJob, step: &mut Step<'_>) {
        let Queued { job, retries, resume } = place.queued;
        let fresh = || Resume { build: (step.fresh_build)(), attempts: 0, started: step.now.wall, refusals: 0 };
        let Resume { build, attempts, started, refusals } = resume.unwrap_or_else(fresh);
        let platform = script.platform.clone();
        let limit = self.settings.limit(&job, &platform);
        let attempt = attempts.saturating_add(1);
        let build = RunningBuild { build, job, platform, attempt, retries, started, refusals };
        let phase = Phase::Until(step.now.monotonic.saturating_add(limit));
        let running = Running { build: build.clone(), worker, script: script.clone(), phase };
        self.running.add(running, &mut step.changes);
        step.acts.push(Act::Assign { worker, running: build, script });
    }
}
