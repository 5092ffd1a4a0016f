//! New data folders, and old ones.

use super::support::{Build, Data, GOOD, add_build};
use builder_web::Database;
use std::fs;

#[test]
fn migrate_makes_a_repository_once() {
    let data = Data::empty();
    let missing = data.fails(&["user-list"]);
    assert!(missing.contains("there is no database") && missing.contains("hint: `builder-db migrate`"), "{missing}");
    assert!(data.ok(&["migrate"]).starts_with("made the database "));
    assert!(data.file("_artifacts").is_dir() && data.file("_staging").is_dir());
    assert_eq!(data.count("SELECT count(*) FROM job"), 0);
    assert!(data.ok(&["migrate"]).starts_with("nothing to do: "));
    fs::remove_dir_all(data.path()).unwrap();
    assert!(data.fails(&["migrate"]).contains("hint: create it"));
}

#[test]
fn a_database_that_was_about_to_be_made_is_made() {
    let data = Data::empty();
    // A crash, or a full disk, before the first commit.
    fs::write(Database::path_of(data.path()), "").unwrap();
    assert!(data.ok(&["migrate"]).starts_with("made the database "));
    assert_eq!(data.ok(&["user-list"]), "");
    // What somebody else keeps there is not ours to replace.
    let other = Data::empty();
    other.connection().execute_batch("CREATE TABLE mine(a)").unwrap();
    assert!(other.fails(&["migrate"]).contains("this is not the database of a repository"));
    assert_eq!(other.count("SELECT count(*) FROM mine"), 0);
}

/// Turns a data folder into one of an old version, as the original's rollbacks do.
fn turn_back(data: &Data, version: i64) {
    let connection = data.connection();
    connection
        .execute_batch(
            "PRAGMA foreign_keys = off;
             PRAGMA journal_mode = delete;
             CREATE TABLE old_build_artifact (
                 id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
                 filepath TEXT NOT NULL, -- the path as in the build
                 localpath TEXT NOT NULL, -- local path to the file on disk
                 sha256 BLOB NOT NULL,
                 size INTEGER NOT NULL,
                 build INTEGER NOT NULL,
                 FOREIGN KEY(build) REFERENCES build(id),
                 UNIQUE(build, filepath)
             );
             INSERT INTO old_build_artifact SELECT a.id, a.filepath, j.name || '/' || b.uuid || '/output/' || a.filepath,
                 a.sha256, a.size, a.build FROM build_artifact a, build b, job j WHERE b.id = a.build AND j.id = b.job;
             DROP TABLE build_artifact;
             ALTER TABLE old_build_artifact RENAME TO build_artifact;
             CREATE INDEX idx_build_artifact_sha256 ON build_artifact(sha256);",
        )
        .unwrap();
    if version == 16 {
        connection.execute_batch("DROP INDEX idx_build_failed").unwrap();
    }
    let own = "SELECT type, name FROM sqlite_master WHERE name LIKE 'repository%' ORDER BY type = 'table'";
    let mut own = connection.prepare(own).unwrap();
    let own: Vec<(String, String)> =
        own.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    for (kind, name) in own {
        connection.execute_batch(&format!("DROP {kind} IF EXISTS {name}")).unwrap();
    }
    connection.pragma_update(None, "user_version", version).unwrap();
    let sql = "SELECT localpath, lower(hex(sha256)) FROM build_artifact";
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))).unwrap();
    for (localpath, hex) in rows.map(Result::unwrap) {
        let to = data.file(&localpath);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(data.file("_artifacts").join(&hex[..2]).join(&hex), to).unwrap();
    }
    fs::remove_dir_all(data.file("_artifacts")).unwrap();
}

