//! The store as a server uses it: on a real folder, with a real database.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

use builder_model::state::{Change, FinishedBuild, Queued, Resume, RunningBuild, ScheduleEntry};
use builder_model::{
    BuildId, Job, JobName, Outcome, PackageName, ParameterJob, Period, Platform, ScriptJob, TemplateName, TemplatedJob,
    Timestamp, Values,
};
use builder_store::console::ConsoleWriter;
use builder_store::database::{NextUpload, Opened, Outbox, Store};
use builder_store::record::{self, RecordWriter, Summary};
use builder_store::small::{self, SmallRecord};
use builder_store::state_file::{self, Rendering};
use builder_store::{Folder, History};
use builder_wire::Record;
use builder_wire::record::{ConsoleLine, FileHead, files_header};
use std::io::Read;

/// Up to which size records are small in these tests, unless they say something else.
const SMALL: u64 = small::SMALL_RECORD_BYTES_MAX;
const BUILD: BuildId = BuildId::from_bytes([7; 16]);

fn time(milliseconds: i64) -> Timestamp {
    Timestamp::from_milliseconds(milliseconds).unwrap()
}

fn job(name: &str) -> JobName {
    JobName::parse(name.as_bytes()).unwrap()
}

fn platform(name: &str) -> Platform {
    Platform::parse(name.as_bytes()).unwrap()
}

fn script(name: &str) -> ScriptJob {
    ScriptJob { name: job(name), platform: platform("p"), script: b"echo hello\n".as_slice().into() }
}

fn parameter_job(name: &str, on: Option<&str>) -> ParameterJob {
    let values = Values::parse([(b"who".as_slice(), b"it's".as_slice()), (b"how", b"")]).unwrap();
    let template = TemplateName::parse(b"greet").unwrap();
    ParameterJob { name: job(name), template, platform: on.map(platform), values }
}

fn finished(build: BuildId, outcome: Outcome) -> FinishedBuild {
    FinishedBuild {
        build,
        job: job("a"),
        platform: platform("p"),
        attempts: 2,
        started: time(1_000),
        finished: time(2_500),
        outcome,
        record_bytes: Some(99),
    }
}

#[test]
fn every_change_comes_back() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::open(root.path()).unwrap();
    let (mut store, opened) = Store::open(&folder, time(0)).unwrap();
    assert_eq!(opened, Opened::New);
    let entry = |job, next| ScheduleEntry { job, period: Period::Daily, next };
    let templated = TemplatedJob { name: job("t"), package: PackageName::parse(b"pkg").unwrap() };
    let queued = Queued { job: job("a"), retries: 0, resume: None };
    let resume = Resume { build: BUILD, attempts: 4, started: time(5), refusals: 3 };
    let resumed = Queued { job: job("t"), retries: 1, resume: Some(resume) };
    let running = RunningBuild {
        build: BUILD,
        job: job("a"),
        platform: platform("p"),
        attempt: 2,
        retries: 1,
        started: time(7),
        refusals: 2,
    };
    let put =
        |position, queued: &Queued| Change::QueuedPut { platform: platform("p"), position, queued: queued.clone() };
    let changes = [
        Change::EntryPut(entry(Job::Script(script("a")), time(10))),
        Change::EntryPut(entry(Job::Templated(templated.clone()), Timestamp::MAX)),
        Change::EntryPut(entry(Job::Parameter(parameter_job("v", None)), time(12))),
        Change::EntryPut(entry(Job::Parameter(parameter_job("w", Some("p"))), time(13))),
        // Of a job that is saved again, no value is left over.
        Change::EntryPut(entry(Job::Parameter(parameter_job("w", Some("p"))), time(13))),
        Change::EntryNext { job: job("a"), next: time(11), period: Period::Hourly },
        Change::QueueAdded(platform("p")),
        put(0, &queued),
        put(-1, &resumed),
        Change::PlatformDropped(platform("q")),
        Change::RunningPut(running.clone()),
    ];
    store.save(&changes, Outbox::Leave).unwrap();
    drop(store);
    let (mut store, opened) = Store::open(&folder, time(0)).unwrap();
    assert_eq!(opened, Opened::Existing);
    let mut state = store.load().unwrap();
    state.schedule.sort_by_key(|entry| entry.next);
    let first = ScheduleEntry { job: Job::Script(script("a")), period: Period::Hourly, next: time(11) };
    let [second, third] = [("v", None, 12), ("w", Some("p"), 13)]
        .map(|(name, on, next)| entry(Job::Parameter(parameter_job(name, on)), time(next)));
    assert_eq!(state.schedule, [first, second, third, entry(Job::Templated(templated), Timestamp::MAX)]);
    assert_eq!(state.queues, [(platform("p"), vec![(-1, resumed), (0, queued)])]);
    assert_eq!((state.running, state.dropped), (vec![running], vec![platform("q")]));
    let removals = [
        Change::EntryRemoved(job("a")),
        Change::EntryRemoved(job("t")),
        Change::EntryRemoved(job("v")),
        Change::EntryRemoved(job("w")),
        Change::QueuedRemoved { platform: platform("p"), position: -1 },
        Change::QueueRemoved(platform("p")),
        Change::PlatformUndropped(platform("q")),
        Change::RunningRemoved(BUILD),
    ];
    store.save(&removals, Outbox::Leave).unwrap();
    assert_eq!(store.load().unwrap(), builder_model::state::State::default());
}

