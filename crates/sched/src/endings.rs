//! How builds end: with a record, with another attempt, or over their time. And what is due.

use crate::event::{Act, LostWhy, Refusal, Reply};
use crate::queue::{End, Lane, Place};
use crate::running::{Phase, Running};
use crate::scheduler::{Scheduler, Step};
use builder_model::state::{Change, FinishedBuild, Queued, Resume, RunningBuild};
use builder_model::{BuildId, Outcome, Platform, Timestamp};
use std::time::Duration;

/// Most jobs that one [`Event::TimePassed`](crate::Event::TimePassed) queues, so that no event takes long after the
/// clock jumped. [`Scheduler::wake_at`] stays in the past while more are due.
pub(crate) const DUE_PER_EVENT_MAX: usize = 1000;

/// How long a build is passed over after its first refusal; each further pause is twice as long,
const REFUSAL_PAUSE_MIN: Duration = Duration::from_secs(1);
/// up to this. Who refuses may have many slots, each of which would ask for the next job at once.
const REFUSAL_PAUSE_MAX: Duration = Duration::from_secs(60);

/// What to say of a build that a start of the server interrupted.
pub(crate) const RESTARTED: &str = "the server was started again";
/// What to say of a build that cannot wait in its queue, because one of the same job does.
pub(crate) const ANOTHER_WAITS: &str = "another build of the job waits to run again";

/// What becomes of a build whose attempt ended without a result.
enum Verdict {
    /// Queued again: at this end, with so many retries spent, or in the place that the job has already.
    Again { end: End, retries: u32 },
    /// Over.
    Over(Outcome),
}

impl Scheduler {
    pub(crate) fn lost(&mut self, build: BuildId, why: LostWhy, step: &mut Step<'_>) -> Result<Reply, Refusal> {
        let Some(running) = self.running.get(build) else {
            // Told twice: it waits for its next attempt.
            let waits = self.queues.resume(build).is_some();
            return if waits { Ok(Reply::RunAgain) } else { Err(Refusal::NotRunning(build)) };
        };
        match self.verdict(running, &why) {
            Verdict::Again { end, retries } => {
                if let Some(mut running) = self.running.remove(build, &mut step.changes) {
                    running.build.attempt -= u32::from(why == LostWhy::NotDelivered);
                    self.touched.insert(running.build.platform.clone());
                    let (platform, job) = (running.build.platform.clone(), running.build.job.clone());
                    let refusal = refusal(&why);
                    running.build.refusals += u32::from(refusal.is_some());
                    let pause = refusal_pause(running.build.refusals);
                    self.run_again(running.build, end, retries, &mut step.changes);
                    if let Some(why) = refusal {
                        self.queues.pause(&platform, &job, step.now.monotonic.saturating_add(pause), why.to_owned());
                    }
                }
                Ok(Reply::RunAgain)
            }
            Verdict::Over(outcome) => {
                self.running.end(build, outcome.clone());
                Ok(Reply::Record(outcome))
            }
        }
    }

    fn verdict(&self, running: &Running, why: &LostWhy) -> Verdict {
        if let Phase::Ending(outcome) = &running.phase {
            return Verdict::Over(outcome.clone());
        }
        let build = &running.build;
        let (what, costs, end) = match why {
            LostWhy::WorkerVanished => ("worker lost".to_owned(), 1, End::Back),
            LostWhy::RecordFailed(error) => (format!("the record could not be written: {error}"), 1, End::Back),
            LostWhy::NotDelivered => ("worker lost before it had the build".to_owned(), 0, End::Front),
            LostWhy::Refused(why) => (format!("refused by its worker: {why}"), 0, End::Front),
            LostWhy::ServerRestarted => (RESTARTED.to_owned(), 0, End::Front),
        };
        if let Err(obstacle) = self.may_run_again(build) {
            return Verdict::Over(Outcome::aborted(format!("{what}; {obstacle}")));
        }
        let retries = build.retries.saturating_add(costs);
        if costs > 0 && build.retries >= self.settings.retries_max {
            let text = format!("{what}; attempt {}, no retry is left", build.attempt);
            return Verdict::Over(Outcome::aborted(text));
        }
        let refusals = build.refusals.saturating_add(1);
        if let Some(why) = refusal(why).filter(|_| refusals >= self.settings.refusals_max) {
            let text = format!("no worker could begin it: refused {}, the last time: {why}", times(refusals));
            return Verdict::Over(Outcome::aborted(text));
        }
        Verdict::Again { end, retries }
    }

