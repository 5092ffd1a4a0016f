//! The queues: one for each platform, each job at most once in it.
//!
//! Every method that changes what is durable of them pushes the change that must be saved.

use builder_model::state::{Change, Position, Queued, Resume};
use builder_model::{BuildId, Job, JobName, Platform, TemplateId};
use builder_template::Misfit;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A place in a queue and what is known of it only while the server lives.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) queued: Queued,
    pub(crate) lane: Lane,
    /// Queued before the template of the platform was read: gone again should there be none.
    pub(crate) on_trial: bool,
    /// Why a worker refused the build last.
    pub(crate) refused: Option<String>,
}

/// What must hold for a place to be handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Nothing.
    Script,
    /// The platform has this template.
    Template(TemplateId),
    /// This template changes: the present one makes no script of the job.
    Aside(TemplateId, Aside),
    /// The pause after a refusal is over; then what is in here.
    Paused(Duration, Option<TemplateId>),
}

/// Why a template makes no script of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Aside {
    /// It would be too long.
    TooLong {
        /// The length of that script.
        bytes: usize,
    },
    /// The template does not take the values of the job.
    Misfit(Misfit),
}

impl Lane {
    pub(crate) fn of(job: &Job) -> Self {
        job.template().map_or(Self::Script, Self::Template)
    }

    fn without_pause(self) -> Self {
        match self {
            Self::Paused(_, None) => Self::Script,
            Self::Paused(_, Some(id)) => Self::Template(id),
            Self::Script | Self::Template(_) | Self::Aside(..) => self,
        }
    }

    fn with_pause(self, until: Duration) -> Self {
        match self {
            Self::Script | Self::Paused(_, None) => Self::Paused(until, None),
            Self::Template(id) | Self::Aside(id, _) | Self::Paused(_, Some(id)) => Self::Paused(until, Some(id)),
        }
    }
}

/// Which end of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Front,
    Back,
}

/// The queue of one platform. Each position is in `places`, in the lane of its place, and under its job in
/// `positions`. The lanes are apart so that the head is found without passing over all that cannot be handed out.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    places: BTreeMap<Position, Place>,
    positions: BTreeMap<JobName, Position>,
    scripts: BTreeSet<Position>,
    /// By template; none without a place.
    templates: BTreeMap<TemplateId, TemplateLanes>,
    paused: BTreeSet<Position>,
}

/// The places that need one template.
#[derive(Debug, Default)]
struct TemplateLanes {
    ready: BTreeSet<Position>,
    aside: BTreeSet<Position>,
}

