//! A scheduler made of what is saved: at the start of the server, and in mid-run after a save that failed.
//!
//! What is saved may be odd, because it can come from an old installation. Oddities are healed, and the changes say
//! how; they never stop the server.

use crate::calendar::Calendar;
use crate::endings::{ANOTHER_WAITS, RESTARTED};
use crate::event::{Now, WorkerId};
use crate::queue::{End, Lane, Place, Queues};
use crate::running::{Phase, Running, RunningBuilds};
use crate::scheduler::{Scheduler, abandoned};
use crate::settings::Settings;
use crate::templates::Templates;
use crate::workers::Workers;
use builder_model::state::{Change, FinishedBuild, Position, Queued, RunningBuild, ScheduleEntry, State};
use builder_model::{BuildId, JobName, Outcome, Platform};
use std::collections::{BTreeMap, BTreeSet};

/// Positions beyond this, either way, are made anew, so that there is always room at both ends.
const POSITION_MAX: u64 = 1 << 62;

/// Why a build that waited for another attempt ends without one.
const NO_PLACE: &str = "the place of the build in the queue was lost";

/// What a scheduler knows that is not saved: who is connected and the templates it was told.
#[derive(Clone, Debug, Default)]
pub struct Live {
    waiting: Vec<(WorkerId, Platform)>,
    attached: Vec<Running>,
    /// Builds whose end was decided and could not be saved: their sessions will tell it again.
    ended: Vec<Running>,
    templates: Templates,
}

impl Scheduler {
    /// The scheduler of a server that starts, and what to save before its first event.
    ///
    /// Builds that were running are queued again, at the front and under their ids; what is due waits for the first
    /// [`Event::TimePassed`](crate::Event::TimePassed).
    pub fn restore(settings: Settings, state: State, now: Now) -> (Self, Vec<Change>) {
        Self::restore_live(settings, state, Live::default(), now)
    }

    /// The changes of all decisions so far are saved.
    pub fn saved(&mut self) {
        self.running.saved();
    }

    /// What [`Self::restore_live`] needs of a scheduler whose changes could not be saved.
    pub fn live(&self) -> Live {
        Live {
            waiting: self.workers.all().map(|(worker, platform)| (worker, platform.clone())).collect(),
            attached: self.running.all().cloned().collect(),
            ended: self.running.ended().to_vec(),
            templates: self.templates.clone(),
        }
    }

    /// The scheduler that goes on after changes could not be saved: what is saved, with the workers that are still
    /// connected, and what to save together with the next event.
    ///
    /// A worker keeps its build if that is saved; if not, the build was never handed to it, and it waits again. A build
    /// whose end came with what could not be saved runs until its session tells it again. A
    /// running build without a worker is queued again as by [`Self::restore`]. Jobs are handed out with the next event:
    /// so the first to send are those [`Event::Finished`](crate::Event::Finished) that could not be saved, lest their
    /// builds run again. Builds that paused after a refusal pause no more.
    pub fn restore_live(settings: Settings, state: State, live: Live, now: Now) -> (Self, Vec<Change>) {
        let mut changes = Vec::new();
        let mut scheduler = Self {
            settings,
            calendar: Calendar::default(),
            queues: Queues::default(),
            dropped: state.dropped.into_iter().collect(),
            running: RunningBuilds::default(),
            workers: Workers::default(),
            templates: live.templates,
            touched: BTreeSet::new(),
            wall: now.wall,
            periodic: BTreeSet::new(),
        };
        scheduler.restore_schedule(state.schedule, &mut changes);
        let running = distinct(state.running, &mut changes);
        let mut builds = running.iter().map(|build| build.build).collect();
        for (platform, stored) in by_platform(state.queues) {
            scheduler.restore_queue(&platform, stored, &mut builds, now, &mut changes);
        }
        let (running, _) = scheduler.attach(running, live.ended);
        let (unattached, mut waiting) = scheduler.attach(running, live.attached);
        scheduler.restore_running(unattached, now, &mut changes);
        waiting.extend(live.waiting);
        for (worker, platform) in waiting {
            if !scheduler.dropped.contains(&platform) && !scheduler.queues.has(&platform) {
                scheduler.open_queue(&platform, &mut changes);
            }
            scheduler.touched.insert(platform.clone());
            scheduler.workers.wait(worker, platform);
        }
        (scheduler, changes)
    }

    /// Of two entries with one name, the first counts.
    fn restore_schedule(&mut self, entries: Vec<ScheduleEntry>, changes: &mut Vec<Change>) {
        for entry in entries {
            let name = entry.job.name();
            if let Some(first) = self.calendar.get(name) {
                changes.push(Change::EntryRemoved(name.clone()));
                changes.push(Change::EntryPut(first.clone()));
            } else {
                self.calendar.add(entry, &mut already_saved());
            }
        }
    }

