//! Turns for work that may block: a bounded number of threads, each of which goes on with the next work that waits. Under
//! load no thread sleeps and is woken between one work and the next, which costs as much as a small page.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// Turns, first come, first served. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Turns(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    /// Threads that work at once.
    most: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    works: VecDeque<Box<dyn FnOnce() + Send>>,
    /// Threads that take works.
    threads: usize,
}

/// The work ended in a panic, or the runtime ends.
#[derive(Debug)]
pub(crate) struct Broken;

impl std::fmt::Debug for Waiting {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Waiting").field("works", &self.works.len()).field("threads", &self.threads).finish()
    }
}

impl Turns {
    /// So many works at once.
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Parts { most, waiting: Mutex::default() }))
    }

    /// What the work says. It is not begun when nobody waits for it any more.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Broken> {
        let (told, wait) = oneshot::channel();
        let work = move || {
            // A receiver that is gone is a request that was given up.
            if !told.is_closed() {
                drop(told.send(work()));
            }
        };
        if self.0.push(Box::new(work)) {
            let parts = self.0.clone();
            tokio::task::spawn_blocking(move || parts.work_off());
        }
        wait.await.map_err(|_| Broken)
    }
}

impl Parts {
    /// Adds a work, and tells whether a thread more is to work.
    fn push(&self, work: Box<dyn FnOnce() + Send>) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.works.push_back(work);
        let more = waiting.threads < self.most;
        waiting.threads += usize::from(more);
        more
    }

    /// The next work; none ends the thread.
    fn next(&self) -> Option<Box<dyn FnOnce() + Send>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let work = waiting.works.pop_front();
        waiting.threads -= usize::from(work.is_none());
        work
    }

    fn work_off(&self) {
        while let Some(work) = self.next() {
            // Who waits for it is told by the end of the channel; where it was, the panic itself has said.
            drop(catch_unwind(AssertUnwindSafe(work)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    #[tokio::test(flavor = "multi_thread")]
    async fn as_many_works_at_once_as_there_are_turns() {
        const TURNS: usize = 3;
        let turns = Turns::new(TURNS);
        // Each waits for others beside it, so that none ends unless so many are done at once.
        let (beside, now, most) =
            (Arc::new(Barrier::new(TURNS)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let works: Vec<_> = (0..TURNS * 20)
            .map(|number| {
                let (turns, beside, now, most) = (turns.clone(), beside.clone(), now.clone(), most.clone());
                tokio::spawn(async move {
                    let work = move || {
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        beside.wait();
                        now.fetch_sub(1, Ordering::SeqCst);
                        number
                    };
                    turns.run(work).await.unwrap()
                })
            })
            .collect();
        for (number, work) in works.into_iter().enumerate() {
            assert_eq!(work.await.unwrap(), number);
        }
        assert_eq!(most.load(Ordering::SeqCst), TURNS);
    }

    #[tokio::test]
    async fn a_panic_takes_no_turn_away() {
        let turns = Turns::new(1);
        for _ in 0..3 {
            assert!(turns.run(|| panic!("as it should")).await.is_err());
        }
        assert_eq!(turns.run(|| 7).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_not_begun() {
        let turns = Turns::new(1);
        let (release, held) = mpsc::channel::<()>();
        let holding = {
            let turns = turns.clone();
            tokio::spawn(async move { turns.run(move || held.recv().is_ok()).await.unwrap() })
        };
        let begun = Arc::new(AtomicUsize::new(0));
        let count = || {
            let begun = begun.clone();
            move || begun.fetch_add(1, Ordering::SeqCst)
        };
        tokio::task::yield_now().await;
        tokio::time::timeout(Duration::ZERO, turns.run(count())).await.unwrap_err();
        release.send(()).unwrap();
        assert!(holding.await.unwrap());
        assert_eq!(turns.run(count()).await.unwrap(), 0, "the other one would have been the first");
    }
}
