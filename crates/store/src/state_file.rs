//! The original's `state` file and the durable state, one made of the other.

use crate::error::{StoreError, Tried};
use builder_model::state::{Position, Queued, ScheduleEntry, State};
use builder_model::{Job, JobName, Platform};
use builder_wire::message::{self, InfoQueue};
use builder_wire::state::{self, StateItem};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
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
                state.schedule.push(ScheduleEntry { job: entry.job.to_model(), period: entry.period, next: entry.next })
            }
            StateItem::Queue(queue) => state.queues.push((Platform::from_history(queue.platform), places(queue))),
            StateItem::DroppedPlatform(platform) => state.dropped.push(Platform::from_history(platform)),
        }
    }
    state
}

fn places(queue: &InfoQueue<'_>) -> Vec<(Position, Queued)> {
    let queued = |job: &message::Job<'_>| Queued { job: job.to_model().name().clone(), retries: 0, resume: None };
    (0..).zip(queue.jobs.iter().map(queued)).collect()
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
