//! What is said of how far builds can be reproduced: by what they are judged, and which are not judged at all.

use crate::site::{Site, Told, USER};
use builder_web::App;
use http::StatusCode;
use rusqlite::Connection;

/// The address of the build with this row.
fn page_of(connection: &Connection, row: i64) -> String {
    let text =
        "SELECT '/job/' || j.name || '/build/' || b.uuid FROM build b JOIN job j ON j.id = b.job WHERE b.id = ?1";
    connection.query_row(text, [row], |row| row.get(0)).unwrap()
}

async fn page(site: &Site, address: &str) -> String {
    let answer = site.get(address).await;
    assert_eq!(answer.status, StatusCode::OK);
    answer.text()
}

/// Makes the data folder one of version 2 of our tables, where these inputs and outputs are known of all builds.
fn age(site: &Site, derived: &str) {
    let older = format!(
        "UPDATE repository_build SET {derived}; DROP TABLE repository_stale; UPDATE repository_version SET version = 2"
    );
    site.connection().execute_batch(&older).unwrap();
}

#[tokio::test]
async fn binaries_made_by_hand_are_not_judged() {
    let site = Site::new();
    for (job, binary) in [("hello", "one"), ("hello", "two"), ("other", "three")] {
        let answer = site.post(USER, &format!("/job/{job}/platform/p/upload"), binary).await;
        assert_eq!(answer.status, StatusCode::CREATED);
    }
    for row in 1..=3 {
        let address = page_of(&site.connection(), row);
        let shown = page(&site, &address).await;
        assert!(shown.contains("made by hand: not judged") && shown.contains("Not known: made by hand."), "{shown}");
        assert!(!shown.contains("not reproducible") && !shown.contains("Same input"), "{shown}");
        let json = site.get_json(&address).await;
        assert_eq!((&json["input"], &json["output"]["kind"]), (&serde_json::Value::Null, &"main-binary".into()));
    }
}

#[tokio::test]
async fn what_an_earlier_version_said_of_binaries_made_by_hand_is_taken_back() {
    let site = Site::new();
    for binary in ["one", "two"] {
        site.post(USER, "/job/hello/platform/p/upload", binary).await;
    }
    site.upload(&Told::new(1)).await;
    age(&site, "input_kind = 'script', input = zeroblob(32)");
    let app = App::open(site.app.settings().clone()).unwrap();
    assert_eq!(site.count("SELECT count(*) FROM repository_stale"), 3);
    let address = page_of(&site.connection(), 1);
    let shown = page(&site, &address).await;
    assert!(shown.contains("not judged yet") && !shown.contains("not reproducible"), "{shown}");
    assert_eq!(builder_web::start::derive_facts(&app).unwrap(), 3);
    let shown = page(&site, &address).await;
    assert!(shown.contains("made by hand: not judged"), "{shown}");
    let rest = "SELECT count(*) FROM repository_build WHERE outline_sha256 IS NULL OR received IS NULL";
    assert_eq!(site.count(rest) + site.count("SELECT count(*) FROM repository_stale"), 0, "how it came is kept");
    assert_eq!(site.count("SELECT count(*) FROM repository_build WHERE input_kind = 'script'"), 1);
}

#[tokio::test]
async fn a_build_that_lost_its_script_is_not_judged_by_it() {
    let site = Site::new();
    for number in [1, 2] {
        site.upload(&Told::new(number).files(&[("bin/hello", &[number])])).await;
        std::fs::remove_file(site.data().join(format!("hello/{}/script.txt", Told::new(number).build))).unwrap();
    }
    age(&site, "input_kind = 'script', input = zeroblob(32)");
    let app = App::open(site.app.settings().clone()).unwrap();
    builder_web::start::derive_facts(&app).unwrap();
    let shown = page(&site, &Told::new(1).page()).await;
    assert!(shown.contains("its script is lost: not judged"), "{shown}");
}