#[test]
fn a_batch_is_saved_whole_or_not_at_all() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::open(root.path()).unwrap();
    let (mut store, _) = Store::open(&folder, time(0)).unwrap();
    let build = finished(BUILD, Outcome::Exited(0));
    store.save(&[Change::Finished(build.clone())], Outbox::Leave).unwrap();
    let twice = [Change::PlatformDropped(platform("p")), Change::Finished(build)];
    store.save(&twice, Outbox::Leave).unwrap_err();
    assert!(store.load().unwrap().dropped.is_empty(), "nothing of a batch that failed is there");
}

#[test]
fn finished_builds_wait_for_their_upload() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::open(root.path()).unwrap();
    let (mut store, _) = Store::open(&folder, time(0)).unwrap();
    let outcomes =
        [Outcome::Exited(3), Outcome::Signalled(-7), Outcome::Stopped(5), Outcome::Aborted(b"time\xffout".to_vec())];
    for (index, outcome) in (0..).zip(outcomes.clone()) {
        let build = finished(BuildId::from_bytes([index; 16]), outcome);
        store.save(&[Change::Finished(build)], Outbox::Fill).unwrap();
    }
    let history = History::open(root.path()).unwrap();
    let newest: Vec<Outcome> = history.newest(10).unwrap().into_iter().rev().map(|build| build.outcome).collect();
    assert_eq!(newest, outcomes);
    let [first, second, third] = [0, 1, 2].map(|index| BuildId::from_bytes([index; 16]));
    let due = |store: &Store, now| match store.next_upload(time(now), time(now + 600)).unwrap() {
        NextUpload::Due(upload) => Ok((upload.build, upload.tries)),
        NextUpload::Later(at) => Err(Some(at)),
        NextUpload::Nothing => Err(None),
    };
    assert_eq!(due(&store, 2_499), Err(Some(time(2_500))));
    assert_eq!(due(&store, 2_500), Ok((first, 0)));
    store.upload_failed(&first, "no route", time(3_000)).unwrap();
    assert_eq!(due(&store, 2_500), Ok((second, 0)), "what failed holds up nothing else");
    for build in [second, third, BuildId::from_bytes([3; 16])] {
        store.uploaded(&build, time(60)).unwrap();
    }
    drop(store);
    let (mut store, _) = Store::open(&folder, time(0)).unwrap();
    assert_eq!(due(&store, 2_999), Err(Some(time(3_000))), "pauses survive a restart");
    assert_eq!(due(&store, 3_000), Ok((first, 1)));
    assert_eq!(due(&store, 2_000), Ok((first, 1)), "a clock that was set back holds up nothing for long");
    assert_eq!(store.uploads_waiting().unwrap(), 1);
    store.uploaded(&first, time(50)).unwrap();
    assert_eq!(due(&store, 9_999), Err(None));
}

#[test]
fn kept_uploads_come_in_pages() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::open(root.path()).unwrap();
    let (mut store, _) = Store::open(&folder, time(0)).unwrap();
    // The first was uploaded last, the others in the same instant.
    let builds = [0, 1, 2, 3].map(|index| BuildId::from_bytes([index; 16]));
    for build in builds {
        store.save(&[Change::Finished(finished(build, Outcome::Exited(0)))], Outbox::Fill).unwrap();
        store.uploaded(&build, time(if build == builds[0] { 60 } else { 50 })).unwrap();
    }
    let (mut last, mut seen) = (None, Vec::new());
    while let Some(kept) = store.kept_uploads(time(61), last.as_ref(), 1).unwrap().pop() {
        assert_eq!(kept.job, job("a"));
        seen.push(kept.build);
        last = Some(kept);
    }
    assert_eq!(seen, [builds[1], builds[2], builds[3], builds[0]]);
    store.record_removed(&builds[2]).unwrap();
    let kept: Vec<BuildId> =
        store.kept_uploads(time(60), None, 9).unwrap().into_iter().map(|kept| kept.build).collect();
    assert_eq!(kept, [builds[1], builds[3]]);
}

