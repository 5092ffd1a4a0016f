//! Saved states that no scheduler of ours would write: they are healed and nothing of worth is lost.

use super::farm::{at, build, job_name, platform, script, templated};
use super::replay::Replay;
use crate::{Now, Scheduler, Settings};
use builder_model::Period;
use builder_model::state::{Queued, Resume, RunningBuild, ScheduleEntry, State};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;

const PLATFORMS: [&str; 3] = ["p", "q", "../odd name"];
const JOBS: [&str; 5] = ["a", "b", "t", "gone", "\n"];

fn odd_state() -> impl Strategy<Value = State> {
    let on = || prop::sample::select(PLATFORMS.to_vec());
    let name = || prop::sample::select(JOBS.to_vec());
    let job = (name(), on()).prop_filter("one job is missing", |(name, _)| *name != "gone");
    let job = job.prop_map(|(name, on)| if name == "t" { templated(name) } else { script(name, on) });
    let entry = (job, prop::sample::select(vec!["-1h", "1h"])).prop_map(|(job, next)| ScheduleEntry {
        job,
        period: Period::Never,
        next: at(next),
    });
    let resume =
        (1..6u128).prop_map(|number| Resume { build: build(number), attempts: 1, started: at("0s"), refusals: 1 });
    let queued = (name(), prop::option::of(resume)).prop_map(|(name, resume)| Queued {
        job: job_name(name),
        retries: 0,
        resume,
    });
    let position = prop::sample::select(vec![i64::MIN, -1, 0, 0, 1, 2, 3, i64::MAX]);
    let queue = (on(), prop::collection::vec((position, queued), 0..6)).prop_map(|(on, places)| (platform(on), places));
    let running = (1..6u128, name(), on(), 0..4u8).prop_map(|(number, name, on, hours)| RunningBuild {
        build: build(number),
        job: job_name(name),
        platform: platform(on),
        attempt: 1,
        retries: 0,
        started: at(&format!("-{hours}h")),
        refusals: 0,
    });
    (
        prop::collection::vec(entry, 0..6),
        prop::collection::vec(queue, 0..4),
        prop::collection::vec(running, 0..5),
        prop::collection::vec(on().prop_map(platform), 0..2),
    )
        .prop_map(|(schedule, queues, running, dropped)| State { schedule, queues, running, dropped })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_state_is_healed(state in odd_state()) {
        let now = Now { wall: at("0s"), monotonic: Duration::ZERO };
        let waiting = state.queues.iter().flat_map(|(_, places)| places).filter_map(|(_, queued)| queued.resume.as_ref());
        let builds: BTreeSet<_> =
            state.running.iter().map(|running| running.build).chain(waiting.map(|resume| resume.build)).collect();
        let (scheduler, changes) = Scheduler::restore(Settings::default(), state.clone(), now);
        scheduler.check();
        let mut replay = Replay::of(state);
        changes.iter().for_each(|change| replay.apply(change));
        prop_assert_eq!(replay.state(), scheduler.to_state());
        for build in builds {
            prop_assert_eq!(replay.whereabouts(build), 1, "{} of {:?}", build, changes);
        }
    }
}
