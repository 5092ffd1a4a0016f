//! What only version 14 can ask, of a real server; and what it says to version 13 then.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

use builder_model::{BuildId, Outcome};
use builder_testkit::{Farm, Grounds, Peer, Repository, eventually};
use builder_wire::message::{AskBuilds, WaitRow};
use builder_wire::{Ask, ClientVersion, Message};

const ALL: AskBuilds<'_> = AskBuilds { count: 20, before: None, job: None, platform: None, failed: false };
const EMPTY_SHA256: [u8; 4] = [0xe3, 0xb0, 0xc4, 0x42];
const ABC_SHA256: [u8; 4] = [0xba, 0x78, 0x16, 0xbf];

async fn greeted(farm: &Farm, version: ClientVersion) -> Peer {
    let mut peer = Peer::connect(farm.address()).await;
    peer.send(&version.hello()).await;
    peer.expect(&Message::ServerHello).await;
    peer
}

/// The bytes of the reply to a question, or why there is none.
async fn asked(farm: &Farm, question: Ask<'_>) -> Result<Vec<u8>, String> {
    let mut peer = greeted(farm, ClientVersion::Fourteen).await;
    peer.send(&Message::Ask(question)).await;
    let reply = peer.next().await.unwrap();
    if let Message::Failure { reason } = Message::decode(&reply).unwrap() {
        peer.closed().await;
        return Err(String::from_utf8(reason.to_vec()).unwrap());
    }
    peer.expect(&Message::Success).await;
    peer.closed().await;
    Ok(reply)
}

/// The builds of an answer, as text, and where it goes on.
async fn builds(farm: &Farm, ask: AskBuilds<'_>) -> (Vec<String>, Option<i64>) {
    let bytes = asked(farm, Ask::Builds(ask)).await.unwrap();
    let Message::BuildsReply(reply) = Message::decode(&bytes).unwrap() else { panic!("{bytes:x?}") };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let builds = reply.builds.iter();
    let lines = builds.map(|row| format!("{} on {}: {}", text(row.job), text(row.platform), row.outcome));
    (lines.collect(), reply.next)
}

async fn build(farm: &Farm, name: &str, platform: &str, outcome: Outcome, files: &[(&str, &[u8])]) -> BuildId {
    farm.schedule(name, platform).await;
    let (worker, job) = farm.running(platform).await;
    worker.finish(outcome, files).await;
    job.build
}

