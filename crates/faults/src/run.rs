//! A run: round after round something goes wrong, now and then the farm must come to rest, and at the end it is
//! counted.

use crate::farm::{Farm, STOP_LIMIT};
use crate::inject::{self, Cure, Injected};
use crate::load::Load;
use crate::plan::{self, Blow, CLIENTS, Fault, Net, Round, Spell, Target};
use crate::processes;
use crate::programs::Program;
use crate::report::Report;
use crate::verify;
use crate::wait;
use anyhow::Result;
use builder_model::{BuildId, Timestamp};
use nix::sys::signal::Signal;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// After so many rounds the farm must come to rest.
const ROUNDS_TO_REST: usize = 50;
/// How long it may take to do so.
const REST_LIMIT: Duration = Duration::from_secs(60);
/// How long observers and processes of jobs may last longer than the builds.
const AFTER_LIMIT: Duration = Duration::from_secs(15);
/// How often the programs are looked at.
const TICK: Duration = Duration::from_millis(10);
/// How long two connections may seem to hold a build while one of them is being closed.
const OVERLAP_LIMIT: Duration = Duration::from_secs(3);

/// What a run is told.
#[derive(Debug)]
pub(crate) struct Settings {
    /// How many rounds.
    pub(crate) rounds: usize,
    /// What the faults follow from.
    pub(crate) seed: u64,
    /// After how long no further round begins.
    pub(crate) limit: Option<Duration>,
    /// Where the programs are.
    pub(crate) programs: PathBuf,
}

struct Run {
    farm: Farm,
    load: Arc<Load>,
    report: Report,
    /// For how long more than one connection has held a build.
    overlaps: HashMap<BuildId, Duration>,
    /// The spell that lasts.
    spell: Option<Spell>,
    can_limit: bool,
}

/// Makes a run; `say` gets a line for each round.
pub(crate) fn run(settings: &Settings, may_mount: Result<()>, mut say: impl FnMut(&str)) -> Result<Report> {
    let start = Instant::now();
    let mut report = Report { seed: settings.seed, ..Report::default() };
    if let Err(error) = &may_mount {
        report.skipped.push(format!("full and read-only disks: {error:#}; root may mount"));
    }
    let can_limit = inject::can_limit_descriptors();
    if !can_limit {
        report.skipped.push("exhausted descriptors: no program prlimit (util-linux)".to_owned());
    }
    let farm = Farm::start(&settings.programs, may_mount.is_ok())?;
    let load = Load::start(farm.proxies[CLIENTS].address.to_string().parse()?, farm.data.clone(), settings.seed)?;
    let mut run = Run { farm, load, report, overlaps: HashMap::new(), spell: None, can_limit };
    for (index, round) in plan::plan(settings.seed, settings.rounds).into_iter().enumerate() {
        if wait::is_stopped() || settings.limit.is_some_and(|limit| start.elapsed() > limit) {
            break;
        }
        let note = run.round(round)?;
        let seconds = start.elapsed().as_secs_f64();
        say(&format!("round {:>3} at {seconds:>6.1} s: {}{note}", index + 1, round.fault));
        run.report.rounds = index + 1;
        if (index + 1) % ROUNDS_TO_REST == 0 && index + 1 < settings.rounds {
            run.rest();
            say(&format!("        at {:>6.1} s: at rest", start.elapsed().as_secs_f64()));
            run.load.resume();
        }
    }
    if wait::is_stopped() {
        anyhow::bail!("asked to stop");
    }
    run.finish()?;
    run.report.took = start.elapsed();
    Ok(run.report)
}