#[tokio::test]
async fn one_script_in_two_jobs_is_no_claim_that_they_make_the_same() {
    let site = Site::new();
    let (one, other) = (Told::new(1), Told::new(2).job("other").files(&[("bin/other", b"another")]));
    for build in [&one, &other] {
        site.upload(build).await;
    }
    let shown = page(&site, &one.page()).await;
    assert!(shown.contains("not built again from the same input so far"), "{shown}");
    assert!(shown.contains("Judged by the script, job and platform."), "{shown}");
    // Within a job it is one.
    site.upload(&Told::new(3).files(&[("bin/hello", b"another")])).await;
    let shown = page(&site, &one.page()).await;
    assert!(shown.contains("not reproducible: the same input gave different output"), "{shown}");
    assert!(!shown.contains(&other.page()), "{shown}");
}

#[tokio::test]
async fn a_build_of_packages_is_reproduced_when_each_of_them_is() {
    let site = Site::new();
    let packages = |number: u8, doc: &[u8]| {
        let log = format!("built at {number}");
        Told::new(number).files(&[
            ("hello_1.0_amd64.deb", b"binary"),
            ("hello-doc_1.0_all.deb", doc),
            ("hello_1.0_amd64.changes", log.as_bytes()),
            ("hello_1.0_amd64.build", log.as_bytes()),
        ])
    };
    let (one, same, other) = (packages(1, b"doc"), packages(2, b"doc"), packages(3, b"other doc"));
    for build in [&one, &same] {
        site.upload(build).await;
    }
    let shown = page(&site, &one.page()).await;
    assert!(shown.contains("reproduced by 1 build<") && shown.contains("both artifacts the same"), "{shown}");
    assert!(shown.contains("Judged by all artifacts that came out; logs"), "{shown}");
    let json = site.get_json(&one.page()).await;
    assert_eq!((&json["main_binary_size"], &json["output"]["kind"]), (&6.into(), &"artifacts".into()));
    site.upload(&other).await;
    let shown = page(&site, &other.page()).await;
    let verdict =
        "not reproducible: the same input gave different output (main binary the same, 1 of 2 artifacts differs)";
    assert!(shown.contains(verdict), "{shown}");
    // The content of an artifact leads where it led, whatever a build is judged by.
    let found = site.get(&format!("/hash?sha256={}", builder_web::Digest::of(b"binary"))).await;
    assert_eq!(found.location(), other.page());
}

#[tokio::test]
async fn a_main_binary_that_was_reproduced_beside_others_that_were_not_says_so() {
    let site = Site::new();
    for (number, debug) in [(1, "debug 1"), (2, "debug 2")] {
        let files = [("bin/hello.hvt", "binary"), ("hello.hvt.debug", debug), ("x.map", "map")];
        site.upload(&Told::new(number).files(&files.map(|(path, content)| (path, content.as_bytes())))).await;
    }
    let shown = page(&site, &Told::new(1).page()).await;
    let verdict = "reproduced by 1 build (main binary the same, 1 of 3 artifacts differs)";
    assert!(shown.contains(verdict) && shown.contains("Judged by the main binary."), "{shown}");
}

#[tokio::test]
async fn packages_that_an_earlier_version_judged_by_one_of_them_are_judged_anew() {
    let site = Site::new();
    for (number, doc) in [(1, "doc"), (2, "other doc")] {
        let files = [("hello_1.0_amd64.deb", "binary"), ("hello-doc_1.0_all.deb", doc)];
        site.upload(&Told::new(number).files(&files.map(|(path, content)| (path, content.as_bytes())))).await;
    }
    age(
        &site,
        "output_kind = 'main-binary', output = (SELECT sha256 FROM build_artifact WHERE filepath = 'hello_1.0_amd64.deb')",
    );
    let app = App::open(site.app.settings().clone()).unwrap();
    builder_web::start::derive_facts(&app).unwrap();
    let shown = page(&site, &Told::new(1).page()).await;
    assert!(shown.contains("not reproducible: the same input gave different output (main binary the same"), "{shown}");
}
