//! A worker: it asks for a job, waits, runs one build, and is gone.
//!
//! The session owns the console of the build while it runs. Whatever happens to the worker, the build gets its
//! verdict from the engine: it runs again, or it has a record that says why not.

use super::{HELLO_LIMIT, SessionError, finish, next_head, within};
use crate::Shared;
use crate::connection::{Connection, ConnectionError, PROGRESS_LIMIT};
use crate::consoles::ConsoleFeed;
use crate::engine::{Assignment, Refused};
use builder_model::state::RunningBuild;
use builder_model::{BuildId, Outcome, Platform, ScriptJob, Timestamp, outcome};
use builder_sched::{Event, LostWhy, Reply, WorkerId};
use builder_store::StoreError;
use builder_store::console::ConsoleWriter;
use builder_store::record::{Finished, RecordWriter, Summary};
use builder_store::small::SmallRecord;
use builder_wire::record::ConsoleLine;
use builder_wire::session::server::{Session, Step};
use builder_wire::{Message, MessageKind, Told};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::block_in_place;

/// How often a console that grows is synced to disk.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// How long to wait before the engine is asked again after a save that failed, at first and at most.
const SAVE_PAUSE_MIN: Duration = Duration::from_millis(250);
const SAVE_PAUSE_MAX: Duration = Duration::from_secs(30);
/// How often a record of a console alone is tried, which with these pauses takes about an hour.
const RECORD_TRIES_MAX: u32 = 120;

pub(super) async fn serve(mut connection: Box<Connection>, mut session: Session, shared: Arc<Shared>) {
    let peer = connection.peer;
    match wait_for_build(&mut connection, &mut session, &shared).await {
        // On the heap, so that a worker that waits is small.
        Ok(Some(assignment)) => Box::pin(serve_build(connection, session, shared, assignment)).await,
        Ok(None) => connection.close().await,
        Err(SessionError::Connection(ConnectionError::Closed)) => tracing::debug!(%peer, "a worker left"),
        Err(error) => {
            tracing::warn!(%peer, "a worker is sent away: {error}");
            connection.close().await;
        }
    }
}

/// From the assignment to the end of the build at this worker.
async fn serve_build(
    mut connection: Box<Connection>,
    mut session: Session,
    shared: Arc<Shared>,
    assignment: Box<Assignment>,
) {
    let peer = connection.peer;
    let Assignment { running, script, feed, timed_out } = *assignment;
    tracing::info!(%peer, build = %running.build, attempt = running.attempt, "{} on {} begins", running.job, running.platform);
    let open = || ConsoleWriter::open(&shared.folder.console(&running.build));
    // Only the console of an attempt before has to be read.
    let console = if running.attempt == 1 { open() } else { block_in_place(open) };
    let console = match console {
        Ok(console) => console,
        Err(error) => {
            tracing::error!(build = %running.build, "{error}");
            // Nobody began the job, so it does not pay for the disk; and while the disk is full, not every worker that
            // waits is sent away at once.
            tokio::time::sleep(SAVE_PAUSE_MIN).await;
            never_began(&shared, running.build, LostWhy::NotDelivered).await;
            return connection.close().await;
        }
    };
    let mut verdict = VerdictOwed { build: Some(running.build), shared: shared.clone() };
    let stopwatch = Stopwatch::start(&running, shared.settings.clock.now().wall);
    let mut run = Run { running, script, console, feed, stopwatch, shared };
    run.mark_attempt();
    session.assigned(run.running.build);
    let ending = run.serve(&mut connection, session, timed_out).await;
    if let Ending::Refused(why) = &ending {
        tracing::warn!(%peer, build = %run.running.build, "the worker refuses {}: {why}", run.running.job);
    }
    let ended = run.end(ending).await;
    verdict.build = None;
    if ended == Ended::Answered {
        connection.close().await;
    }
}

/// A build at a worker must come to an end whatever happens to its session, a mistake of ours included.
struct VerdictOwed {
    build: Option<BuildId>,
    shared: Arc<Shared>,
}

impl Drop for VerdictOwed {
    fn drop(&mut self) {
        if let Some(build) = self.build
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            tracing::error!(%build, "the session of this build ended badly: it counts as lost");
            let shared = self.shared.clone();
            runtime.spawn(async move { never_began(&shared, build, LostWhy::WorkerVanished).await });
        }
    }
}

