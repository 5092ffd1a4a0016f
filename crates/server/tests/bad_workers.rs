//! Workers that do what they may not: each is sent away, the build is tried once more and then recorded as lost, and
//! everybody else is served.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

use builder_model::{BuildId, Outcome};
use builder_testkit::{FakeWorker, Farm, Peer, Seen, in_time};
use builder_wire::session::client::{HELLO, WORKER_HELLO};
use builder_wire::{Message, ScriptJob, Told};
use std::time::{Duration, Instant};

const OTHER: BuildId = BuildId::from_bytes([7; 16]);

fn framed(der: &[u8]) -> Vec<u8> {
    [&(der.len() as u64).to_be_bytes()[..], der].concat()
}

fn announced(length: u64, first: u8) -> Vec<u8> {
    [&length.to_be_bytes()[..], &[first]].concat()
}

/// An `output` that is nothing but sequences in sequences.
fn nested(depth: usize) -> Vec<u8> {
    let mut headers = Vec::new();
    let mut length = 0;
    for level in 0..depth {
        let tag = if level + 1 == depth { 0xa4 } else { 0x30 };
        let mut header = match length {
            0..0x80 => vec![tag, length as u8],
            0x80..0x100 => vec![tag, 0x81, length as u8],
            0x100..0x1_0000 => vec![tag, 0x82, (length >> 8) as u8, length as u8],
            _ => vec![tag, 0x83, (length >> 16) as u8, (length >> 8) as u8, length as u8],
        };
        length += header.len();
        header.reverse();
        headers.append(&mut header);
    }
    headers.reverse();
    framed(&headers)
}

/// What a worker that has this build might say, and what the console says of it.
fn misdeeds(worker: &FakeWorker) -> Vec<(Vec<u8>, String)> {
    let build = worker.build();
    let finish = |build| Message::JobFinished { build, outcome: Outcome::Exited(0), files: vec![] }.frame().to_vec();
    let other = |kind: &str| format!("a worker that has build {build} sent {kind} for build {OTHER}");
    let unexpected = |kind: &str| format!("a worker sent {kind} while it runs a build");
    let job = ScriptJob { name: b"j", platform: b"p", script: b"" };
    let message = |message: Message<'_>| message.frame().to_vec();
    let line_max = (4 << 20) + 64;
    vec![
        (message(Message::Output { build: OTHER, line: b"x", delta: None }), other("Output")),
        (finish(OTHER), other("JobFinished")),
        (message(Message::Info), unexpected("Info")),
        (message(HELLO), unexpected("ClientHello")),
        (message(Message::JobRequested { platform: b"p" }), unexpected("JobRequested")),
        (message(Message::JobSchedule { build, job }), unexpected("JobSchedule")),
        (message(Message::Success), unexpected("Success")),
        // Version 5 does not have it.
        (message(Message::Tell { build, what: Told::Refused(b"no") }), unexpected("Tell")),
        (framed(b"\xa0\x03\x02\x01\x05"), unexpected("Obsolete0")),
        (framed(b"\xa1\x03\x02\x01\x05"), unexpected("Obsolete1")),
        (framed(b"\xa8\x02\x05\x00"), unexpected("Obsolete8")),
        (framed(b"\xbf\x02\x05\x00"), "a frame starts with 0xbf, which no message does".to_owned()),
        (framed(b"\xff\xff\xff"), "a frame starts with 0xff, which no message does".to_owned()),
        (framed(b""), "a frame announces no bytes".to_owned()),
        (
            announced(u64::MAX, 0xa4),
            format!("the message Output announces {} bytes, at most {line_max} are taken", u64::MAX),
        ),
        (
            announced(u64::MAX, 0xa3),
            format!("the message JobFinished announces {} bytes, at most {} are taken", u64::MAX, i64::MAX),
        ),
    ]
}