#[test]
fn others_read_no_scripts() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::open(root.path()).unwrap();
    let (mut store, _) = Store::open(&folder, time(0)).unwrap();
    store.save(&[Change::PlatformDropped(platform("p"))], Outbox::Leave).unwrap();
    for name in ["builder-server.sqlite3", "builder-server.sqlite3-wal", "builder-server.sqlite3-shm"] {
        let mode = std::fs::metadata(root.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o137, 0, "{name} has mode {mode:o}");
    }
}

#[test]
fn damage_is_reported_and_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::open(root.path()).unwrap();
    for damage in [&[0xff; 5000][..], b"SQLite format 3\0 and then nothing of the kind"] {
        std::fs::write(folder.database(), damage).unwrap();
        let error = Store::open(&folder, time(0)).unwrap_err().to_string();
        assert!(error.contains("hint: nothing was changed; restore the file"), "{error}");
        assert_eq!(std::fs::read(folder.database()).unwrap(), damage);
    }
    std::fs::remove_file(folder.database()).unwrap();
    std::fs::write(folder.state_file(), b"\x30\x03\x01").unwrap();
    let error = Store::open(&folder, time(0)).unwrap_err().to_string();
    assert!(error.contains("state is damaged"), "{error}");
}

fn console(folder: &Folder, lines: usize) -> ConsoleWriter {
    let mut console = ConsoleWriter::open(&folder.console(&BUILD)).unwrap();
    for number in 0..lines {
        console.append(ConsoleLine { delta: number as i64, line: format!("line {number}").as_bytes() });
    }
    console.flush().unwrap();
    console
}

fn summary(outcome: Outcome) -> Summary {
    Summary { job: script("a"), build: BUILD, started: time(1_000), finished: time(2_250), outcome }
}

#[test]
fn a_record_is_what_the_original_writes() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::open(root.path()).unwrap();
    let console = console(&folder, 10_000);
    let data = vec![b'x'; 300_000];
    let heads = [FileHead::new(b"bin/a", data.len() as u64), FileHead::new(b"b", 0)];
    let content: u64 = heads.iter().map(FileHead::size).sum();
    let header = files_header(content);
    let files_bytes = header.len() as u64 + content;
    let mut writer = RecordWriter::begin(&folder, &console, summary(Outcome::Exited(0)), files_bytes, SMALL).unwrap();
    for piece in [&header[..], &heads[0].header, &data, &heads[1].header] {
        writer.write(piece).unwrap();
    }
    let bytes = writer.finish(&folder).unwrap().record_bytes;
    let path = folder.record(&job("a"), &BUILD);
    let stored = std::fs::read(&path).unwrap();
    assert_eq!(stored.len() as u64, bytes);
    let record = Record::decode(&stored).unwrap();
    assert_eq!(record.console.len(), 10_000);
    assert_eq!((record.console[0].delta, record.console[0].line), (9_999, &b"line 9999"[..]));
    assert_eq!((record.files[0].data, &*record.files[1].path), (&data[..], &b"b"[..]));
    assert_eq!(record::read_summary(&path).unwrap(), (summary(Outcome::Exited(0)), bytes));
    let mut deltas = Vec::new();
    let mut replay = record::ConsoleReplay::open(&path.as_path().into()).unwrap();
    while replay.next_block(|line| deltas.push(line.delta)).unwrap() {}
    assert_eq!(*replay.outcome(), Outcome::Exited(0));
    assert!(deltas.into_iter().eq(0..10_000), "replayed from the oldest to the newest line, none missing");
    folder.remove_record(&job("a"), &BUILD).unwrap();
    assert!(!folder.job(&job("a")).exists());
}

