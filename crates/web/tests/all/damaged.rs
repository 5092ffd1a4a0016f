//! What is told of artifacts whose files are lost: from `builder-db check` to the upload that brings them back.

use crate::site::{Site, Told, USER};
use http::StatusCode;
use std::ffi::OsString;
use std::path::PathBuf;

const LOST: &str =
    "The file of the artifact lib/two is missing on this server. Another upload of the same content brings it back.";
const SPOILT: &str = "The file of the artifact lib/three was damaged on this server, and is set aside.";

fn told(number: u8) -> Told {
    Told::new(number).files(&[("bin/hello", b"binary"), ("lib/two", b"two"), ("lib/three", b"three")])
}

fn file(site: &Site, content: &str) -> PathBuf {
    let digest = builder_web::Digest::of(content.as_bytes()).to_string();
    site.data().join("_artifacts").join(&digest[..2]).join(digest)
}

/// Runs `builder-db check --repair` beside the server.
fn check(site: &Site) {
    let data = site.data();
    let arguments = ["builder-db", "--datadir", data.to_str().unwrap(), "--quiet", "check", "--repair"];
    builder_web::admin::main(arguments.map(OsString::from).into_iter());
}

fn notes(json: &serde_json::Value) -> Vec<String> {
    json["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn what_check_finds_is_told_until_an_upload_brings_it_back() {
    let site = Site::new();
    site.upload(&told(1)).await;
    assert!(notes(&site.get_json(&told(1).page()).await).is_empty());
    std::fs::remove_file(file(&site, "two")).unwrap();
    std::fs::write(file(&site, "three"), "THREE").unwrap();
    check(&site);
    let page = site.get(&told(1).page()).await.text();
    assert!(page.contains(LOST) && page.contains(SPOILT) && !page.contains("check:"), "{page}");
    let json = site.get_json(&format!("/api/v1/builds/{}", told(1).build)).await;
    assert_eq!(notes(&json).len(), 2, "{json}");

    // One that has the same content in another build, then the same build again.
    let other = Told::new(2).files(&[("bin/hello", b"three")]);
    assert_eq!(site.post(USER, "/upload", other.encode()).await.status, StatusCode::CREATED);
    assert_eq!(notes(&site.get_json(&told(1).page()).await), [LOST]);
    assert_eq!(site.post(USER, "/upload", told(1).encode()).await.status, StatusCode::OK);
    assert!(notes(&site.get_json(&told(1).page()).await).is_empty());
    assert_eq!(site.count("SELECT count(*) FROM repository_damage"), 0);
    assert!(!site.get(&told(1).page()).await.text().contains("What could not be read"));
}

/// The kinds and places of what `builder-db check` finds.
fn found(site: &Site, arguments: &[&str]) -> Vec<(String, String)> {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_builder-db"));
    command.args(["--format", "json", "check", "--datadir"]).arg(site.data()).args(arguments);
    let report: serde_json::Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    report["findings"].as_array().unwrap().iter().map(|found| (text(&found["kind"]), text(&found["at"]))).collect()
}

#[tokio::test]
async fn what_brings_a_record_back_is_held_against_its_rows() {
    let site = Site::new();
    let told = told(1);
    site.upload(&told).await;
    assert_eq!(found(&site, &[]), []);
    let folder = site.data().join("hello").join(told.build.to_string());
    let (outline, console) = (folder.join("outline.gz"), folder.join("console.txt"));
    let at = |name: &str| format!("hello/{}/{name}", told.build);
    let damaged = |name: &str| ("build-file-damaged".to_owned(), at(name));
    let whole = std::fs::read(&outline).unwrap();
    std::fs::write(&outline, whole.split_at(whole.len() / 2).0).unwrap();
    std::fs::write(&console, "0.000s:").unwrap();
    assert_eq!(found(&site, &[]), [damaged("console.txt"), damaged("outline.gz")]);
    // Set aside, it spoils the record no more, and another upload brings it back; of the console nobody knows better.
    assert_eq!(found(&site, &["--repair"]), [damaged("console.txt"), damaged("outline.gz")]);
    assert_eq!(site.get(&format!("{}/exec", told.page())).await.status, StatusCode::OK);
    let missing = ("build-file-missing".to_owned(), at("outline.gz"));
    assert_eq!(found(&site, &[]), [damaged("console.txt"), missing]);
    std::fs::remove_file(&console).unwrap();
    assert_eq!(site.post(USER, "/upload", told.encode()).await.status, StatusCode::OK);
    assert_eq!(found(&site, &[]), []);
    assert!(site.get(&format!("{}/exec", told.page())).await.body == told.encode());
}

/// Runs `builder-db backup`; gives its exit status and what it says.
fn backup(site: &Site, to: &std::path::Path) -> (Option<i32>, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_builder-db"));
    let ended = command.arg("--datadir").arg(site.data()).arg("backup").arg(to).output().unwrap();
    (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
}

#[tokio::test]
async fn what_a_backup_brings_back_of_a_record_is_kept_where_the_folder_spoilt_it() {
    let site = Site::new();
    let told = told(1);
    site.upload(&told).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let to = elsewhere.path().join("backup");
    assert_eq!(backup(&site, &to).0, Some(0));
    for name in ["console.txt", "outline.gz"] {
        let at = format!("hello/{}/{name}", told.build);
        let file = site.data().join(&at);
        let whole = std::fs::read(&file).unwrap();
        // Another file, as the first one has two names.
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, whole.split_at(whole.len() / 2).0).unwrap();
        let (status, says) = backup(&site, &to);
        assert!(status == Some(1) && says.contains(&format!("there is no whole file {at}")), "{says}");
        assert!(std::fs::read(to.join(&at)).unwrap() == whole, "{name}");
        // Put back from there, it is whole again; of a console that is nowhere else, what is left is kept.
        let other = elsewhere.path().join(name);
        assert_eq!(backup(&site, &other).0, Some(i32::from(name == "console.txt")));
        assert!(other.join(&at).exists());
        std::fs::copy(to.join(&at), &file).unwrap();
        assert_eq!(backup(&site, &to).0, Some(0));
    }
    assert_eq!(found(&site, &[]), []);
    // A size that is none says nothing.
    site.connection().execute("UPDATE repository_build SET console_bytes = -1", []).unwrap();
    assert_eq!((backup(&site, &to).0, found(&site, &[])), (Some(0), vec![]));
}

#[tokio::test]
async fn what_somebody_puts_back_by_hand_is_well_and_so_finds_check() {
    let site = Site::new();
    site.upload(&told(1)).await;
    std::fs::remove_file(file(&site, "two")).unwrap();
    check(&site);
    assert_eq!(notes(&site.get_json(&told(1).page()).await), [LOST]);
    std::fs::write(file(&site, "two"), "two").unwrap();
    check(&site);
    assert!(notes(&site.get_json(&told(1).page()).await).is_empty());
    assert_eq!(site.count("SELECT count(*) FROM repository_damage"), 0);
}

#[tokio::test]
async fn a_digest_that_is_none_holds_up_no_other_build_and_shows_what_is_left_of_its_own() {
    let site = Site::new();
    site.upload(&told(1)).await;
    site.upload(&Told::new(2).files(&[("bin/hello", b"later")])).await;
    // As an original's folder would come, with a row that somebody spoilt.
    let spoilt = "UPDATE build_artifact SET sha256 = x'0011' WHERE filepath = 'lib/two'; DELETE FROM repository_build";
    site.connection().execute_batch(spoilt).unwrap();
    assert_eq!(builder_web::start::derive_facts(&site.app).unwrap(), 2);
    let build = told(1);
    let page = site.get(&build.page()).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().contains("rows of its artifacts cannot be read: `builder-db check` names them"));
    assert!(page.text().contains("lib/three") && !page.text().contains("lib/two"), "{}", page.text());
    let other = Told::new(2).build;
    for (target, status) in [
        (format!("{}/f/bin/hello", build.page()), StatusCode::OK),
        (format!("{}/f/lib/two", build.page()), StatusCode::NOT_FOUND),
        (format!("/compare/{}/{other}", build.build), StatusCode::OK),
        (format!("/api/v1/builds/{}/artifacts", build.build), StatusCode::OK),
        // Nobody takes a part for the whole.
        (format!("{}/all.tar.gz", build.page()), StatusCode::INTERNAL_SERVER_ERROR),
        (format!("{}/exec", build.page()), StatusCode::INTERNAL_SERVER_ERROR),
    ] {
        assert_eq!(site.get(&target).await.status, status, "{target}");
    }
    let judged = "SELECT group_concat(input_kind || (output IS NULL)) FROM repository_build ORDER BY build";
    let judged: String = site.connection().query_row(judged, [], |row| row.get(0)).unwrap();
    assert_eq!(judged, "rows-unreadable1,script0", "it is not judged by a part");
}