#[test]
fn old_folders_are_upgraded_in_place() {
    for version in [16, 17] {
        let data = Data::new();
        let artifacts = [("bin/hello", "binary"), ("doc/a/licence", "shared")];
        let uuid = data.add(Build { artifacts: &artifacts, ..GOOD });
        data.add(Build { artifacts: &[("LICENCE", "shared")], result: 1, ..GOOD });
        turn_back(&data, version);
        assert!(data.fails(&["user-list"]).contains("Wrong database version"));
        assert!(data.ok(&["migrate"]).contains(&format!("from version {version} to 18")));
        drop(Database::open(data.path()).unwrap());
        for content in ["binary", "shared"] {
            assert_eq!(fs::read_to_string(data.artifact(content)).unwrap(), content);
        }
        let folder = data.file("hello").join(&uuid);
        assert!(folder.join("console.txt").exists() && !folder.join("output").exists());
        assert_eq!(data.count("SELECT count(*) FROM build_artifact"), 3);
        assert_eq!(data.count("SELECT count(*) FROM build JOIN build_artifact a ON a.id = main_binary"), 1);
        assert_eq!(data.count("SELECT count(*) FROM pragma_foreign_key_check"), 0);
        let same = "SELECT count(*) FROM sqlite_master WHERE type = 'index' AND name LIKE 'idx_build%'";
        assert_eq!(data.count(same), 6);
        // Life goes on.
        add_build(data.path(), "00000000-0000-4000-8000-00000000abcd", GOOD);
        assert!(data.ok(&["migrate"]).starts_with("nothing to do"));
    }
}

#[test]
fn what_an_upgrade_left_that_was_cut_off_goes_with_the_next_run() {
    let data = Data::new();
    let uuid = data.add(Build { artifacts: &[("bin/hello", "binary"), ("doc/a\nb", "shared")], ..GOOD });
    turn_back(&data, 17);
    let old = data.file("hello").join(&uuid).join("output");
    data.ok(&["migrate"]);
    assert!(!old.exists() && !data.file(".builder-db-migrate").exists());
    // A crash right after the rows leaves this.
    for path in ["bin/hello", "doc/a\nb"] {
        fs::create_dir_all(old.join(path).parent().unwrap()).unwrap();
        fs::write(old.join(path), "old").unwrap();
    }
    let list = format!("hello/{uuid}/output/bin/hello\0hello/{uuid}/output/doc/a\nb\0");
    fs::write(data.file(".builder-db-migrate"), list).unwrap();
    assert_eq!(data.run(&["check"]).status, 1);
    assert!(data.ok(&["migrate"]).starts_with("removed what an upgrade of "));
    assert!(data.ok(&["check"]).ends_with("all is well\n"));
    assert!(data.ok(&["migrate"]).starts_with("nothing to do"));
}

#[test]
fn an_upgrade_removes_no_folder_that_a_spoilt_row_names() {
    for localpath in ["", "hello"] {
        let data = Data::new();
        let uuid = data.add(GOOD);
        turn_back(&data, 17);
        data.connection().execute("UPDATE build_artifact SET localpath = ?1", [localpath]).unwrap();
        let ended = data.run(&["migrate"]);
        assert_eq!(ended.status, 1, "{ended:?}");
        assert!(data.file("hello").join(&uuid).join("console.txt").exists(), "{localpath:?}");
        assert_eq!(data.count("SELECT count(*) FROM build"), 1);
    }
}

#[test]
fn an_upgrade_goes_on_where_a_file_is_lost() {
    let data = Data::new();
    let uuid = data.add(Build { artifacts: &[("bin/hello", "binary"), ("x", "kept")], ..GOOD });
    turn_back(&data, 17);
    fs::remove_file(data.file("hello").join(&uuid).join("output/bin/hello")).unwrap();
    // What an upgrade left that was ended by a crash.
    let kept = data.artifact("kept");
    fs::create_dir_all(kept.parent().unwrap()).unwrap();
    fs::hard_link(data.file("hello").join(&uuid).join("output/x"), &kept).unwrap();
    let ended = data.run(&["migrate"]);
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.err.contains(&format!("there is no file hello/{uuid}/output/bin/hello")), "{ended:?}");
    assert_eq!(fs::read_to_string(&kept).unwrap(), "kept");
    assert!(data.ok(&["migrate"]).starts_with("nothing to do"));
}

#[test]
fn versions_that_nobody_knows_are_left_alone() {
    let data = Data::new();
    data.connection().pragma_update(None, "user_version", 15).unwrap();
    let says = data.fails(&["migrate"]);
    assert!(says.contains("version 15") && says.contains("original's builder-migrations"), "{says}");
}
