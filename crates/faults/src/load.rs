//! What the farm has to do meanwhile: threads that ask for runs of jobs, and threads that observe builds.

use crate::chance::Chance;
use crate::jobs::Job;
use crate::ledger::{Answer, Ledger};
use crate::wait;
use builder_client::{Client, ConsoleEvent, Error, Remote};
use builder_model::{BuildId, Period, Timestamp};
use builder_store::History;
use builder_wire::ScriptJob;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// How many runs may be outstanding before no more are asked for.
const OUTSTANDING_MAX: u32 = 14;
/// How many threads ask, and how many observe.
const ASKERS: usize = 3;
const OBSERVERS: usize = 3;
/// How long an asker or an observer waits before it looks again.
const PAUSE: Duration = Duration::from_millis(25);
/// How often the history is read, and how many of its rows.
const HISTORY_PAUSE: Duration = Duration::from_millis(100);
const HISTORY_ROWS: usize = 500;

/// What an observer saw of a build up to its end: time and text of each line.
pub(crate) type Seen = (BuildId, Vec<(i64, Vec<u8>)>);

/// What the threads share.
#[derive(Debug)]
pub(crate) struct Load {
    remote: Remote,
    data: PathBuf,
    seed: u64,
    /// What was accepted.
    pub(crate) ledger: Ledger,
    /// Nobody asks for anything.
    is_paused: AtomicBool,
    /// Nobody begins anything any more.
    is_over: AtomicBool,
    asking: AtomicUsize,
    observing: AtomicUsize,
    next_job: AtomicU64,
    seen: Mutex<Vec<Seen>>,
}

impl Load {
    /// Starts the threads.
    pub(crate) fn start(remote: Remote, data: PathBuf, seed: u64) -> std::io::Result<Arc<Self>> {
        let load = Arc::new(Self {
            remote,
            data,
            seed,
            ledger: Ledger::default(),
            is_paused: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            asking: AtomicUsize::new(0),
            observing: AtomicUsize::new(0),
            next_job: AtomicU64::new(1),
            seen: Mutex::new(Vec::new()),
        });
        let start = |name: &str, run: fn(&Self, u64), number: usize| {
            let load = load.clone();
            std::thread::Builder::new().name(name.to_owned()).spawn(move || run(&load, number as u64 + 1)).map(drop)
        };
        (0..ASKERS).try_for_each(|number| start("asker", Self::ask, number))?;
        (0..OBSERVERS).try_for_each(|number| start("observer", Self::observe, number))?;
        start("history", |load, _| load.read_history(), 0)?;
        Ok(load)
    }

    /// Asks for nothing more until [`Load::resume`]; whether every request had its end in time.
    pub(crate) fn pause(&self, at_most: Duration) -> bool {
        self.is_paused.store(true, Ordering::SeqCst);
        wait::until(at_most, || self.asking.load(Ordering::SeqCst) == 0)
    }

    /// Goes on.
    pub(crate) fn resume(&self) {
        self.is_paused.store(false, Ordering::SeqCst);
    }

    /// Begins nothing any more.
    pub(crate) fn end(&self) {
        self.is_paused.store(true, Ordering::SeqCst);
        self.is_over.store(true, Ordering::SeqCst);
    }

    /// How many observers wait for the end of a build.
    pub(crate) fn observing(&self) -> usize {
        self.observing.load(Ordering::SeqCst)
    }

