//! `/builds` and `/job/{job}/builds`: that every build can be reached, and the lists themselves.

use super::site::{Build, GOOD, Site, ask};
use axum::http::StatusCode;
use builder_web::{App, Digest};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// All addresses that can be reached from the front page without a form, through pages of lists and builds.
async fn crawl(app: &App) -> BTreeSet<String> {
    let mut seen = BTreeSet::from(["/".to_owned()]);
    let mut next = vec!["/".to_owned()];
    while let Some(target) = next.pop() {
        let page = ask(app, &target, &[]).await;
        if page.status != StatusCode::OK || !page.header("content-type").starts_with("text/html") {
            continue;
        }
        let text = page.text().replace("&#38;", "&");
        let links = text.split("<a ").skip(1).filter_map(|tag| tag.split("href=\"").nth(1)?.split(['"', '#']).next());
        for link in
            links.filter(|link| link.starts_with('/') && !link.starts_with("/search") && !link.starts_with("/compare"))
        {
            let is_file = link.split_once("/build/").is_some_and(|(_, rest)| rest.contains('/'));
            if seen.insert(link.to_owned()) && !is_file {
                next.push(link.to_owned());
            }
        }
    }
    seen
}

fn uuids(json: &Value) -> Vec<&str> {
    json["builds"].as_array().unwrap().iter().map(|build| build["uuid"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn every_build_can_be_reached_from_the_front_page() {
    let mut site = Site::empty();
    site.settings.expired_days = 0;
    let starts: Vec<_> = (0..130).map(|hour| format!("2026-01-{:02}T{:02}:00:00Z", 1 + hour / 24, hour % 24)).collect();
    let all: Vec<_> = starts.iter().map(|start| site.add(Build { start, ..GOOD })).collect();
    let failed = site.add(Build { job: "only-failed", code: 1, main_binary: None, ..GOOD });
    let same = b"the same for all";
    site.derive_all(&Digest::of(same));
    let reached = crawl(&site.app()).await;
    for uuid in &all {
        assert!(reached.contains(&format!("/job/hello/build/{uuid}")), "{uuid} of {}", all.len());
    }
    assert!(reached.contains(&format!("/job/only-failed/build/{failed}")));
    let job = site.html("/job/hello").await;
    let output = Digest::of(b"binary");
    assert!(job.contains(&format!("<a href=\"/job/hello/builds?output={output}\">30 since 2026-01-05</a>")), "{job}");
    let build = site.html(&format!("/job/hello/build/{}", all[0])).await;
    let listed = format!("<a href=\"/builds?input={}&#38;output={output}\">and 119 builds more</a>", Digest::of(same));
    assert!(build.contains(&listed), "{build}");
}

#[tokio::test]
async fn a_list_of_builds_is_of_what_was_asked_for() {
    let site = Site::empty();
    let one = site.add(GOOD);
    let other = site.add(Build { start: "2026-01-02T00:00:00Z", main_binary: Some(("bin/hello", "other")), ..GOOD });
    let failed = site.add(Build { start: "2026-01-03T00:00:00Z", code: 1, ..GOOD });
    let elsewhere = site.add(Build { start: "2026-01-04T00:00:00Z", platform: "freebsd-14", ..GOOD });
    let foreign = site.add(Build { start: "2026-01-05T00:00:00Z", job: "foreign", ..GOOD });
    site.derive_all(&Digest::of(b"input"));
    let (output, input) = (Digest::of(b"binary"), Digest::of(b"input"));
    for (target, expected) in [
        ("/builds".to_owned(), vec![&foreign, &elsewhere, &failed, &other, &one]),
        ("/job/hello/builds".to_owned(), vec![&elsewhere, &failed, &other, &one]),
        ("/job/hello/builds?platform=debian-12".to_owned(), vec![&failed, &other, &one]),
        ("/job/hello/builds?outcome=failed".to_owned(), vec![&failed]),
        (format!("/job/hello/builds?output={output}&outcome=good"), vec![&elsewhere, &one]),
        (format!("/builds?output={output}&input={input}"), vec![&foreign, &elsewhere, &failed, &one]),
        (format!("/builds?input={output}"), vec![]),
    ] {
        assert_eq!(uuids(&site.json(&target).await), expected, "{target}");
        let html = site.html(&target).await;
        assert_eq!(html.matches("<tr><td class=\"first\">").count(), expected.len(), "{target}");
    }
    let lead =
        |page: &str| page.split("<p class=\"lead\">").nth(1).unwrap().split(['<', '.']).next().unwrap().to_owned();
    assert_eq!(lead(&site.html("/builds").await), "Good and failed builds, newest first");
    let chosen = site.html("/job/hello/builds?outcome=failed&platform=debian-12").await;
    assert_eq!(lead(&chosen), "Failed builds on debian-12, newest first");
    let first = site.json("/job/hello/builds?count=3").await;
    let next = first["next"].as_str().unwrap();
    // What arrives meanwhile shifts nothing.
    site.add(Build { start: "2026-01-06T00:00:00Z", ..GOOD });
    let second = site.json(next).await;
    assert_eq!((uuids(&second), &second["next"]), (vec![one.as_str()], &json!(null)));
    let html = site.html(next).await;
    assert!(html.contains("rel=\"prev\" href=\"/job/hello/builds?count=3\">← Newest builds"), "{html}");
    for (target, status) in [
        ("/job/nobody/builds", StatusCode::NOT_FOUND),
        ("/job/hello/builds?platform=zz", StatusCode::NOT_FOUND),
        ("/builds?output=12", StatusCode::BAD_REQUEST),
        ("/builds?outcome=maybe", StatusCode::BAD_REQUEST),
        ("/builds?cursor=1", StatusCode::BAD_REQUEST),
        ("/builds?count=0", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(ask(&site.app(), target, &[]).await.status, status, "{target}");
    }
}

#[tokio::test]
async fn a_part_of_the_list_of_builds_is_light() {
    let site = Site::filled(40, 12);
    for target in ["/builds", "/job/dns-dns/builds"] {
        let html = site.html(target).await;
        assert!(html.len() < 50_000, "{target}: {} bytes", html.len());
    }
}
