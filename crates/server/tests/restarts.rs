//! A server that ends and starts again: nothing is lost, and what cannot be used is refused and left alone.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

use builder_model::state::{Change, FinishedBuild};
use builder_model::{JobName, Outcome, Period, Platform, Timestamp};
use builder_store::Folder;
use builder_store::database::{Outbox, Store};
use builder_store::small::SmallRecord;
use builder_testkit::{Farm, Grounds, JobSeen};
use builder_wire::record::ConsoleLine;
use builder_wire::{File, Message, Record, ScriptJob};
use std::path::Path;

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_there_again() {
    let grounds = Grounds::new();
    grounds.template("p", "template");
    let farm = grounds.start().await;
    for period in Period::ALL {
        farm.schedule_every(period, period.as_str(), "p").await;
    }
    farm.schedule("x", "q").await;
    farm.schedule("y", "dropped").await;
    farm.schedule_templated("t", "pkg").await;
    assert_eq!(farm.command(&Message::Execute { name: b"weekly", platform: None }).await, Ok(()));
    assert_eq!(farm.command(&Message::DropPlatform { platform: b"dropped" }).await, Ok(()));
    let before = farm.info().await;
    assert_eq!(before.queues, ["p: weekly hourly daily never t", "q: x"]);
    let farm = farm.restart().await;
    assert_eq!(farm.info().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_goes_on_after_a_stop() {
    let farm = Farm::start().await;
    farm.schedule("a", "p").await;
    farm.schedule("b", "p").await;
    let (mut worker, job) = farm.running("p").await;
    worker.line("before").await;
    assert_eq!(farm.observer(job.build).await.line().await, "before");
    let stopped = farm.stop().await;
    worker.closed().await;
    assert!(stopped.history().is_empty());

    let farm = stopped.start().await;
    assert_eq!(farm.info().await.queues, ["p: a b"]);
    assert_eq!(farm.observer(job.build).await.line().await, "before", "it can be watched while it waits");
    let (mut worker, again) = farm.running("p").await;
    assert_eq!(again, job);
    worker.line("after").await;
    worker.finish(Outcome::Exited(0), &[("f", b"x")]).await;

    let record = farm.record("a", job.build);
    let console = [
        "after",
        "builder-server: attempt 2 begins",
        "builder-server: the server stops; the build runs again after its start",
        "before",
    ];
    assert_eq!((record.console.as_slice(), record.outcome.as_str()), (&console.map(str::to_owned)[..], "exited 0"));
    assert_eq!(farm.finished(job.build).await.attempts, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_cost_no_retry() {
    let mut farm = Farm::start().await;
    farm.schedule("a", "p").await;
    let mut jobs = Vec::new();
    for _ in 0..3 {
        let (_worker, job) = farm.running("p").await;
        jobs.push(job);
        farm = farm.restart().await;
    }
    let (worker, job) = farm.running("p").await;
    jobs.push(job.clone());
    drop(worker);
    farm.queues_become(&["p: a"]).await;
    assert!(jobs.iter().all(|other| *other == job), "{jobs:?}");
    drop(farm.running("p").await);
    let row = farm.finished(job.build).await;
    let outcome = "execution aborted: worker lost; attempt 5, no retry is left";
    assert_eq!((row.attempts, row.outcome.to_string().as_str()), (5, outcome));
}

/// The grounds of a server that ended while this build ran.
async fn stopped_in_a_build() -> (Grounds, JobSeen) {
    let farm = Farm::start().await;
    farm.schedule("a", "p").await;
    let (_worker, job) = farm.running("p").await;
    (farm.stop().await, job)
}

fn record_of(job: &JobSeen) -> Vec<u8> {
    let time = |milliseconds| Timestamp::from_milliseconds(milliseconds).unwrap();
    let record = Record {
        job: ScriptJob { name: b"a", platform: b"p", script: b"echo a\n" },
        build: job.build,
        console: vec![ConsoleLine { delta: 5, line: b"a line" }],
        started: time(1_000),
        finished: time(2_000),
        outcome: Outcome::Exited(7),
        files: vec![File { path: b"f".into(), data: b"data" }],
    };
    record.encode().to_vec()
}

fn write_record(grounds: &Grounds, job: &JobSeen, bytes: &[u8]) {
    let path = grounds.record_path("a", job.build);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// As after a power cut between the record and its row.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_without_its_row_is_adopted() {
    let (grounds, job) = stopped_in_a_build().await;
    write_record(&grounds, &job, &record_of(&job));
    let farm = grounds.start().await;
    let row = farm.finished(job.build).await;
    assert_eq!((row.outcome, row.attempts, row.finished.milliseconds()), (Outcome::Exited(7), 1, 2_000));
    assert_eq!(farm.info().await.queues, ["p:"], "it does not run again");
    assert_eq!(farm.observe(job.build).await.lines, ["a line", "exited 7"]);
    assert_eq!(farm.restart().await.grounds().history().len(), 1);
}

/// As after a power cut that took the file of a small record: its row is in the database.
fn save_small_record(grounds: &Grounds, job: &JobSeen) {
    let folder = Folder::open(grounds.data()).unwrap();
    let (mut store, _) = Store::open(&folder, Timestamp::MIN).unwrap();
    let bytes = record_of(job);
    let (name, time) = (JobName::parse(b"a").unwrap(), Timestamp::from_milliseconds(2_000).unwrap());
    let row = FinishedBuild {
        build: job.build,
        job: name.clone(),
        platform: Platform::parse(b"p").unwrap(),
        attempts: 1,
        started: time,
        finished: time,
        outcome: Outcome::Exited(7),
        record_bytes: Some(bytes.len() as u64),
    };
    let changes = [Change::RunningRemoved(job.build), Change::Finished(row)];
    let record = SmallRecord { build: job.build, job: name, bytes };
    store.save_with_records(&changes, Outbox::Leave, &[&record]).unwrap();
}

fn small_records_left(grounds: &Grounds) -> usize {
    let folder = Folder::open(grounds.data()).unwrap();
    Store::open(&folder, Timestamp::MIN).unwrap().0.small_records(9).unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_a_small_record_brings_back_its_file() {
    let (grounds, job) = stopped_in_a_build().await;
    save_small_record(&grounds, &job);
    let farm = grounds.start().await;
    assert_eq!(std::fs::read(farm.grounds().record_path("a", job.build)).unwrap(), record_of(&job));
    let grounds = farm.stop().await;
    assert_eq!(small_records_left(&grounds), 0);
}

/// A small record whose file cannot be written is read from the database, until there is room for the file.
#[tokio::test(flavor = "multi_thread")]
async fn a_small_record_without_a_file_is_found() {
    let (grounds, job) = stopped_in_a_build().await;
    save_small_record(&grounds, &job);
    let obstacle = grounds.data().join("a");
    std::fs::write(&obstacle, "in the way").unwrap();
    let farm = grounds.start().await;
    assert_eq!(farm.observe(job.build).await.lines, ["a line", "exited 7"]);
    std::fs::remove_file(&obstacle).unwrap();
    let grounds = farm.stop().await;
    assert_eq!(std::fs::read(grounds.record_path("a", job.build)).unwrap(), record_of(&job));
    assert_eq!(small_records_left(&grounds), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orderly_stop_leaves_only_files() {
    let farm = Farm::start().await;
    farm.schedule("a", "p").await;
    let (worker, job) = farm.running("p").await;
    worker.finish(Outcome::Exited(0), &[("f", b"x")]).await;
    let grounds = farm.stop().await;
    assert_eq!(grounds.record("a", job.build).paths(), ["f"]);
    assert_eq!(small_records_left(&grounds), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_a_build_that_waits_to_run_again_is_adopted() {
    let (grounds, job) = stopped_in_a_build().await;
    let grounds = grounds.start().await.stop().await;
    write_record(&grounds, &job, &record_of(&job));
    let farm = grounds.start().await;
    assert_eq!(farm.finished(job.build).await.outcome, Outcome::Exited(7));
    assert_eq!(farm.info().await.queues, ["p:"], "it does not run again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_record_is_written_anew() {
    let (grounds, job) = stopped_in_a_build().await;
    let record = record_of(&job);
    write_record(&grounds, &job, &record[..record.len() / 2]);
    let farm = grounds.start().await;
    let (worker, again) = farm.running("p").await;
    assert_eq!(again, job);
    worker.finish(Outcome::Exited(0), &[]).await;
    assert_eq!(farm.record("a", job.build).outcome, "exited 0");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_behind_is_removed() {
    let (grounds, job) = stopped_in_a_build().await;
    let other = "00112233-4455-6677-8899-aabbccddeeff";
    let (consoles, incoming) =
        (grounds.data().join("builder-server.console"), grounds.data().join("builder-server.incoming"));
    let leftovers = [incoming.join(other), incoming.join(job.build.to_string()), consoles.join(format!("{other}.log"))];
    for path in &leftovers {
        std::fs::write(path, "left behind").unwrap();
    }
    let farm = grounds.start().await;
    for path in &leftovers {
        assert!(!path.exists(), "{}", path.display());
    }
    let names = |path: &Path| std::fs::read_dir(path).unwrap().count();
    assert_eq!((names(&consoles), names(&incoming)), (1, 0), "the console of the build that goes on is kept");
    let (worker, _) = farm.running("p").await;
    worker.finish(Outcome::Exited(0), &[]).await;
    assert_eq!((names(&consoles), names(&incoming)), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_is_refused() {
    let farm = Farm::start().await;
    let (refusal, pid) = (farm.grounds().refusal().await, std::process::id());
    let data = farm.grounds().data().display();
    let expected = format!(
        "another builder-server (process {pid}) uses the data folder {data}\n\
         hint: stop it first, or give this one a folder of its own"
    );
    assert_eq!(refusal, expected);
    farm.schedule("a", "p").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_must_be_there() {
    let hint = "hint: create it, owned by the user that runs builder-server, or name another one";
    let grounds = Grounds::new();
    let missing = grounds.folder().join("missing");
    let file = grounds.folder().join("file");
    std::fs::write(&file, "a file").unwrap();
    for path in [missing, file] {
        let grounds = Grounds::new().with(|settings| settings.dir = path.clone());
        let expected = format!("the data folder {} does not exist\n{hint}", path.display());
        assert_eq!(grounds.refusal().await, expected);
        let grounds = Grounds::new().with(|settings| settings.config_dir = path.clone());
        let expected = format!("the configuration folder {} does not exist\n{hint}", path.display());
        assert_eq!(grounds.refusal().await, expected);
    }
    // Where something else lies in the place of our own folders.
    let grounds = Grounds::new();
    std::fs::write(grounds.data().join("builder-server.console"), "a file").unwrap();
    let refusal = grounds.refusal().await;
    assert!(refusal.starts_with("cannot create ") && refusal.contains("builder-server.console: "), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_database_is_left_alone() {
    let farm = Farm::start().await;
    farm.schedule("a", "p").await;
    let grounds = farm.stop().await;
    let path = grounds.data().join("builder-server.sqlite3");
    let whole = std::fs::read(&path).unwrap();
    let mut torn = whole.clone();
    torn[100..4096].fill(0xff);
    for damaged in [&torn[..], &[0xff; 8192], b"garbage"] {
        std::fs::write(&path, damaged).unwrap();
        let refusal = grounds.refusal().await;
        let (what, hint) = refusal.split_once("\nhint: ").unwrap();
        assert!(what.contains("the database") && what.contains("builder-server.sqlite3"), "{refusal}");
        assert!(hint.starts_with("nothing was changed; restore the file from a backup"), "{refusal}");
        assert!(std::fs::read(&path).unwrap() == damaged);
    }
    std::fs::write(&path, whole).unwrap();
    assert_eq!(grounds.start().await.info().await.queues, ["p: a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_the_future_is_left_alone() {
    let grounds = Farm::start().await.stop().await;
    let path = grounds.data().join("builder-server.sqlite3");
    let mut bytes = std::fs::read(&path).unwrap();
    // The user version of an SQLite database: 4 bytes, big endian, at offset 60.
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
    std::fs::write(&path, &bytes).unwrap();
    let refusal = grounds.refusal().await;
    assert!(refusal.ends_with("hint: install the newer builder-server again"), "{refusal}");
    assert!(refusal.contains("has version 99, this builder-server knows versions up to 4"), "{refusal}");
}

/// A disk that fails refuses the request and is told to whoever asked; the server lives on.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_saved_is_refused() {
    let farm = Farm::start().await;
    farm.schedule("a", "p").await;
    let path = farm.grounds().data().join("builder-server.sqlite3");
    let aside = farm.grounds().data().join("aside");
    std::fs::rename(&path, &aside).unwrap();
    let job = ScriptJob { name: b"b", platform: b"p", script: b"" };
    let refusal = farm.command(&Message::Schedule { period: Period::Never, job }).await.unwrap_err();
    assert!(refusal.starts_with("the server could not save the request: "), "{refusal}");
    assert_eq!(farm.info().await.queues, ["p: a"]);
    std::fs::rename(&aside, &path).unwrap();
    let farm = farm.restart().await;
    assert_eq!(farm.info().await.queues, ["p: a"]);
    farm.schedule("b", "p").await;
}

/// Nobody runs a build whose job went while it ran; its observers hear so, and see what its console has.
#[tokio::test(flavor = "multi_thread")]
async fn a_build_whose_job_is_gone_ends_with_the_start() {
    let farm = Grounds::new().at("2026-01-01T00:00:00Z").start().await;
    farm.schedule("a", "p").await;
    let (mut worker, job) = farm.running("p").await;
    worker.line("before").await;
    assert_eq!(farm.observer(job.build).await.line().await, "before");
    assert_eq!(farm.command(&Message::Unschedule { name: b"a" }).await, Ok(()));
    let mut farm = farm.restart().await;
    worker.closed().await;
    for _ in 0..2 {
        let seen = farm.observe(job.build).await;
        let (first, last) = (seen.lines.first().unwrap().as_str(), seen.lines.last().unwrap().as_str());
        assert_eq!((first, &seen.answer), ("before", &Ok(())));
        assert!(last.starts_with("execution aborted: the server was started again; "), "{last}");
        assert_eq!(farm.info().await.builds, []);
        farm = farm.restart().await;
    }

    // As long as a record that was uploaded is kept, and no longer.
    farm.advance(8 * 86_400);
    let farm = farm.restart().await;
    let answer = farm.observe(job.build).await.answer.unwrap_err();
    assert!(answer.ends_with(", but its record is not kept here any more"), "{answer}");
}

/// So does one that waited to run again.
#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_ends_in_its_queue_keeps_its_console() {
    let farm = Farm::start().await;
    farm.schedule("a", "p").await;
    let (mut worker, job) = farm.running("p").await;
    worker.line("before").await;
    assert_eq!(farm.observer(job.build).await.line().await, "before");
    drop(worker);
    farm.queues_become(&["p: a"]).await;
    assert_eq!(farm.command(&Message::Unschedule { name: b"a" }).await, Ok(()));
    let before = farm.observe(job.build).await;
    assert_eq!((before.lines[0].as_str(), &before.answer), ("before", &Ok(())));
    assert_eq!(farm.restart().await.observe(job.build).await, before);
}
