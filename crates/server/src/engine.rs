//! The engine: the one thread that owns the scheduler and the database.
//!
//! It takes whatever events wait, decides all of them, saves once, and only then acts and answers. When a save fails,
//! nothing of the batch happens: everybody in it is refused, and the scheduler is rebuilt from what the disk holds.

use crate::clock::Clock;
use crate::consoles::{ConsoleFeed, Consoles};
use crate::metrics::Metrics;
use builder_model::state::{Change, RunningBuild};
use builder_model::{BuildId, JobName, Platform, ScriptJob, Timestamp};
use builder_sched::{
    Act, Counts, Decision, Event, LostWhy, Now, Reply, Scheduler, Settings, Snapshot, Template, WorkerId,
};
use builder_store::database::{Outbox, Store, Upload};
use builder_store::{StoreError, templates};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Most events that are decided and saved together.
const BATCH_EVENTS_MAX: usize = 1024;
/// Most events that wait for the engine; who has one more waits with it.
const WAITING_EVENTS_MAX: usize = 4096;
/// How long the engine sleeps at most: a clock that was set is noticed within this time.
const SLEEP_MAX: Duration = Duration::from_secs(5);
/// How long the engine waits after a failed save before it lets time pass again.
const FAILED_SAVE_PAUSE: Duration = Duration::from_secs(1);

/// Why the engine did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The scheduler refuses.
    #[error("{0}")]
    Refusal(builder_sched::Refusal),
    /// The disk refuses: nothing happened, and the same request may succeed later.
    #[error("the server could not save the request: {0}")]
    NotSaved(String),
    /// The server stops.
    #[error("the server is stopping")]
    Stopping,
}

/// A build for a worker.
#[derive(Debug)]
pub struct Assignment {
    /// The build.
    pub running: RunningBuild,
    /// What to run.
    pub script: ScriptJob,
    /// Where its console is announced.
    pub feed: Arc<ConsoleFeed>,
    /// Fires when its time is over.
    pub timed_out: oneshot::Receiver<()>,
}

/// What the engine is asked.
#[derive(Debug)]
enum Request {
    Event {
        event: Event,
        reply: oneshot::Sender<Result<Reply, Refused>>,
    },
    WorkerWaits {
        worker: WorkerId,
        platform: Platform,
        assign: oneshot::Sender<Assignment>,
        reply: oneshot::Sender<Result<Reply, Refused>>,
    },
    Question(Question),
}

/// What is answered after the save, from the scheduler and the database as they then are.
#[derive(Debug)]
enum Question {
    Snapshot(oneshot::Sender<Snapshot>),
    Counts(oneshot::Sender<Counts>),
    NextUpload { except: Vec<BuildId>, reply: oneshot::Sender<Result<Option<Upload>, StoreError>> },
    Uploaded { build: BuildId, result: Result<(), String>, reply: oneshot::Sender<Result<(), StoreError>> },
    KeptUploads { before: Timestamp, reply: oneshot::Sender<Result<Vec<(BuildId, JobName)>, StoreError>> },
    RecordRemoved { build: BuildId, reply: oneshot::Sender<Result<(), StoreError>> },
}

/// How everybody else talks to the engine.
#[derive(Debug, Clone)]
pub struct Engine {
    requests: mpsc::Sender<(Instant, Request)>,
}

impl Engine {
    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Refused> {
        let (reply, answer) = oneshot::channel();
        self.requests.send((Instant::now(), request(reply))).await.map_err(|_| Refused::Stopping)?;
        answer.await.map_err(|_| Refused::Stopping)
    }

    /// Lets an event happen; gives what came of it once that is saved.
    pub async fn event(&self, event: Event) -> Result<Reply, Refused> {
        self.ask(|reply| Request::Event { event, reply }).await?
    }

    /// A worker waits; the receiver gets its assignment.
    pub async fn worker_waits(
        &self,
        worker: WorkerId,
        platform: Platform,
    ) -> Result<oneshot::Receiver<Assignment>, Refused> {
        let (assign, assignment) = oneshot::channel();
        self.ask(|reply| Request::WorkerWaits { worker, platform, assign, reply }).await??;
        Ok(assignment)
    }