    /// A queue without oddities is taken as it is; another one is written anew.
    fn restore_queue(
        &mut self,
        platform: &Platform,
        stored: StoredQueue,
        builds: &mut BTreeSet<BuildId>,
        now: Now,
        changes: &mut Vec<Change>,
    ) {
        let welcome = !self.dropped.contains(platform);
        let mut odd = stored.split || !welcome;
        let mut kept: Vec<(Position, Queued)> = Vec::new();
        let mut jobs: BTreeSet<JobName> = BTreeSet::new();
        for (position, mut queued) in stored.places {
            if queued.resume.as_ref().is_some_and(|resume| !builds.insert(resume.build)) {
                queued.resume = None;
                odd = true;
            }
            if !welcome || !self.calendar.belongs(&queued.job, platform) || !jobs.insert(queued.job.clone()) {
                odd = true;
                if let Some(resume) = queued.resume {
                    let row = abandoned(queued.job, platform, resume, now.wall, NO_PLACE);
                    changes.push(Change::Finished(row));
                }
                continue;
            }
            let taken = kept.last().is_some_and(|(before, _)| *before == position);
            odd |= taken || position.unsigned_abs() > POSITION_MAX;
            kept.push((position, queued));
        }
        let mut saved = already_saved();
        let changes = if odd { changes } else { &mut saved };
        if odd {
            changes.push(Change::QueueRemoved(platform.clone()));
        }
        if !welcome {
            return;
        }
        self.queues.add(platform, changes);
        for (new_position, (position, queued)) in (0..).zip(kept) {
            let position = if odd { new_position } else { position };
            let Some(entry) = self.calendar.get(&queued.job) else { continue };
            let place = Place { queued, lane: Lane::of(&entry.job), on_trial: false, refused: None };
            self.queues.put(platform, position, place, changes);
        }
    }

    /// Gives builds that are saved as running back to the workers that have them. What is left over: the builds that
    /// nobody has, and the workers that were to get a build, in the order in which they came.
    fn attach(
        &mut self,
        saved: Vec<RunningBuild>,
        attached: Vec<Running>,
    ) -> (Vec<RunningBuild>, Vec<(WorkerId, Platform)>) {
        let mut saved: BTreeMap<BuildId, RunningBuild> = saved.into_iter().map(|build| (build.build, build)).collect();
        let mut idle = Vec::new();
        for mut running in attached {
            let id = running.build.build;
            if saved.get(&id) != Some(&running.build) {
                idle.push((running.worker, running.build.platform));
                continue;
            }
            saved.remove(&id);
            running.phase = match running.phase {
                // Whether its session was told is not known.
                Phase::Until(deadline) | Phase::RanOver(deadline) => Phase::Until(deadline),
                Phase::Ending(outcome) => Phase::Ending(outcome),
            };
            self.running.add(running, &mut already_saved());
        }
        idle.sort();
        (saved.into_values().collect(), idle)
    }

    /// Queues the running builds that nobody has at the front, what started first first.
    fn restore_running(&mut self, mut builds: Vec<RunningBuild>, now: Now, changes: &mut Vec<Change>) {
        builds.sort_by_key(|build| (build.started, build.build));
        let mut claimed = BTreeSet::new();
        let mut again = Vec::new();
        for build in builds {
            changes.push(Change::RunningRemoved(build.build));
            let place = (build.platform.clone(), build.job.clone());
            let obstacle = match self.may_run_again(&build) {
                Ok(()) if claimed.insert(place) => {
                    again.push(build);
                    continue;
                }
                Ok(()) => ANOTHER_WAITS,
                Err(obstacle) => obstacle,
            };
            changes.push(Change::Finished(FinishedBuild {
                build: build.build,
                job: build.job,
                platform: build.platform,
                attempts: build.attempt,
                started: build.started,
                finished: now.wall,
                outcome: Outcome::aborted(format!("{RESTARTED}; {obstacle}")),
                record_bytes: None,
            }));
        }
        for build in again.into_iter().rev() {
            let retries = build.retries;
            self.run_again(build, End::Front, retries, changes);
        }
    }
}

/// Where the changes go that only repeat what is saved.
fn already_saved() -> Vec<Change> {
    Vec::new()
}

/// The queue of one platform as it is saved.
#[derive(Default)]
struct StoredQueue {
    /// In order.
    places: Vec<(Position, Queued)>,
    /// Whether it was saved in several parts.
    split: bool,
}

fn by_platform(queues: Vec<(Platform, Vec<(Position, Queued)>)>) -> BTreeMap<Platform, StoredQueue> {
    let mut stored: BTreeMap<Platform, StoredQueue> = BTreeMap::new();
    for (platform, places) in queues {
        let split = stored.contains_key(&platform);
        let queue = stored.entry(platform).or_default();
        queue.split |= split;
        queue.places.extend(places);
    }
    for queue in stored.values_mut() {
        queue.places.sort_by_key(|(position, _)| *position);
    }
    stored
}

/// Of two running builds with one id, the first counts.
fn distinct(builds: Vec<RunningBuild>, changes: &mut Vec<Change>) -> Vec<RunningBuild> {
    let mut distinct: BTreeMap<BuildId, RunningBuild> = BTreeMap::new();
    for build in builds {
        if let Some(first) = distinct.get(&build.build) {
            changes.push(Change::RunningRemoved(build.build));
            changes.push(Change::RunningPut(first.clone()));
        } else {
            distinct.insert(build.build, build);
        }
    }
    distinct.into_values().collect()
}
