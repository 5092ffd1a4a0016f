//! Time, moved by hand: what is due, what ran over its time, and clocks that jump.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

use builder_model::{JobName, Outcome, Period, Platform, Timestamp};
use builder_testkit::{FakeWorker, Farm, Grounds, JobSeen};
use builder_wire::Message;
use std::time::Duration;

const HOUR: u64 = 3_600;
const DAY: u64 = 86_400;
const NEVER: &str = "9999-12-31T23:59:59.999Z";

async fn farm() -> Farm {
    Grounds::new().at("2026-03-01T12:00:00Z").start().await
}

/// Runs everything that is queued.
async fn run_all(farm: &Farm, expected: &[&str]) {
    let mut names = Vec::new();
    for _ in expected {
        let (worker, job) = farm.running("p").await;
        names.push(job.name);
        worker.finish(Outcome::Exited(0), &[]).await;
    }
    assert_eq!(names, expected);
    assert_eq!(farm.info().await.queues, ["p:"]);
}

async fn reschedule(farm: &Farm, name: &str, next: &str, period: Option<Period>) {
    let next: Timestamp = next.parse().unwrap();
    assert_eq!(farm.command(&Message::Reschedule { name: name.as_bytes(), next, period }).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_run_with_their_periods() {
    let farm = farm().await;
    for period in Period::ALL {
        farm.schedule_every(period, period.as_str(), "p").await;
    }
    let schedule = [
        "hourly hourly 2026-03-01T13:00:00Z".to_owned(),
        "daily daily 2026-03-02T12:00:00Z".to_owned(),
        "weekly weekly 2026-03-08T12:00:00Z".to_owned(),
        format!("never never {NEVER}"),
    ];
    assert_eq!(farm.info().await.schedule, schedule);
    run_all(&farm, &["hourly", "daily", "weekly", "never"]).await;

    farm.advance(HOUR - 1);
    assert_eq!(farm.info().await.queues, ["p:"], "a second too early");
    farm.advance(1);
    run_all(&farm, &["hourly"]).await;
    assert_eq!(farm.info().await.schedule[0], "hourly hourly 2026-03-01T14:00:00Z");
    farm.advance(DAY - HOUR);
    run_all(&farm, &["hourly", "daily"]).await;
    farm.advance(6 * DAY);
    run_all(&farm, &["hourly", "daily", "weekly"]).await;
    assert_eq!(farm.info().await.schedule[2], "weekly weekly 2026-03-15T12:00:00Z");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_waits_gets_what_is_due_at_once() {
    let farm = farm().await;
    farm.schedule_every(Period::Hourly, "a", "p").await;
    run_all(&farm, &["a"]).await;
    let mut worker = farm.worker("p").await;
    farm.queues_become(&["p:"]).await;
    // Nothing is asked of the server: it wakes up by itself.
    farm.advance(HOUR);
    assert_eq!(worker.job().await.name, "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn rescheduled_jobs_run_then_and_not_now() {
    let farm = farm().await;
    farm.schedule_every(Period::Hourly, "a", "p").await;
    farm.schedule("b", "p").await;
    run_all(&farm, &["a", "b"]).await;

    reschedule(&farm, "a", "2026-03-01T12:30:00Z", Some(Period::Weekly)).await;
    reschedule(&farm, "b", "2026-03-01T12:45:00Z", None).await;
    let seen = farm.info().await;
    assert_eq!((seen.schedule[0].as_str(), seen.queues), ("a weekly 2026-03-01T12:30:00Z", vec!["p:".to_owned()]));
    farm.advance(45 * 60);
    run_all(&farm, &["a", "b"]).await;
    assert_eq!(farm.info().await.schedule, ["a weekly 2026-03-08T12:45:00Z".to_owned(), format!("b never {NEVER}")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rescheduled_into_the_past_is_now() {
    let farm = farm().await;
    farm.schedule_every(Period::Daily, "a", "p").await;
    run_all(&farm, &["a"]).await;
    reschedule(&farm, "a", "2020-01-01T00:00:00Z", None).await;
    assert_eq!(farm.info().await.schedule, ["a daily 2026-03-02T12:00:00Z"]);
    run_all(&farm, &["a"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_is_not_queued_twice() {
    let farm = farm().await;
    farm.schedule_every(Period::Hourly, "a", "p").await;
    farm.advance(HOUR);
    let seen = farm.info().await;
    assert_eq!((seen.queues[0].as_str(), seen.schedule[0].as_str()), ("p: a", "a hourly 2026-03-01T14:00:00Z"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_ahead_makes_no_burst() {
    let farm = farm().await;
    farm.schedule_every(Period::Hourly, "a", "p").await;
    run_all(&farm, &["a"]).await;
    farm.set_wall("2026-06-01T00:10:00Z");
    run_all(&farm, &["a"]).await;
    assert_eq!(farm.info().await.schedule, ["a hourly 2026-06-01T01:10:00Z"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_runs_nothing_twice() {
    let farm = farm().await;
    farm.schedule_every(Period::Hourly, "a", "p").await;
    run_all(&farm, &["a"]).await;
    farm.set_wall("2026-03-01T11:00:00Z");
    assert_eq!(farm.info().await.queues, ["p:"]);
    farm.advance(2 * HOUR);
    run_all(&farm, &["a"]).await;
    assert_eq!(farm.info().await.schedule, ["a hourly 2026-03-01T14:00:00Z"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_due_while_the_server_was_off_runs_once() {
    let farm = farm().await;
    farm.schedule_every(Period::Hourly, "a", "p").await;
    farm.schedule("b", "p").await;
    run_all(&farm, &["a", "b"]).await;
    let farm = farm.stop().await.at("2026-03-20T12:00:00Z").start().await;
    run_all(&farm, &["a"]).await;
    assert_eq!(farm.info().await.schedule[0], "a hourly 2026-03-20T13:00:00Z");
}

/// Lets the build of a worker run over its time.
async fn over(farm: &Farm, mut worker: FakeWorker, job: &JobSeen, limit: u64) {
    worker.line("working").await;
    farm.advance(limit - 1);
    assert_eq!(farm.info().await.builds, [job.build], "a second too early");
    let mut observer = farm.observer(job.build).await;
    assert_eq!(observer.line().await, "working");
    farm.advance(1);
    worker.closed().await;
    let rest = observer.rest().await;
    let outcome = "execution aborted: timeout";
    assert_eq!((rest.lines, rest.answer), (vec![format!("builder-server: {outcome}"), outcome.to_owned()], Ok(())));
    let record = farm.record(&job.name, job.build);
    let console = [format!("builder-server: {outcome}"), "working".to_owned()];
    assert_eq!((record.outcome.as_str(), record.console, record.files), (outcome, console.to_vec(), vec![]));
    assert_eq!(record.finished.milliseconds_since(record.started), i64::try_from(limit).unwrap() * 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_over_its_time_is_recorded_and_tried_once_more() {
    let farm = farm().await;
    farm.schedule("a", "p").await;
    let (worker, first) = farm.running("p").await;
    over(&farm, worker, &first, HOUR).await;
    assert_eq!(farm.info().await.queues, ["p: a"]);
    let (worker, second) = farm.running("p").await;
    assert_ne!(second.build, first.build);
    over(&farm, worker, &second, HOUR).await;
    assert_eq!(farm.info().await.queues, ["p:"]);
    assert_eq!(farm.grounds().history().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_day_is_nothing_to_a_running_build() {
    let farm = farm().await;
    farm.schedule("a", "p").await;
    let (worker, job) = farm.running("p").await;
    farm.set_wall("2027-01-01T00:00:00Z");
    farm.advance(HOUR - 1);
    farm.set_wall("2026-01-01T00:00:00Z");
    assert_eq!(farm.info().await.builds, [job.build]);
    worker.finish(Outcome::Exited(0), &[]).await;
    assert_eq!(farm.record("a", job.build).outcome, "exited 0");
}

#[tokio::test(flavor = "multi_thread")]
async fn platforms_and_jobs_have_limits_of_their_own() {
    let grounds = Grounds::new().at("2026-03-01T12:00:00Z").with(|settings| {
        settings.retries = 0;
        settings.timeout = Duration::from_secs(100);
        settings.platform_timeouts.insert(Platform::parse(b"slow").unwrap(), Duration::from_secs(200));
        settings.job_timeouts.insert(JobName::parse(b"long").unwrap(), Duration::from_secs(300));
    });
    let farm = grounds.start().await;
    for (name, platform, limit) in [("a", "p", 100), ("a-slow", "slow", 200), ("long", "slow", 300)] {
        farm.schedule(name, platform).await;
        let (worker, job) = farm.running(platform).await;
        over(&farm, worker, &job, limit).await;
    }
    assert_eq!(farm.info().await.queues, ["p:", "slow:"], "there are no retries");
}
