//! Refusals in the form that was asked for: a page, a problem document, or plain text for those who send something.

use crate::site::{PASSWORD, RESTRICTED, Site, Told, USER, basic};
use axum::body::Body;
use http::{Method, StatusCode};

const JSON: (&str, &str) = ("accept", "application/json");

#[tokio::test]
async fn a_method_that_is_not_taken_is_explained() {
    let site = Site::new();
    let told = Told::new(1);
    site.upload(&told).await;
    let file = format!("{}/f/bin/hello", told.page());
    let console = format!("{}/console", told.page());
    for (method, target, accept, kind, allowed) in [
        (Method::GET, "/upload", "text/html", "text/html; charset=utf-8", "POST"),
        (Method::GET, "/upload", "application/json", "application/problem+json", "POST"),
        (Method::POST, "/job/hello", "*/*", "text/plain; charset=utf-8", "GET,HEAD"),
        (Method::POST, &file, "*/*", "text/plain; charset=utf-8", "GET,HEAD"),
        (Method::PUT, &console, "*/*", "text/plain; charset=utf-8", "GET,HEAD"),
        (Method::DELETE, &console, "application/json", "application/problem+json", "GET,HEAD"),
        (Method::DELETE, "/api/v1/jobs", "*/*", "application/problem+json", "GET,HEAD"),
    ] {
        let answer = site.send(method.clone(), target, &[("accept", accept)], Body::empty()).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {target}");
        assert_eq!((answer.header("content-type"), answer.header("allow")), (Some(kind), Some(allowed)), "{target}");
        assert!(answer.text().contains("does not take this method"), "{method} {target}: {}", answer.text());
        if kind.ends_with("json") {
            assert_eq!(answer.json()["status"], 405);
        }
    }
    let head = site.send(Method::HEAD, "/upload", &[], Body::empty()).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::METHOD_NOT_ALLOWED, 0));
}

#[tokio::test]
async fn a_refused_upload_is_a_document_for_those_who_ask_for_it() {
    let site = Site::new();
    for (user, body, status, text) in [
        (USER, b"nonsense".to_vec(), StatusCode::BAD_REQUEST, "record"),
        (RESTRICTED, Told::new(1).encode(), StatusCode::FORBIDDEN, "guest"),
        ("nobody", Told::new(1).encode(), StatusCode::UNAUTHORIZED, "Unauthorized!"),
    ] {
        let authorization = basic(user, PASSWORD);
        let headers = [("authorization", authorization.as_str()), JSON];
        let plain = site.send(Method::POST, "/upload", &headers[..1], body.clone().into()).await;
        assert_eq!((plain.status, plain.header("content-type")), (status, Some("text/plain; charset=utf-8")));
        let answer = site.send(Method::POST, "/upload", &headers, body.into()).await;
        assert_eq!((answer.status, answer.header("content-type")), (status, Some("application/problem+json")));
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert_eq!(format!("{detail}\n"), plain.text());
        assert!(detail.contains(text), "{detail}");
        assert_eq!(answer.header("www-authenticate"), plain.header("www-authenticate"));
    }
    let told = Told::new(2);
    let headers = [("authorization", &*basic(USER, PASSWORD)), JSON];
    let stored = site.send(Method::POST, "/upload", &headers, told.encode().into()).await;
    assert_eq!((stored.status, stored.body.len()), (StatusCode::CREATED, 0));
}

#[tokio::test]
async fn an_address_that_is_no_text_names_nothing() {
    let site = Site::new();
    site.upload(&Told::new(1)).await;
    for target in ["/job/%FF", "/job/hello/build/%FF", "/job/%FF/build/latest", "/job/hello/build/x/f/%C3", "/%FF"] {
        let answer = site.get(target).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{target}");
        assert!(answer.text().contains("There is nothing at this address."), "{target}: {}", answer.text());
        let answer = site.get_with(target, &[JSON]).await;
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{target}");
    }
}
