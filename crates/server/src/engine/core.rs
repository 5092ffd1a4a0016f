//! What the engine does with a batch: decide, save, act, answer. It knows no thread and no channel to come from, so that
//! a simulator can drive it.

use super::{
    Assignment, FailedUpload, KEPT_UPLOADS_MAX, NextTry, Parts, Question, Refused, Request, SLEEP_MAX, UPLOAD_PAUSE_MAX,
};
use crate::clock::Clock;
use crate::templates;
use builder_model::state::{Change, RunningBuild};
use builder_model::{BuildId, Platform, ScriptJob, TemplateId};
use builder_sched::{Act, Decision, Event, LostWhy, Now, Reply, Scheduler, Template, WorkerId};
use builder_store::StoreError;
use builder_store::database::{NextUpload, Outbox};
use builder_store::small::SmallRecord;
use builder_store::templates::Reading;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How many templates are remembered beside those that matter, which may be twice as many.
const TEMPLATES_LEFT_OVER_MAX: usize = 64;
/// How long the engine waits after a failed save before it lets time pass again.
const FAILED_SAVE_PAUSE: Duration = Duration::from_secs(1);

/// The engine itself, without its thread.
pub struct Core {
    parts: Parts,
    scheduler: Scheduler,
    waiting: HashMap<WorkerId, oneshot::Sender<Assignment>>,
    /// Builds that workers have, with how they are told that their time is over.
    assigned: HashMap<BuildId, oneshot::Sender<()>>,
    /// What was read of templates last.
    templates: HashMap<(Platform, TemplateId), Reading>,
    /// After a failed save: when time may pass again.
    paused_until: Option<Duration>,
    /// What a scheduler that was built anew wants saved with the next batch.
    unsaved: Vec<Change>,
    /// Builds whose workers were gone when they were handed out; the scheduler does not know yet.
    undelivered: Vec<BuildId>,
}

/// A request whose event was decided and whose answer waits for the save.
struct Pending {
    arrived: Instant,
    decision: Decision,
    /// To be saved with the end of its build.
    record: Option<Arc<SmallRecord>>,
    reply: Option<oneshot::Sender<Result<Reply, Refused>>>,
    /// What the event was about, where acts or answers need it.
    subject: Subject,
}

impl Pending {
    /// The small record, if its build ends with this.
    fn record(&self) -> Option<&SmallRecord> {
        let record = self.record.as_deref()?;
        let ends = |change: &Change| matches!(change, Change::Finished(build) if build.build == record.build);
        self.decision.changes.iter().any(ends).then_some(record)
    }
}

enum Subject {
    Waits(WorkerId),
    Gone(WorkerId),
    Undelivered(BuildId),
    Other,
}

impl Core {
    /// An engine over the database of its parts, and what was on the way when the last one ended.
    pub fn new(mut parts: Parts) -> Result<Self, anyhow::Error> {
        let state = parts.disk.load()?;
        let (scheduler, changes) = Scheduler::restore(parts.settings.clone(), state, parts.clock.now());
        parts.disk.save(&changes, parts.outbox, &[])?;
        let mut core = Self {
            parts,
            scheduler,
            waiting: HashMap::new(),
            assigned: HashMap::new(),
            templates: HashMap::new(),
            paused_until: None,
            unsaved: Vec::new(),
            undelivered: Vec::new(),
        };
        changes.iter().for_each(|change| core.note(change, None));
        Ok(core)
    }

    /// How long nothing happens unless somebody asks for something; zero when something is due.
    pub fn time_to_wait(&self) -> Duration {
        let now = self.now();
        if let Some(until) = self.paused_until {
            return until.saturating_sub(now.monotonic).max(Duration::from_millis(1));
        }
        if !self.undelivered.is_empty() {
            return Duration::ZERO;
        }
        let wake = self.scheduler.wake_at();
        let due = wake.wall.map(|wall| {
            let milliseconds = u64::try_from(wall.milliseconds_since(now.wall)).unwrap_or(0);
            Duration::from_millis(milliseconds)
        });
        let deadline = wake.monotonic.map(|deadline| deadline.saturating_sub(now.monotonic));
        [due, deadline].into_iter().flatten().min().unwrap_or(SLEEP_MAX)
    }