impl TemplateLanes {
    fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.aside.is_empty()
    }
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn place(&self, job: &JobName) -> Option<&Place> {
        self.places.get(self.positions.get(job)?)
    }

    /// The places, first to run first.
    pub(crate) fn places(&self) -> impl Iterator<Item = (Position, &Place)> {
        self.places.iter().map(|(position, place)| (*position, place))
    }

    fn lane(&mut self, lane: &Lane) -> &mut BTreeSet<Position> {
        match lane {
            Lane::Script => &mut self.scripts,
            Lane::Template(id) => &mut self.templates.entry(id.clone()).or_default().ready,
            Lane::Aside(id, _) => &mut self.templates.entry(id.clone()).or_default().aside,
            Lane::Paused(..) => &mut self.paused,
        }
    }

    fn leave_lane(&mut self, lane: &Lane, position: Position) {
        self.lane(lane).remove(&position);
        let id = match lane {
            Lane::Script | Lane::Paused(..) => return,
            Lane::Template(id) | Lane::Aside(id, _) => id,
        };
        if self.templates.get(id).is_some_and(TemplateLanes::is_empty) {
            self.templates.remove(id);
        }
    }

    fn end(&self, end: End) -> Position {
        match end {
            End::Front => self.places.first_key_value().map_or(0, |(lowest, _)| lowest - 1),
            End::Back => self.places.last_key_value().map_or(0, |(highest, _)| highest + 1),
        }
    }

    /// The first place that can be handed out.
    fn head(&self, has_template: impl Fn(&TemplateId) -> bool) -> Option<Position> {
        let templated = self.templates.iter().filter(|(id, _)| has_template(id));
        let firsts = templated.filter_map(|(_, lanes)| lanes.ready.first());
        self.scripts.first().into_iter().chain(firsts).min().copied()
    }

    fn check(&self, platform: &Platform) {
        assert_eq!(self.places.len(), self.positions.len(), "each job stands once in the queue of {platform}");
        for (position, place) in &self.places {
            let job = &place.queued.job;
            assert_eq!(self.positions.get(job), Some(position), "{job} stands where the queue of {platform} believes");
            let lane = match &place.lane {
                Lane::Script => Some(&self.scripts),
                Lane::Template(id) => self.templates.get(id).map(|lanes| &lanes.ready),
                Lane::Aside(id, _) => self.templates.get(id).map(|lanes| &lanes.aside),
                Lane::Paused(..) => Some(&self.paused),
            };
            let is_there = lane.is_some_and(|lane| lane.contains(position));
            assert!(is_there, "{job} is in its lane of the queue of {platform}");
        }
        let of_templates = self.templates.values().map(|lanes| lanes.ready.len() + lanes.aside.len());
        let in_lanes = self.scripts.len() + self.paused.len() + of_templates.sum::<usize>();
        assert_eq!(in_lanes, self.places.len(), "the lanes of {platform} hold nothing stale");
        let empty = self.templates.values().any(TemplateLanes::is_empty);
        assert!(!empty, "no template of {platform} is kept for no places");
    }
}

/// All queues, and the builds that wait in them for another attempt.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    by_platform: BTreeMap<Platform, Queue>,
    resumes: BTreeMap<BuildId, (Platform, JobName)>,
    /// The places that pause, and until when.
    pauses: BTreeSet<(Duration, Platform, Position)>,
}

impl Queues {
    pub(crate) fn len(&self) -> usize {
        self.by_platform.len()
    }

    pub(crate) fn has(&self, platform: &Platform) -> bool {
        self.by_platform.contains_key(platform)
    }

    pub(crate) fn get(&self, platform: &Platform) -> Option<&Queue> {
        self.by_platform.get(platform)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&Platform, &Queue)> {
        self.by_platform.iter()
    }

    pub(crate) fn place(&self, platform: &Platform, job: &JobName) -> Option<&Place> {
        self.by_platform.get(platform)?.place(job)
    }

    /// Where a build waits for another attempt.
    pub(crate) fn resume(&self, build: BuildId) -> Option<&(Platform, JobName)> {
        self.resumes.get(&build)
    }

    pub(crate) fn head(
        &self,
        platform: &Platform,
        has_template: impl Fn(&TemplateId) -> bool,
    ) -> Option<(Position, &JobName)> {
        let queue = self.by_platform.get(platform)?;
        let position = queue.head(has_template)?;
        queue.places.get(&position).map(|place| (position, &place.queued.job))
    }

    /// A platform gets a queue, if it has none.
    pub(crate) fn add(&mut self, platform: &Platform, changes: &mut Vec<Change>) {
        if !self.has(platform) {
            self.by_platform.insert(platform.clone(), Queue::default());
            changes.push(Change::QueueAdded(platform.clone()));
        }
    }

    /// A queue goes, with all its places: the builds among them that waited for another attempt are handed back.
    pub(crate) fn remove(&mut self, platform: &Platform, changes: &mut Vec<Change>) -> Vec<(JobName, Resume)> {
        let Some(queue) = self.by_platform.remove(platform) else { return Vec::new() };
        changes.push(Change::QueueRemoved(platform.clone()));
        let places = queue.places.into_values().map(|place| place.queued);
        let orphans: Vec<_> = places.filter_map(|queued| Some((queued.job, queued.resume?))).collect();
        for (_, resume) in &orphans {
            self.resumes.remove(&resume.build);
        }
        self.pauses.retain(|(_, on, _)| on != platform);
        orphans
    }

