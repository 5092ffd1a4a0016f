//! The original's `state` file and the durable state, one made of the other.

use crate::error::{StoreError, Tried};
use builder_model::state::{Position, Queued, ScheduleEntry, State};
use builder_model::{Job, JobName, ParameterJob, Platform, ScriptJob};
use builder_wire::message::{self, InfoQueue};
use builder_wire::state::{self, StateItem};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::Path;

/// A state file as it was found.
#[derive(Debug)]
pub struct Imported {
    /// What it holds.
    pub state: State,
    /// How many items of old versions were left out: queued jobs, all of which are on the schedule as well.
    pub left_out: usize,
    /// The SHA-256 of its bytes.
    pub digest: [u8; 32],
}

/// Reads a state file; `None` when there is none.
pub fn read(path: &Path) -> Result<Option<Imported>, StoreError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).tried("read", path),
    };
    let decoded = state::decode_counting(&bytes);
    let (items, left_out) = decoded.map_err(|source| StoreError::StateFile { path: path.to_owned(), source })?;
    Ok(Some(Imported { state: to_state(&items), left_out, digest: Sha256::digest(&bytes).into() }))
}

fn to_state(items: &[StateItem<'_>]) -> State {
    let mut state = State::default();
    for item in items {
        match item {
            StateItem::Schedule(entry) => {
                let job = model(&entry.job);
                state.schedule.extend(job.map(|job| ScheduleEntry { job, period: entry.period, next: entry.next }));
            }
            StateItem::Queue(queue) => state.queues.push((Platform::from_history(queue.platform), places(queue))),
            StateItem::DroppedPlatform(platform) => state.dropped.push(Platform::from_history(platform)),
        }
    }
    state
}

fn places(queue: &InfoQueue<'_>) -> Vec<(Position, Queued)> {
    let jobs = queue.jobs.iter().filter_map(model);
    (0..).zip(jobs.map(|job| Queued { job: job.name().clone(), retries: 0, resume: None })).collect()
}

/// Only values of parameters can be such that there is no job, and the reader of state files refuses jobs that have any.
fn model(job: &message::Job<'_>) -> Option<Job> {
    job.to_model().ok()
}

/// What has to be known of templates to write a state that the original understands: it has no jobs of those with
/// parameters, so they become scripts.
pub struct Rendering<'a> {
    /// The platforms that have a template.
    pub platforms: &'a dyn Fn(&ParameterJob) -> Vec<Platform>,
    /// The script of a job for a platform, or why there is none.
    pub script: &'a dyn Fn(&ParameterJob, &Platform) -> Result<ScriptJob, String>,
}

/// A state without jobs of templates with parameters: each becomes one script for each of its platforms, as its
/// template is now. One for a single platform keeps its name; of several, each has the platform behind it. Beside it,
/// what was left out, and why.
pub fn render(state: &State, with: &Rendering<'_>) -> (State, Vec<String>) {
    let mut taken: BTreeSet<JobName> = state.schedule.iter().map(|entry| entry.job.name().clone()).collect();
    let mut left_out = Vec::new();
    let mut scripts: BTreeMap<(JobName, Platform), JobName> = BTreeMap::new();
    let mut rendered = State { schedule: Vec::new(), ..state.clone() };
    for entry in &state.schedule {
        let Job::Parameter(job) = &entry.job else {
            rendered.schedule.push(entry.clone());
            continue;
        };
        let platforms = job.platform.clone().map_or_else(|| (with.platforms)(job), |platform| vec![platform]);
        if platforms.is_empty() {
            left_out.push(format!("job {}: no platform has the template {}", job.name, job.template));
        }
        for platform in &platforms {
            let script = match (with.script)(job, platform) {
                Ok(script) => script,
                Err(why) => {
                    left_out.push(format!("job {} on {platform}: {why}", job.name));
                    continue;
                }
            };
            let Some(name) = free_name(job, platform, platforms.len(), &taken) else {
                left_out.push(format!("job {} on {platform}: no name of at most 128 bytes is free for it", job.name));
                continue;
            };
            taken.insert(name.clone());
            scripts.insert((job.name.clone(), platform.clone()), name.clone());
            let job = Job::Script(ScriptJob { name, ..script });
            rendered.schedule.push(ScheduleEntry { job, period: entry.period, next: entry.next });
        }
    }
    let parameter_jobs: HashSet<&JobName> = (state.schedule.iter())
        .filter_map(|entry| if let Job::Parameter(job) = &entry.job { Some(&job.name) } else { None })
        .collect();
    let renamed = |job: &JobName, platform: &Platform| {
        let script = scripts.get(&(job.clone(), platform.clone()));
        script.cloned().or_else(|| (!parameter_jobs.contains(job)).then(|| job.clone()))
    };
    for (platform, places) in &mut rendered.queues {
        places.retain_mut(|(_, queued)| {
            let name = renamed(&queued.job, platform);
            name.map(|name| queued.job = name).is_some()
        });
    }
    rendered.running.retain_mut(|running| {
        let name = renamed(&running.job, &running.platform);
        name.map(|name| running.job = name).is_some()
    });
    (rendered, left_out)
}

fn free_name(job: &ParameterJob, platform: &Platform, platforms: usize, taken: &BTreeSet<JobName>) -> Option<JobName> {
    if platforms == 1 {
        return Some(job.name.clone());
    }
    JobName::parse(format!("{}.{platform}", job.name).as_bytes()).ok().filter(|name| !taken.contains(name))
}

/// Writes the state as the original would: dropped platforms, then the schedule, then the queues. The original does not
/// save running builds, so they stand at the front of their queues, that none is lost on the way back.
pub fn write(state: &State) -> Vec<u8> {
    let jobs: HashMap<&JobName, &Job> = state.schedule.iter().map(|entry| (entry.job.name(), &entry.job)).collect();
    let mut items: Vec<StateItem<'_>> =
        state.dropped.iter().map(|platform| StateItem::DroppedPlatform(platform.as_bytes())).collect();
    items.extend(state.schedule.iter().map(|entry| {
        let ScheduleEntry { job, period, next } = entry;
        StateItem::Schedule(message::ScheduleEntry { next: *next, period: *period, job: job.into() })
    }));
    for (platform, places) in &state.queues {
        let mut places: Vec<_> = places.iter().collect();
        places.sort_by_key(|(position, _)| *position);
        let running = state.running.iter().filter(|running| running.platform == *platform).map(|running| &running.job);
        let names = running.chain(places.iter().map(|(_, queued)| &queued.job));
        let mut seen: HashSet<&JobName> = HashSet::new();
        let jobs =
            names.filter(|name| seen.insert(name)).filter_map(|name| jobs.get(name)).map(|job| (*job).into()).collect();
        items.push(StateItem::Queue(InfoQueue { platform: platform.as_bytes(), jobs }));
    }
    state::encode(&items).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_original_wrote_comes_back_the_same() {
        let hex = "3049a5030c0171a32a3028181339393939313233313233353935392e3939395aa1020500a00d300b0c016a0c017330000c01\
                   70a41630140c0170300fa00d300b0c016a0c017330000c0170";
        let bytes: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        assert!(read(&path).unwrap().is_none());
        fs::write(&path, &bytes).unwrap();
        let imported = read(&path).unwrap().unwrap();
        assert_eq!(imported.state.queues[0].1[0].1.job.as_bytes(), b"j");
        assert_eq!(write(&imported.state), bytes);
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("is damaged: byte 0: the data ends here"), "{error}");
        assert!(error.contains("hint: nothing was changed"), "{error}");
    }
}