/// Asks the engine for a build, and waits for it; `None` when the server stops.
async fn wait_for_build(
    connection: &mut Connection,
    session: &mut Session,
    shared: &Shared,
) -> Result<Option<Box<Assignment>>, SessionError> {
    let head = within(HELLO_LIMIT, async {
        let head = next_head(connection, session).await?;
        connection.whole(head).await?;
        Ok(head)
    });
    let head = head.await?;
    let bytes = connection.inbox.message(head).unwrap_or_default();
    let message = Message::decode(bytes)?;
    let Step::JobRequested(name) = session.receive(&message)? else { return Ok(None) };
    let platform = Platform::parse(name).map_err(|error| SessionError::Refused(error.to_string()))?;
    connection.inbox.message_done(head);
    if !connection.inbox.bytes().is_empty() {
        return Err(spoke_while_waiting(connection, session));
    }
    connection.inbox.release();
    let worker = WorkerId(shared.next_worker.fetch_add(1, Ordering::Relaxed));
    tracing::debug!(peer = %connection.peer, %platform, "a worker waits");
    let refused = |refused: Refused| SessionError::Refused(refused.to_string());
    let mut assignment = shared.engine.worker_waits(worker, platform).await.map_err(refused)?;
    let mut stopping = shared.stopping.clone();
    let result = tokio::select! {
        biased;
        assigned = &mut assignment => return Ok(assigned.ok().map(Box::new)),
        _ = stopping.wait_for(|stopping| *stopping) => Ok(None),
        filled = connection.fill() => Err(match filled {
            Err(error) => error.into(),
            Ok(()) => spoke_while_waiting(connection, session),
        }),
    };
    // The engine may have assigned a build at this very moment: then it never reached the worker.
    assignment.close();
    match assignment.try_recv() {
        Ok(assigned) => never_began(shared, assigned.running.build, LostWhy::NotDelivered).await,
        Err(_) => drop(insist(shared, Event::WorkerGone { worker }).await),
    }
    result
}

fn spoke_while_waiting(connection: &Connection, session: &Session) -> SessionError {
    match connection.inbox.head() {
        Ok(Some(head)) => match session.admits(head.kind) {
            Err(violation) => violation.into(),
            Ok(()) => SessionError::Refused("a worker spoke while it waited".to_owned()),
        },
        Ok(None) => SessionError::Refused("a worker spoke while it waited".to_owned()),
        Err(error) => ConnectionError::from(error).into(),
    }
}

/// Lets an event happen however often it takes until it is saved; `None` when the server stops.
pub(super) async fn insist(shared: &Shared, event: Event) -> Option<Reply> {
    insist_with_record(shared, event, None).await
}