    /// What is going on.
    pub async fn snapshot(&self) -> Result<Snapshot, Refused> {
        self.ask(|reply| Request::Question(Question::Snapshot(reply))).await
    }

    /// How much is going on: cheap, and so also the question whether the engine lives.
    pub async fn counts(&self) -> Result<Counts, Refused> {
        self.ask(|reply| Request::Question(Question::Counts(reply))).await
    }

    fn ask_blocking<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Question,
    ) -> Result<T, Refused> {
        let (reply, answer) = oneshot::channel();
        let request = Request::Question(question(reply));
        self.requests.blocking_send((Instant::now(), request)).map_err(|_| Refused::Stopping)?;
        let result = answer.blocking_recv().map_err(|_| Refused::Stopping)?;
        result.map_err(|error| Refused::NotSaved(error.to_string()))
    }

    /// The upload that waits longest, for a thread of its own.
    pub fn next_upload(&self, except: Vec<BuildId>) -> Result<Option<Upload>, Refused> {
        self.ask_blocking(|reply| Question::NextUpload { except, reply })
    }

    /// How an upload went.
    pub fn uploaded(&self, build: BuildId, result: Result<(), String>) -> Result<(), Refused> {
        self.ask_blocking(|reply| Question::Uploaded { build, result, reply })
    }

    /// Builds whose records were uploaded before this time and are still kept.
    pub fn kept_uploads(&self, before: Timestamp) -> Result<Vec<(BuildId, JobName)>, Refused> {
        self.ask_blocking(|reply| Question::KeptUploads { before, reply })
    }

    /// The record of a build was removed.
    pub fn record_removed(&self, build: BuildId) -> Result<(), Refused> {
        self.ask_blocking(|reply| Question::RecordRemoved { build, reply })
    }
}

/// What the engine needs to start.
#[derive(Debug)]
pub struct Parts {
    /// The database.
    pub store: Store,
    /// The scheduler's settings.
    pub settings: Settings,
    /// Where the time comes from.
    pub clock: Clock,
    /// Where templates lie.
    pub config: PathBuf,
    /// Whether finished builds are to be uploaded.
    pub outbox: Outbox,
    /// The consoles of builds that have no record yet.
    pub consoles: Arc<Consoles>,
    /// Where to count.
    pub metrics: Arc<Metrics>,
    /// Told when an upload may wait.
    pub upload_waits: std::sync::mpsc::SyncSender<()>,
}

/// Starts the engine on a thread of its own. It ends when every [`Engine`] is gone.
pub fn start(parts: Parts) -> Result<(Engine, std::thread::JoinHandle<()>), anyhow::Error> {
    let (requests, inbox) = mpsc::channel(WAITING_EVENTS_MAX);
    let mut engine = Running::new(parts)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let thread = std::thread::Builder::new().name("engine".to_owned()).spawn(move || {
        runtime.block_on(engine.run(inbox));
    })?;
    Ok((Engine { requests }, thread))
}

struct Running {
    parts: Parts,
    scheduler: Scheduler,
    waiting: HashMap<WorkerId, oneshot::Sender<Assignment>>,
    /// Builds that workers have, with how they are told that their time is over.
    assigned: HashMap<BuildId, oneshot::Sender<()>>,
    /// What was read of templates last.
    templates: HashMap<Platform, templates::Found>,
    /// After a failed save: when time may pass again.
    paused_until: Option<Instant>,
    /// What a scheduler that was built anew wants saved with the next batch.
    unsaved: Vec<Change>,
}

/// A request whose event was decided and whose answer waits for the save.
struct Pending {
    arrived: Instant,
    decision: Decision,
    reply: Option<oneshot::Sender<Result<Reply, Refused>>>,
    /// What the event was about, where acts or answers need it.
    subject: Subject,
}

enum Subject {
    Waits(WorkerId),
    Gone(WorkerId),
    Other,
}

impl Running {
    fn new(mut parts: Parts) -> Result<Self, anyhow::Error> {
        let state = parts.store.load()?;
        let (scheduler, changes) = Scheduler::restore(parts.settings.clone(), state, parts.clock.now());
        parts.store.save(&changes, parts.outbox)?;
        Ok(Self {
            parts,
            scheduler,
            waiting: HashMap::new(),
            assigned: HashMap::new(),
            templates: HashMap::new(),
            paused_until: None,
            unsaved: Vec::new(),
        })
    }