#[tokio::test(flavor = "multi_thread")]
async fn what_queued_jobs_wait_for() {
    let grounds = Grounds::new();
    grounds.template("q", "build %%OPAM_PACKAGE%%");
    let farm = grounds.start().await;
    assert_eq!(asked(&farm, Ask::Waits).await, Ok(Message::WaitsReply(Vec::new()).encode().to_vec()));
    farm.schedule("a", "p").await;
    farm.schedule("b", "q").await;
    farm.schedule_templated("t", "o").await;
    assert_eq!(farm.info().await.queues, ["p: a", "q: b t"]);
    fn row(platform: &'static str, job: &'static str, reason: &'static str) -> WaitRow<'static> {
        WaitRow { platform: platform.as_bytes(), job: job.as_bytes(), reason: reason.as_bytes().into() }
    }
    let none = "a worker: none is connected";
    let bytes = asked(&farm, Ask::Waits).await.unwrap();
    let rows = vec![row("p", "a", none), row("q", "b", none), row("q", "t", none)];
    assert_eq!(Message::decode(&bytes).unwrap(), Message::WaitsReply(rows));
    let (_one, _) = farm.running("q").await;
    let bytes = asked(&farm, Ask::Waits).await.unwrap();
    let busy = "a free worker: the one that is connected is busy";
    assert_eq!(Message::decode(&bytes).unwrap(), Message::WaitsReply(vec![row("p", "a", none), row("q", "t", busy)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn builds_that_have_ended() {
    let farm = Farm::start().await;
    assert_eq!(builds(&farm, ALL).await, (vec![], None));
    build(&farm, "a", "p", Outcome::Exited(0), &[]).await;
    build(&farm, "b", "q", Outcome::Exited(2), &[]).await;
    build(&farm, "c", "p", Outcome::aborted("gave up"), &[]).await;
    let (a, b, c) = ("a on p: exited 0", "b on q: exited 2", "c on p: execution aborted: gave up");
    let cases: [(AskBuilds<'_>, &[&str], Option<i64>); 7] = [
        (ALL, &[c, b, a], None),
        (AskBuilds { count: 2, ..ALL }, &[c, b], Some(2)),
        (AskBuilds { before: Some(2), ..ALL }, &[a], None),
        (AskBuilds { job: Some(b"b"), ..ALL }, &[b], None),
        (AskBuilds { platform: Some(b"p"), ..ALL }, &[c, a], None),
        (AskBuilds { failed: true, ..ALL }, &[c, b], None),
        (AskBuilds { platform: Some(b"p"), failed: true, job: Some(b"a"), ..ALL }, &[], None),
    ];
    for (ask, expected, next) in cases {
        let (lines, found) = builds(&farm, ask).await;
        assert_eq!((lines.iter().map(String::as_str).collect::<Vec<_>>(), found), (expected.to_vec(), next), "{ask:?}");
    }
    let many = asked(&farm, Ask::Builds(AskBuilds { count: 10_001, ..ALL })).await;
    assert!(many.unwrap_err().ends_with("the count of builds is not from 1 to 10000"));
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_of_a_build() {
    let farm = Farm::start().await;
    farm.schedule("a", "p").await;
    let (mut worker, job) = farm.running("p").await;
    worker.line("a line").await;
    assert_eq!(asked(&farm, Ask::Artifacts(job.build)).await, Err("the build has not ended yet".to_owned()));
    let large = vec![7; 3 << 20];
    worker.finish(Outcome::Exited(0), &[("bin/abc", b"abc"), ("large", &large), ("empty", b"")]).await;

    let bytes = asked(&farm, Ask::Artifacts(job.build)).await.unwrap();
    let Message::ArtifactsReply(rows) = Message::decode(&bytes).unwrap() else { panic!("{bytes:x?}") };
    let sizes: Vec<(&[u8], u64)> = rows.iter().map(|row| (row.path, row.bytes)).collect();
    assert_eq!(sizes, [(&b"bin/abc"[..], 3), (b"large", 3 << 20), (b"empty", 0)]);
    assert_eq!((&rows[0].sha256[..4], &rows[2].sha256[..4]), (&ABC_SHA256[..], &EMPTY_SHA256[..]));

    let path = farm.grounds().record_path("a", job.build);
    std::fs::write(&path, b"damaged").unwrap();
    let unreadable = "the record of the build cannot be read".to_owned();
    assert_eq!(asked(&farm, Ask::Artifacts(job.build)).await, Err(unreadable));
    std::fs::remove_file(&path).unwrap();
    let gone = "the build ended (exited 0), but its record is not kept here any more".to_owned();
    assert_eq!(asked(&farm, Ask::Artifacts(job.build)).await, Err(gone));
    let unknown = Ask::Artifacts(BuildId::from_bytes([9; 16]));
    assert_eq!(asked(&farm, unknown).await, Err("uuid not found".to_owned()));
}

/// The uploads that wait: job, tries, error.
async fn uploads(farm: &Farm) -> Vec<(String, u32, Option<String>)> {
    let bytes = asked(farm, Ask::Uploads).await.unwrap();
    let Message::UploadsReply(rows) = Message::decode(&bytes).unwrap() else { panic!("{bytes:x?}") };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    rows.iter().map(|row| (text(row.job), row.tries, row.error.map(text))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_wait_and_those_that_are_done() {
    let farm = Farm::start().await;
    build(&farm, "a", "p", Outcome::Exited(0), &[]).await;
    assert_eq!(uploads(&farm).await, [], "without a repository nothing waits");
    drop(farm);

    let repository = Repository::start(&[500]).await;
    let url = repository.url("");
    let farm = Grounds::new().with(|settings| settings.upload = Some(url)).start().await;
    build(&farm, "b", "p", Outcome::Exited(0), &[]).await;
    let seen = eventually("a failed upload", async || Some(uploads(&farm).await).filter(|rows| rows[0].1 > 0)).await;
    let (job, tries, error) = &seen[0];
    assert_eq!((seen.len(), job.as_str(), *tries), (1, "b", 1));
    assert!(error.as_ref().unwrap().contains("500"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn version_13_asks_nothing_new() {
    let farm = Farm::start().await;
    let bad = Message::Failure { reason: b"bad communication" };
    for question in [Ask::Waits, Ask::Builds(ALL), Ask::Uploads, Ask::Artifacts(BuildId::from_bytes([1; 16]))] {
        let mut peer = greeted(&farm, ClientVersion::Thirteen).await;
        peer.send(&Message::Ask(question)).await;
        peer.expect(&bad).await;
        peer.closed().await;
    }
    // Version 14 has every command of version 13.
    let mut peer = greeted(&farm, ClientVersion::Fourteen).await;
    peer.send(&Message::Unschedule { name: b"j" }).await;
    peer.expect(&Message::Failure { reason: b"unknown job j" }).await;
    // Replies are no commands.
    let mut peer = greeted(&farm, ClientVersion::Fourteen).await;
    peer.send(&Message::WaitsReply(Vec::new())).await;
    peer.expect(&bad).await;
}