/// The same, for the end of a build whose record is small.
async fn insist_with_record(shared: &Shared, event: Event, record: Option<&Arc<SmallRecord>>) -> Option<Reply> {
    let mut pause = SAVE_PAUSE_MIN;
    loop {
        match shared.engine.event_with_record(event.clone(), record.cloned()).await {
            Ok(reply) => return Some(reply),
            Err(Refused::Refusal(refusal)) => {
                tracing::error!("the scheduler refused {event:?}: {refusal}");
                return None;
            }
            Err(Refused::Stopping) => return None,
            Err(Refused::NotSaved(_)) => {
                if *shared.stopping.borrow() {
                    return None;
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(SAVE_PAUSE_MAX);
            }
        }
    }
}

/// A build that was assigned, but of which the worker never heard.
async fn never_began(shared: &Shared, build: BuildId, why: LostWhy) {
    if let Some(Reply::Record(outcome)) = insist(shared, Event::Lost { build, why }).await {
        let finished = shared.settings.clock.now().wall;
        insist(shared, Event::Finished { build, finished, outcome, record_bytes: None }).await;
    }
}

fn first_line(error: &StoreError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// How a build's time at this worker ended.
pub(super) enum Ending {
    /// The worker handed it in: this is its record, complete but not yet durable.
    HandedIn(Box<RecordWriter>),
    /// It may not go on: it gets a record with this outcome, and no files.
    Ended(Outcome),
    /// The worker is gone, or talks nonsense.
    Vanished(String),
    /// The worker cannot begin the job, and says why.
    Refused(String),
    /// The disk refused.
    NotWritten(StoreError),
    /// The server stops: the build stays recorded as running.
    Stopping,
}

/// Whether the worker still wants to see its connection closed in order.
#[derive(PartialEq, Eq)]
enum Ended {
    Answered,
    Gone,
}

/// Nanoseconds since the start of a build, over all its attempts.
struct Stopwatch {
    before: Duration,
    since: Instant,
}

impl Stopwatch {
    fn start(running: &RunningBuild, now: Timestamp) -> Self {
        let before = if running.attempt == 1 {
            Duration::ZERO
        } else {
            let passed = now.milliseconds_since(running.started);
            Duration::from_millis(u64::try_from(passed).unwrap_or(0))
        };
        Self { before, since: Instant::now() }
    }

    fn delta(&self) -> i64 {
        i64::try_from((self.before + self.since.elapsed()).as_nanos()).unwrap_or(i64::MAX)
    }
}

/// A build at a worker.
pub(super) struct Run {
    pub(super) running: RunningBuild,
    pub(super) script: ScriptJob,
    pub(super) console: ConsoleWriter,
    feed: Arc<ConsoleFeed>,
    stopwatch: Stopwatch,
    pub(super) shared: Arc<Shared>,
}

impl Run {
    /// Serves the worker until its build ends, one way or the other.
    async fn serve(
        &mut self,
        connection: &mut Connection,
        mut session: Session,
        mut timed_out: oneshot::Receiver<()>,
    ) -> Ending {
        let assignment = Message::JobSchedule { build: self.running.build, job: (&self.script).into() };
        if let Err(error) = connection.send(&assignment).await {
            return Ending::Vanished(error.to_string());
        }
        let mut stopping = self.shared.stopping.clone();
        let mut sync = tokio::time::interval(SYNC_INTERVAL);
        sync.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut synced_bytes = 0;
        loop {
            match self.take_lines(connection, &mut session) {
                Ok(None) => {}
                Ok(Some(head)) => return finish::receive(self, connection, session, head).await,
                Err(ending) => return ending,
            }
            let patience = if connection.inbox.bytes().is_empty() { Duration::MAX } else { PROGRESS_LIMIT };
            if patience == Duration::MAX {
                connection.inbox.release();
            }
            tokio::select! {
                filled = connection.fill_within(patience) => if let Err(error) = filled {
                    return Ending::Vanished(error.to_string());
                },
                over = &mut timed_out => match over {
                    Ok(()) => return Ending::Ended(Outcome::aborted(outcome::TIMEOUT)),
                    // The engine forgot the build only if it stops, or if another event ended it.
                    Err(_) => return Ending::Stopping,
                },
                _ = stopping.wait_for(|stopping| *stopping) => return Ending::Stopping,
                _ = sync.tick() => {
                    let bytes = self.console.extent().log_bytes();
                    if bytes != synced_bytes {
                        synced_bytes = bytes;
                        if let Err(error) = block_in_place(|| self.console.sync()) {
                            return Ending::NotWritten(error);
                        }
                    }
                }
            }
        }
    }

    /// Takes all whole lines that came, and announces them; gives the head of a `jobFinished` that begins.
    fn take_lines(
        &mut self,
        connection: &mut Connection,
        session: &mut Session,
    ) -> Result<Option<builder_wire::frame::Head>, Ending> {
        let vanished = |error: &dyn std::fmt::Display| Ending::Vanished(error.to_string());
        let mut finished = None;
        while let Some(head) = connection.inbox.head().map_err(|error| vanished(&error))? {
            session.admits(head.kind).map_err(|violation| vanished(&violation))?;
            if head.kind == MessageKind::JobFinished {
                finished = Some(head);
                if !self.console.has_file() && connection.inbox.message(head).is_some() {
                    // The build has ended before anybody could see these lines: they need no log.
                    return Ok(finished);
                }
                break;
            }
            let Some(bytes) = connection.inbox.message(head) else { break };
            let message = Message::decode(bytes).map_err(|error| vanished(&error))?;
            let step = session.receive(&message).map_err(|violation| vanished(&violation))?;
            match step {
                Step::Line(line) => self.console.append(ConsoleLine { delta: self.stopwatch.delta(), line }),
                Step::Told(Told::Refused(reason)) => return Err(Ending::Refused(finish::one_line(reason))),
                Step::Greet(_) | Step::Command(_) | Step::JobRequested(_) | Step::Finished => {}
            }
            connection.inbox.message_done(head);
            let limit = self.shared.settings.console_bytes_max;
            if self.console.extent().log_bytes() > limit {
                self.flush().map_err(Ending::NotWritten)?;
                let reason = format!("the console is over its limit of {limit} bytes");
                return Err(Ending::Ended(Outcome::aborted(reason)));
            }
        }
        self.flush().map_err(Ending::NotWritten)?;
        Ok(finished)
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        if self.console.is_full() {
            block_in_place(|| self.console.flush())?;
        } else {
            self.console.flush()?;
        }
        self.feed.announce(self.console.extent().log_bytes());
        Ok(())
    }

    /// A line of the server's own in the console.
    fn say(&mut self, text: &str) {
        let line = format!("builder-server: {text}");
        self.console.append(ConsoleLine { delta: self.stopwatch.delta(), line: line.as_bytes() });
        if let Err(error) = self.flush() {
            tracing::error!(build = %self.running.build, "{error}");
        }
    }

    fn mark_attempt(&mut self) {
        let attempt = self.running.attempt;
        if attempt > 1 {
            self.say(&format!("attempt {attempt} begins"));
        }
    }

    pub(super) fn summary(&self, finished: Timestamp, outcome: Outcome) -> Summary {
        Summary {
            job: self.script.clone(),
            build: self.running.build,
            started: self.running.started,
            finished,
            outcome,
        }
    }

    /// Brings the build to its end, or back into its queue.
    async fn end(mut self, ending: Ending) -> Ended {
        let build = self.running.build;
        match ending {
            Ending::HandedIn(record) => self.store(*record).await,
            Ending::Ended(outcome) => {
                self.say(&format!("{outcome}"));
                self.record_without_files(outcome).await;
                Ended::Answered
            }
            Ending::Vanished(why) => {
                tracing::warn!(%build, "the worker of {} is lost: {why}", self.running.job);
                self.say(&format!("the worker is lost: {why}"));
                self.lost(LostWhy::WorkerVanished).await;
                Ended::Answered
            }
            Ending::Refused(why) => {
                self.say(&format!("the worker refuses the build: {why}"));
                self.shared.metrics.refused();
                self.lost(LostWhy::Refused(why)).await;
                Ended::Answered
            }
            Ending::NotWritten(error) => {
                tracing::error!(%build, "{error}");
                self.lost(LostWhy::RecordFailed(first_line(&error))).await;
                Ended::Answered
            }
            Ending::Stopping => {
                self.say("the server stops; the build runs again after its start");
                if let Err(error) = block_in_place(|| self.console.sync()) {
                    tracing::error!(%build, "{error}");
                }
                Ended::Gone
            }
        }
    }

    async fn store(self, record: RecordWriter) -> Ended {
        let is_small = record.is_small();
        let finish = || record.finish(&self.shared.folder);
        match if is_small { finish() } else { block_in_place(finish) } {
            Ok(Finished { summary, record_bytes, small }) => {
                self.finished(summary.finished, summary.outcome, Some(record_bytes), small).await;
            }
            Err(error) => {
                tracing::error!(build = %self.running.build, "{error}");
                self.lost(LostWhy::RecordFailed(first_line(&error))).await;
            }
        }
        Ended::Answered
    }

    /// Asks for a verdict on an attempt that has no result.
    async fn lost(self, why: LostWhy) {
        let build = self.running.build;
        match insist(&self.shared, Event::Lost { build, why }).await {
            Some(Reply::Record(outcome)) => self.record_without_files(outcome).await,
            Some(Reply::RunAgain) => tracing::info!(%build, "{} runs again", self.running.job),
            Some(Reply::Done) | None => {}
        }
    }

    /// Writes a record of the console alone, however often it takes: a disk that is full now has room later. While the
    /// server stops, the build stays recorded as running, and all this is done again.
    async fn record_without_files(mut self, outcome: Outcome) {
        let finished = self.shared.settings.clock.now().wall;
        let mut pause = SAVE_PAUSE_MIN;
        for _ in 0..RECORD_TRIES_MAX {
            match self.try_record(finished, outcome.clone()) {
                Ok(Finished { record_bytes, small, .. }) => {
                    return self.finished(finished, outcome, Some(record_bytes), small).await;
                }
                Err(error) => tracing::error!(build = %self.running.build, "{error}"),
            }
            if *self.shared.stopping.borrow() {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(SAVE_PAUSE_MAX);
        }
        self.finished(finished, outcome, None, None).await;
    }

    fn try_record(&mut self, finished: Timestamp, outcome: Outcome) -> Result<Finished, StoreError> {
        let summary = self.summary(finished, outcome);
        let Shared { folder, records, .. } = &*self.shared;
        block_in_place(|| {
            // Lines may wait that found no room.
            self.console.flush()?;
            RecordWriter::without_files(folder, &self.console, summary, records.small_bytes_max())?.finish(folder)
        })
    }

    /// The record is durable, or will be with this, or cannot be: the build leaves the queue for the history.
    async fn finished(
        self,
        finished: Timestamp,
        outcome: Outcome,
        record_bytes: Option<u64>,
        small: Option<SmallRecord>,
    ) {
        let build = self.running.build;
        let job = self.running.job.clone();
        let event = Event::Finished { build, finished, outcome: outcome.clone(), record_bytes };
        let small = small.map(Arc::new);
        if self.console.has_unflushed_lines() {
            self.feed.rest_is_in_record();
        }
        let saved = insist_with_record(&self.shared, event, small.as_ref()).await;
        if saved.is_none() {
            // The server stops, and could not save it: the next one adopts the record, if there is a file.
            if let Some(Err(error)) = small.map(|record| block_in_place(|| record.store(&self.shared.folder))) {
                tracing::error!(%build, "{error}");
            }
            return;
        }
        if small.is_some() {
            self.feed.ended().await;
        }
        tracing::info!(%build, "{job} on {} ended: {outcome}", self.running.platform);
        if record_bytes.is_some()
            && let Err(error) = self.console.remove()
        {
            tracing::warn!(%build, "{error}");
        }
    }
}