    /// What observers saw.
    pub(crate) fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        // The list is whole between any two statements.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client of the server.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.remote.clone())
    }

    fn ask(&self, number: u64) {
        let mut chance = Chance::new(self.seed, 100 + number);
        while !self.is_over.load(Ordering::SeqCst) {
            // Counted before the look at the pause, so that no request begins after a pause has found none.
            self.asking.fetch_add(1, Ordering::SeqCst);
            let may_ask = !self.is_paused.load(Ordering::SeqCst) && self.ledger.outstanding() < OUTSTANDING_MAX;
            let answer = if may_ask { self.ask_once(&mut chance) } else { Answer::Refused };
            self.asking.fetch_sub(1, Ordering::SeqCst);
            if answer != Answer::Accepted {
                wait::pause(PAUSE);
            }
        }
    }

    fn ask_once(&self, chance: &mut Chance) -> Answer {
        let idle = if chance.below(4) == 0 { self.ledger.take_idle(chance.next()) } else { None };
        let Some(name) = idle else { return self.schedule() };
        let client = self.client();
        let result = match chance.below(5) {
            0..=1 => client.execute(&name, None),
            2 => client.reschedule(&name, soon(chance.below(1500)), None),
            // Whether it is taken off or not: nothing of it is asked for any more.
            _ => return answer(&client.unschedule(&name)),
        };
        self.ledger.answered(&name, answer(&result))
    }

    fn schedule(&self) -> Answer {
        let number = self.next_job.fetch_add(1, Ordering::SeqCst);
        let job = Job::new(format!("job-{number}"), &mut Chance::new(self.seed, 1000 + number));
        self.ledger.open(job.clone());
        let script =
            ScriptJob { name: job.name.as_bytes(), platform: job.platform.as_bytes(), script: job.script.as_bytes() };
        self.ledger.answered(&job.name, answer(&self.client().schedule(script, Period::Never)))
    }

    fn observe(&self, number: u64) {
        let mut chance = Chance::new(self.seed, 200 + number);
        while !self.is_over.load(Ordering::SeqCst) {
            wait::pause(PAUSE);
            let Ok(farm) = self.client().info() else { continue };
            if farm.running.is_empty() {
                continue;
            }
            let build = farm.running[chance.index(farm.running.len())].build;
            let mut lines = Vec::new();
            self.observing.fetch_add(1, Ordering::SeqCst);
            let outcome = self.client().observe(build, &mut |event| {
                if let ConsoleEvent::Line { delta, line } = event {
                    lines.push((delta, line.to_vec()));
                }
                Ok(())
            });
            self.observing.fetch_sub(1, Ordering::SeqCst);
            // A connection that broke has shown a part; only who was told the outcome was promised all.
            if outcome.is_ok() {
                self.seen().push((build, lines));
            }
        }
    }

    fn read_history(&self) {
        while !self.is_over.load(Ordering::SeqCst) {
            wait::pause(HISTORY_PAUSE);
            // While the disk is at fault it cannot be read; what is missed is there the next time, or at the end.
            if let Ok(rows) = History::open(&self.data).and_then(|history| history.newest(HISTORY_ROWS)) {
                self.ledger.note(rows);
            }
        }
    }
}

fn answer(result: &Result<(), Error>) -> Answer {
    match result {
        Ok(()) => Answer::Accepted,
        Err(Error::Refused { .. } | Error::Lookup { .. } | Error::Connect { .. } | Error::NoHello { .. }) => {
            Answer::Refused
        }
        // Before the hello was answered, no command was sent.
        Err(Error::Lost { doing, .. }) if doing.starts_with("greeting") => Answer::Refused,
        Err(
            Error::Lost { .. }
            | Error::NoAnswer { .. }
            | Error::ConsoleCut { .. }
            | Error::NoOutcome { .. }
            | Error::Frame { .. }
            | Error::Decode { .. }
            | Error::OldServer { .. }
            | Error::NoTemplate { .. }
            | Error::Values { .. }
            | Error::Pages { .. }
            | Error::Violation(_)
            | Error::Sink(_),
        ) => Answer::Unknown,
    }
}

fn soon(milliseconds: u64) -> Timestamp {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let at = now + Duration::from_millis(milliseconds);
    Timestamp::from_milliseconds(i64::try_from(at.as_millis()).unwrap_or(i64::MAX)).unwrap_or(Timestamp::MAX)
}
