//! What operators watch: metrics and health.

use crate::site::{Site, Told, USER, basic};
use axum::body::Body;
use builder_model::Outcome;
use http::{Method, StatusCode};

fn value(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is not in\n{text}")).to_owned()
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let site = Site::new();
    let told = Told::new(1).files(&[("bin/hello", b"binary"), ("log", b"0123456789")]);
    site.upload(&told).await;
    site.post(USER, "/upload", told.encode()).await;
    site.upload(&Told::new(2).outcome(Outcome::Exited(1)).files(&[])).await;
    site.post(USER, "/upload", "nonsense").await;
    site.send(Method::POST, "/upload", &[("authorization", &basic(USER, "wrong"))], Body::empty()).await;
    site.get("/job/hello").await;
    site.get(&format!("{}/f/log", told.page())).await;
    site.get("/nowhere").await;
    let answer = site.get("/metrics").await;
    assert_eq!(answer.status, StatusCode::OK);
    let text = answer.text();
    for (name, expected) in [
        ("builder_web_uploads_total{result=\"stored\"}", "2"),
        ("builder_web_uploads_total{result=\"again\"}", "1"),
        ("builder_web_uploads_total{result=\"bad\"}", "1"),
        ("builder_web_uploads_total{result=\"refused\"}", "1"),
        ("builder_web_wrong_passwords_total", "1"),
        ("builder_web_requests_total{route=\"list\",status=\"200\"}", "1"),
        ("builder_web_requests_total{route=\"file\",status=\"200\"}", "1"),
        ("builder_web_requests_total{route=\"other\",status=\"404\"}", "1"),
        ("builder_web_request_duration_seconds_count{route=\"upload\"}", "5"),
        ("builder_web_builds", "2"),
        ("builder_web_artifacts", "2"),
        ("builder_web_artifact_bytes", "16"),
        ("builder_web_hook_runs{state=\"waiting\"}", "0"),
    ] {
        assert_eq!(value(&text, name), expected, "{name}");
    }
    let sent = 2 * told.encode().len() + Told::new(2).outcome(Outcome::Exited(1)).files(&[]).encode().len() + 8;
    assert_eq!(value(&text, "builder_web_upload_bytes_total"), sent.to_string());
    assert!(value(&text, "builder_web_free_bytes").parse::<u64>().unwrap() > 0);
    assert!(text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn health_is_rows_that_can_be_read_and_files_that_can_be_written() {
    let site = Site::new();
    let before = site.files();
    let healthy = site.get("/healthz").await;
    assert_eq!((healthy.status, healthy.text().as_str()), (StatusCode::OK, "ok\n"));
    assert_eq!(site.files(), before, "the probe leaves nothing");
    std::fs::remove_dir(site.data().join("_staging")).unwrap();
    let answer = site.get("/healthz").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.text(), "files cannot be written; the log says more\n");
    std::fs::create_dir(site.data().join("_staging")).unwrap();
    site.connection().execute_batch("PRAGMA foreign_keys = off; DROP TABLE build").unwrap();
    let answer = site.get("/healthz").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.text().starts_with("the database cannot be read"), "{}", answer.text());
}