    /// Puts a job that is not in the queue of a platform at an end of it.
    pub(crate) fn push(&mut self, platform: &Platform, end: End, place: Place, changes: &mut Vec<Change>) {
        assert!(self.has(platform), "platform {platform} has a queue");
        let position = self.by_platform.get(platform).map_or(0, |queue| queue.end(end));
        self.put(platform, position, place, changes);
    }

    /// Puts a job that is not in the queue of a platform at a free position.
    pub(crate) fn put(&mut self, platform: &Platform, position: Position, place: Place, changes: &mut Vec<Change>) {
        let Queued { job, resume, .. } = &place.queued;
        let queue = self.by_platform.entry(platform.clone()).or_default();
        assert!(!queue.positions.contains_key(job), "{job} is queued on {platform} already");
        assert!(!queue.places.contains_key(&position), "position {position} of {platform} is taken");
        if let Some(Resume { build, .. }) = resume {
            let elsewhere = self.resumes.insert(*build, (platform.clone(), job.clone()));
            assert!(elsewhere.is_none(), "build {build} is queued already: {elsewhere:?}");
        }
        queue.positions.insert(job.clone(), position);
        queue.lane(&place.lane).insert(position);
        let queued = place.queued.clone();
        changes.push(Change::QueuedPut { platform: platform.clone(), position, queued });
        queue.places.insert(position, place);
    }

    /// Takes a job out of the queue of a platform, if it is in it.
    pub(crate) fn take(&mut self, platform: &Platform, job: &JobName, changes: &mut Vec<Change>) -> Option<Place> {
        let queue = self.by_platform.get_mut(platform)?;
        let position = queue.positions.remove(job)?;
        let place = queue.places.remove(&position)?;
        queue.leave_lane(&place.lane, position);
        if let Lane::Paused(until, _) = &place.lane {
            self.pauses.remove(&(*until, platform.clone(), position));
        }
        if let Some(Resume { build, .. }) = &place.queued.resume {
            self.resumes.remove(build);
        }
        changes.push(Change::QueuedRemoved { platform: platform.clone(), position });
        Some(Place { lane: place.lane.without_pause(), ..place })
    }

    /// A worker refused the build that waits here: it is passed over until then. Nothing of that is durable.
    pub(crate) fn pause(&mut self, platform: &Platform, job: &JobName, until: Duration, why: String) {
        let Some(queue) = self.by_platform.get_mut(platform) else { return };
        let Some(position) = queue.positions.get(job).copied() else { return };
        let Some(place) = queue.places.get_mut(&position) else { return };
        let lane = place.lane.clone();
        place.lane = lane.clone().with_pause(until);
        place.refused = Some(why);
        queue.leave_lane(&lane, position);
        queue.paused.insert(position);
        self.pauses.insert((until, platform.clone(), position));
    }

    /// When the first pause is over.
    pub(crate) fn first_pause(&self) -> Option<Duration> {
        self.pauses.first().map(|(until, _, _)| *until)
    }

    /// Ends a pause that is over now, and gives where that was.
    pub(crate) fn end_pause(&mut self, now: Duration) -> Option<Platform> {
        let (until, platform, position) = self.pauses.first().filter(|(until, _, _)| *until <= now)?.clone();
        self.pauses.remove(&(until, platform.clone(), position));
        let queue = self.by_platform.get_mut(&platform)?;
        let place = queue.places.get_mut(&position)?;
        let lane = place.lane.clone().without_pause();
        place.lane = lane.clone();
        queue.paused.remove(&position);
        queue.lane(&lane).insert(position);
        Some(platform)
    }