    /// Whether there is a place for another attempt at a build; if not, why.
    pub(crate) fn may_run_again(&self, build: &RunningBuild) -> Result<(), &'static str> {
        if self.dropped.contains(&build.platform) || !self.queues.has(&build.platform) {
            return Err("the platform is dropped");
        }
        if !self.calendar.belongs(&build.job, &build.platform) {
            return Err("the job is not on the schedule any more");
        }
        let place = self.queues.place(&build.platform, &build.job);
        if place.is_some_and(|place| place.queued.resume.is_some()) {
            return Err(ANOTHER_WAITS);
        }
        Ok(())
    }

    /// Queues a build for another attempt, which [`Self::may_run_again`] allows.
    pub(crate) fn run_again(&mut self, build: RunningBuild, end: End, retries: u32, changes: &mut Vec<Change>) {
        let RunningBuild { attempt: attempts, started, refusals, .. } = build;
        let resume = Some(Resume { build: build.build, attempts, started, refusals });
        let queued = Queued { job: build.job, retries, resume };
        let platform = &build.platform;
        // Who was to get a place at the back keeps the one that the job has: it is nearer to the front.
        if end == End::Back && self.queues.place(platform, &queued.job).is_some() {
            self.queues.set_resume(platform, queued, changes);
            return;
        }
        let before = self.queues.take(platform, &queued.job, changes);
        let retries = before.map_or(retries, |place| place.queued.retries.max(retries));
        self.queue_again(platform, end, Queued { retries, ..queued }, changes);
    }

    /// Queues a job that is on the schedule and not in the queue of a platform.
    fn queue_again(&mut self, platform: &Platform, end: End, queued: Queued, changes: &mut Vec<Change>) {
        let Some(entry) = self.calendar.get(&queued.job) else { return };
        let place = Place { queued, lane: Lane::of(&entry.job), on_trial: false, refused: None };
        self.queues.push(platform, end, place, changes);
        self.touched.insert(platform.clone());
    }

    pub(crate) fn finished(
        &mut self,
        build: BuildId,
        finished: Timestamp,
        outcome: Outcome,
        record_bytes: Option<u64>,
        step: &mut Step<'_>,
    ) -> Result<(), Refusal> {
        let Some(running) = self.running.remove(build, &mut step.changes) else {
            return self.finished_while_queued(build, finished, outcome, record_bytes, step);
        };
        let ran_over = match &running.phase {
            Phase::Until(end) | Phase::RanOver(end) => *end <= step.now.monotonic,
            Phase::Ending(_) => false,
        };
        // A result that came in at the last moment is a result.
        let again = ran_over && matches!(outcome, Outcome::Aborted(_));
        let RunningBuild { job, platform, attempt, retries, started, .. } = running.build;
        let wanted = self.queues.has(&platform) && self.calendar.belongs(&job, &platform);
        let queued = self.queues.place(&platform, &job).is_some();
        if again && retries < self.settings.retries_max && wanted && !queued {
            let queued = Queued { job: job.clone(), retries: retries + 1, resume: None };
            self.queue_again(&platform, End::Back, queued, &mut step.changes);
        }
        let row = FinishedBuild { build, job, platform, attempts: attempt, started, finished, outcome, record_bytes };
        step.changes.push(Change::Finished(row));
        Ok(())
    }

    /// A record was found of a build that waits for another attempt, such as after a power cut between the record
    /// and its row: the build needs no other attempt.
    fn finished_while_queued(
        &mut self,
        build: BuildId,
        finished: Timestamp,
        outcome: Outcome,
        record_bytes: Option<u64>,
        step: &mut Step<'_>,
    ) -> Result<(), Refusal> {
        let refusal = Refusal::NotRunning(build);
        let Some((platform, job)) = self.queues.resume(build).cloned() else { return Err(refusal) };
        let place = self.queues.take(&platform, &job, &mut step.changes);
        let Some(resume) = place.and_then(|place| place.queued.resume) else { return Err(refusal) };
        let (attempts, started) = (resume.attempts, resume.started);
        let row = FinishedBuild { build, job, platform, attempts, started, finished, outcome, record_bytes };
        step.changes.push(Change::Finished(row));
        Ok(())
    }

    pub(crate) fn time_passed(&mut self, step: &mut Step<'_>) {
        while let Some(running) = self.running.run_over(step.now.monotonic) {
            step.acts.push(Act::TimedOut { worker: running.worker, build: running.build.build });
        }
        while let Some(platform) = self.queues.end_pause(step.now.monotonic) {
            self.touched.insert(platform);
        }
        for _ in 0..DUE_PER_EVENT_MAX {
            let Some(entry) = self.calendar.due_at(step.now.wall) else { return };
            self.run_due(&entry, step);
        }
    }
}

/// Why a worker refused, if it did.
fn refusal(why: &LostWhy) -> Option<&str> {
    match why {
        LostWhy::Refused(why) => Some(why),
        LostWhy::WorkerVanished | LostWhy::RecordFailed(_) | LostWhy::NotDelivered | LostWhy::ServerRestarted => None,
    }
}

/// How long a build is passed over that was refused so often.
fn refusal_pause(refusals: u32) -> Duration {
    let doublings = refusals.saturating_sub(1).min(u32::BITS - 1);
    REFUSAL_PAUSE_MIN.saturating_mul(1 << doublings).min(REFUSAL_PAUSE_MAX)
}

/// A count of times, in words.
pub(crate) fn times(count: u32) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}
