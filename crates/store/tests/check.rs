//! What a check of a data folder, or of a copy of one, finds.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

mod support;

use builder_store::check::check;
use builder_store::database::{Outbox, Store};
use builder_store::{Folder, StoreError};
use support::{build, checked, farm, finish, record, time};

#[test]
fn a_folder_in_good_order_beside_its_server_and_after_it() {
    let root = tempfile::tempdir().unwrap();
    let (_folder, store) = farm(root.path());
    let (beside, faults) = checked(root.path());
    assert_eq!(faults, [""; 0]);
    assert_eq!((beside.builds, beside.records, beside.waiting, beside.unknown), (3, 3, 1, 0));
    drop(store);
    assert_eq!(checked(root.path()).0, beside);
}

#[test]
fn a_check_of_a_copy_leaves_nothing_in_it() {
    let root = tempfile::tempdir().unwrap();
    let (folder, store) = farm(root.path());
    drop((folder, store));
    let list = || {
        let mut names: Vec<_> = std::fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names
    };
    let before = list();
    assert_eq!(checked(root.path()).1, [""; 0]);
    assert_eq!(list(), before);
}

#[test]
fn each_fault_is_told() {
    let root = tempfile::tempdir().unwrap();
    let (_folder, mut store) = farm(root.path());
    std::fs::remove_file(record(root.path(), 1)).unwrap();
    let (seen, faults) = checked(root.path());
    assert_eq!(seen.records, 2);
    assert!(matches!(&faults[..], [missing] if missing.ends_with("/full is missing")), "{faults:?}");

    // The repository has it: that is no fault.
    store.uploaded(&build(1), time(9)).unwrap();
    let (seen, faults) = checked(root.path());
    assert_eq!((seen.uploaded, faults.len()), (1, 0));

    let whole = std::fs::read(record(root.path(), 2)).unwrap();
    let cut = |bytes: &[u8]| {
        std::fs::write(record(root.path(), 2), bytes).unwrap();
        let (_, faults) = checked(root.path());
        assert_eq!(faults.len(), 1, "{faults:?}");
        faults[0].clone()
    };
    assert!(cut(&whole[..whole.len() - 1]).contains("it ends too early"));
    assert!(cut(&[&whole[..], b"more"].concat()).contains(" is damaged: "));
    // The record of another build, whole.
    let other = Folder::open(&{
        let path = root.path().join("elsewhere");
        std::fs::create_dir(&path).unwrap();
        path
    })
    .unwrap();
    let (mut theirs, _) = Store::open(&other, time(0)).unwrap();
    finish(&other, &mut theirs, 9, 0, Outbox::Leave);
    assert!(cut(&std::fs::read(record(other.root(), 9)).unwrap()).contains("it is of build 09090909-"));
    std::fs::write(record(root.path(), 2), &whole).unwrap();

    // An upload without its record.
    store.record_removed(&build(2)).unwrap();
    let (_, faults) = checked(root.path());
    assert!(matches!(&faults[..], [upload] if upload.contains("waits to be uploaded and has no record")), "{faults:?}");
}

#[test]
fn records_that_nobody_knows_are_counted_only() {
    let root = tempfile::tempdir().unwrap();
    let (_folder, _store) = farm(root.path());
    let later = record(root.path(), 4);
    std::fs::create_dir_all(later.parent().unwrap()).unwrap();
    std::fs::copy(record(root.path(), 1), later).unwrap();
    let (seen, faults) = checked(root.path());
    assert_eq!((seen.unknown, faults.len()), (1, 0));
}

#[test]
fn a_damaged_database_is_a_fault_or_an_error_and_never_well() {
    let root = tempfile::tempdir().unwrap();
    drop(farm(root.path()));
    let path = Folder::database_of(root.path());
    let whole = std::fs::read(&path).unwrap();
    let page = 4096;
    assert!(whole.len() > 8 * page, "{}", whole.len());
    for at in (page..whole.len()).step_by(page) {
        let mut torn = whole.clone();
        torn[at..at + 64].fill(0xa5);
        std::fs::write(&path, torn).unwrap();
        let mut faults = 0;
        if check(root.path(), |_| faults += 1).is_ok() {
            assert!(faults > 0, "the page at {at} was torn");
        }
    }
    std::fs::write(&path, b"no database").unwrap();
    assert!(matches!(check(root.path(), |_| ()), Err(StoreError::Database { .. })));
}
