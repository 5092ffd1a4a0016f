//! One run: what may happen, in an order that the seed decides, and what must then be so.

use crate::Summary;
use crate::disk::{PowerCut, SaveFault, SimulatedDisk};
use crate::ledger::Ledger;
use crate::peer::{Answer, Peer};
use crate::random::Random;
use crate::templates::{self, Turn};
use builder_model::state::FinishedBuild;
use builder_model::{
    BuildId, Job, JobName, Outcome, PackageName, Period, Platform, ScriptJob, TemplatedJob, Timestamp, outcome,
};
use builder_sched::{Event, LostWhy, Reply, Settings, WorkerId};
use builder_server::clock::{Clock, ManualClock};
use builder_server::consoles::Consoles;
use builder_server::engine::{Assignment, Core, FailedUpload, NextTry, Parts, Question, Refused, Request, adopt};
use builder_server::metrics::Metrics;
use builder_store::database::Outbox;
use builder_store::small::SmallRecord;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

const JOBS: [&str; 8] = ["a", "b", "c", "d", "t", "u", "v", "w"];
const PLATFORMS: [&str; 3] = ["p", "q", "r"];
/// Most connections of workers at a time.
const PEERS_MAX: usize = 8;
/// How many rounds a run may take to drain.
const DRAIN_ROUNDS_MAX: usize = 2_000;