#[tokio::test]
async fn a_spoilt_main_binary_keeps_no_list_away() {
    let site = Site::new();
    for number in 1..=3 {
        site.upload(&Told::new(number).files(&[("bin/hello", format!("{number}").as_bytes())])).await;
    }
    let (spoilt, next) = (Told::new(3), Told::new(2));
    for value in ["x'0011'", "'text'"] {
        let spoil = format!(
            "UPDATE build_artifact SET sha256 = {value} WHERE build = (SELECT id FROM build WHERE uuid = '{}');
             UPDATE repository_build SET output = NULL",
            spoilt.build
        );
        site.connection().execute_batch(&spoil).unwrap();
        for target in [
            "/".to_owned(),
            "/all-builds".to_owned(),
            "/builds".to_owned(),
            "/job/hello".to_owned(),
            "/job/hello/failed".to_owned(),
            "/job/hello/feed.atom".to_owned(),
            "/api/v1/jobs".to_owned(),
            "/api/v1/jobs/hello".to_owned(),
            "/api/v1/builds".to_owned(),
            format!("/search?q={}", spoilt.build),
            "/search?q=00110000".to_owned(),
            spoilt.page(),
            next.page(),
        ] {
            let answer = site.get(&target).await;
            assert_eq!(answer.status, StatusCode::OK, "{value}: {target}");
        }
        assert!(site.get("/job/hello").await.text().contains(&spoilt.build.to_string()), "{value}");
    }
}

#[tokio::test]
async fn notes_of_an_earlier_check_are_taken_over() {
    let site = Site::new();
    site.upload(&told(1)).await;
    std::fs::remove_file(file(&site, "two")).unwrap();
    let older = "UPDATE repository_build SET notes = 'opam-switch: odd' || char(10) || 'check: the artifact lib/two is missing'
            || char(10) || 'check: the artifact bin/hello is damaged' || char(10) || 'check: the artifact gone is missing';
        DROP TABLE repository_damage; UPDATE repository_version SET version = 4";
    site.connection().execute_batch(older).unwrap();
    drop(builder_web::App::open(site.app.settings().clone()).unwrap());
    // The main binary was healed since, which that version did not tell.
    assert_eq!(notes(&site.get_json(&told(1).page()).await), ["opam-switch: odd", LOST]);
}