    /// The clock that it goes by.
    pub fn clock(&mut self) -> &mut Clock {
        &mut self.parts.clock
    }

    /// The scheduler, to be looked at.
    pub fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// Whether the scheduler holds something that is to be saved with the next batch.
    pub fn has_unsaved_changes(&self) -> bool {
        !self.unsaved.is_empty()
    }

    fn now(&self) -> Now {
        self.parts.clock.now()
    }

    /// Decides everything in the batch, saves once, then acts and answers.
    pub fn step(&mut self, batch: &mut Vec<(Instant, Request)>) {
        let mut pending = Vec::new();
        let mut questions = Vec::new();
        self.read_templates(&mut pending);
        for build in std::mem::take(&mut self.undelivered) {
            self.take_back(build, &mut pending);
        }
        for (arrived, request) in batch.drain(..) {
            match request {
                Request::Event { event, record, reply } => {
                    let subject =
                        if let Event::WorkerGone { worker } = &event { Subject::Gone(*worker) } else { Subject::Other };
                    let decided = self.decide(arrived, event, Some(reply), subject);
                    pending.push(Pending { record, ..decided });
                }
                Request::WorkerWaits { worker, platform, assign, reply } => {
                    self.waiting.insert(worker, assign);
                    let event = Event::WorkerWaits { worker, platform };
                    pending.push(self.decide(arrived, event, Some(reply), Subject::Waits(worker)));
                }
                Request::Question(question) => questions.push(question),
            }
        }
        let paused = self.paused_until.is_some_and(|until| until > self.now().monotonic);
        if !paused {
            self.paused_until = None;
            pending.push(self.decide(Instant::now(), Event::TimePassed, None, Subject::Other));
        }
        self.read_new_templates(&mut pending);
        let healed = std::mem::take(&mut self.unsaved);
        let mut changes = healed.clone();
        changes.extend(pending.iter().flat_map(|pending| pending.decision.changes.iter().cloned()));
        let records: Vec<&SmallRecord> = pending.iter().filter_map(Pending::record).collect();
        let saved = if changes.is_empty() { Ok(()) } else { self.save(&changes, &records) };
        match saved {
            Ok(()) => {
                self.scheduler.saved();
                healed.iter().for_each(|change| self.note(change, None));
                self.act(pending);
            }
            Err(error) => self.refuse(pending, &error),
        }
        questions.into_iter().for_each(|question| self.answer(question));
    }

    /// A build whose worker was gone runs elsewhere; if its job is gone as well, it ends without a record, for nobody has
    /// its console open.
    fn take_back(&mut self, build: BuildId, pending: &mut Vec<Pending>) {
        let event = Event::Lost { build, why: LostWhy::NotDelivered };
        let lost = self.decide(Instant::now(), event, None, Subject::Undelivered(build));
        let verdict = lost.decision.reply.clone();
        pending.push(lost);
        if let Ok(Reply::Record(outcome)) = verdict {
            let finished = self.now().wall;
            let event = Event::Finished { build, finished, outcome, record_bytes: None };
            pending.push(self.decide(Instant::now(), event, None, Subject::Other));
        }
    }

    fn decide(
        &mut self,
        arrived: Instant,
        event: Event,
        reply: Option<oneshot::Sender<Result<Reply, Refused>>>,
        subject: Subject,
    ) -> Pending {
        let now = self.now();
        let decision = self.scheduler.handle(now, event, &mut *self.parts.fresh_build);
        Pending { arrived, decision, record: None, reply, subject }
    }

    fn save(&mut self, changes: &[Change], records: &[&SmallRecord]) -> Result<(), StoreError> {
        let started = Instant::now();
        let saved = self.parts.disk.save(changes, self.parts.outbox, records);
        self.parts.metrics.saved(started.elapsed());
        saved
    }

