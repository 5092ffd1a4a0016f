//! Observers: every line from the first on, then the outcome, whatever happens meanwhile.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

use builder_model::Outcome;
use builder_testkit::{Farm, eventually, metric};

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("line {number}")).collect()
}

fn with_outcome(lines: &[String], outcome: &str) -> Vec<String> {
    lines.iter().map(String::as_str).chain([outcome]).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_then_what_is_said_then_the_outcome() {
    let farm = Farm::start().await;
    farm.schedule("a", "p").await;
    let (mut worker, job) = farm.running("p").await;
    worker.lines(["one", "two"]).await;
    let mut early = farm.observer(job.build).await;
    assert_eq!([early.line().await, early.line().await], ["one", "two"]);
    worker.line("three").await;
    assert_eq!(early.line().await, "three");

    let late = farm.observer(job.build).await;
    worker.finish(Outcome::Signalled(-7), &[]).await;

    let (early, late) = (early.rest().await, late.rest().await);
    assert_eq!((early.lines, early.answer), (vec!["signalled -7".to_owned()], Ok(())));
    assert_eq!(
        (&late.lines[..], &late.answer),
        (&["one", "two", "three", "signalled -7"].map(str::to_owned)[..], &Ok(()))
    );
    assert!(late.is_in_order(), "{:?}", late.deltas);
    assert_eq!(farm.observe(job.build).await, late, "the record tells what the log told");
}

/// Such lines are in no log: who observes gets them from the record.
#[tokio::test(flavor = "multi_thread")]
async fn lines_that_come_together_with_the_end_are_seen() {
    let farm = Farm::start().await;
    farm.schedule("a", "p").await;
    let (mut worker, job) = farm.running("p").await;
    let early = [farm.observer(job.build).await, farm.observer(job.build).await];
    let mut bytes = worker.line_frames(["one", "two"]);
    bytes.extend(worker.finish_frame(&Outcome::Exited(0), &[(b"f", b"x")]));
    worker.peer.send_bytes(&bytes).await;
    worker.closed().await;
    assert_eq!(farm.record("a", job.build).paths(), ["f"], "the file is there when the worker hears of the end");
    for observer in early {
        assert_eq!(observer.rest().await.lines, ["one", "two", "exited 0"]);
    }
    assert_eq!(farm.observe(job.build).await.lines, ["one", "two", "exited 0"]);
    let consoles = farm.grounds().data().join("builder-server.console");
    assert_eq!(std::fs::read_dir(consoles).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_misses_a_line_and_nobody_waits_for_the_slow() {
    const LINES: usize = 100_000;
    let farm = Farm::start().await;
    farm.schedule("a", "p").await;
    let (mut worker, job) = farm.running("p").await;
    let slow = farm.observer(job.build).await;
    let mut watching = Vec::new();
    for _ in 0..4 {
        watching.push(tokio::spawn(farm.observer(job.build).await.rest()));
    }
    let lines = numbered(LINES);
    for some in lines.chunks(LINES / 100) {
        worker.lines(some).await;
    }
    worker.finish(Outcome::Exited(0), &[]).await;

    let expected = with_outcome(&lines, "exited 0");
    for watched in watching {
        let seen = watched.await.unwrap();
        assert_eq!(seen.answer, Ok(()));
        assert!(seen.lines == expected, "{} lines of {LINES}", seen.lines.len());
        assert!(seen.is_in_order());
    }
    let seen = slow.rest().await;
    assert!(seen.lines == expected, "{} lines of {LINES} for the slow one", seen.lines.len());
}

/// More than sockets buffer: the observer takes nothing until the build has its record.
#[tokio::test(flavor = "multi_thread")]
async fn a_build_may_end_while_it_is_replayed() {
    let farm = Farm::start().await;
    farm.schedule("a", "p").await;
    let (mut worker, job) = farm.running("p").await;
    let lines: Vec<String> = (0..20_000).map(|number| format!("{number} {}", "x".repeat(1000))).collect();
    for some in lines.chunks(1000) {
        worker.lines(some).await;
    }
    let slow = farm.observer(job.build).await;
    worker.line("late").await;
    worker.finish(Outcome::Exited(0), &[]).await;

    let seen = slow.rest().await;
    assert_eq!(seen.lines.len(), lines.len() + 2);
    assert!(seen.lines.starts_with(&lines));
    assert_eq!((&seen.lines[lines.len()..], seen.answer), (&["late", "exited 0"].map(str::to_owned)[..], Ok(())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_and_the_finish_in_one_piece() {
    let farm = Farm::start().await;
    for name in ["a", "b"] {
        farm.schedule(name, "p").await;
        let (mut worker, job) = farm.running("p").await;
        let observer = farm.observer(job.build).await;
        let lines = if name == "a" { vec!["last"] } else { vec![] };
        let burst = [worker.line_frames(&lines), worker.finish_frame(&Outcome::Exited(0), &[])].concat();
        worker.peer.send_bytes(&burst).await;
        worker.closed().await;
        let lines = lines.into_iter().chain(["exited 0"]).map(str::to_owned).collect::<Vec<_>>();
        let seen = observer.rest().await;
        assert_eq!((seen.lines, seen.answer), (lines, Ok(())));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn finished_builds_are_replayed_also_after_a_restart() {
    let farm = Farm::start().await;
    farm.schedule("a", "p").await;
    let (mut worker, job) = farm.running("p").await;
    let lines = numbered(5_000);
    worker.lines(&lines).await;
    worker.finish(Outcome::Exited(4), &[("f", &[7; 100_000])]).await;
    let before = farm.observe(job.build).await;
    assert_eq!((&before.lines, &before.answer), (&with_outcome(&lines, "exited 4"), &Ok(())));

    let farm = farm.restart().await;
    assert_eq!(farm.observe(job.build).await, before);

    std::fs::remove_file(farm.grounds().record_path("a", job.build)).unwrap();
    let gone = Err("the build ended (exited 4), but its record is not kept here any more".to_owned());
    assert_eq!(farm.observe(job.build).await.answer, gone);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_is_tried_again_goes_on_for_its_observers() {
    let farm = Farm::start().await;
    farm.schedule("a", "p").await;
    let (mut lost, job) = farm.running("p").await;
    let early = farm.observer(job.build).await;
    lost.line("first").await;
    drop(lost);
    farm.queues_become(&["p: a"]).await;
    let between = farm.observer(job.build).await;

    let (mut worker, again) = farm.running("p").await;
    assert_eq!(again, job);
    worker.line("second").await;
    worker.finish(Outcome::Exited(0), &[]).await;

    let expected = [
        "first",
        "builder-server: the worker is lost: the peer closed the connection",
        "builder-server: attempt 2 begins",
        "second",
        "exited 0",
    ];
    for observer in [early, between, farm.observer(job.build).await] {
        let seen = observer.rest().await;
        assert_eq!((seen.lines.as_slice(), &seen.answer), (&expected.map(str::to_owned)[..], &Ok(())));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn observers_are_told_that_the_server_stops() {
    let farm = Farm::start().await;
    farm.schedule("a", "p").await;
    let (mut worker, job) = farm.running("p").await;
    worker.line("one").await;
    let mut observer = farm.observer(job.build).await;
    assert_eq!(observer.line().await, "one");
    farm.stop().await;
    let seen = observer.rest().await;
    assert_eq!(seen.answer, Err("the server is stopping".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn observers_that_leave_are_forgotten() {
    let farm = Farm::start().await;
    farm.schedule("a", "p").await;
    let (mut worker, job) = farm.running("p").await;
    let mut observers = Vec::new();
    for _ in 0..50 {
        observers.push(farm.observer(job.build).await);
    }
    let connections = async || metric(farm.metrics(), "builder_connections").await;
    assert_eq!(connections().await, Some(51.0));
    worker.line("one").await;
    for observer in &mut observers[..25] {
        assert_eq!(observer.line().await, "one");
    }
    drop(observers);
    let only_the_worker = async || (connections().await == Some(1.0)).then_some(());
    eventually("the observers are forgotten while the build is silent", only_the_worker).await;
    worker.finish(Outcome::Exited(0), &[]).await;
}