/// The record of a job whose two workers both did this.
async fn lost_twice(farm: &Farm, name: &str, mut misdeed: impl AsyncFnMut(&mut FakeWorker)) -> Vec<String> {
    farm.schedule(name, "p").await;
    let mut builds = Vec::new();
    for attempt in ["first", "second"] {
        let (mut worker, job) = farm.running("p").await;
        assert_eq!(job.name, name);
        builds.push(job.build);
        worker.line(attempt).await;
        misdeed(&mut worker).await;
    }
    assert_eq!(builds[0], builds[1]);
    let row = farm.finished(builds[0]).await;
    let outcome = "execution aborted: worker lost; attempt 2, no retry is left";
    assert_eq!((row.outcome.to_string().as_str(), row.attempts), (outcome, 2), "{name}");
    let mut record = farm.record(name, builds[0]);
    assert_eq!((record.outcome.as_str(), record.files), (outcome, vec![]));
    let seen = farm.info().await;
    assert_eq!(Seen { schedule: vec![], ..seen }, Seen { queues: vec!["p:".to_owned()], ..Seen::default() });
    record.console.reverse();
    record.console
}

fn expected_console(why: &str) -> Vec<String> {
    let lost = format!("builder-server: the worker is lost: {why}");
    ["first", &lost, "builder-server: attempt 2 begins", "second", &lost].map(str::to_owned).to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_says_what_may_not_be_said_loses_the_build() {
    let farm = Farm::start().await;
    farm.schedule("count", "p").await;
    let (worker, _) = farm.running("p").await;
    let count = misdeeds(&worker).len();
    worker.finish(Outcome::Exited(0), &[]).await;
    for index in 0..count {
        let mut expected = String::new();
        let console = lost_twice(&farm, &format!("job-{index}"), async |worker| {
            let (bytes, why) = misdeeds(worker).swap_remove(index);
            worker.peer.offer_bytes(&bytes).await;
            worker.closed().await;
            expected = why;
        })
        .await;
        assert_eq!(console, expected_console(&expected));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_in_the_middle_loses_the_build() {
    let farm = Farm::start().await;
    let within = "the peer closed the connection within a message";
    let handing_in = "while it handed the build in, the peer closed the connection";
    let table = [(0, "the peer closed the connection"), (4, within), (8, within), (20, within)];
    for (bytes, why) in table {
        let console = lost_twice(&farm, &format!("line-{bytes}"), async |worker| {
            let frame = worker.line_frames(["a line that is cut"]);
            worker.peer.send_bytes(&frame[..bytes]).await;
            worker.peer.end_of_words().await;
            worker.closed().await;
        })
        .await;
        assert_eq!(console, expected_console(why));
    }
    for bytes in [20, 60, 70, 100] {
        let console = lost_twice(&farm, &format!("finish-{bytes}"), async |worker| {
            let files: [(&[u8], &[u8]); 2] = [(b"one", b"complete"), (b"two", &[7; 1000])];
            let frame = worker.finish_frame(&Outcome::Exited(0), &files);
            worker.peer.send_bytes(&frame[..bytes]).await;
            worker.peer.end_of_words().await;
            worker.closed().await;
        })
        .await;
        assert_eq!(console, expected_console(handing_in), "{bytes}");
    }
    assert_eq!(std::fs::read_dir(farm.grounds().data().join("builder-server.incoming")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_message_lose_the_build_soon() {
    let farm = Farm::start().await;
    for (index, bytes) in [framed(b"\xa4\x03\x30\x01\xff"), nested(20_000), nested(150_000)].into_iter().enumerate() {
        let console = lost_twice(&farm, &format!("line-{index}"), async |worker| {
            worker.peer.offer_bytes(&bytes).await;
            worker.closed().await;
        })
        .await;
        assert!(console[1].starts_with("builder-server: the worker is lost: byte "), "{console:?}");
    }
    // The same as a finish: its list of files is no list.
    let console = lost_twice(&farm, "finish", async |worker| {
        let mut frame = worker.finish_frame(&Outcome::Exited(0), &[(b"file", b"data")]);
        let at = frame.len() - 12;
        frame[at] = 0x31;
        worker.peer.offer_bytes(&frame).await;
        worker.closed().await;
    })
    .await;
    assert!(console[1].starts_with("builder-server: the worker is lost: byte "), "{console:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_build_goes_to_the_next_worker_and_no_retry_is_taken_from_the_next_run() {
    let farm = Farm::start().await;
    farm.schedule("a", "p").await;
    farm.schedule("b", "p").await;
    let (lost, first) = farm.running("p").await;
    drop(lost);
    farm.queues_become(&["p: b a"]).await;
    let (other, _) = farm.running("p").await;
    let (worker, again) = farm.running("p").await;
    assert_eq!(again, first);
    worker.finish(Outcome::Exited(1), &[]).await;
    other.finish(Outcome::Exited(0), &[]).await;
    let attempts: Vec<u32> = farm.grounds().history().iter().map(|row| row.attempts).collect();
    assert_eq!(attempts, [1, 2]);
    let execute = Message::Execute { name: b"a", platform: None };
    assert_eq!(farm.command(&execute).await, Ok(()));
    drop(farm.running("p").await);
    farm.queues_become(&["p: a"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn output_after_the_finish_changes_nothing() {
    let farm = Farm::start().await;
    farm.schedule("a", "p").await;
    let (mut worker, job) = farm.running("p").await;
    let (line, finish) = (worker.line_frames(["late"]), worker.finish_frame(&Outcome::Exited(0), &[(b"f", b"x")]));
    worker.peer.offer_bytes(&[&line[..], &finish, &line, &finish].concat()).await;
    worker.closed().await;
    let record = farm.record("a", job.build);
    assert_eq!((record.console, record.outcome.as_str()), (vec!["late".to_owned()], "exited 0"));
    assert_eq!(farm.grounds().history().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn times_that_a_worker_makes_up_are_not_taken() {
    let farm = Farm::start().await;
    farm.schedule("a", "p").await;
    let (mut worker, job) = farm.running("p").await;
    let day = 86_400_000_000_000;
    worker.peer.send(&Message::Output { build: job.build, line: b"x", delta: Some(day) }).await;
    worker.finish(Outcome::Exited(0), &[]).await;
    let record = farm.record("a", job.build);
    assert_eq!(record.console, ["x"]);
    assert!(record.deltas[0] < day);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_waits_has_nothing_to_say() {
    let farm = Farm::start().await;
    let messages = [
        Message::JobRequested { platform: b"p" },
        Message::Info,
        Message::Output { build: OTHER, line: b"x", delta: None },
        Message::JobFinished { build: OTHER, outcome: Outcome::Exited(0), files: vec![] },
    ];
    for message in &messages {
        let mut worker = farm.worker("p").await;
        farm.queues_become(&["p:"]).await;
        worker.peer.send(message).await;
        worker.closed().await;
        let mut worker = FakeWorker::greeted(farm.address()).await;
        let asks = Message::JobRequested { platform: b"p" };
        worker.peer.send_bytes(&[asks.frame().to_vec(), message.frame().to_vec()].concat()).await;
        worker.closed().await;
        if !matches!(message, Message::JobRequested { .. }) {
            let mut worker = FakeWorker::greeted(farm.address()).await;
            worker.peer.send(message).await;
            worker.closed().await;
        }
    }
    for platform in ["", "..", "a/b", "../../../etc/x", "\0", &"x".repeat(300)] {
        farm.worker(platform).await.closed().await;
    }
    farm.schedule("a", "p").await;
    let (_worker, job) = farm.running("p").await;
    assert_eq!(job.name, "a", "none of them got the job");
    assert_eq!(farm.info().await.queues, ["p:"]);
}

/// The one test that waits for a real limit: ten seconds for a hello, and as long for a worker's platform.
#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_is_sent_away() {
    let farm = Farm::start().await;
    let began = Instant::now();
    let mut silent = Peer::connect(farm.address()).await;
    let mut half = Peer::connect(farm.address()).await;
    half.send_bytes(&WORKER_HELLO.frame().to_vec()[..5]).await;
    let mut greeted = FakeWorker::greeted(farm.address()).await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut peer = Peer::connect(farm.address()).await;
        peer.send_bytes(&[0; 3]).await;
        slow.push(peer);
    }
    in_time("others are served meanwhile", farm.info()).await;
    silent.closed().await;
    half.closed().await;
    greeted.closed().await;
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    for mut peer in slow {
        peer.closed().await;
    }
}