    fn act(&mut self, pending: Vec<Pending>) {
        for Pending { arrived, decision, record, reply, subject } in pending {
            for act in decision.acts {
                match act {
                    Act::Assign { worker, running, script } => {
                        self.parts.metrics.dispatched(arrived.elapsed());
                        let build = running.build;
                        if !self.assign(worker, running, script) {
                            self.undelivered.push(build);
                        }
                    }
                    Act::TimedOut { worker: _, build } => {
                        // A session that is gone has said so already, or will: the scheduler hears of it.
                        if let Some(timed_out) = self.assigned.remove(&build) {
                            let _gone: Result<(), ()> = timed_out.send(());
                        }
                    }
                }
            }
            for change in &decision.changes {
                self.note(change, record.as_ref());
            }
            match (&subject, &decision.reply) {
                (Subject::Waits(worker), Err(_)) | (Subject::Gone(worker), _) => drop(self.waiting.remove(worker)),
                (Subject::Waits(_) | Subject::Undelivered(_) | Subject::Other, _) => {}
            }
            if let Some(reply) = reply {
                // Whoever asked may have left; the event happened all the same.
                let _left: Result<(), _> = reply.send(decision.reply.map_err(Refused::Refusal));
            }
        }
    }

    /// What others are told about a change once it is saved, with the small record that was saved beside it.
    fn note(&mut self, change: &Change, record: Option<&Arc<SmallRecord>>) {
        if let Change::Finished(finished) = change {
            self.assigned.remove(&finished.build);
            self.parts.metrics.finished(&finished.outcome);
            if finished.record_bytes.is_none() {
                tracing::warn!(build = %finished.build, job = %finished.job, outcome = %finished.outcome, "a build ended without a record");
            }
            match record.filter(|record| record.build == finished.build) {
                Some(record) => (self.parts.place_record)(record.clone(), finished.clone()),
                None => self.parts.consoles.finished(finished),
            }
            if self.parts.outbox == Outbox::Fill {
                // A full channel means that the uploader knows already.
                let _knows: Result<(), _> = self.parts.upload_waits.try_send(());
            }
        }
    }

    /// Hands a build to its worker's session; says whether that is still there.
    fn assign(&mut self, worker: WorkerId, running: RunningBuild, script: ScriptJob) -> bool {
        let Some(assign) = self.waiting.remove(&worker) else { return false };
        let (time_over, timed_out) = oneshot::channel();
        let feed = self.parts.consoles.feed(&running.build);
        let build = running.build;
        if assign.send(Assignment { running, script, feed, timed_out }).is_err() {
            return false;
        }
        self.assigned.insert(build, time_over);
        true
    }

    /// The save failed: nothing of the batch happened. The scheduler is built anew from the disk, and told who waits
    /// and who runs what.
    fn refuse(&mut self, pending: Vec<Pending>, error: &StoreError) {
        tracing::error!("{error}");
        self.parts.metrics.save_failed();
        self.paused_until = Some(self.now().monotonic + FAILED_SAVE_PAUSE);
        for Pending { reply, subject, .. } in pending {
            match subject {
                Subject::Waits(worker) | Subject::Gone(worker) => {
                    self.waiting.remove(&worker);
                    // What follows from this is forgotten with the scheduler; but so is the worker, if it still waited.
                    self.decide(Instant::now(), Event::WorkerGone { worker }, None, Subject::Other);
                }
                Subject::Undelivered(build) => self.undelivered.push(build),
                Subject::Other => {}
            }
            if let Some(reply) = reply {
                let first_line = error.to_string().lines().next().unwrap_or_default().to_owned();
                let _left: Result<(), _> = reply.send(Err(Refused::NotSaved(first_line)));
            }
        }
        let state = match self.parts.disk.load() {
            Ok(state) => state,
            Err(error) => {
                // Neither writing nor reading works: what is on the disk is whole, and a new start finds it.
                tracing::error!("{error}");
                tracing::error!("the server ends itself: its memory and its disk may differ");
                std::process::abort();
            }
        };
        let (settings, live) = (self.parts.settings.clone(), self.scheduler.live());
        (self.scheduler, self.unsaved) = Scheduler::restore_live(settings, state, live, self.now());
    }

