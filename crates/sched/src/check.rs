//! What must always hold, asserted: for tests and the simulator, and for whoever doubts a running server.

use crate::queue::Lane;
use crate::scheduler::Scheduler;
use builder_model::{Job, Platform, RunsOn};

impl Scheduler {
    /// Whether the parts agree. O(n).
    ///
    /// # Panics
    ///
    /// With the broken invariant, if one is broken.
    pub fn check(&self) {
        self.calendar.check();
        self.queues.check();
        self.running.check();
        self.workers.check();
        for (platform, queue) in self.queues.all() {
            assert!(!self.dropped.contains(platform), "dropped platform {platform} has no queue");
            for (_, place) in queue.places() {
                let job = &place.queued.job;
                assert!(self.calendar.belongs(job, platform), "{job}, queued on {platform}, is on the schedule for it");
                let whole = self.calendar.get(job).map(|entry| &entry.job);
                let id = match &place.lane {
                    Lane::Script => None,
                    Lane::Template(id) | Lane::Aside(id, _) => Some(id.clone()),
                    Lane::Paused(_, id) => id.clone(),
                };
                assert_eq!(id, whole.and_then(Job::template), "{job} is in the lane of its template");
                let unread = |id| self.templates.get(platform, id).is_none();
                let may_be = match whole.map(Job::runs_on) {
                    Some(RunsOn::EachWith(id)) => unread(&id),
                    Some(RunsOn::One(_)) | None => false,
                };
                let refused = place.queued.resume.as_ref().is_some_and(|resume| resume.refusals > 0);
                assert!(place.refused.is_none() || refused, "{job} on {platform} has a build that was refused");
                assert!(!place.on_trial || may_be, "{job} on {platform} is on trial only until the template is read");
            }
            self.check_nobody_waits_in_vain(platform);
        }
        for running in self.running.all() {
            let build = running.build.build;
            assert!(self.queues.resume(build).is_none(), "build {build} is not both running and queued");
        }
        for (worker, platform) in self.workers.all() {
            assert!(!self.running.is_busy(worker), "worker {} does not wait with a build in hand", worker.0);
            let welcome = self.queues.has(platform) || self.dropped.contains(platform);
            assert!(welcome, "platform {platform} of waiting worker {} has a queue", worker.0);
        }
    }

    fn check_nobody_waits_in_vain(&self, platform: &Platform) {
        let head = self.queues.head(platform, |id| self.templates.text(platform, id).is_some());
        let meet = self.workers.count(platform) > 0 && head.is_some();
        assert!(!meet || self.touched.contains(platform), "{head:?} is handed to a worker that waits on {platform}");
    }
}
