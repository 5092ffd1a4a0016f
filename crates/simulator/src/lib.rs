//! A farm without sockets, threads or real time: the server's own engine over its own database, with peers, a disk, a
//! clock and a repository that misbehave as a seed tells them.
//!
//! After each step the invariants of the scheduler are checked, and that its memory is what the disk holds. In the end
//! the faults stop, everything drains, and it is counted: what was accepted and never ran is lost, what has two ends is
//! doubled, what does not drain is stuck. The same seed gives the same run.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a simulation ends itself where something is not as it must be")]

mod disk;
mod ledger;
mod peer;
mod random;
mod templates;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// How many steps a run has before it drains.
pub const STEPS: usize = 150;

/// What happened in a run that went well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Faults: crashes, failed saves, workers that vanish or refuse, lost and doubled messages, clock jumps, failed uploads.
    pub faults: u64,
    /// Of these, crashes of the server.
    pub crashes: u64,
    /// Builds that were handed to workers.
    pub builds: u64,
    /// Attempts at them.
    pub attempts: u64,
}

/// A run that did not go well.
#[derive(Debug)]
pub struct Failure {
    /// The seed that repeats it.
    pub seed: u64,
    /// What is wrong.
    pub what: String,
    /// What happened before.
    pub transcript: Vec<String>,
}

/// Runs one seed.
pub fn run(seed: u64, steps: usize) -> Result<(Summary, Vec<String>), Failure> {
    let mut world = world::World::new(seed);
    match catch_unwind(AssertUnwindSafe(|| world.live(steps))) {
        Ok(()) => Ok((world.summary, world.transcript)),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let what = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            let what = what.unwrap_or_else(|| "it ended without a word".to_owned());
            Err(Failure { seed, what, transcript: world.transcript })
        }
    }
}