#[test]
fn a_small_record_is_in_the_database_until_its_file_is_synced() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::open(root.path()).unwrap();
    let (mut store, _) = Store::open(&folder, time(0)).unwrap();
    let history = History::open(root.path()).unwrap();
    let console = console(&folder, 3);
    let writer = RecordWriter::without_files(&folder, &console, summary(Outcome::Exited(0)), SMALL).unwrap();
    let written = writer.finish(&folder).unwrap();
    let record = written.small.unwrap();
    assert_eq!(record.bytes.len() as u64, written.record_bytes);
    let row = FinishedBuild { record_bytes: Some(written.record_bytes), ..finished(BUILD, Outcome::Exited(0)) };
    store.save_with_records(&[Change::Finished(row)], Outbox::Fill, &[&record]).unwrap();

    let read = || {
        let mut bytes = Vec::new();
        history.record(&folder, &record.job, &BUILD).unwrap().open().unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    };
    assert!(!folder.record(&record.job, &BUILD).exists());
    assert_eq!(read(), record.bytes, "readers find it all the same");
    assert_eq!(store.small_records(10).unwrap(), std::slice::from_ref(&record));
    record.place(&folder).unwrap();
    small::sync(&folder, &[(BUILD, record.job.clone())]).unwrap();
    store.records_synced(&[BUILD]).unwrap();
    assert_eq!(store.small_records(10).unwrap(), []);
    assert_eq!(std::fs::read(folder.record(&record.job, &BUILD)).unwrap(), record.bytes);
    assert_eq!(read(), record.bytes);
}

#[test]
fn many_records_are_synced_together() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::open(root.path()).unwrap();
    let builds: Vec<_> = (0..100).map(|index| (BuildId::from_bytes([index; 16]), job("a"))).collect();
    for (build, job) in &builds[1..] {
        SmallRecord { build: *build, job: job.clone(), bytes: vec![1] }.place(&folder).unwrap();
    }
    // One that somebody removed is no obstacle, alone or among others.
    small::sync(&folder, &builds).unwrap();
    small::sync(&folder, &builds[..2]).unwrap();
}

/// The jobs as versions 1 and 2 had them.
const JOBS_OF_2: &str = "
    PRAGMA foreign_keys = OFF;
    DROP TABLE parameter; DROP TABLE job;
    CREATE TABLE job(name BLOB PRIMARY KEY, platform BLOB, script BLOB, package BLOB,
        CHECK ((platform IS NULL) = (script IS NULL) AND (script IS NULL) <> (package IS NULL)));
    INSERT INTO job VALUES (CAST('a' AS BLOB), CAST('p' AS BLOB), x'6563686f2068656c6c6f0a', NULL),
        (CAST('t' AS BLOB), NULL, NULL, CAST('pkg' AS BLOB));
    INSERT INTO schedule VALUES (CAST('a' AS BLOB), 1, 10), (CAST('t' AS BLOB), 1, 20);
";

/// Version 3 and those before it did not count refusals.
const UNREFUSED: &str = "ALTER TABLE queued DROP COLUMN refusals; ALTER TABLE running DROP COLUMN refusals; ";

#[test]
fn a_database_of_version_3_goes_on_with_builds_that_nobody_refused() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::open(root.path()).unwrap();
    drop(Store::open(&folder, time(0)).unwrap());
    let database = rusqlite::Connection::open(folder.database()).unwrap();
    let rows = "INSERT INTO queue VALUES (x'70');
        INSERT INTO queued VALUES (x'70', 3, x'61', 1, x'000102030405060708090a0b0c0d0e0f', 2, 7), (x'70', 4, x'62', 0, NULL, NULL, NULL);
        INSERT INTO running VALUES (x'0f0e0d0c0b0a09080706050403020100', x'63', x'70', 2, 1, 7);
        PRAGMA user_version = 3";
    database.execute_batch(&format!("{UNREFUSED}{rows}")).unwrap();
    drop(database);
    let (store, opened) = Store::open(&folder, time(0)).unwrap();
    assert_eq!(opened, Opened::Existing);
    let state = store.load().unwrap();
    let resume = state.queues[0].1[0].1.resume.clone().unwrap();
    assert_eq!((resume.attempts, resume.refusals, state.queues[0].1[1].1.resume.clone()), (2, 0, None));
    assert_eq!((state.running[0].attempt, state.running[0].refusals), (2, 0));
}

