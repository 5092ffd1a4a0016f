//! A data folder with a few builds, and what a check says of one.

use builder_model::state::{Change, FinishedBuild};
use builder_model::{BuildId, JobName, Outcome, Platform, ScriptJob, Timestamp};
use builder_store::Folder;
use builder_store::check::{Checked, check};
use builder_store::console::ConsoleWriter;
use builder_store::database::{Outbox, Store};
use builder_store::record::{RecordWriter, Summary};
use builder_store::small::SMALL_RECORD_BYTES_MAX;
use builder_wire::record::ConsoleLine;
use std::path::{Path, PathBuf};

pub(crate) fn time(milliseconds: i64) -> Timestamp {
    Timestamp::from_milliseconds(milliseconds).unwrap()
}

/// The record of a build with this number, of a job of this name.
pub(crate) fn build(number: u8) -> BuildId {
    BuildId::from_bytes([number; 16])
}

pub(crate) fn job() -> JobName {
    JobName::parse(b"hello").unwrap()
}

/// A build that ended, with its record: in the database if it is small, else in its file.
pub(crate) fn finish(folder: &Folder, store: &mut Store, number: u8, small_bytes_max: u64, outbox: Outbox) {
    let script = ScriptJob { name: job(), platform: Platform::parse(b"p").unwrap(), script: b"true".as_slice().into() };
    let (started, finished, outcome) = (time(1), time(2), Outcome::Exited(0));
    let summary = Summary { job: script, build: build(number), started, finished, outcome: outcome.clone() };
    let mut console = ConsoleWriter::open(&folder.console(&build(number))).unwrap();
    console.append(ConsoleLine { delta: 1, line: b"hello" });
    console.flush().unwrap();
    let writer = RecordWriter::without_files(folder, &console, summary, small_bytes_max).unwrap();
    let done = writer.finish(folder).unwrap();
    let ended = FinishedBuild {
        build: build(number),
        job: job(),
        platform: Platform::parse(b"p").unwrap(),
        attempts: 1,
        started,
        finished,
        outcome,
        record_bytes: Some(done.record_bytes),
    };
    let small: Vec<_> = done.small.iter().collect();
    store.save_with_records([&Change::Finished(ended)], outbox, &small).unwrap();
}

/// A folder with two records in files, and one in the database only.
pub(crate) fn farm(root: &Path) -> (Folder, Store) {
    let folder = Folder::open(root).unwrap();
    let (mut store, _) = Store::open(&folder, time(0)).unwrap();
    finish(&folder, &mut store, 1, 0, Outbox::Leave);
    finish(&folder, &mut store, 2, 0, Outbox::Fill);
    finish(&folder, &mut store, 3, SMALL_RECORD_BYTES_MAX, Outbox::Leave);
    (folder, store)
}

pub(crate) fn checked(root: &Path) -> (Checked, Vec<String>) {
    let mut faults = Vec::new();
    let checked = check(root, |fault| faults.push(fault.to_string())).unwrap();
    assert_eq!(checked.faults, faults.len() as u64);
    (checked, faults)
}

pub(crate) fn record(root: &Path, number: u8) -> PathBuf {
    Folder::record_of(root, &job(), &build(number))
}
