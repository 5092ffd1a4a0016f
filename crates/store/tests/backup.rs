//! A second data folder, made beside a server.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

mod support;

use builder_store::backup::{BackedUp, backup};
use builder_store::database::{Outbox, Store};
use builder_store::{Folder, StoreError};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use support::{build, checked, farm, finish, record, time};

fn backed_up(root: &Path, to: &Path) -> BackedUp {
    backup(root, to).unwrap()
}

#[test]
fn a_backup_is_a_whole_data_folder_and_follows_the_first() {
    let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (folder, mut store) = farm(root.path());
    fs::write(root.path().join("state"), "of the original").unwrap();
    let to = elsewhere.path().join("backup");
    let done = backed_up(root.path(), &to);
    assert_eq!((done.builds, done.files, done.missing.len()), (3, 3, 0), "the third record is in the database only");
    let (seen, faults) = checked(&to);
    assert_eq!(faults, [""; 0]);
    assert_eq!((seen.builds, seen.records, seen.waiting), (3, 3, 1));
    assert_eq!(fs::read_to_string(to.join("state")).unwrap(), "of the original");
    let rights = fs::metadata(Folder::database_of(&to)).unwrap().permissions().mode() & 0o777;
    assert_eq!(rights, 0o640);
    let link = |path: &Path| fs::metadata(path).unwrap().ino();
    assert_eq!(link(&record(root.path(), 1)), link(&record(&to, 1)), "a second name costs no room");

    // What is new comes. What is gone, as the repository has it, goes.
    finish(&folder, &mut store, 4, 0, Outbox::Leave);
    store.uploaded(&build(2), time(9)).unwrap();
    fs::remove_dir_all(record(root.path(), 2).parent().unwrap()).unwrap();
    fs::write(root.path().join("state"), "of another day").unwrap();
    // A backup that was broken off before is no obstacle.
    fs::write(to.join("builder-server.sqlite3.new"), "half").unwrap();
    assert_eq!(backed_up(root.path(), &to).missing.len(), 0);
    let (seen, faults) = checked(&to);
    assert_eq!(faults, [""; 0]);
    assert_eq!((seen.builds, seen.records, seen.uploaded), (4, 3, 1));
    assert!(record(&to, 4).exists() && !record(&to, 2).parent().unwrap().exists());
    assert_eq!(fs::read_to_string(to.join("state")).unwrap(), "of another day");

    // A server starts on it.
    drop(store);
    let restored = Folder::open(&to).unwrap();
    let (store, _) = Store::open(&restored, time(10)).unwrap();
    assert_eq!(store.load().unwrap(), Store::open(&folder, time(10)).unwrap().0.load().unwrap());
}

#[test]
fn a_record_that_the_folder_lost_stays_in_the_backup() {
    let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let _farm = farm(root.path());
    let to = elsewhere.path().join("backup");
    backed_up(root.path(), &to);
    fs::remove_file(record(root.path(), 1)).unwrap();
    assert_eq!(backed_up(root.path(), &to).missing.len(), 0, "it is in the backup still");
    assert_eq!(checked(&to).1, [""; 0]);
    // In a new one it is missing, which is told.
    let other = elsewhere.path().join("other");
    assert_eq!(backed_up(root.path(), &other).missing, [record(&other, 1)]);
}

#[test]
fn a_record_that_was_cut_off_takes_no_place_of_a_whole_one() {
    let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let _farm = farm(root.path());
    let to = elsewhere.path().join("backup");
    backed_up(root.path(), &to);
    let whole = fs::read(record(root.path(), 1)).unwrap();
    // Another file, as the first one has two names.
    fs::remove_file(record(root.path(), 1)).unwrap();
    fs::write(record(root.path(), 1), &whole[..whole.len() / 2]).unwrap();
    assert_eq!(backed_up(root.path(), &to).missing.len(), 0, "it is whole in the backup still");
    assert_eq!(fs::read(record(&to, 1)).unwrap(), whole);
    assert_eq!(checked(&to).1, [""; 0]);
    // In a new one it is missing, which is told.
    let other = elsewhere.path().join("other");
    assert_eq!(backed_up(root.path(), &other).missing, [record(&other, 1)]);
}

#[test]
fn what_is_no_backup_is_left_alone() {
    let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let _farm = farm(root.path());
    let refused = |to: &Path| match backup(root.path(), to) {
        Err(StoreError::Backup { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    fs::write(elsewhere.path().join("letter"), "dear").unwrap();
    assert!(refused(elsewhere.path()).contains("neither empty nor a backup"));
    for near in [root.path().to_owned(), root.path().join("backup"), root.path().parent().unwrap().to_owned()] {
        assert!(refused(&near).contains("not apart"), "{near:?}");
    }
    assert!(!root.path().join("backup").exists(), "a refusal leaves nothing behind");
    // Neither is one that a server uses.
    let used = elsewhere.path().join("used");
    backed_up(root.path(), &used);
    let _server = Folder::open(&used).unwrap();
    assert!(matches!(backup(root.path(), &used), Err(StoreError::Locked { .. })));
}
