//! A second data folder.

use super::support::{Build, Data, GOOD};
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_backup_is_a_whole_data_folder_and_follows_the_first() {
    let (data, elsewhere) = (Data::new(), tempfile::tempdir().unwrap());
    let old = data.add(GOOD);
    data.add(Build { start: "2026-02-01T00:00:00Z", artifacts: &[("bin/hello", "newer")], ..GOOD });
    fs::write(data.file("hello").join(&old).join("outline.gz"), "outline").unwrap();
    let dir = elsewhere.path().join("backup");
    let dir = dir.to_str().unwrap();
    let says = data.ok(&["backup", dir]);
    assert!(says.contains(" has 2 builds and 2 artifacts; copied "), "{says}");
    assert_eq!(data.ok(&["check-backup", dir]), "2 builds and 2 artifacts read, 11 B: all is well\n");
    let copy = |path: &str| elsewhere.path().join("backup").join(path);
    assert_eq!(fs::read_to_string(copy(&format!("hello/{old}/outline.gz"))).unwrap(), "outline");
    let rights = fs::metadata(copy("builder.sqlite3")).unwrap().permissions().mode() & 0o777;
    assert_eq!(rights, 0o640, "passwords are in it");

    // What is new comes, what is gone goes.
    data.ok(&["vacuum", "except-latest", "1"]);
    let third = data.add(Build { start: "2026-03-01T00:00:00Z", artifacts: &[("bin/hello", "newest")], ..GOOD });
    data.ok(&["backup", dir]);
    assert_eq!(data.ok(&["check-backup", dir]), "2 builds and 2 artifacts read, 11 B: all is well\n");
    assert!(!copy(&format!("hello/{old}")).exists() && copy(&format!("hello/{third}/console.txt")).exists());

    // A backup that is broken off leaves the one before it.
    fs::write(copy("builder.sqlite3.new"), "half").unwrap();
    assert_eq!(data.run(&["--quiet", "backup", dir]).status, 0);
    assert!(!copy("builder.sqlite3.new").exists());
    fs::remove_file(data.artifact("newest")).unwrap();
    fs::remove_dir_all(elsewhere.path().join("backup")).unwrap();
    let ended = data.run(&["backup", dir]);
    assert!(ended.status == 1 && ended.err.contains("there is no whole file _artifacts/"), "{ended:?}");
    assert_eq!(data.run(&["check-backup", dir]).status, 1);
}

#[test]
fn what_is_cut_off_takes_no_place_of_a_whole_file() {
    let (data, elsewhere) = (Data::new(), tempfile::tempdir().unwrap());
    data.add(Build { artifacts: &[("bin/hello", "whole")], ..GOOD });
    let dir = elsewhere.path().join("backup");
    data.ok(&["backup", dir.to_str().unwrap()]);
    // Another file, as the first one has two names.
    fs::remove_file(data.artifact("whole")).unwrap();
    fs::write(data.artifact("whole"), "who").unwrap();
    let ended = data.run(&["backup", dir.to_str().unwrap()]);
    assert!(ended.status == 1 && ended.err.contains("there is no whole file _artifacts/"), "{ended:?}");
    assert_eq!(data.ok(&["check-backup", dir.to_str().unwrap()]), "1 build and 1 artifact read, 5 B: all is well\n");
}

#[test]
fn backups_do_not_overwrite_what_is_none() {
    let (data, elsewhere) = (Data::new(), tempfile::tempdir().unwrap());
    fs::write(elsewhere.path().join("letter"), "dear").unwrap();
    assert!(data.fails(&["backup", elsewhere.path().to_str().unwrap()]).contains("neither empty nor a backup"));
    for inside in [data.path().to_owned(), data.file("backup"), data.path().parent().unwrap().to_owned()] {
        assert!(data.fails(&["backup", inside.to_str().unwrap()]).contains("not apart"), "{inside:?}");
    }
    assert!(!data.file("backup").exists(), "a refusal leaves nothing behind");
    assert!(data.fails(&["check-backup", elsewhere.path().to_str().unwrap()]).contains("there is no database"));
}
