//! The workers that wait for a job, in the order in which they came.

use crate::event::WorkerId;
use builder_model::Platform;
use std::collections::BTreeMap;

/// Each waiting worker stands once in `places`, and in the line of its platform under its ticket.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    places: BTreeMap<WorkerId, Place>,
    lines: BTreeMap<Platform, BTreeMap<Ticket, WorkerId>>,
    next: Ticket,
}

/// Counts arrivals: the lower waits longer.
type Ticket = u64;

#[derive(Debug)]
struct Place {
    platform: Platform,
    ticket: Ticket,
}

impl Workers {
    /// A worker gets in line. One that is in this line already keeps its place; one in another line changes over.
    pub(crate) fn wait(&mut self, worker: WorkerId, platform: Platform) {
        if self.places.get(&worker).is_some_and(|place| place.platform == platform) {
            return;
        }
        self.leave(worker);
        let ticket = self.next;
        self.next += 1;
        self.lines.entry(platform.clone()).or_default().insert(ticket, worker);
        self.places.insert(worker, Place { platform, ticket });
    }

    /// A worker waits no more, if it did.
    pub(crate) fn leave(&mut self, worker: WorkerId) {
        let Some(place) = self.places.remove(&worker) else { return };
        let Some(line) = self.lines.get_mut(&place.platform) else { return };
        line.remove(&place.ticket);
        if line.is_empty() {
            self.lines.remove(&place.platform);
        }
    }

    /// The worker of a platform that waits longest.
    pub(crate) fn first(&self, platform: &Platform) -> Option<WorkerId> {
        self.lines.get(platform)?.first_key_value().map(|(_, worker)| *worker)
    }

    pub(crate) fn count(&self, platform: &Platform) -> usize {
        self.lines.get(platform).map_or(0, BTreeMap::len)
    }

    /// The platforms that have a waiting worker.
    pub(crate) fn platforms(&self) -> impl Iterator<Item = &Platform> {
        self.lines.keys()
    }

    /// Everyone, each line in its order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (WorkerId, &Platform)> {
        self.lines.iter().flat_map(|(platform, line)| line.values().map(move |worker| (*worker, platform)))
    }

    /// Panics if the lines do not agree with the places.
    pub(crate) fn check(&self) {
        let mut standing = 0;
        for (platform, line) in &self.lines {
            assert!(!line.is_empty(), "no line is kept for nobody");
            for (ticket, worker) in line {
                let place = self.places.get(worker);
                assert!(
                    place.is_some_and(|place| place.ticket == *ticket && place.platform == *platform),
                    "worker {} stands where it believes",
                    worker.0
                );
                assert!(*ticket < self.next, "tickets are given once");
                standing += 1;
            }
        }
        assert_eq!(standing, self.places.len(), "every waiting worker stands in one line");
    }
}
