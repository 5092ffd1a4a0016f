//! `/job/{job}` and `/job/{job}/failed`.

use super::site::{Build, GOOD, Site};
use builder_web::Digest;
use serde_json::{Value, json};

fn uuids(json: &Value) -> Vec<&str> {
    json["builds"].as_array().unwrap().iter().map(|build| build["uuid"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn builds_are_grouped_by_the_output_of_this_job_and_platform() {
    let site = Site::empty();
    site.add(GOOD);
    let same = site.add(Build { start: "2026-01-02T00:00:00Z", ..GOOD });
    let other = site.add(Build { start: "2026-01-03T00:00:00Z", main_binary: Some(("bin/hello", "other")), ..GOOD });
    let failed = site.add(Build { start: "2026-01-04T00:00:00Z", code: 1, ..GOOD });
    // Of another job and of another platform, newer, with the same main binary or the same content elsewhere.
    site.add(Build { job: "foreign", start: "2026-02-01T00:00:00Z", ..GOOD });
    site.add(Build { job: "foreign", start: "2026-02-02T00:00:00Z", artifacts: &[("x", "other")], ..GOOD });
    let elsewhere = site.add(Build { platform: "freebsd-14", start: "2026-02-03T00:00:00Z", ..GOOD });
    let on_debian = site.json("/job/hello?platform=debian-12").await;
    assert_eq!(uuids(&on_debian), [&other, &same]);
    assert_eq!(uuids(&site.json("/job/hello").await), [&elsewhere, &other]);
    assert_eq!(uuids(&site.json("/job/hello/failed?platform=debian-12").await), [&failed, &other, &same]);
    assert_eq!(
        on_debian["builds"][0],
        json!({"uuid": other, "main_binary": {"filename": "hello", "sha256": Digest::of(b"other").to_string(), "size": 5}})
    );
    let html = site.html("/job/hello?platform=debian-12").await;
    assert!(html.contains("<title>Job hello on debian-12 · builds</title>") && html.contains("id=\"builds\""));
    assert!(html.contains("2 since 2026-01-01") && !html.contains("foreign") && !html.contains(&failed));
    assert!(html.contains("/job/hello/failed?platform=debian-12"), "the other list keeps the platform");
    let html = site.html("/job/hello/failed").await;
    assert!(html.contains("Build failure: exited 1") && html.contains("2026-01-04 00:00:00Z"));
}

#[tokio::test]
async fn a_job_has_its_readme_its_charts_and_its_parts() {
    let site = Site::filled(4, 150);
    let html = site.html("/job/dns-dns").await;
    assert!(html.contains("id=\"readme\"") && html.contains("<strong>53</strong>"));
    assert_eq!(html.matches("role=\"img\" aria-label=\"Duration of 50 builds: from ").count(), 1);
    assert_eq!(html.matches("role=\"img\" aria-label=\"Size of the output of 50 builds: from ").count(), 1);
    assert!(html.contains("href=\"/job/dns-dns?start=50\""), "older builds");
    assert!(!html.contains(" style="), "the policy would not let it in");
    assert!(html.len() < 50_000, "{} bytes", html.len());
    let older = site.html("/job/dns-dns?start=50").await;
    assert!(older.contains("rel=\"prev\" href=\"/job/dns-dns\""));
    let json = site.json("/job/dns-dns?count=10").await;
    assert_eq!(json["next"], json!("/job/dns-dns?count=10&start=10"));
    assert!(site.json("/job/dns-dns").await.get("next").is_none());
}

#[tokio::test]
async fn a_build_without_a_main_binary_is_good_and_says_what_it_left() {
    let site = Site::empty();
    let uuid = site.add(Build { main_binary: None, artifacts: &[("report.txt", "x")], ..GOOD });
    let json = site.json("/job/hello").await;
    assert_eq!(json, json!({"builds": [{"uuid": uuid, "main_binary": null}]}));
    assert!(site.html("/job/hello").await.contains("no main binary"));
    let derived = "INSERT INTO repository_build(build, console_lines, console_bytes, console_index, artifact_count, artifact_bytes)
                   VALUES (1, 0, 0, x'', 1, 1)";
    site.connection().execute(derived, []).unwrap();
    assert!(site.html("/job/hello").await.contains("1 artifact, 1 B"));
}