impl Run {
    /// One round; what there is to say about it besides the fault.
    fn round(&mut self, round: Round) -> Result<&'static str> {
        let injected = match round.fault {
            Fault::Blow(blow) => self.blow(blow),
            Fault::Spell(spell, milliseconds, blow) => self.spell(spell, Duration::from_millis(milliseconds), blow)?,
            Fault::SecondServer => self.second_server()?,
        };
        self.revive();
        self.look_on(Duration::from_millis(round.pause_milliseconds));
        Ok(match injected {
            Some(Injected::Yes) => "",
            Some(Injected::Nobody) => "   (nobody was there)",
            None => "   (skipped)",
        })
    }

    fn blow(&mut self, blow: Blow) -> Option<Injected> {
        let injected = match inject::strike(&mut self.farm, blow) {
            Ok(injected) => injected,
            Err(error) => {
                self.report.misbehaved.push(format!("{blow}: {error:#}"));
                Injected::Yes
            }
        };
        self.report.fault(blow.kind(), injected);
        Some(injected)
    }

    fn spell(&mut self, spell: Spell, lasts: Duration, blow: Option<Blow>) -> Result<Option<Injected>> {
        let is_possible = match spell {
            Spell::Full(..) | Spell::ReadOnly(_) => self.farm.mounts.is_some(),
            Spell::Descriptors(_) => self.can_limit,
            Spell::Freeze(_) | Spell::Net(..) => true,
        };
        if !is_possible {
            return Ok(blow.and_then(|blow| self.blow(blow)).and(None));
        }
        let mut cure = Cure::default();
        let begun = inject::begin(&mut self.farm, spell, &mut cure)?;
        self.spell = Some(spell);
        self.look_on(lasts / 2);
        if let Some(blow) = blow {
            self.blow(blow);
            self.revive();
        }
        self.look_on(lasts / 2);
        let ended = inject::end(&mut self.farm, spell, cure);
        self.spell = None;
        let ended = ended?;
        let injected = if begun == Injected::Yes { ended } else { begun };
        self.report.fault(spell.kind(), injected);
        Ok(Some(injected))
    }

    fn second_server(&mut self) -> Result<Option<Injected>> {
        let text = match self.farm.start_second_server()? {
            None => Some("a second server on the same folder runs".to_owned()),
            // That it is another server, and none of ours, is what a person has to be told.
            Some((status, words)) if status.success() || !words.contains("another builder-server (process ") => {
                Some(format!("a second server on the same folder: {status}\n    {words}"))
            }
            Some(_) => None,
        };
        self.report.misbehaved.extend(text);
        self.report.fault("second server on the folder", Injected::Yes);
        Ok(Some(Injected::Yes))
    }

    /// Starts the server if it was killed. While the disk is at fault it may refuse to start.
    fn revive(&mut self) {
        if self.farm.server.is_some() {
            return;
        }
        let disk = self.spell.is_some_and(Spell::is_disk);
        if let Err(error) = self.farm.start_server()
            && !disk
        {
            self.report.misbehaved.push(format!("{error:#}"));
        }
    }

    /// Lets time pass, and sees to it that nobody ends by itself.
    fn look_on(&mut self, lasts: Duration) {
        let end = Instant::now() + lasts;
        loop {
            self.tick();
            if Instant::now() >= end || wait::is_stopped() {
                return;
            }
            wait::pause(TICK);
        }
    }

    fn tick(&mut self) {
        processes::reap_strangers(&self.farm.known());
        let ended = |program: &mut Program| program.ended().ok().flatten();
        if let Some(server) = &mut self.farm.server
            && let Some(status) = ended(server)
        {
            let text = format!("the server ended by itself: {status}\n    {}", server.last_words());
            // One whose disk can neither be written nor read ends itself: that is so by design, and named.
            if self.spell.is_some_and(Spell::is_disk) && !text.contains("panicked") {
                self.report.fault("the server ended itself (disk)", Injected::Yes);
            } else {
                self.report.misbehaved.push(text);
            }
            self.farm.server = None;
            self.revive();
        }
        for number in 0..self.farm.workers.len() {
            if let Some(status) = ended(&mut self.farm.workers[number]) {
                let words = self.farm.workers[number].last_words();
                self.report.misbehaved.push(format!("worker {number} ended by itself: {status}\n    {words}"));
                match self.farm.start_worker(number) {
                    Ok(worker) => self.farm.workers[number] = worker,
                    Err(error) => self.report.misbehaved.push(format!("{error:#}")),
                }
            }
        }
        self.look_for_overlaps();
    }

    /// The server must not hand out a build while another connection holds it.
    fn look_for_overlaps(&mut self) {
        // What cannot move, or move in time, cannot be closed in time.
        let is_held_up = match self.spell {
            Some(Spell::Freeze(Target::Server) | Spell::Net(_, Net::Stall | Net::StallThenCut | Net::Delay(_))) => true,
            Some(_) | None => self.farm.server.is_none(),
        };
        if is_held_up {
            return;
        }
        let shared = self.farm.holds.shared();
        self.overlaps.retain(|build, _| shared.contains(build));
        for build in shared {
            let lasted = self.overlaps.entry(build).or_default();
            let before = *lasted;
            *lasted += TICK;
            if before < OVERLAP_LIMIT && *lasted >= OVERLAP_LIMIT {
                self.report.counts.doubled.push(format!("build {build} is on two workers at once"));
            }
        }
    }

    /// Nothing goes wrong any more: everything that was accepted must come to its end.
    fn rest(&mut self) {
        self.revive();
        if !self.load.pause(REST_LIMIT) {
            self.report.stuck.push("a request of a client has no answer".to_owned());
        }
        let end = Instant::now() + REST_LIMIT;
        while let Some(what) = self.is_busy() {
            self.look_on(TICK * 5);
            if Instant::now() >= end {
                self.report.stuck.extend(what);
                break;
            }
            if wait::is_stopped() {
                return;
            }
        }
        if !wait::until(AFTER_LIMIT, || self.load.observing() == 0) {
            self.report.stuck.push(format!("{} observers wait", self.load.observing()));
        }
        let mut left = Vec::new();
        wait::until(AFTER_LIMIT, || {
            processes::reap_strangers(&self.farm.known());
            left = self.farm.left_of_jobs();
            left.is_empty()
        });
        for process in left {
            self.report.orphans.push(processes::described(process));
            processes::signal(process, Signal::SIGKILL);
        }
    }

    /// What is queued or running or due, or how else the farm is not at rest.
    fn is_busy(&self) -> Option<Vec<String>> {
        let farm = match self.load.client().info() {
            Ok(farm) => farm,
            Err(error) => return Some(vec![format!("the server does not answer: {error}")]),
        };
        let queued = farm
            .queues
            .iter()
            .flat_map(|queue| queue.jobs.iter().map(|job| format!("{} is queued for {}", job.name(), queue.platform)));
        let running = farm.running.iter().map(|running| format!("{} of {} runs", running.build, running.job));
        let due = farm.schedule.iter().filter(|entry| entry.next != Timestamp::MAX);
        let due = due.map(|entry| format!("{} is due at {}", entry.job.name(), entry.next));
        let busy: Vec<String> = queued.chain(running).chain(due).collect();
        (!busy.is_empty()).then_some(busy)
    }

    /// Brings everything to its end, and counts.
    fn finish(&mut self) -> Result<()> {
        self.rest();
        self.load.end();
        for (number, worker) in std::mem::take(&mut self.farm.workers).into_iter().enumerate() {
            match worker.stop(STOP_LIMIT)? {
                Some(status) if status.success() => {}
                ended => self.report.misbehaved.push(format!("worker {number}, asked to stop: {ended:?}")),
            }
        }
        // What the server knows, it also knows after a start.
        self.blow(Blow::Restart);
        self.revive();
        if let Some(busy) = self.is_busy() {
            self.report.stuck.extend(busy.into_iter().map(|what| format!("after a start, {what}")));
        }
        self.note_history()?;
        let mut counts = verify::count(&self.farm.data, &self.load.ledger.books(), &self.load.seen())?;
        counts.doubled.append(&mut self.report.counts.doubled);
        for what in counts.damaged.iter_mut().chain(&mut counts.doubled) {
            let said = self.farm.said_about(what);
            what.push_str(&said);
        }
        self.report.counts = counts;
        self.leftovers()?;
        if let Some(server) = self.farm.server.take() {
            let status = server.stop(STOP_LIMIT)?;
            if !status.is_some_and(|status| status.success()) {
                self.report.misbehaved.push(format!("the server, asked to stop: {status:?}"));
            }
        }
        let panics = self.farm.panics();
        self.report.misbehaved.extend(panics);
        Ok(())
    }

    fn note_history(&self) -> Result<()> {
        let history = builder_store::History::open(&self.farm.data)?;
        self.load.ledger.note(history.newest(1_000_000)?);
        Ok(())
    }

    /// Once nothing runs, nothing is half written.
    fn leftovers(&mut self) -> Result<()> {
        for folder in ["builder-server.console", "builder-server.incoming"] {
            for entry in std::fs::read_dir(self.farm.data.join(folder))? {
                let name = entry?.file_name();
                self.report.counts.damaged.push(format!("{folder}/{} is left", name.display()));
            }
        }
        Ok(())
    }
}
