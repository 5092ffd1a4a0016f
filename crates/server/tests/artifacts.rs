//! What a build hands back: kept as it came, checked while it comes, and cut where it may not go on.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

use builder_model::Outcome;
use builder_testkit::{Farm, Grounds, JobSeen, Told, eventually};
use builder_wire::record::{FileHead, finished_head};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

type Files<'a> = &'a [(&'a [u8], &'a [u8])];

/// A job that prints a line and hands these files in.
async fn handed_in(farm: &Farm, name: &str, files: Files<'_>) -> Told {
    farm.schedule(name, "p").await;
    let (mut worker, job) = farm.running("p").await;
    worker.line("a line").await;
    let frame = worker.finish_frame(&Outcome::Exited(0), files);
    worker.peer.offer_bytes(&frame).await;
    worker.closed().await;
    let row = farm.finished(job.build).await;
    let record = farm.record(name, job.build);
    assert_eq!(row.outcome.to_string(), record.outcome);
    record
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_that_may_not_be_end_the_build_there() {
    let farm = Farm::start().await;
    let long = "x".repeat(4097);
    let table: [(&[u8], String); 10] = [
        (b"/etc/passwd", "\"/etc/passwd\" is absolute".to_owned()),
        (b"//x", "\"//x\" is absolute".to_owned()),
        (b"../escape", "\"../escape\" has a . or .. segment".to_owned()),
        (b"a/../../escape", "\"a/../../escape\" has a . or .. segment".to_owned()),
        (b"..", "\"..\" has a . or .. segment".to_owned()),
        (b"./a", "\"./a\" has a . or .. segment".to_owned()),
        (b"a/", "\"a/\" has an empty segment".to_owned()),
        (b"\xff\xfe", "\"\\xff\\xfe\" is not UTF-8".to_owned()),
        (b"before", "\"before\" is there twice".to_owned()),
        (long.as_bytes(), format!("\"{}\" is longer than 4096 bytes", &long[..4096])),
    ];
    for (index, (path, why)) in table.iter().enumerate() {
        let files = [(&b"before"[..], &b"kept"[..]), (b"empty", b""), (path, b"bad"), (b"after", b"not kept")];
        let record = handed_in(&farm, &format!("job-{index}"), &files).await;
        let outcome = format!("execution aborted: artifact path {why}; the script had ended: exited 0");
        assert_eq!((record.outcome, record.console), (outcome, vec!["a line".to_owned()]));
        assert_eq!(record.files, [("before".to_owned(), b"kept".to_vec()), ("empty".to_owned(), vec![])]);
    }
    let outside: Vec<_> =
        std::fs::read_dir(farm.grounds().folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(outside.len(), 2, "the data folder and the configuration folder, and nothing else: {outside:?}");
    assert_eq!(farm.info().await.queues, ["p:"]);
}

/// The protocol itself knows no such paths: the message cannot be read, so the build is lost.
#[tokio::test(flavor = "multi_thread")]
async fn paths_that_are_none_lose_the_build() {
    let farm = Farm::start().await;
    for (name, path) in [("empty", &b""[..]), ("nul", b"a\0b")] {
        farm.schedule(name, "p").await;
        for _ in 0..2 {
            let (mut worker, _) = farm.running("p").await;
            let frame = worker.finish_frame(&Outcome::Exited(0), &[(b"before", b"x"), (path, b"bad")]);
            worker.peer.offer_bytes(&frame).await;
            worker.closed().await;
        }
    }
    let outcomes: Vec<String> = farm.grounds().history().iter().map(|row| row.outcome.to_string()).collect();
    assert_eq!(outcomes, ["execution aborted: worker lost; attempt 2, no retry is left"; 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_slashes_are_as_one() {
    let farm = Farm::start().await;
    let record = handed_in(&farm, "a", &[(b"bin//a", b"1"), (b"bin/b", b"2")]).await;
    assert_eq!((record.outcome.as_str(), record.paths()), ("exited 0", vec!["bin/a", "bin/b"]));
    let record = handed_in(&farm, "b", &[(b"bin/a", b"1"), (b"bin//a", b"2")]).await;
    let outcome = "execution aborted: artifact path \"bin/a\" is there twice; the script had ended: exited 0";
    assert_eq!((record.outcome.as_str(), record.paths()), (outcome, vec!["bin/a"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_over_their_limit_are_not_kept() {
    let farm = Grounds::new().with(|settings| settings.artifact_bytes_max = 10_000).start().await;
    let record = handed_in(&farm, "a", &[(b"fits", &[1; 9_000]), (b"too much", &[2; 1_000]), (b"after", b"x")]).await;
    let outcome = "execution aborted: the artifacts are over their limit of 10000 bytes with \"too much\"; \
                   the script had ended: exited 0";
    assert_eq!((record.outcome.as_str(), record.paths()), (outcome, vec!["fits"]));
    assert_eq!(record.files[0].1, [1; 9_000]);

    // A file that is announced with more than there is room for is refused before it comes.
    farm.schedule("b", "p").await;
    let (mut worker, job) = farm.running("p").await;
    let head = FileHead::new(b"huge", 1 << 50);
    let start = [finished_head(&job.build, &Outcome::Exited(0), head.size()), head.header].concat();
    worker.peer.send_bytes(&start).await;
    worker.closed().await;
    assert!(farm.record("b", job.build).outcome.contains("over their limit of 10000 bytes with \"huge\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_over_its_limit_ends_the_build() {
    let farm = Grounds::new().with(|settings| settings.console_bytes_max = 10_000).start().await;
    farm.schedule("a", "p").await;
    let (mut worker, job) = farm.running("p").await;
    let observer = farm.observer(job.build).await;
    let lines: Vec<String> = (0..1_000).map(|number| format!("line {number}")).collect();
    let frames = worker.line_frames(&lines);
    worker.peer.offer_bytes(&frames).await;
    worker.closed().await;

    let mut record = farm.record("a", job.build);
    let outcome = "execution aborted: the console is over its limit of 10000 bytes";
    assert_eq!(record.outcome, outcome);
    record.console.reverse();
    let said = record.console.pop().unwrap();
    assert_eq!(said, format!("builder-server: {outcome}"));
    assert!(record.console.len() > 300 && lines.starts_with(&record.console), "{}", record.console.len());
    let seen = observer.rest().await.lines;
    assert_eq!(seen.len(), record.console.len() + 2);
    assert_eq!(seen.last().map(String::as_str), Some(outcome));
    assert_eq!(farm.info().await.queues, ["p:"], "it would only end in the same way again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_files() {
    let farm = Farm::start().await;
    let files: Vec<(String, Vec<u8>)> =
        (0..1_000).map(|number| (format!("dir-{}/file-{number}", number % 7), vec![number as u8; number])).collect();
    let borrowed: Vec<(&[u8], &[u8])> = files.iter().map(|(path, data)| (path.as_bytes(), &data[..])).collect();
    let record = handed_in(&farm, "a", &borrowed).await;
    assert_eq!(record.outcome, "exited 0");
    assert!(record.files == files);
}

/// A head that announces one file of this size.
fn large_file(job: &JobSeen, bytes: u64) -> Vec<u8> {
    let head = FileHead::new(b"large", bytes);
    [finished_head(&job.build, &Outcome::Exited(0), head.size()), head.header].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_goes_through_in_pieces() {
    const PIECES: u8 = 64;
    let farm = Farm::start().await;
    farm.schedule("a", "p").await;
    let (mut worker, job) = farm.running("p").await;
    let mut piece = vec![0; 1 << 20];
    worker.peer.send_bytes(&large_file(&job, u64::from(PIECES) << 20)).await;
    for number in 0..PIECES {
        piece.fill(number);
        worker.peer.send_bytes(&piece).await;
    }
    worker.closed().await;

    // The data is the end of the record.
    let mut stored = File::open(farm.grounds().record_path("a", job.build)).unwrap();
    stored.seek(SeekFrom::End(-(i64::from(PIECES) << 20))).unwrap();
    let mut read = vec![0; 1 << 20];
    for number in 0..PIECES {
        stored.read_exact(&mut read).unwrap();
        assert!(read.iter().all(|byte| *byte == number), "piece {number}");
    }
    assert_eq!(farm.finished(job.build).await.outcome, Outcome::Exited(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_cut_off_is_handed_in_again() {
    let farm = Farm::start().await;
    farm.schedule("a", "p").await;
    let (mut worker, job) = farm.running("p").await;
    worker.peer.send_bytes(&large_file(&job, 8 << 20)).await;
    worker.peer.send_bytes(&vec![7; 3 << 20]).await;
    let incoming = farm.grounds().data().join("builder-server.incoming").join(job.build.to_string());
    let arrived = async || std::fs::metadata(&incoming).ok().filter(|file| file.len() > 1 << 20);
    eventually("the bytes go to disk as they come", arrived).await;
    drop(worker);
    farm.queues_become(&["p: a"]).await;
    assert!(!incoming.exists(), "nothing is left of the attempt");

    let (worker, again) = farm.running("p").await;
    assert_eq!(again, job);
    worker.finish(Outcome::Exited(0), &[("large", b"small now")]).await;
    let record = farm.record("a", job.build);
    assert_eq!((record.outcome.as_str(), record.paths()), ("exited 0", vec!["large"]));
    assert_eq!(farm.finished(job.build).await.attempts, 2);
}