#[test]
fn databases_of_older_versions_are_brought_to_this_one() {
    for older in ["DROP TABLE record; PRAGMA user_version = 1", "PRAGMA user_version = 2"] {
        let older = format!("{UNREFUSED}{older}");
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path()).unwrap();
        drop(Store::open(&folder, time(0)).unwrap());
        let database = rusqlite::Connection::open(folder.database()).unwrap();
        database.execute_batch(&format!("{JOBS_OF_2}{older}")).unwrap();
        drop(database);
        // Who only reads changes nothing.
        let error = Store::open_to_read(root.path()).unwrap_err().to_string();
        assert!(error.contains(", this builder-server reads version 4\nhint: start builder-server"), "{error}");
        let (mut store, opened) = Store::open(&folder, time(0)).unwrap();
        assert_eq!(opened, Opened::Existing);
        assert_eq!(store.small_records(1).unwrap(), []);
        let entry = |job, next| ScheduleEntry { job, period: Period::Daily, next: time(next) };
        let templated = TemplatedJob { name: job("t"), package: PackageName::parse(b"pkg").unwrap() };
        let mut expected = vec![entry(Job::Script(script("a")), 10), entry(Job::Templated(templated), 20)];
        assert_eq!(store.load().unwrap().schedule, expected);
        expected.push(entry(Job::Parameter(parameter_job("w", Some("p"))), 30));
        store.save(&[Change::EntryPut(expected[2].clone())], Outbox::Leave).unwrap();
        drop(store);
        let (mut store, _) = Store::open(&folder, time(0)).unwrap();
        assert_eq!(store.load().unwrap().schedule, expected);
        store.save(&["a", "t", "w"].map(|name| Change::EntryRemoved(job(name))), Outbox::Leave).unwrap();
        let database = rusqlite::Connection::open(folder.database()).unwrap();
        let broken = database.prepare("PRAGMA foreign_key_check").unwrap().exists([]).unwrap();
        assert!(!broken, "what refers to a table that was made anew refers to the new one");
    }
}

/// The original has no templates with parameters: their jobs go back as scripts, one for each platform.
#[test]
fn jobs_of_templates_become_scripts_for_the_original() {
    let entry = |job| ScheduleEntry { job, period: Period::Daily, next: time(10) };
    let queued = |name| Queued { job: job(name), retries: 0, resume: None };
    let running = RunningBuild {
        build: BUILD,
        job: job("w"),
        platform: platform("p"),
        attempt: 1,
        retries: 0,
        started: time(7),
        refusals: 0,
    };
    let state = builder_model::state::State {
        schedule: vec![
            entry(Job::Script(script("a"))),
            entry(Job::Parameter(parameter_job("v", None))),
            entry(Job::Parameter(parameter_job("w", Some("p")))),
            entry(Job::Parameter(parameter_job("gone", Some("q")))),
        ],
        queues: vec![
            (platform("p"), vec![(0, queued("a")), (1, queued("v"))]),
            (platform("q"), vec![(0, queued("gone")), (1, queued("v"))]),
        ],
        running: vec![running],
        dropped: Vec::new(),
    };
    let rendering = Rendering {
        platforms: &|_| ["p", "q"].map(platform).to_vec(),
        script: &|job, on| match job.name.as_bytes() {
            b"gone" => Err("platform q has no template greet".to_owned()),
            _ => {
                let script = format!("{} {on}", job.values).into_bytes().into();
                Ok(ScriptJob { name: job.name.clone(), platform: on.clone(), script })
            }
        },
    };
    let (rendered, left_out) = state_file::render(&state, &rendering);
    assert_eq!(left_out, ["job gone on q: platform q has no template greet"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    std::fs::write(&path, state_file::write(&rendered)).unwrap();
    let back = state_file::read(&path).unwrap().unwrap().state;
    let told: Vec<String> = (back.schedule.iter())
        .map(|entry| match &entry.job {
            Job::Script(job) => format!("{} on {}: {}", job.name, job.platform, String::from_utf8_lossy(&job.script)),
            other @ (Job::Templated(_) | Job::Parameter(_)) => panic!("the original reads no {other:?}"),
        })
        .collect();
    let expected =
        ["a on p: echo hello\n", "v.p on p: how= who=it's p", "v.q on q: how= who=it's q", "w on p: how= who=it's p"];
    assert_eq!(told, expected);
    let queues: Vec<Vec<String>> = (back.queues.iter())
        .map(|(_, places)| places.iter().map(|(_, queued)| queued.job.to_string()).collect())
        .collect();
    assert_eq!(queues, [vec!["w", "a", "v.p"], vec!["v.q"]]);
}

#[test]
fn a_record_is_cut_down_to_its_whole_files() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::open(root.path()).unwrap();
    let console = console(&folder, 3);
    let whole = FileHead::new(b"whole", 5);
    let header = files_header(1_000_000);
    let outcome = Outcome::aborted("a reason that is longer than what stood there before, to move what follows");
    // Large from first to last; then large at first, and small once cut; then small from the start.
    for small_bytes_max in [0, SMALL, u64::MAX] {
        let exited = summary(Outcome::Exited(0));
        let mut writer = RecordWriter::begin(&folder, &console, exited, 1_000_004, small_bytes_max).unwrap();
        for piece in [&header[..], &whole.header, b"12345", b"\x30\x83\x01\x00\x00\x0c"] {
            writer.write(piece).unwrap();
        }
        let writer = writer.cut(&folder, &console, outcome.clone(), header.len() as u64, whole.size()).unwrap();
        let written = writer.finish(&folder).unwrap();
        assert_eq!(written.small.is_some(), small_bytes_max > 0);
        let stored = written.small.map(|record| record.bytes);
        let stored = stored.unwrap_or_else(|| std::fs::read(folder.record(&job("a"), &BUILD)).unwrap());
        let record = Record::decode(&stored).unwrap();
        assert_eq!((record.outcome, record.console.len()), (outcome.clone(), 3));
        assert_eq!((record.files.len(), record.files[0].data), (1, &b"12345"[..]));
    }
    assert_eq!(folder.remove_leftovers(|_| true).unwrap(), 0);
    assert_eq!(folder.remove_leftovers(|_| false).unwrap(), 1, "the console of a build that nobody knows");
}

#[test]
fn a_torn_record_is_none() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("full");
    std::fs::write(&path, [0xa0, 0x20, 0x30]).unwrap();
    let error = record::read_summary(&path).unwrap_err().to_string();
    assert!(error.contains("is damaged: it ends too early"), "{error}");
}

