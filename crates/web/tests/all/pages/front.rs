//! `/`, `/all-builds` and `/failed-builds`.

use super::site::{Build, GOOD, Site, ask};
use axum::http::StatusCode;
use serde_json::json;

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[tokio::test]
async fn an_empty_repository_says_so() {
    let site = Site::empty();
    assert!(site.html("/").await.contains("There is no build yet, or none of late"));
    assert!(site.html("/all-builds").await.contains("There is no build yet."));
    assert!(site.html("/builds").await.contains("No builds to list."));
    assert!(site.html("/failed-builds").await.contains("No failed builds to list"));
    assert!(site.html("/search").await.contains("What can be searched for"));
    for target in ["/", "/all-builds"] {
        assert_eq!(site.json(target).await, json!({"jobs": [], "jobs_by_section": {}}));
    }
    assert_eq!(site.json("/failed-builds").await, json!({"builds": [], "next": null}));
    assert_eq!(ask(&site.app(), "/job/hello", &[]).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn jobs_need_no_section_and_no_synopsis_to_be_seen() {
    let site = Site::empty();
    let now = now();
    site.add(Build { job: "plain", start: &now, ..GOOD });
    site.add(Build { job: "zeta", start: &now, ..GOOD });
    let unikernel = site.add(Build { job: "alpha", start: &now, main_binary: Some(("bin/a", "solo5")), ..GOOD });
    site.add(Build { job: "failed", start: &now, code: 1, ..GOOD });
    site.tag("zeta", "section", "Unikernels");
    site.tag("alpha", "section", "Unikernels");
    site.tag("alpha", "synopsis", "Says hello");
    let solo5 =
        "INSERT INTO repository_binary VALUES (?1, '{\"type\":\"solo5.manifest\",\"version\":1,\"devices\":[]}',
                     '{\"type\":\"solo5.abi\",\"target\":\"hvt\",\"version\":2}')";
    site.connection().execute(solo5, [builder_web::Digest::of(b"solo5")]).unwrap();
    let alpha = json!({
        "name": "alpha", "synopsis": "Says hello",
        "latest": {
            "uuid": unikernel,
            "solo5_manifest": {"type": "solo5.manifest", "version": 1, "devices": []},
            "solo5_abi": {"type": "solo5.abi", "target": "hvt", "version": 2},
        },
    });
    let (zeta, plain) = (json!({"name": "zeta", "synopsis": ""}), json!({"name": "plain", "synopsis": ""}));
    assert_eq!(
        site.json("/").await,
        json!({
            "jobs": [alpha, zeta, plain],
            "jobs_by_section": {"Unikernels": [alpha, zeta], "Uncategorized": [plain]},
        })
    );
    let text = String::from_utf8(ask(&site.app(), "/", &[("accept", "application/json")]).await.body).unwrap();
    assert!(text.find("\"Unikernels\":[") < text.find("\"Uncategorized\":["), "descending, as in the original: {text}");
    let html = site.html("/").await;
    for shown in ["Uncategorized", "Says hello", "<a href=\"/job/plain\">plain</a>", "/job/alpha?platform=debian-12"] {
        assert!(html.contains(shown), "{shown}");
    }
    assert!(html.contains("3 jobs with a good build in the last 30 days, 1 that never had one."), "{html}");
}

#[tokio::test]
async fn jobs_that_were_never_good_are_seen_and_counted() {
    let mut site = Site::empty();
    site.settings.expired_days = 0;
    site.add(Build { job: "never", start: "2025-12-01T00:00:00Z", code: 1, ..GOOD });
    let newest = site.add(Build { job: "never", code: 256, ..GOOD });
    site.add(GOOD);
    let elsewhere = site.add(Build { platform: "freebsd-14", code: 2, ..GOOD });
    for target in ["/", "/all-builds"] {
        let html = site.html(target).await;
        for (job, uuid) in [("never", &newest), ("hello", &elsewhere)] {
            let failing = format!("<a class=\"st bad\" href=\"/job/{job}/build/{uuid}\"");
            assert!(html.contains(&failing), "{target} {job}: {html}");
        }
        assert_eq!(html.matches("<td class=\"soft\">never good</td>").count(), 2, "{html}");
        assert!(html.contains("1 job with a good build, 1 that never had one."), "{html}");
        assert!(html.contains("2 failing") && html.contains("rowspan=\"2\"><a href=\"/job/hello\">"), "{html}");
    }
    assert!(site.html("/all-builds").await.contains("<h1>All jobs</h1>"));
    assert_eq!(site.json("/all-builds").await["jobs"].as_array().unwrap().len(), 1, "as in the original");
    site.settings.expired_days = 30;
    assert!(site.html("/").await.contains("There is no build yet, or none of late"));
}

#[tokio::test]
async fn a_part_beyond_the_end_says_so_and_leads_back() {
    let mut site = Site::empty();
    site.settings.expired_days = 0;
    site.add(GOOD);
    site.add(Build { code: 1, ..GOOD });
    for (target, beginning) in [
        ("/?start=999", "/"),
        ("/all-builds?start=999", "/all-builds"),
        ("/failed-builds?start=999&count=7", "/failed-builds?count=7"),
        ("/job/hello?start=999&platform=debian-12", "/job/hello?platform=debian-12"),
        ("/job/hello/failed?start=999", "/job/hello/failed"),
    ] {
        let html = site.html(target).await;
        let back = format!("<a rel=\"prev\" href=\"{beginning}\">← To the beginning</a>");
        assert!(html.contains("The list ends before this part.") && html.contains(&back), "{target}: {html}");
        assert!(!html.contains("There is no") && !html.contains("0 of 0"), "{target}: {html}");
    }
}

#[tokio::test]
async fn feeds_are_of_the_platform_that_a_page_is_of() {
    let site = Site::empty();
    site.add(Build { platform: "x&y", ..GOOD });
    for (target, feed) in [
        ("/job/hello?platform=x%26y", "/job/hello/feed.atom?platform=x%26y"),
        ("/job/hello", "/job/hello/feed.atom"),
        ("/failed-builds?platform=x%26y", "/failed-builds/feed.atom?platform=x%26y"),
        ("/failed-builds", "/failed-builds/feed.atom"),
    ] {
        let html = site.html(target).await;
        assert_eq!(html.matches(&format!("href=\"{feed}\"")).count(), 2, "in the head and on the page: {html}");
        assert_eq!(ask(&site.app(), feed, &[]).await.status, StatusCode::OK, "{feed}");
    }
}

#[tokio::test]
async fn what_is_no_longer_active_is_among_all_builds() {
    let mut site = Site::empty();
    site.add(Build { job: "old", start: "2020-01-01T00:00:00Z", ..GOOD });
    assert!(!site.html("/").await.contains("/job/old"));
    assert!(site.html("/all-builds").await.contains("/job/old"));
    site.settings.expired_days = 0;
    assert!(site.html("/").await.contains("/job/old"), "0 days are for ever");
}

#[tokio::test]
async fn the_latest_build_is_the_newest_good_one_with_a_main_binary() {
    let mut site = Site::empty();
    site.settings.expired_days = 0;
    site.add(GOOD);
    let binary = site.add(Build { start: "2026-01-02T00:00:00Z", ..GOOD });
    site.add(Build { start: "2026-01-03T00:00:00Z", main_binary: None, ..GOOD });
    let failed = site.add(Build { start: "2026-01-04T00:00:00Z", code: 256, ..GOOD });
    let without = site.add(Build { platform: "freebsd-14", main_binary: None, ..GOOD });
    let html = site.html("/").await;
    for shown in [format!("/job/hello/build/{binary}\""), format!("/job/hello/build/{without}\"")] {
        assert!(html.contains(&shown), "{shown}");
    }
    assert!(html.contains(&format!("<a class=\"st bad\" href=\"/job/hello/build/{failed}\"")), "and it is failing now");
    assert_eq!(html.matches("/job/hello/build/").count(), 4, "two builds, a main binary and the failure");
}

#[tokio::test]
async fn failed_builds_come_in_parts_that_keep_their_platform() {
    let site = Site::empty();
    let starts: Vec<_> = (0..5).map(|minute| format!("2026-01-01T00:0{minute}:00Z")).collect();
    let uuids: Vec<_> = starts.iter().map(|start| site.add(Build { start, code: 1, ..GOOD })).collect();
    site.add(GOOD);
    site.add(Build { platform: "freebsd-14", code: 1, ..GOOD });
    let first = site.json("/failed-builds?platform=debian-12&count=3").await;
    let next = "/failed-builds?count=3&start=3&platform=debian-12";
    assert_eq!(first["next"], json!(next));
    let listed: Vec<_> =
        first["builds"].as_array().unwrap().iter().map(|build| build["uuid"].as_str().unwrap()).collect();
    assert_eq!(listed, [&uuids[4], &uuids[3], &uuids[2]]);
    assert_eq!(
        first["builds"][0],
        json!({
            "job": "hello", "uuid": uuids[4], "platform": "debian-12", "result": "exited 1",
            "start_time": "2026-01-01T00:04:00-00:00", "finish_time": "2026-01-01T00:05:01-00:00",
            "main_binary": {"filename": "hello", "sha256": builder_web::Digest::of(b"binary").to_string(), "size": 6},
        })
    );
    let last = site.json(next).await;
    assert_eq!((last["builds"].as_array().unwrap().len(), &last["next"]), (2, &json!(null)), "no next part of nothing");
    let html = site.html("/failed-builds?platform=debian-12&count=3").await;
    assert!(html.contains("href=\"/failed-builds?count=3&#38;start=3&#38;platform=debian-12\""), "{html}");
    for bad in ["count=-1", "count=0", "count=100000", "start=x"] {
        let answer = ask(&site.app(), &format!("/failed-builds?{bad}"), &[]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}");
    }
}

#[tokio::test]
async fn a_large_front_page_comes_in_parts() {
    let site = Site::filled(130, 3);
    let app = site.app();
    let first = ask(&app, "/", &[]).await.text();
    assert!(first.contains("href=\"/?start=30\"") && first.len() < 50_000, "{} bytes", first.len());
    assert!(site.json("/").await["jobs"].as_array().unwrap().len() > 100, "programs get all of it");
    let second = ask(&app, "/?start=120", &[]).await.text();
    assert!(second.contains("rel=\"prev\" href=\"/?start=90\"") && !second.contains("rel=\"next\""));
    let sent = ask(&app, "/", &[("accept-encoding", "gzip")]).await;
    assert_eq!(sent.header("content-encoding"), "gzip");
    assert!(sent.body.len() < 12_000, "{} bytes", sent.body.len());
}
