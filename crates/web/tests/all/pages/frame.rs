//! What all pages have in common: headers, problems, strangers' text, and that they are kept until a commit.

use super::site::{Build, GOOD, Site, ask, request};
use axum::http::{Method, StatusCode};
use serde_json::json;

#[tokio::test]
async fn a_page_can_run_nothing_but_its_own_bytes() {
    let site = Site::filled(3, 5);
    let app = site.app();
    for target in ["/", "/all-builds", "/failed-builds", "/job/dns-dns", "/job/dns-dns/failed", "/search?q=dns", "/no"]
    {
        let answer = ask(&app, target, &[("accept", "text/html")]).await;
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8", "{target}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{target}");
        assert!(answer.header("vary").contains("accept"), "{target}");
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
        let html = answer.text();
        assert!(html.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"), "{target}");
        for needed in ["<link rel=\"stylesheet\"", "src=\"/", "src=\"http", " style=", " onclick="] {
            assert!(!html.contains(needed), "{target} has {needed}");
        }
        assert_eq!(html.matches("<h1").count(), 1, "{target}");
    }
}

#[tokio::test]
async fn what_did_not_change_is_not_sent_again() {
    let site = Site::filled(3, 5);
    let app = site.app();
    let first = ask(&app, "/all-builds", &[]).await;
    let tag = first.header("etag");
    assert!(tag.starts_with("W/\""));
    let again = ask(&app, "/all-builds", &[("if-none-match", tag)]).await;
    assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));
    let json = ask(&app, "/all-builds", &[("accept", "application/json")]).await;
    assert_ne!(json.header("etag"), tag);
    let head = request(&app, Method::HEAD, "/all-builds", &[]).await;
    assert_eq!((head.status, head.header("etag"), head.body.len()), (StatusCode::OK, tag, 0));
    site.add(Build { job: "brand-new", ..GOOD });
    let changed = ask(&app, "/all-builds", &[("if-none-match", tag)]).await;
    assert_eq!(changed.status, StatusCode::OK, "a commit of another process is seen at once");
    assert!(changed.text().contains("brand-new"));
}

#[tokio::test]
async fn problems_are_pages_for_people_and_documents_for_programs() {
    let site = Site::empty();
    let app = site.app();
    let page = ask(&app, "/nothing/\"a&b'?x=%3Cscript%3E", &[]).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    let html = page.text();
    assert!(html.contains("<title>Page not found") && html.contains("This page does not exist"));
    assert!(html.contains("<code>/nothing/&#34;a&#38;b&#39;?x=%3Cscript%3E</code>"), "the address is escaped: {html}");
    for headers in [&[("accept", "application/json")][..], &[]] {
        let target = if headers.is_empty() { "/api/v1/nothing" } else { "/nothing" };
        let problem = ask(&app, target, headers).await;
        assert_eq!(
            (problem.status, problem.header("content-type")),
            (StatusCode::NOT_FOUND, "application/problem+json")
        );
        let expected = json!({"type": "about:blank", "title": "Not Found", "status": 404,
                              "detail": "There is nothing at this address."});
        assert_eq!(problem.json(), expected);
    }
    let bad = ask(&app, "/failed-builds?count=none", &[("accept", "application/json")]).await;
    assert_eq!(bad.json()["detail"], json!("count must be a number from 1 to 500."));
    let upload = request(&app, Method::POST, "/upload", &[]).await;
    assert_eq!((upload.status, upload.text().as_str()), (StatusCode::UNAUTHORIZED, "Unauthorized!\n"), "as it was");
}

#[tokio::test]
async fn text_of_strangers_stays_text() {
    const EVIL: &str = "<script>alert('&\"')</script>";
    let mut site = Site::empty();
    site.settings.expired_days = 0;
    let path = format!("bin/{EVIL}");
    let (job, platform) = (format!("job {EVIL} ?#%"), format!("on {EVIL}"));
    let evil = Build { job: &job, platform: &platform, main_binary: Some((&path, "x")), ..GOOD };
    site.add(evil);
    site.add(Build { start: "2026-01-02T00:00:00Z", code: 1, ..evil });
    site.connection()
        .execute("UPDATE build SET result_code = 65536, result_msg = ?1 WHERE result_code = 1", [EVIL])
        .unwrap();
    for tag in ["section", "synopsis", "description", "readme.md"] {
        site.tag(&job, tag, &format!("{EVIL} **x** [a](javascript:alert(1))"));
    }
    let address = "/job/job%20%3Cscript%3Ealert%28%27%26%22%27%29%3C%2Fscript%3E%20%3F%23%25";
    let digest = builder_web::Digest::of(b"x").to_string();
    let mut targets = vec!["/".to_owned(), "/all-builds".into(), "/failed-builds".into(), address.into()];
    targets.push(format!("{address}/failed?platform=on%20%3Cscript%3Ealert%28%27%26%22%27%29%3C%2Fscript%3E"));
    targets.push("/builds".into());
    targets.push(format!("{address}/builds?platform=on%20%3Cscript%3Ealert%28%27%26%22%27%29%3C%2Fscript%3E"));
    targets.push(format!("/search?q={digest}"));
    targets.push("/search?q=%3Cscript%3Ealert('%26%22')".into());
    for target in targets {
        let html = site.html(&target).await;
        assert!(!html.contains("<script>alert") && !html.contains("=\"javascript:"), "{target}:\n{html}");
        assert!(!html.contains("&\"'"), "{target}: an attribute ends early");
    }
    assert!(site.html("/").await.contains(&format!("href=\"{address}\"")), "the link leads there");
    site.json(address).await;
}

#[tokio::test]
async fn the_interface_for_programs_is_found_from_any_page() {
    let site = Site::empty();
    let app = site.app();
    for target in ["/", "/nothing"] {
        assert!(ask(&app, target, &[]).await.text().contains("<a href=\"/api/v1/openapi.json\">API</a>"), "{target}");
    }
    for target in ["/api", "/api/v1", "/api/v1/"] {
        let answer = ask(&app, target, &[]).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (StatusCode::TEMPORARY_REDIRECT, "/api/v1/openapi.json"),
            "{target}"
        );
    }
    assert_eq!(ask(&app, "/api/v1/openapi.json", &[]).await.json()["info"]["title"], json!("builder-web"));
}