pub(crate) struct World {
    random: Random,
    time: ManualClock,
    clock: Clock,
    disk: SimulatedDisk,
    config: tempfile::TempDir,
    core: Option<Core>,
    /// What the next step is asked.
    batch: Vec<(Instant, Request)>,
    commands: Vec<(Event, Answer)>,
    peers: Vec<Peer>,
    workers: u64,
    ledger: Ledger,
    repository: BTreeSet<BuildId>,
    /// Whether things may go wrong.
    faulty: bool,
    /// The power goes as soon as the current thought is finished.
    doomed: Option<&'static str>,
    pub(crate) summary: Summary,
    pub(crate) transcript: Vec<String>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let (clock, time) = Clock::manual(Timestamp::from_milliseconds(1_700_000_000_000).unwrap());
        Self {
            random: Random::new(seed),
            time,
            clock,
            disk: SimulatedDisk::new(),
            config: tempfile::tempdir().unwrap(),
            core: None,
            batch: Vec::new(),
            commands: Vec::new(),
            peers: Vec::new(),
            workers: 0,
            ledger: Ledger::default(),
            repository: BTreeSet::new(),
            faulty: true,
            doomed: None,
            summary: Summary::default(),
            transcript: Vec::new(),
        }
    }

    /// The whole run.
    pub(crate) fn live(&mut self, steps: usize) {
        self.start();
        for _ in 0..steps {
            for _ in 0..=self.random.below(4) {
                self.something_happens();
            }
            self.step();
        }
        self.say("the faults stop");
        self.faulty = false;
        self.disk.lock().fault = None;
        self.drain();
        let finished = self.disk.lock().finished.clone();
        self.ledger.settle(&finished);
        let recorded = finished.values().filter(|build| build.record_bytes.is_some()).map(|build| build.build);
        for build in recorded {
            assert!(self.repository.contains(&build), "LOST: build {build} was never uploaded");
        }
        self.summary.builds = self.ledger.begun();
    }

    fn say(&mut self, text: impl Into<String>) {
        self.transcript.push(text.into());
    }

    fn fault(&mut self, text: impl Into<String>) {
        self.summary.faults += 1;
        self.say(format!("FAULT {}", text.into()));
    }

    /// A server starts on what the disk holds.
    fn start(&mut self) {
        let mut disk = self.disk.clone();
        let records = self.disk.lock().records.clone();
        adopt(&mut disk, Outbox::Fill, |running| records.get(&running.build).cloned()).unwrap();
        self.disk.lock().restore();
        let mut ids = Random::new(self.random.next());
        let fresh_build = move || {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&ids.next().to_be_bytes());
            bytes[8..].copy_from_slice(&ids.next().to_be_bytes());
            BuildId::from_random(bytes)
        };
        let (upload_waits, _) = std::sync::mpsc::sync_channel(1);
        let written = disk.clone();
        let parts = Parts {
            disk: Box::new(disk),
            settings: Settings { retries_max: 2, refusals_max: 3, ..Settings::default() },
            clock: self.clock.clone(),
            config: self.config.path().to_owned(),
            outbox: Outbox::Fill,
            consoles: Arc::new(Consoles::default()),
            metrics: Arc::new(Metrics::default()),
            // The file is written, and its sync left to others.
            place_record: Box::new(move |record, _| written.lock().unsynced.extend([record.build])),
            upload_waits,
            fresh_build: Box::new(fresh_build),
        };
        self.core = Some(Core::new(parts).unwrap());
        self.say("the server starts");
    }

    /// The power goes: whoever was connected is gone, and what was not saved never was.
    fn crash(&mut self, when: &str) {
        self.fault(format!("the server crashes {when}"));
        self.summary.crashes += 1;
        self.core = None;
        self.batch.clear();
        self.commands.clear();
        self.peers.clear();
        self.disk.lock().fault = None;
        self.start();
    }

    fn ask(&mut self, event: Event) -> Answer {
        self.ask_with_record(event, None)
    }

    fn ask_with_record(&mut self, event: Event, record: Option<Arc<SmallRecord>>) -> Answer {
        let (reply, answer) = oneshot::channel();
        self.batch.push((Instant::now(), Request::Event { event, record, reply }));
        answer
    }

    fn something_happens(&mut self) {
        self.one_thing_happens();
        self.meet_doom();
    }

    fn meet_doom(&mut self) {
        if let Some(when) = self.doomed.take() {
            self.crash(when);
        }
    }

    fn one_thing_happens(&mut self) {
        match self.random.below(20) {
            0..=4 => self.client_commands(),
            5..=8 => self.worker_connects(),
            9..=13 => self.peer_acts(),
            14 => self.time_passes(),
            15 => self.templates_change(),
            16 => self.message_comes_late_and_twice(),
            17 if self.random.once_in(3) => self.crash("between two steps"),
            18 => self.disk_will_fail(),
            _ if self.random.once_in(3) => self.records_are_synced(),
            _ => self.uploader_works(),
        }
    }

    fn platform(&mut self) -> Platform {
        Platform::parse(self.random.pick(&PLATFORMS).as_bytes()).unwrap()
    }

    fn client_commands(&mut self) {
        let name = *self.random.pick(&JOBS);
        let job = JobName::parse(name.as_bytes()).unwrap();
        let platform = self.platform();
        let event = match self.random.below(12) {
            0..=3 => {
                let period = *self.random.pick(&Period::ALL);
                let whole = match name {
                    "t" | "u" => {
                        Job::Templated(TemplatedJob { name: job, package: PackageName::parse(b"pkg").unwrap() })
                    }
                    "v" | "w" => templates::parameter_job(&mut self.random, job, platform),
                    _ => Job::Script(ScriptJob { name: job, platform, script: b"true".as_slice().into() }),
                };
                Event::Schedule { job: whole, period }
            }
            4..=7 => Event::Execute { job, platform: self.random.once_in(2).then_some(platform) },
            8 => Event::Unschedule { job },
            9 => {
                let away = i64::try_from(self.random.below(7_200_000)).unwrap() - 3_600_000;
                Event::Reschedule { job, next: self.clock.now().wall.plus_milliseconds(away), period: None }
            }
            10 => Event::DropPlatform(platform),
            _ => Event::UndropPlatform(platform),
        };
        let answer = self.ask(event.clone());
        self.commands.push((event, answer));
    }

    fn worker_connects(&mut self) {
        if self.peers.len() >= PEERS_MAX {
            return;
        }
        let platform = self.platform();
        self.connect(platform);
    }

    fn connect(&mut self, platform: Platform) {
        self.workers += 1;
        let worker = WorkerId(self.workers);
        let (assign, assignment) = oneshot::channel();
        let (reply, answer) = oneshot::channel();
        self.say(format!("worker {} waits for {platform}", worker.0));
        self.batch.push((Instant::now(), Request::WorkerWaits { worker, platform, assign, reply }));
        self.peers.push(Peer::Waiting { worker, answer, assignment });
    }

    /// A connection does what it does next, or breaks.
    fn peer_acts(&mut self) {
        if self.peers.is_empty() {
            return;
        }
        let index = self.random.index(self.peers.len());
        let peer = std::mem::replace(&mut self.peers[index], Peer::Gone);
        self.peers[index] = match peer {
            Peer::Waiting { worker, mut assignment, .. } if self.random.once_in(4) => {
                self.fault(format!("worker {} vanishes while it waits", worker.0));
                assignment.close();
                let event = match assignment.try_recv() {
                    Ok(assigned) => Event::Lost { build: assigned.running.build, why: LostWhy::NotDelivered },
                    Err(_) => Event::WorkerGone { worker },
                };
                Peer::Insisting { event, record: None, answer: None, assignment: None }
            }
            Peer::Running(assignment) => self.build_ends(assignment),
            other @ (Peer::Waiting { .. } | Peer::Insisting { .. } | Peer::Gone) => other,
        };
    }

    fn build_ends(&mut self, assignment: Box<Assignment>) -> Peer {
        let build = assignment.running.build;
        let what = if self.faulty { self.random.below(8) } else { 7 };
        let event = match what {
            0 => {
                self.fault(format!("the worker of {build} vanishes"));
                Event::Lost { build, why: LostWhy::WorkerVanished }
            }
            1 => {
                self.fault(format!("the record of {build} cannot be written"));
                Event::Lost { build, why: LostWhy::RecordFailed("no room".to_owned()) }
            }
            2 | 3 => {
                self.fault(format!("the worker of {build} refuses it"));
                Event::Lost { build, why: LostWhy::Refused("its sandbox broke".to_owned()) }
            }
            4 => return Peer::Running(assignment),
            _ => {
                let outcome = Outcome::Exited(i64::try_from(self.random.below(2)).unwrap());
                self.say(format!("{build} is handed in: {outcome}"));
                return self.record(assignment, outcome);
            }
        };
        Peer::Insisting { event, record: None, answer: None, assignment: Some(assignment) }
    }

    /// The record is written and renamed, or small and yet to be saved; now the engine must know.
    fn record(&mut self, assignment: Box<Assignment>, outcome: Outcome) -> Peer {
        let running = &assignment.running;
        let (build, job, finished) = (running.build, running.job.clone(), self.clock.now().wall);
        let bytes = Some(100);
        let event = Event::Finished { build, finished, outcome: outcome.clone(), record_bytes: bytes };
        if self.random.once_in(2) {
            let record = Some(Arc::new(SmallRecord { build, job, bytes: vec![0; 100] }));
            return Peer::Insisting { event, record, answer: None, assignment: Some(assignment) };
        }
        let record = FinishedBuild {
            build,
            job,
            platform: running.platform.clone(),
            attempts: running.attempt,
            started: running.started,
            finished,
            outcome,
            record_bytes: bytes,
        };
        self.disk.lock().records.insert(build, record);
        if self.faulty && self.random.once_in(12) {
            self.doomed = Some("between a record and its row");
        }
        Peer::Insisting { event, record: None, answer: None, assignment: Some(assignment) }
    }

    /// The thread of the small records does its work, as far as it gets.
    fn records_are_synced(&mut self) {
        let builds: Vec<BuildId> = self.disk.lock().unsynced.iter().copied().collect();
        if builds.is_empty() {
            return;
        }
        self.say(format!("{} small records are synced", builds.len()));
        self.disk.lock().sync(&builds);
        if self.faulty && self.random.once_in(6) {
            return self.crash("after a sync of small records, before it is noted");
        }
        let (reply, _) = oneshot::channel();
        self.batch.push((Instant::now(), Request::Question(Question::RecordsSynced { builds, reply })));
    }

    fn time_passes(&mut self) {
        match self.random.below(8) {
            0 => {
                let days = i64::try_from(self.random.below(20)).unwrap() - 10;
                self.fault(format!("the clock jumps {days} days"));
                let wall = self.clock.now().wall.plus_milliseconds(days * 86_400_000);
                self.time.set_wall(wall);
            }
            1 => self.time.advance(Duration::from_secs(4_000)),
            _ => self.time.advance(Duration::from_secs(self.random.below(900))),
        }
    }

    fn templates_change(&mut self) {
        let platform = self.platform();
        match templates::change(&mut self.random, self.config.path(), &platform) {
            Turn::Gone(id) => self.fault(format!("the template {id:?} of {platform} goes")),
            Turn::Written(id, text) => self.say(format!("{platform} has a template {id:?}: {text:?}")),
        }
    }

    /// Messages that are late, or come twice, are about builds that have ended or never were.
    fn message_comes_late_and_twice(&mut self) {
        let known: Vec<BuildId> = {
            let mut known: Vec<BuildId> = self.disk.lock().finished.keys().copied().collect();
            known.sort_unstable();
            known
        };
        if known.is_empty() {
            return;
        }
        let build = *self.random.pick(&known);
        self.fault(format!("a message about {build} comes again"));
        let outcome = Outcome::Exited(0);
        let finished = self.clock.now().wall;
        let event = match self.random.below(3) {
            0 => Event::Lost { build, why: LostWhy::WorkerVanished },
            1 => Event::Lost { build, why: LostWhy::Refused("late".to_owned()) },
            _ => Event::Finished { build, finished, outcome, record_bytes: Some(1) },
        };
        drop(self.ask(event));
    }

    fn disk_will_fail(&mut self) {
        let faults = [SaveFault::Refused, SaveFault::Refused, SaveFault::CrashBefore, SaveFault::CrashAfter];
        let fault = *self.random.pick(&faults);
        self.fault(format!("the next save: {fault:?}"));
        self.disk.lock().fault = Some(fault);
    }

    fn uploader_works(&mut self) {
        let (reply, mut next) = oneshot::channel();
        self.batch.push((Instant::now(), Request::Question(Question::NextUpload { reply })));
        self.step();
        let Ok(Ok(NextTry::Due(upload))) = next.try_recv() else { return };
        let build = upload.build;
        let fails = self.faulty && self.random.once_in(3);
        let result = if fails {
            self.fault(format!("the upload of {build} fails"));
            Err(FailedUpload { why: "no route".to_owned(), pause: Duration::from_secs(self.random.below(700)) })
        } else {
            assert!(self.disk.lock().keeps(&build), "only what has a record is uploaded");
            self.repository.insert(build);
            Ok(())
        };
        if self.faulty && self.random.once_in(6) {
            return self.crash("after an upload, before it is noted");
        }
        let (reply, _) = oneshot::channel();
        self.batch.push((Instant::now(), Request::Question(Question::Uploaded { build, result, reply })));
    }

    /// The engine takes what it was asked; then everybody looks at the answers, and we at the invariants.
    fn step(&mut self) {
        let Some(core) = &mut self.core else { return };
        let batch = &mut self.batch;
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| core.step(batch))) {
            if panic.is::<PowerCut>() {
                // What was decided and saved may or may not have happened; nobody was told.
                self.forget_unanswered();
                return self.crash("at a save");
            }
            resume_unwind(panic);
        }
        self.read_answers();
        self.peers_look();
        self.check();
        self.meet_doom();
    }

    /// Commands whose answer never came: the client does not know, and either way is right.
    fn forget_unanswered(&mut self) {
        for (event, _) in std::mem::take(&mut self.commands) {
            match event {
                Event::Unschedule { job } => self.ledger.unscheduled(&job),
                Event::DropPlatform(platform) => self.ledger.dropped(&platform),
                Event::Schedule { .. }
                | Event::Execute { .. }
                | Event::Reschedule { .. }
                | Event::UndropPlatform(_)
                | Event::WorkerWaits { .. }
                | Event::WorkerGone { .. }
                | Event::Lost { .. }
                | Event::Finished { .. }
                | Event::TimePassed
                | Event::TemplateRead { .. } => {}
            }
        }
    }

    fn read_answers(&mut self) {
        for (event, mut answer) in std::mem::take(&mut self.commands) {
            let result = answer.try_recv().unwrap_or_else(|_| panic!("STUCK: no answer to {event:?}"));
            self.transcript.push(format!("{event:?} -> {result:?}"));
            if result.is_err() {
                continue;
            }
            match event {
                Event::Schedule { job, .. } => self.ledger.scheduled(&job),
                Event::Execute { job, platform } => {
                    let entry = self.core.as_ref().and_then(|core| {
                        let schedule = core.scheduler().to_state().schedule;
                        schedule.into_iter().find(|entry| *entry.job.name() == job)
                    });
                    let own = entry.as_ref().and_then(|entry| entry.job.platform().cloned());
                    self.ledger.accepted(platform.or(own).as_ref(), &job);
                }
                Event::Unschedule { job } => self.ledger.unscheduled(&job),
                Event::DropPlatform(platform) => self.ledger.dropped(&platform),
                Event::Reschedule { .. }
                | Event::UndropPlatform(_)
                | Event::WorkerWaits { .. }
                | Event::WorkerGone { .. }
                | Event::Lost { .. }
                | Event::Finished { .. }
                | Event::TimePassed
                | Event::TemplateRead { .. } => {}
            }
        }
    }

    fn peers_look(&mut self) {
        let peers = std::mem::take(&mut self.peers);
        let peers: Vec<Peer> = peers.into_iter().map(|peer| self.peer_looks(peer)).collect();
        self.peers.extend(peers.into_iter().filter(|peer| !matches!(peer, Peer::Gone)));
    }

    fn peer_looks(&mut self, peer: Peer) -> Peer {
        match peer {
            Peer::Waiting { worker, mut answer, mut assignment } => {
                if let Ok(Err(refused)) = answer.try_recv() {
                    self.say(format!("worker {} is sent away: {refused}", worker.0));
                    return Peer::Gone;
                }
                match assignment.try_recv() {
                    Ok(assigned) => self.begins(worker, assigned),
                    Err(_) => Peer::Waiting { worker, answer, assignment },
                }
            }
            Peer::Running(mut assignment) => match assignment.timed_out.try_recv() {
                Ok(()) => {
                    self.fault(format!("{} ran over its time", assignment.running.build));
                    self.record(assignment, Outcome::aborted(outcome::TIMEOUT))
                }
                Err(_) => Peer::Running(assignment),
            },
            Peer::Insisting { event, record, answer: None, assignment } => {
                let answer = Some(self.ask_with_record(event.clone(), record.clone()));
                Peer::Insisting { event, record, answer, assignment }
            }
            Peer::Insisting { event, record, answer: Some(mut answer), assignment } => match answer.try_recv() {
                Ok(Ok(Reply::Record(outcome))) => match assignment {
                    Some(assignment) => self.record(assignment, outcome),
                    None => {
                        let Event::Lost { build, .. } = event else { panic!("only a lost build has a verdict") };
                        let finished = self.clock.now().wall;
                        let event = Event::Finished { build, finished, outcome, record_bytes: None };
                        Peer::Insisting { event, record: None, answer: None, assignment: None }
                    }
                },
                Ok(Ok(Reply::Done | Reply::RunAgain)) => Peer::Gone,
                Ok(Err(Refused::NotSaved(_))) => Peer::Insisting { event, record, answer: None, assignment },
                Ok(Err(refused)) => panic!("LOST: the engine refuses {event:?}: {refused}"),
                Err(_) => Peer::Insisting { event, record, answer: Some(answer), assignment },
            },
            Peer::Gone => Peer::Gone,
        }
    }

    fn begins(&mut self, worker: WorkerId, assigned: Assignment) -> Peer {
        let running = &assigned.running;
        let (build, attempt) = (running.build, running.attempt);
        self.say(format!(
            "worker {} has {build}: {} on {}, attempt {attempt}",
            worker.0, running.job, running.platform
        ));
        assert!(!self.peers.iter().any(|peer| peer.build() == Some(build)), "DOUBLED: build {build} is on two workers");
        let again = self.ledger.begins(build, &running.platform, &running.job);
        assert!(!again || attempt > 1, "DOUBLED: build {build} begins for the first time again");
        self.summary.attempts += 1;
        Peer::Running(Box::new(assigned))
    }

    fn check(&self) {
        let Some(core) = &self.core else { return };
        core.scheduler().check();
        let platter = self.disk.lock();
        for build in platter.finished.values().filter(|build| build.record_bytes.is_some()) {
            assert!(platter.keeps(&build.build), "LOST: a power cut would take the record of build {}", build.build);
        }
        drop(platter);
        if core.has_unsaved_changes() {
            return;
        }
        let (memory, disk) = (sorted(core.scheduler().to_state()), sorted(self.disk.lock().store.load().unwrap()));
        assert!(memory == disk, "LOST: the memory is not what the disk holds:\n{memory:?}\n{disk:?}");
    }

    /// Without faults, with workers for everybody, everything must come to an end.
    fn drain(&mut self) {
        for platform in PLATFORMS {
            let platform = Platform::parse(platform.as_bytes()).unwrap();
            templates::complete(self.config.path(), &platform);
        }
        for _ in 0..DRAIN_ROUNDS_MAX {
            self.time.advance(Duration::from_millis(2_000));
            for index in 0..self.peers.len() {
                let peer = std::mem::replace(&mut self.peers[index], Peer::Gone);
                self.peers[index] = match peer {
                    Peer::Running(assignment) => self.build_ends(assignment),
                    other @ (Peer::Waiting { .. } | Peer::Insisting { .. } | Peer::Gone) => other,
                };
            }
            self.uploader_works();
            self.records_are_synced();
            self.step();
            let state = self.core.as_ref().unwrap().scheduler().to_state();
            let busy = state.queues.iter().find(|(_, places)| !places.is_empty()).map(|(platform, _)| platform.clone());
            let waiting = self.disk.lock().store.uploads_waiting().unwrap();
            let insisting = self.peers.iter().any(|peer| matches!(peer, Peer::Insisting { .. }));
            match busy {
                Some(platform) if self.peers.len() < PEERS_MAX => self.connect(platform),
                None if state.running.is_empty() && waiting == 0 && !insisting => return,
                Some(_) | None => self.send_idle_away(),
            }
        }
        let state = self.core.as_ref().unwrap().scheduler().to_state();
        panic!("STUCK: after {DRAIN_ROUNDS_MAX} rounds {:?} and {:?} are left", state.queues, state.running);
    }

    /// Workers of the wrong platform make room for others.
    fn send_idle_away(&mut self) {
        let is_idle = |peer: &Peer| matches!(peer, Peer::Waiting { .. });
        if self.peers.len() < PEERS_MAX || !self.peers.iter().any(is_idle) {
            return;
        }
        for index in 0..self.peers.len() {
            if !is_idle(&self.peers[index]) {
                continue;
            }
            if let Peer::Waiting { worker, mut assignment, .. } = std::mem::replace(&mut self.peers[index], Peer::Gone)
            {
                assignment.close();
                let event = match assignment.try_recv() {
                    Ok(assigned) => Event::Lost { build: assigned.running.build, why: LostWhy::NotDelivered },
                    Err(_) => Event::WorkerGone { worker },
                };
                self.peers[index] = Peer::Insisting { event, record: None, answer: None, assignment: None };
            }
        }
    }
}

/// The state in one order, so that two of them can be compared.
fn sorted(mut state: builder_model::state::State) -> builder_model::state::State {
    state.schedule.sort_by(|a, b| a.job.name().cmp(b.job.name()));
    state.queues.sort_by(|a, b| a.0.cmp(&b.0));
    state.queues.iter_mut().for_each(|(_, places)| places.sort_by_key(|(position, _)| *position));
    state.running.sort_by_key(|running| running.build);
    state.dropped.sort();
    state
}
