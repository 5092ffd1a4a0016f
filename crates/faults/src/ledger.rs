//! What the server accepted, and what became of it as far as its history tells.
//!
//! A reply of `success` is accepted. A connection that broke before the reply leaves open whether the server did what
//! was asked. Of each job at most one run is asked for at a time, so that the number of its builds is known.

use crate::jobs::Job;
use builder_model::state::FinishedBuild;
use builder_model::{BuildId, Outcome};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What was asked for a job, and what came of it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The job.
    pub(crate) job: Job,
    /// How many runs of it were accepted.
    pub(crate) accepted: u32,
    /// How many more may have been.
    pub(crate) unknown: u32,
    /// How many builds of it ended.
    pub(crate) rows: u32,
    /// Whether one of them was aborted: over its time, it may run once more by itself.
    pub(crate) was_aborted: bool,
    /// A request is under way, or no more are to be made.
    pub(crate) is_closed: bool,
}

impl Entry {
    /// How many accepted runs have no build in the history.
    pub(crate) fn missing(&self) -> u32 {
        self.accepted.saturating_sub(self.rows)
    }

    /// How many builds there are beyond what was asked for.
    pub(crate) fn surplus(&self) -> u32 {
        // One that ran over its time is tried again as another build.
        let tries = if self.was_aborted { 2 } else { 1 };
        self.rows.saturating_sub((self.accepted + self.unknown) * tries)
    }

    /// Whether it is known that nothing of it is queued or running.
    fn is_idle(&self) -> bool {
        self.rows == self.accepted && self.unknown == 0 && !self.was_aborted && !self.is_closed
    }
}

/// The books of a run.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Books>);

/// What is in them.
#[derive(Debug, Default)]
pub(crate) struct Books {
    /// All jobs.
    pub(crate) jobs: BTreeMap<String, Entry>,
    /// All builds that ended.
    pub(crate) rows: HashMap<BuildId, FinishedBuild>,
    /// Builds of jobs that nobody asked for.
    pub(crate) strangers: Vec<BuildId>,
    /// Requests that were refused.
    pub(crate) refused: u64,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// With `success`.
    Accepted,
    /// It was refused, or never sent.
    Refused,
    /// The connection broke before the answer.
    Unknown,
}

impl Ledger {
    /// The books, for a moment.
    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        // The books are whole between any two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a job that is about to be scheduled.
    pub(crate) fn open(&self, job: Job) {
        let name = job.name.clone();
        let entry = Entry { job, accepted: 0, unknown: 0, rows: 0, was_aborted: false, is_closed: true };
        self.books().jobs.insert(name, entry);
    }

    /// Notes how the request for a run ended, and gives it back.
    pub(crate) fn answered(&self, name: &str, answer: Answer) -> Answer {
        let mut books = self.books();
        let Some(entry) = books.jobs.get_mut(name) else { return answer };
        match answer {
            Answer::Accepted => (entry.accepted, entry.is_closed) = (entry.accepted + 1, false),
            Answer::Unknown => entry.unknown += 1,
            Answer::Refused => {
                entry.is_closed = entry.accepted == 0;
                books.refused += 1;
            }
        }
        answer
    }

    /// A job of which it is known that nothing is queued or running, chosen by a number; it is closed for others.
    pub(crate) fn take_idle(&self, choice: u64) -> Option<String> {
        let mut books = self.books();
        let count = books.jobs.values().filter(|entry| entry.is_idle()).count() as u64;
        let index = usize::try_from(choice.checked_rem(count)?).ok()?;
        let (name, entry) = books.jobs.iter_mut().filter(|(_, entry)| entry.is_idle()).nth(index)?;
        entry.is_closed = true;
        Some(name.clone())
    }

    /// How many accepted runs have not ended.
    pub(crate) fn outstanding(&self) -> u32 {
        self.books().jobs.values().map(Entry::missing).sum()
    }

    /// Takes note of builds that ended.
    pub(crate) fn note(&self, rows: Vec<FinishedBuild>) {
        let mut books = self.books();
        for row in rows {
            if books.rows.contains_key(&row.build) {
                continue;
            }
            let name = row.job.to_string();
            match books.jobs.get_mut(&name) {
                Some(entry) => {
                    entry.rows += 1;
                    entry.was_aborted |= matches!(row.outcome, Outcome::Aborted(_));
                }
                None => books.strangers.push(row.build),
            }
            books.rows.insert(row.build, row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance;
    use builder_model::Timestamp;

    #[test]
    fn what_is_missing_and_what_is_too_much() {
        let ledger = Ledger::default();
        ledger.open(Job::new("a".to_owned(), &mut Chance::new(1, 1)));
        assert_eq!(ledger.take_idle(0), None);
        ledger.answered("a", Answer::Accepted);
        assert_eq!((ledger.outstanding(), ledger.take_idle(0)), (1, None));
        let row = |number, outcome| FinishedBuild {
            build: BuildId::from_bytes([number; 16]),
            job: "a".parse().unwrap(),
            platform: "p".parse().unwrap(),
            attempts: 1,
            started: Timestamp::MAX,
            finished: Timestamp::MAX,
            outcome,
            record_bytes: None,
        };
        ledger.note(vec![row(1, Outcome::Exited(0)), row(1, Outcome::Exited(0))]);
        assert_eq!((ledger.outstanding(), ledger.take_idle(9).as_deref()), (0, Some("a")));
        assert_eq!(ledger.take_idle(9), None);
        ledger.note(vec![row(2, Outcome::Exited(0))]);
        assert_eq!(ledger.books().jobs["a"].surplus(), 1);
        ledger.answered("a", Answer::Unknown);
        assert_eq!(ledger.books().jobs["a"].surplus(), 0);
    }
}