    /// A place takes a build to go on with; it must not have one already.
    pub(crate) fn set_resume(&mut self, platform: &Platform, with: Queued, changes: &mut Vec<Change>) {
        let Some(queue) = self.by_platform.get_mut(platform) else { return };
        let Some(position) = queue.positions.get(&with.job).copied() else { return };
        let Some(place) = queue.places.get_mut(&position) else { return };
        assert!(place.queued.resume.is_none(), "the place of {} on {platform} has a build already", with.job);
        if let Some(Resume { build, .. }) = &with.resume {
            let elsewhere = self.resumes.insert(*build, (platform.clone(), with.job.clone()));
            assert!(elsewhere.is_none(), "build {build} is queued already: {elsewhere:?}");
        }
        place.on_trial = false;
        place.queued = Queued { retries: place.queued.retries.max(with.retries), ..with };
        changes.push(Change::QueuedPut { platform: platform.clone(), position, queued: place.queued.clone() });
    }

    /// A place is not only there because nobody knew better.
    pub(crate) fn keep(&mut self, platform: &Platform, job: &JobName) {
        let Some(queue) = self.by_platform.get_mut(platform) else { return };
        let Some(position) = queue.positions.get(job) else { return };
        if let Some(place) = queue.places.get_mut(position) {
            place.on_trial = false;
        }
    }

    /// The template makes no script for this place: it is passed over until the template changes.
    pub(crate) fn set_aside(&mut self, platform: &Platform, position: Position, id: TemplateId, why: Aside) {
        let Some(queue) = self.by_platform.get_mut(platform) else { return };
        let lanes = queue.templates.entry(id.clone()).or_default();
        let Some(place) = queue.places.get_mut(&position) else { return };
        lanes.ready.remove(&position);
        lanes.aside.insert(position);
        place.lane = Lane::Aside(id, why);
    }

    /// Another template: what the old one made no script of may be tried with it.
    pub(crate) fn retry_aside(&mut self, platform: &Platform, id: &TemplateId) {
        let Some(queue) = self.by_platform.get_mut(platform) else { return };
        let Some(lanes) = queue.templates.get_mut(id) else { return };
        for position in std::mem::take(&mut lanes.aside) {
            if let Some(place) = queue.places.get_mut(&position) {
                place.lane = Lane::Template(id.clone());
            }
            lanes.ready.insert(position);
        }
    }

    /// Ends the trial of all places of a platform that wait for a template; gives the jobs that were on it.
    pub(crate) fn end_trial(&mut self, platform: &Platform, id: &TemplateId) -> Vec<JobName> {
        let Some(queue) = self.by_platform.get_mut(platform) else { return Vec::new() };
        let Some(lanes) = queue.templates.get(id) else { return Vec::new() };
        let mut ended = Vec::new();
        for position in &lanes.ready {
            if let Some(place) = queue.places.get_mut(position).filter(|place| place.on_trial) {
                place.on_trial = false;
                ended.push(place.queued.job.clone());
            }
        }
        ended
    }

    /// Panics if the indexes do not agree with the places.
    pub(crate) fn check(&self) {
        let (mut waiting, mut pausing) = (0, 0);
        for (platform, queue) in &self.by_platform {
            queue.check(platform);
            for (position, place) in &queue.places {
                if let Lane::Paused(until, _) = &place.lane {
                    let known = self.pauses.contains(&(*until, platform.clone(), *position));
                    assert!(known, "the pause of {} on {platform} ends", place.queued.job);
                    pausing += 1;
                }
                let Some(Resume { build, .. }) = &place.queued.resume else { continue };
                let known = self.resumes.get(build);
                assert!(
                    known.is_some_and(|(on, job)| on == platform && *job == place.queued.job),
                    "build {build} waits where it stands"
                );
                waiting += 1;
            }
        }
        assert_eq!(waiting, self.resumes.len(), "no build waits that stands nowhere");
        assert_eq!(pausing, self.pauses.len(), "nothing pauses that stands nowhere");
    }
}
