//! The life of a job: scheduled, handed out, watched, handed in, and on disk.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

use builder_model::{Outcome, Period};
use builder_testkit::{Farm, Seen};
use builder_wire::Message;

#[tokio::test(flavor = "multi_thread")]
async fn from_the_schedule_to_the_record() {
    let farm = Farm::start().await;
    farm.schedule("hello", "p").await;
    assert_eq!(farm.info().await.queues, ["p: hello"]);

    let (mut worker, job) = farm.running("p").await;
    assert_eq!((job.name.as_str(), job.platform.as_str(), job.script.as_str()), ("hello", "p", "echo hello\n"));
    let seen = farm.info().await;
    assert_eq!(
        (seen.queues, seen.running, seen.builds),
        (vec!["p:".to_owned()], vec!["hello on p".to_owned()], vec![job.build])
    );

    worker.lines(["one", "", "three \u{fc}"]).await;
    let files: [(&str, &[u8]); 3] = [("bin/hello", b"\x7fELF"), ("empty", b""), ("a/b/c", b"deep")];
    worker.finish(Outcome::Exited(3), &files).await;

    let record = farm.record("hello", job.build);
    assert_eq!(
        (record.job.as_str(), record.script.as_slice(), record.build),
        ("hello on p", &b"echo hello\n"[..], job.build)
    );
    assert_eq!(record.console, ["three \u{fc}", "", "one"]);
    assert!(record.deltas.is_sorted_by(|newer, older| newer >= older) && record.deltas[2] >= 0, "{:?}", record.deltas);
    assert_eq!(record.outcome, "exited 3");
    assert_eq!(record.files, files.map(|(path, data)| (path.to_owned(), data.to_vec())));

    let row = farm.grounds().history().remove(0);
    assert_eq!((row.build, row.attempts, row.outcome), (job.build, 1, Outcome::Exited(3)));
    assert_eq!((row.started, row.finished), (record.started, record.finished));
    let path = farm.grounds().record_path("hello", job.build);
    assert_eq!(row.record_bytes, Some(std::fs::metadata(path).unwrap().len()));
    let seen = farm.info().await;
    assert_eq!(Seen { schedule: vec![], ..seen }, Seen { queues: vec!["p:".to_owned()], ..Seen::default() });
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_is_kept() {
    let outcomes = [Outcome::Exited(0), Outcome::Signalled(-7), Outcome::Stopped(-16), Outcome::aborted("gave up")];
    let farm = Farm::start().await;
    for (name, outcome) in ["a", "b", "c", "d"].into_iter().zip(&outcomes) {
        farm.schedule(name, "p").await;
        let (worker, job) = farm.running("p").await;
        worker.finish(outcome.clone(), &[]).await;
        assert_eq!(farm.record(name, job.build).outcome, outcome.to_string());
    }
    let rows: Vec<Outcome> = farm.grounds().history().into_iter().rev().map(|row| row.outcome).collect();
    assert_eq!(rows, outcomes);
}

#[tokio::test(flavor = "multi_thread")]
async fn first_come_first_served_on_each_platform() {
    let farm = Farm::start().await;
    for (name, platform) in [("a", "p"), ("x", "q"), ("b", "p"), ("c", "p"), ("y", "q")] {
        farm.schedule(name, platform).await;
    }
    assert_eq!(farm.info().await.queues, ["p: a b c", "q: x y"]);

    let execute = Message::Execute { name: b"c", platform: None };
    assert_eq!(farm.command(&execute).await, Ok(()));
    assert_eq!(farm.info().await.queues, ["p: c a b", "q: x y"]);

    let mut order = Vec::new();
    for platform in ["p", "q", "p", "p", "q"] {
        let (worker, job) = farm.running(platform).await;
        order.push(format!("{} on {}", job.name, job.platform));
        worker.finish(Outcome::Exited(0), &[]).await;
    }
    assert_eq!(order, ["c on p", "x on q", "a on p", "b on p", "y on q"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_wait_are_served_in_their_order() {
    let farm = Farm::start().await;
    let mut first = farm.worker("p").await;
    farm.queues_become(&["p:"]).await;
    let mut second = farm.worker("q").await;
    farm.queues_become(&["p:", "q:"]).await;
    farm.schedule("y", "q").await;
    farm.schedule("x", "p").await;
    assert_eq!((first.job().await.name, second.job().await.name), ("x".to_owned(), "y".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_runs_can_be_queued_again() {
    let farm = Farm::start().await;
    farm.schedule("a", "p").await;
    let (worker, first) = farm.running("p").await;
    for _ in 0..2 {
        let execute = Message::Execute { name: b"a", platform: Some(b"p") };
        assert_eq!(farm.command(&execute).await, Ok(()));
    }
    let seen = farm.info().await;
    assert_eq!((seen.queues, seen.running), (vec!["p: a".to_owned()], vec!["a on p".to_owned()]));
    let (other, second) = farm.running("p").await;
    assert_ne!(first.build, second.build);
    worker.finish(Outcome::Exited(0), &[]).await;
    other.finish(Outcome::Exited(0), &[]).await;
    assert_eq!(farm.grounds().history().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_left_gets_nothing() {
    let farm = Farm::start().await;
    let gone = farm.worker("p").await;
    farm.queues_become(&["p:"]).await;
    drop(gone);
    farm.schedule("a", "p").await;
    let (_worker, job) = farm.running("p").await;
    assert_eq!(job.name, "a");
    assert_eq!(farm.info().await.running, ["a on p"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_platforms_come_back_empty() {
    let farm = Farm::start().await;
    farm.schedule_every(Period::Daily, "a", "p").await;
    farm.schedule("b", "q").await;
    assert_eq!(farm.command(&Message::DropPlatform { platform: b"p" }).await, Ok(()));
    let seen = farm.info().await;
    assert_eq!((seen.queues, seen.dropped, seen.schedule.len()), (vec!["q: b".to_owned()], vec!["p".to_owned()], 1));
    let mut waits = farm.worker("p").await;
    assert_eq!(farm.command(&Message::UndropPlatform { platform: b"p" }).await, Ok(()));
    farm.schedule("a", "p").await;
    assert_eq!(waits.job().await.name, "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_build_of_a_platform_that_is_dropped_is_kept() {
    let farm = Farm::start().await;
    farm.schedule("a", "p").await;
    let (worker, job) = farm.running("p").await;
    assert_eq!(farm.command(&Message::DropPlatform { platform: b"p" }).await, Ok(()));
    worker.finish(Outcome::Exited(0), &[("f", b"data")]).await;
    assert_eq!(farm.record("a", job.build).paths(), ["f"]);
}