    async fn run(&mut self, mut inbox: mpsc::Receiver<(Instant, Request)>) {
        let mut batch = Vec::with_capacity(BATCH_EVENTS_MAX);
        loop {
            batch.clear();
            let wait = self.time_to_wait();
            if !wait.is_zero() {
                tokio::select! {
                    biased;
                    received = inbox.recv_many(&mut batch, BATCH_EVENTS_MAX) => if received == 0 {
                        return;
                    },
                    () = self.parts.clock.wait(wait, SLEEP_MAX) => {}
                }
            } else {
                while batch.len() < BATCH_EVENTS_MAX
                    && let Ok(request) = inbox.try_recv()
                {
                    batch.push(request);
                }
            }
            self.step(&mut batch);
        }
    }

    fn time_to_wait(&self) -> Duration {
        let now = self.now();
        if let Some(until) = self.paused_until {
            return until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        }
        let wake = self.scheduler.wake_at();
        let due = wake.wall.map(|wall| {
            let milliseconds = u64::try_from(wall.milliseconds_since(now.wall)).unwrap_or(0);
            Duration::from_millis(milliseconds)
        });
        let deadline = wake.monotonic.map(|deadline| deadline.saturating_sub(now.monotonic));
        [due, deadline].into_iter().flatten().min().unwrap_or(SLEEP_MAX)
    }

    fn now(&self) -> Now {
        self.parts.clock.now()
    }

    /// Decides everything in the batch, saves once, then acts and answers.
    fn step(&mut self, batch: &mut Vec<(Instant, Request)>) {
        let mut pending = Vec::new();
        let mut questions = Vec::new();
        self.read_templates(&mut pending);
        for (arrived, request) in batch.drain(..) {
            match request {
                Request::Event { event, reply } => {
                    let subject =
                        if let Event::WorkerGone { worker } = &event { Subject::Gone(*worker) } else { Subject::Other };
                    pending.push(self.decide(arrived, event, Some(reply), subject));
                }
                Request::WorkerWaits { worker, platform, assign, reply } => {
                    self.waiting.insert(worker, assign);
                    let event = Event::WorkerWaits { worker, platform };
                    pending.push(self.decide(arrived, event, Some(reply), Subject::Waits(worker)));
                }
                Request::Question(question) => questions.push(question),
            }
        }
        let paused = self.paused_until.is_some_and(|until| until > Instant::now());
        if !paused {
            self.paused_until = None;
            pending.push(self.decide(Instant::now(), Event::TimePassed, None, Subject::Other));
        }
        self.read_new_templates(&mut pending);
        let mut changes = std::mem::take(&mut self.unsaved);
        changes.extend(pending.iter().flat_map(|pending| pending.decision.changes.iter().cloned()));
        let saved = if changes.is_empty() { Ok(()) } else { self.save(&changes) };
        match saved {
            Ok(()) => self.act(pending),
            Err(error) => self.refuse(pending, &error),
        }
        questions.into_iter().for_each(|question| self.answer(question));
    }

    fn decide(
        &mut self,
        arrived: Instant,
        event: Event,
        reply: Option<oneshot::Sender<Result<Reply, Refused>>>,
        subject: Subject,
    ) -> Pending {
        let now = self.now();
        let decision = self.scheduler.handle(now, event, &mut fresh_build);
        Pending { arrived, decision, reply, subject }
    }

    fn save(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let started = Instant::now();
        let saved = self.parts.store.save(changes, self.parts.outbox);
        self.parts.metrics.saved(started.elapsed());
        saved
    }

