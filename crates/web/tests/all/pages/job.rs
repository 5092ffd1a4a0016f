//! `/job/{job}` and `/job/{job}/failed`.

use super::site::{Build, GOOD, Site, ask};
use axum::http::StatusCode;
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
    assert!(
        html.contains(">failed</span>")
            && html.contains("colspan=\"2\" class=\"why\">exited 1</td>")
            && html.contains("2026-01-04 00:00:00Z")
    );
}

#[tokio::test]
async fn a_job_has_its_readme_its_charts_and_its_parts() {
    let site = Site::filled(4, 150);
    let html = site.html("/job/dns-dns").await;
    assert!(html.contains("id=\"readme\"") && html.contains("<strong>53</strong>"));
    assert_eq!(html.matches("role=\"img\" aria-label=\"Duration of 30 builds: from ").count(), 1);
    assert_eq!(html.matches("role=\"img\" aria-label=\"Size of the output of 30 builds: from ").count(), 1);
    assert!(html.contains("href=\"/job/dns-dns?start=30\""), "older builds");
    assert!(!html.contains(" style="), "the policy would not let it in");
    assert!(html.len() < 50_000, "{} bytes", html.len());
    let older = site.html("/job/dns-dns?start=30").await;
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

#[tokio::test]
async fn a_page_of_a_job_leads_only_where_something_is() {
    let site = Site::empty();
    let failed = site.add(Build { job: "only-failed", code: 1, main_binary: None, ..GOOD });
    site.add(Build { job: "no-binary", main_binary: None, artifacts: &[("report.txt", "x")], ..GOOD });
    // The newest part shows no main binary, an older build has one.
    site.add(Build { job: "once", ..GOOD });
    site.add(Build { job: "once", start: "2026-01-02T00:00:00Z", main_binary: None, ..GOOD });
    site.add(Build { job: "once", platform: "freebsd-14", code: 1, ..GOOD });
    let app = site.app();
    for (target, links) in [
        ("/job/only-failed", vec![]),
        ("/job/only-failed/failed", vec![]),
        ("/job/no-binary", vec!["/job/no-binary/build/latest"]),
        ("/job/once?count=1", vec!["/job/once/build/latest", "/job/once/build/latest/main-binary"]),
        ("/job/once?platform=freebsd-14", vec![]),
    ] {
        let html = site.html(target).await;
        let found: Vec<_> = html.split('"').filter(|text| text.contains("/build/latest")).collect();
        assert_eq!(found, links, "{target}");
        for link in links {
            let answer = ask(&app, link, &[]).await;
            assert_eq!(answer.status, StatusCode::TEMPORARY_REDIRECT, "{link}");
            assert_ne!(ask(&app, answer.header("location"), &[]).await.status, StatusCode::NOT_FOUND, "{link}");
        }
    }
    let html = site.html("/job/only-failed").await;
    assert!(html.contains("There is no good build yet.") && html.contains(&failed), "{html}");
    assert_eq!(site.json("/job/only-failed").await, json!({"builds": []}), "as in the original");
    for missing in ["/job/once?platform=zz", "/job/once/failed?platform=zz", "/job/once/feed.atom?platform=zz"] {
        assert_eq!(ask(&app, missing, &[]).await.status, StatusCode::NOT_FOUND, "{missing}");
    }
}

#[tokio::test]
async fn a_job_of_very_many_platforms_has_tabs_of_some_and_of_the_one_that_is_shown() {
    let site = Site::empty();
    for number in 0..105 {
        site.add(Build { platform: &format!("platform-{number:03}"), ..GOOD });
    }
    let tabs = |html: &str| html.matches("platform=platform-").count();
    let html = site.html("/job/hello").await;
    assert!(html.contains("<li class=\"soft\">and 5 more</li>") && tabs(&html) >= 100 && tabs(&html) < 110, "{html}");
    let html = site.html("/job/hello?platform=platform-104").await;
    assert!(html.contains("aria-current=\"page\">platform-104</a>") && html.contains(">and 4 more</li>"), "{html}");
    let html = site.html("/job/hello?platform=platform-000").await;
    assert!(html.contains("aria-current=\"page\">platform-000</a>") && html.contains(">and 5 more</li>"), "{html}");
}