#[test]
fn nothing_is_saved_into_a_file_that_is_gone() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::open(root.path()).unwrap();
    let (mut store, _) = Store::open(&folder, time(0)).unwrap();
    let change = [Change::PlatformDropped(platform("p"))];
    std::fs::rename(folder.database(), root.path().join("elsewhere")).unwrap();
    let error = store.save(&change, Outbox::Leave).unwrap_err().to_string();
    assert!(error.contains("cannot find"), "{error}");
    std::fs::write(folder.database(), b"another").unwrap();
    let error = store.save(&change, Outbox::Leave).unwrap_err().to_string();
    assert!(error.contains("was replaced"), "{error}");
}

/// The variable with which this program becomes the one that has no descriptors.
const NO_DESCRIPTORS: &str = "BUILDER_STORE_NO_DESCRIPTORS";

/// In a process of its own, as the limit on descriptors is one of the process.
#[test]
fn a_record_that_cannot_be_made_durable_is_not_found() {
    let Some(root) = std::env::var_os(NO_DESCRIPTORS) else {
        let folder = tempfile::tempdir().unwrap();
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "a_record_that_cannot_be_made_durable_is_not_found", "--nocapture"]);
        let output = command.env(NO_DESCRIPTORS, folder.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    };
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let folder = Folder::open(root.as_ref()).unwrap();
    let console = console(&folder, 1);
    let summary = summary(Outcome::Exited(0));
    let (job, build) = (summary.job.name.clone(), summary.build);
    let writer = || RecordWriter::without_files(&folder, &console, summary.clone(), 0).unwrap();
    let starved = writer();
    let (room, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let spare = std::fs::File::open(&root).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, std::os::fd::AsRawFd::as_raw_fd(&spare) as u64, hard).unwrap();
    drop(spare);
    assert!(starved.finish(&folder).is_err());
    setrlimit(Resource::RLIMIT_NOFILE, room, hard).unwrap();
    assert!(!folder.record(&job, &build).exists());
    writer().finish(&folder).unwrap();
    assert!(folder.record(&job, &build).exists());
}

#[test]
fn a_record_that_is_given_up_leaves_nothing_behind() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::open(root.path()).unwrap();
    let console = console(&folder, 1);
    let writer = RecordWriter::begin(&folder, &console, summary(Outcome::Exited(0)), 2, 0).unwrap();
    assert!(folder.incoming_record(&BUILD).exists());
    drop(writer);
    assert!(!folder.incoming_record(&BUILD).exists());
}