    fn act(&mut self, pending: Vec<Pending>) {
        let mut undelivered = Vec::new();
        for Pending { arrived, decision, reply, subject } in pending {
            for act in decision.acts {
                match act {
                    Act::Assign { worker, running, script } => {
                        self.parts.metrics.dispatched(arrived.elapsed());
                        let build = running.build;
                        if !self.assign(worker, running, script) {
                            undelivered.push(build);
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
                self.note(change);
            }
            match (&subject, &decision.reply) {
                (Subject::Waits(worker), Err(_)) | (Subject::Gone(worker), _) => drop(self.waiting.remove(worker)),
                (Subject::Waits(_) | Subject::Other, _) => {}
            }
            if let Some(reply) = reply {
                // Whoever asked may have left; the event happened all the same.
                let _left: Result<(), _> = reply.send(decision.reply.map_err(Refused::Refusal));
            }
        }
        for build in undelivered {
            let event = Event::Lost { build, why: LostWhy::NotDelivered };
            let lost = self.decide(Instant::now(), event, None, Subject::Other);
            match self.save(&lost.decision.changes) {
                Ok(()) => self.act(vec![lost]),
                Err(error) => self.refuse(vec![lost], &error),
            }
        }
    }

    /// What others are told about a change once it is saved.
    fn note(&mut self, change: &Change) {
        if let Change::Finished(finished) = change {
            self.assigned.remove(&finished.build);
            self.parts.metrics.finished(&finished.outcome);
            if finished.record_bytes.is_none() {
                tracing::warn!(build = %finished.build, job = %finished.job, outcome = %finished.outcome, "a build ended without a record");
            }
            self.parts.consoles.finished(finished);
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
        self.paused_until = Some(Instant::now() + FAILED_SAVE_PAUSE);
        for Pending { reply, subject, .. } in pending {
            if let Subject::Waits(worker) | Subject::Gone(worker) = subject {
                self.waiting.remove(&worker);
                // What follows from this is forgotten with the scheduler; but so is the worker, if it still waited.
                self.decide(Instant::now(), Event::WorkerGone { worker }, None, Subject::Other);
            }
            if let Some(reply) = reply {
                let first_line = error.to_string().lines().next().unwrap_or_default().to_owned();
                let _left: Result<(), _> = reply.send(Err(Refused::NotSaved(first_line)));
            }
        }
        let state = match self.parts.store.load() {
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
            Question::NextUpload { except, reply } => {
                let next = self.parts.store.next_upload(&except);
                if let Ok(waiting) = self.parts.store.uploads_waiting() {
                    self.parts.metrics.uploads_waiting(waiting);
                }
                let _left: Result<(), _> = reply.send(next);
            }
            Question::Uploaded { build, result, reply } => {
                let now = self.now().wall;
                let saved = match result {
                    Ok(()) => self.parts.store.uploaded(&build, now),
                    Err(error) => self.parts.store.upload_failed(&build, &error),
                };
                let _left: Result<(), _> = reply.send(saved);
            }
            Question::KeptUploads { before, reply } => {
                let _left: Result<(), _> = reply.send(self.parts.store.kept_uploads(before, BATCH_EVENTS_MAX));
            }
            Question::RecordRemoved { build, reply } => {
                let _left: Result<(), _> = reply.send(self.parts.store.record_removed(&build));
            }
        }
    }

    /// Reads the templates that the scheduler wants to know, and tells it of those that changed.
    fn read_templates(&mut self, pending: &mut Vec<Pending>) {
        for platform in self.scheduler.templates_wanted() {
            self.read_template(platform, pending);
        }
    }

    /// Reads the templates that only matter since this batch, so that no job waits for the next one.
    fn read_new_templates(&mut self, pending: &mut Vec<Pending>) {
        for platform in self.scheduler.templates_wanted() {
            if self.scheduler.wants_template(&platform) {
                self.read_template(platform, pending);
            }
        }
    }

    fn read_template(&mut self, platform: Platform, pending: &mut Vec<Pending>) {
        let found = templates::read(&self.parts.config, &platform);
        if self.templates.get(&platform) == Some(&found) && !self.scheduler.wants_template(&platform) {
            return;
        }
        let template = match found.clone() {
            templates::Found::Missing => Template::Missing,
            templates::Found::Unreadable(why) => {
                tracing::warn!(%platform, "{why}");
                Template::Unreadable(why)
            }
            templates::Found::Present(text) => Template::Present(text),
        };
        self.templates.insert(platform.clone(), found);
        let event = Event::TemplateRead { platform, template };
        pending.push(self.decide(Instant::now(), event, None, Subject::Other));
    }
}

fn fresh_build() -> BuildId {
    let mut bytes = [0; 16];
    // The system has randomness from its start on; without it no id would be safe to use.
    assert!(getrandom::fill(&mut bytes).is_ok(), "the system gives random bytes");
    BuildId::from_random(bytes)
}