    fn answer(&mut self, question: Question) {
        // Whoever asked may have left: then nobody needs the answer.
        match question {
            Question::Snapshot(reply) => {
                let _left: Result<(), _> = reply.send(self.scheduler.snapshot());
            }
            Question::Counts(reply) => {
                let _left: Result<(), _> = reply.send(self.scheduler.counts());
            }
            Question::UploadsWaiting(reply) => {
                let _left: Result<(), _> = reply.send(self.parts.disk.uploads_waiting());
            }
            Question::NextUpload { reply } => {
                let _left: Result<(), _> = reply.send(self.next_upload());
            }
            Question::Uploaded { build, result, reply } => {
                let now = self.now().wall;
                let saved = match result {
                    Ok(()) => self.parts.disk.uploaded(&build, now),
                    Err(FailedUpload { why, pause }) => {
                        self.parts.disk.upload_failed(&build, &why, now.plus_milliseconds(milliseconds(pause)))
                    }
                };
                let _left: Result<(), _> = reply.send(saved);
            }
            Question::KeptUploads { keep, after, reply } => {
                let before = self.now().wall.plus_milliseconds(-milliseconds(keep));
                let kept = self.parts.disk.kept_uploads(before, after.as_ref(), KEPT_UPLOADS_MAX);
                let _left: Result<(), _> = reply.send(kept);
            }
            Question::RecordRemoved { build, reply } => {
                let _left: Result<(), _> = reply.send(self.parts.disk.record_removed(&build));
            }
            Question::SmallRecord { build, reply } => {
                let _left: Result<(), _> = reply.send(self.parts.disk.small_record(&build));
            }
            Question::RecordsSynced { builds, reply } => {
                let _left: Result<(), _> = reply.send(self.parts.disk.records_synced(&builds));
            }
        }
    }

    fn next_upload(&self) -> Result<NextTry, StoreError> {
        let now = self.now().wall;
        let horizon = now.plus_milliseconds(milliseconds(UPLOAD_PAUSE_MAX));
        Ok(match self.parts.disk.next_upload(now, horizon)? {
            NextUpload::Due(upload) => NextTry::Due(upload),
            NextUpload::Later(at) => {
                let wait = u64::try_from(at.milliseconds_since(now)).unwrap_or(0);
                NextTry::Later(Duration::from_millis(wait))
            }
            NextUpload::Nothing => NextTry::Nothing,
        })
    }

    /// Reads the templates that the scheduler wants to know, and tells it of those that changed.
    fn read_templates(&mut self, pending: &mut Vec<Pending>) {
        let wanted = self.scheduler.templates_wanted();
        if self.templates.len() > wanted.len().saturating_mul(2) + TEMPLATES_LEFT_OVER_MAX {
            self.templates.clear();
        }
        for (platform, id) in wanted {
            self.read_template(platform, id, pending);
        }
    }

    /// Reads the templates that only matter since this batch, so that no job waits for the next one.
    fn read_new_templates(&mut self, pending: &mut Vec<Pending>) {
        for (platform, id) in self.scheduler.templates_wanted() {
            if self.scheduler.wants_template(&platform, &id) {
                self.read_template(platform, id, pending);
            }
        }
    }

    fn read_template(&mut self, platform: Platform, id: TemplateId, pending: &mut Vec<Pending>) {
        let key = (platform, id);
        let known = self.templates.get(&key);
        let (platform, id) = &key;
        let is_wanted = self.scheduler.wants_template(platform, id);
        if !is_wanted && known.is_some_and(|known| known.is_fresh(&self.parts.config, id, platform)) {
            return;
        }
        let reading = Reading::of(&self.parts.config, id, platform, self.now().wall);
        let is_known = known.is_some_and(|known| known.found == reading.found);
        if !is_known || is_wanted {
            let template = templates::understood(&reading.found, id, platform, &self.parts.config);
            if let Template::Unreadable(why) = &template {
                tracing::warn!(%platform, "{why}");
            }
            let event = Event::TemplateRead { platform: platform.clone(), id: id.clone(), template };
            pending.push(self.decide(Instant::now(), event, None, Subject::Other));
        }
        self.templates.insert(key, reading);
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
