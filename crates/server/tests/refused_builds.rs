//! Workers that cannot begin what they are given: the job does not pay for that, and its fate is told.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

use builder_model::Outcome;
use builder_testkit::{FakeWorker, Farm, Grounds, Peer, eventually, metric};
use builder_wire::message::WaitRow;
use builder_wire::{Ask, ClientVersion, Message};

/// What the one queued job waits for.
async fn wait(farm: &Farm) -> String {
    let mut peer = Peer::connect(farm.address()).await;
    peer.send(&ClientVersion::Fourteen.hello()).await;
    peer.expect(&Message::ServerHello).await;
    peer.send(&Message::Ask(Ask::Waits)).await;
    let bytes = peer.next().await.unwrap();
    let Message::WaitsReply(rows) = Message::decode(&bytes).unwrap() else { panic!("{bytes:x?}") };
    let [WaitRow { reason, .. }] = &rows[..] else { panic!("{rows:?}") };
    String::from_utf8(reason.to_vec()).unwrap()
}

/// A worker that waits, and that the server knows of.
async fn idle(farm: &Farm) -> FakeWorker {
    let worker = farm.worker("p").await;
    let is_known =
        async || (metric(farm.metrics(), "builder_waiting_workers{platform=\"p\"}").await? > 0.0).then_some(());
    eventually("the worker waits", is_known).await;
    worker
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_build_runs_elsewhere_at_no_cost() {
    let farm = Grounds::new().at("2026-01-01T00:00:00Z").start().await;
    farm.schedule("a", "p").await;
    let (mut worker, job) = FakeWorker::choosy(farm.address(), "p").await;
    worker.line("in a sandbox").await;
    worker.refuse("cannot start \x1bbwrap: not found\nhint: install it").await;
    farm.queues_become(&["p: a"]).await;
    assert_eq!(
        wait(&farm).await,
        "a pause, then a worker that can begin it: it was refused once, the last time: cannot start \\x1bbwrap: not found"
    );
    assert_eq!(metric(farm.metrics(), "builder_builds_refused_total").await, Some(1.0));

    // It is not given out again at once, whoever waits.
    let mut second = idle(&farm).await;
    assert_eq!(farm.info().await.queues, ["p: a"]);
    farm.advance(1);
    assert_eq!(second.job().await, job);
    // That one pays for a worker that is lost, as ever.
    drop(second);
    farm.queues_become(&["p: a"]).await;
    assert_eq!(wait(&farm).await, "a worker that can begin it: it was refused once; none is connected");

    // Neither count is forgotten by a server that is started again.
    let farm = farm.restart().await;
    let (worker, again) = FakeWorker::choosy(farm.address(), "p").await;
    assert_eq!(again, job);
    worker.refuse("").await;
    farm.queues_become(&["p: a"]).await;
    let reason = wait(&farm).await;
    assert!(reason.contains("it was refused 2 times"), "{reason}");
    farm.advance(2);
    let (worker, again) = farm.running("p").await;
    assert_eq!(again, job);
    worker.finish(Outcome::Exited(0), &[]).await;
    let ended = farm.finished(job.build).await;
    assert_eq!((ended.attempts, ended.outcome), (4, Outcome::Exited(0)));
    let lines = farm.observe(job.build).await.lines;
    let expected = [
        "in a sandbox",
        "builder-server: the worker refuses the build: cannot start \\x1bbwrap: not found",
        "builder-server: attempt 2 begins",
        "builder-server: the worker is lost: the peer closed the connection",
        "builder-server: attempt 3 begins",
        "builder-server: the worker refuses the build: it does not say why",
        "builder-server: attempt 4 begins",
        "exited 0",
    ];
    assert_eq!(lines, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_nobody_can_begin_ends_and_says_so() {
    let farm = Grounds::new().at("2026-01-01T00:00:00Z").with(|settings| settings.refusals = 3).start().await;
    farm.schedule("a", "p").await;
    let mut build = None;
    for pause in [1, 2, 0] {
        let (worker, job) = FakeWorker::choosy(farm.address(), "p").await;
        assert_eq!(*build.get_or_insert(job.build), job.build);
        worker.refuse(format!("no room, {pause}")).await;
        farm.advance(pause);
    }
    let build = build.unwrap();
    let ended = farm.finished(build).await;
    let outcome = "execution aborted: no worker could begin it: refused 3 times, the last time: no room, 0";
    assert_eq!((ended.outcome.to_string().as_str(), ended.attempts), (outcome, 3));
    let console = farm.observe(build).await.lines;
    assert_eq!(console.last().map(String::as_str), Some(outcome));
    assert_eq!(console.iter().filter(|line| line.contains("refuses the build: no room")).count(), 3, "{console:#?}");
    // The job stays on the schedule, and runs again when it is wanted.
    assert_eq!(farm.info().await.queues, ["p:"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_is_not_whole_is_a_lost_worker() {
    let farm = Farm::start().await;
    farm.schedule("a", "p").await;
    let (mut worker, job) = FakeWorker::choosy(farm.address(), "p").await;
    // Its end never comes.
    worker.peer.send_bytes(&[0, 0, 0, 0, 0, 0, 0, 28, 0xbe, 26]).await;
    drop(worker);
    farm.queues_become(&["p: a"]).await;
    let (worker, again) = farm.running("p").await;
    assert_eq!(again, job);
    drop(worker);
    let outcome = farm.finished(job.build).await.outcome.to_string();
    assert_eq!(outcome, "execution aborted: worker lost; attempt 2, no retry is left");
}
