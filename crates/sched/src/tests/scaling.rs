//! An event costs the same however many jobs there are.

use super::farm::{at, job_name, platform, script, templated};
use crate::endings::DUE_PER_EVENT_MAX;
use crate::{Event, Now, Scheduler, Settings, Template, TemplateText, WorkerId};
use builder_model::state::State;
use builder_model::{BuildId, Outcome, Period, TemplateId};
use std::time::Duration;

/// Makes this many scripts for `p` and as many templated jobs that wait there for a template which then goes missing;
/// then takes 2,000 workers through a build each. Gives how much every event led to.
///
/// Were any of this to cost as much as there are jobs, the test would not end in a minute.
fn decisions_with(jobs: usize) -> Vec<(usize, usize)> {
    let now = Now { wall: at("0s"), monotonic: Duration::ZERO };
    let (mut scheduler, _) = Scheduler::restore(Settings::default(), State::default(), now);
    let mut builds = 0u128;
    let mut handle = |event| {
        let mut fresh = || {
            builds += 1;
            BuildId::from_bytes(builds.to_be_bytes())
        };
        let decision = scheduler.handle(now, event, &mut fresh);
        assert!(decision.reply.is_ok(), "{decision:?}");
        (decision.changes.len(), decision.acts.len())
    };
    let read = |template| Event::TemplateRead { platform: platform("p"), id: TemplateId::Package, template };
    handle(read(Template::Present(TemplateText::Package(b"x".as_slice().into()))));
    handle(Event::Schedule { job: script("first", "p"), period: Period::Never });
    for number in 0..jobs {
        handle(Event::Schedule { job: templated(&format!("t{number}")), period: Period::Daily });
    }
    for number in 0..jobs {
        handle(Event::Schedule { job: script(&format!("s{number}"), "p"), period: Period::Daily });
    }
    handle(read(Template::Missing));
    let mut sizes = Vec::new();
    for round in 0..2000u64 {
        sizes.push(handle(Event::WorkerWaits { worker: WorkerId(round), platform: platform("p") }));
        let build = BuildId::from_bytes(u128::from(round + 1).to_be_bytes());
        let outcome = Outcome::Exited(0);
        sizes.push(handle(Event::Finished { build, finished: now.wall, outcome, record_bytes: Some(1) }));
        sizes.push(handle(Event::Execute { job: job_name("first"), platform: None }));
        sizes.push(handle(Event::Reschedule { job: job_name("first"), next: at("1h"), period: None }));
        sizes.push(handle(Event::TimePassed));
    }
    sizes
}

#[test]
fn an_event_costs_the_same_whatever_waits() {
    assert_eq!(decisions_with(2), decisions_with(50_000));
}

#[test]
fn no_event_queues_more_than_so_many_due_jobs() {
    let mut now = Now { wall: at("0s"), monotonic: Duration::ZERO };
    let (mut scheduler, _) = Scheduler::restore(Settings::default(), State::default(), now);
    let mut no_build = || unreachable!("nobody waits for one");
    for number in 0..=DUE_PER_EVENT_MAX {
        let event = Event::Schedule { job: script(&number.to_string(), "p"), period: Period::Hourly };
        assert!(scheduler.handle(now, event, &mut no_build).reply.is_ok());
    }
    now.wall = at("2h");
    assert_eq!(scheduler.handle(now, Event::TimePassed, &mut no_build).changes.len(), DUE_PER_EVENT_MAX);
    assert_eq!(scheduler.wake_at().wall, Some(at("1h")));
    assert_eq!(scheduler.handle(now, Event::TimePassed, &mut no_build).changes.len(), 1);
    assert_eq!(scheduler.wake_at().wall, Some(at("3h")));
}
