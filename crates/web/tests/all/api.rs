//! The interface for programs: what it answers is what its document says, lists end, and mistakes are explained.

use crate::site::{Answer, Site, Told, uuid};
use axum::body::Body;
use builder_model::Outcome;
use builder_web::Digest;
use http::{Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

const SWITCH: &[u8] =
    b"opam-version: \"2.0\"\nroots: [\"hello.1\"]\ninstalled: [\"hello.1\" \"lib.2\"]\npackage \"hello\" {\n  \
    synopsis: \"Says hello\"\n}\n";

/// The document of a site, and what it says of answers.
struct Document(Value);

impl Document {
    async fn of(site: &Site) -> Self {
        let answer = site.get("/api/v1/openapi.json").await;
        assert_eq!(answer.status, StatusCode::OK);
        Self(answer.json())
    }

    /// Asks, and holds the answer against the document.
    async fn ask(&self, site: &Site, target: &str) -> Value {
        let answer = site.get(target).await;
        assert_eq!(answer.status, StatusCode::OK, "{target}: {}", answer.text());
        self.check(target, &answer)
    }

    fn check(&self, target: &str, answer: &Answer) -> Value {
        let path = target.split('?').next().unwrap();
        let (_, operation) = self.0["paths"]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(pattern, _)| matches(pattern, path))
            .max_by_key(|(pattern, _)| !pattern.contains('{'))
            .unwrap_or_else(|| panic!("{path} is not in the document"));
        let response = &operation["get"]["responses"][answer.status.as_str()];
        let kind = answer.header("content-type").unwrap();
        let schema = &response["content"][kind]["schema"];
        assert!(schema.is_object(), "{target}: {} as {kind} is not in the document", answer.status);
        let value = answer.json();
        let mut faults = Vec::new();
        self.fits(schema, &value, path, &mut faults);
        assert!(faults.is_empty(), "{faults:#?}");
        value
    }

    fn fits(&self, schema: &Value, value: &Value, place: &str, faults: &mut Vec<String>) {
        if let Some(reference) = schema["$ref"].as_str() {
            let schema = self.0.pointer(reference.trim_start_matches('#')).unwrap();
            return self.fits(schema, value, place, faults);
        }
        for choice in ["oneOf", "anyOf"] {
            if let Some(choices) = schema[choice].as_array() {
                let is_one = choices.iter().any(|schema| {
                    let mut faults = Vec::new();
                    self.fits(schema, value, place, &mut faults);
                    faults.is_empty()
                });
                if !is_one {
                    faults.push(format!("{place}: {value} is none of {choices:?}"));
                }
                return;
            }
        }
        if schema["allOf"].is_array() || schema["properties"].is_object() {
            return self.object_fits(schema, value, place, faults);
        }
        let kinds: Vec<&str> = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                schema["type"].as_str().into_iter().collect()
            }
        };
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        if !kinds.contains(&kind) {
            faults.push(format!("{place}: {value} is no {kinds:?}"));
        }
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            self.fits(&schema["items"], item, &format!("{place}[{index}]"), faults);
        }
    }

    fn object_fits(&self, schema: &Value, value: &Value, place: &str, faults: &mut Vec<String>) {
        let Some(object) = value.as_object() else {
            return faults.push(format!("{place}: {value} is no object"));
        };
        let (mut properties, mut required) = (Map::new(), Vec::new());
        self.gather(schema, &mut properties, &mut required);
        for key in required.iter().filter(|key| !object.contains_key(*key)) {
            faults.push(format!("{place}: {key} is missing"));
        }
        for (key, value) in object {
            match properties.get(key) {
                Some(schema) => self.fits(schema, value, &format!("{place}.{key}"), faults),
                None => faults.push(format!("{place}: {key} is not in the document")),
            }
        }
    }

    fn gather(&self, schema: &Value, properties: &mut Map<String, Value>, required: &mut Vec<String>) {
        if let Some(reference) = schema["$ref"].as_str() {
            return self.gather(self.0.pointer(reference.trim_start_matches('#')).unwrap(), properties, required);
        }
        schema["allOf"].as_array().into_iter().flatten().for_each(|part| self.gather(part, properties, required));
        properties.extend(schema["properties"].as_object().cloned().unwrap_or_default());
        let names = schema["required"].as_array().into_iter().flatten();
        required.extend(names.filter_map(Value::as_str).map(str::to_owned));
    }
}

fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), path.split('/').collect());
    pattern.len() == path.len()
        && pattern.iter().zip(&path).all(|(pattern, path)| pattern == path || pattern.starts_with('{'))
}

/// A site with good and failed builds of two jobs on two platforms.
async fn site() -> Site {
    let site = Site::new();
    let files: [(&str, &[u8]); 4] = [
        ("opam-switch", SWITCH),
        ("build-environment", b"A=1"),
        ("system-packages", b"gcc=12\n"),
        ("bin/hello", b"one"),
    ];
    site.upload(&Told::new(1).files(&files)).await;
    site.upload(&Told::new(2).files(&files)).await;
    let mut changed = files;
    (changed[1].1, changed[3].1) = (b"A=2", b"two");
    site.upload(&Told::new(3).files(&changed)).await;
    site.upload(&Told::new(4).outcome(Outcome::Exited(1)).files(&[("log", b"no")])).await;
    site.upload(&Told::new(5).platform("freebsd-14")).await;
    site.upload(&Told::new(6).job("a b/ü".replace('/', "&").as_str()).outcome(Outcome::aborted("no <space>"))).await;
    site
}

#[tokio::test]
async fn every_answer_is_as_the_document_says() {
    let site = site().await;
    let document = Document::of(&site).await;
    let jobs = document.ask(&site, "/api/v1/jobs").await;
    assert_eq!(jobs["jobs"][1]["name"], "hello");
    assert_eq!(jobs["jobs"][1]["synopsis"], "Says hello");
    let platforms = jobs["jobs"][1]["platforms"].as_array().unwrap();
    assert_eq!(platforms[0]["latest"]["uuid"], uuid(3).to_string());
    assert_eq!(platforms[0]["failing"]["uuid"], uuid(4).to_string());
    assert_eq!(platforms[1]["failing"], Value::Null);
    let job = document.ask(&site, "/api/v1/jobs/hello").await;
    assert_eq!(job["platforms"], jobs["jobs"][1]["platforms"]);
    assert_eq!(document.ask(&site, "/api/v1/jobs?platform=freebsd-14").await["jobs"].as_array().unwrap().len(), 1);
    document.ask(&site, "/api/v1/jobs/a%20b%26%C3%BC").await;
    let build = document.ask(&site, &format!("/api/v1/builds/{}", uuid(1))).await;
    assert_eq!(build["reproduced_by"]["count"], 1);
    assert_eq!(build["reproduced_by"]["builds"][0]["uuid"], uuid(2).to_string());
    assert_eq!(build["input_identity"]["kind"], "opam");
    assert_eq!(build["main_binary"]["sha256"], Digest::of(b"one").to_string());
    assert_eq!(build["next_different_output"]["uuid"], uuid(3).to_string());
    assert_eq!(build["start_time"], "2024-09-05T13:00:00Z");
    let failed = document.ask(&site, &format!("/api/v1/builds/{}", uuid(6))).await;
    assert_eq!(failed["result"]["reason"], "no <space>");
    assert_eq!(failed["page"], format!("/job/a%20b%26%C3%BC/build/{}", uuid(6)));
    let compared = document.ask(&site, &format!("/api/v1/compare/{}/{}", uuid(1), uuid(3))).await;
    assert_eq!(compared["environment"]["changed"][0]["right"], "2");
    assert_eq!(compared["artifacts"]["changed"].as_array().unwrap().len(), 2);
    let compared = document.ask(&site, &format!("/api/v1/compare/{}/{}", uuid(1), uuid(5))).await;
    assert_eq!(compared["lacking"][0]["right"], "absent");
    let found = document.ask(&site, &format!("/api/v1/artifacts/{}", &Digest::of(b"one").to_string()[..8])).await;
    assert_eq!(found["artifacts"].as_array().unwrap().len(), 2);
    let search = document.ask(&site, "/api/v1/search?q=hello").await;
    assert_eq!(search["jobs"][0]["name"], "hello");
    let packages = document.ask(&site, "/api/v1/search/packages?package=lib&version=2").await;
    assert_eq!(packages["packages"][0]["builds"], 3);
    for target in ["/api/v1/builds", "/api/v1/failed-builds"] {
        document.ask(&site, target).await;
    }
}

#[tokio::test]
async fn lists_are_read_to_their_end_in_parts() {
    let site = site().await;
    let document = Document::of(&site).await;
    let read = async |target: &str, list: &str, key: &str| {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let part = document.ask(&site, &format!("{target}{cursor}")).await;
            seen.extend(part[list].as_array().unwrap().iter().map(|entry| entry[key].as_str().unwrap().to_owned()));
            let Some(next) = part["next"].as_str() else { return seen };
            cursor = format!("&cursor={}", utf8_percent_encode(next, NON_ALPHANUMERIC));
            assert!(seen.len() < 20, "{seen:?}");
        }
    };
    let uuids = |numbers: &[u8]| numbers.iter().map(|number| uuid(*number).to_string()).collect::<Vec<_>>();
    let builds = async |query: &str| read(&format!("/api/v1/builds?{query}"), "builds", "uuid").await;
    assert_eq!(builds("count=1").await, uuids(&[6, 5, 4, 3, 2, 1]));
    assert_eq!(builds("count=4").await, uuids(&[6, 5, 4, 3, 2, 1]));
    assert_eq!(builds("count=2&job=hello").await, uuids(&[5, 4, 3, 2, 1]));
    assert_eq!(builds("count=2&job=hello&platform=debian-12&outcome=good").await, uuids(&[3, 2, 1]));
    assert_eq!(builds("count=1&outcome=failed").await, uuids(&[6, 4]));
    assert_eq!(builds("count=1&platform=debian-12&outcome=good").await, uuids(&[3, 2, 1]));
    assert_eq!(builds("since=2024-09-05T14:00:00Z&until=2024-09-05T16:00:00Z").await, uuids(&[3, 2]));
    let failed = read("/api/v1/failed-builds?job=hello", "builds", "uuid").await;
    assert_eq!(failed, uuids(&[4]));
    let paths = read(&format!("/api/v1/builds/{}/artifacts?count=3", uuid(1)), "artifacts", "path").await;
    assert_eq!(paths, ["bin/hello", "build-environment", "opam-switch", "system-packages"]);
    assert_eq!(read("/api/v1/jobs?count=1", "jobs", "name").await, ["a b&ü", "hello"]);
    // A build of the same instant is in the one part or the other, in neither twice.
    let mut twin = Told::new(7);
    twin.started = Told::new(3).started;
    site.upload(&twin).await;
    assert_eq!(builds("count=1&job=hello").await, uuids(&[5, 4, 7, 3, 2, 1]));
}

#[tokio::test]
async fn mistakes_are_problem_documents_that_say_what_to_do() {
    let site = site().await;
    let document = Document::of(&site).await;
    let build = uuid(1);
    let none = uuid(99);
    for (target, status, words) in [
        ("/api/v1/builds?count=0".to_owned(), 400, "count cannot be \"0\": give a number from 1 to 1000."),
        ("/api/v1/builds?count=1001".into(), 400, "1 to 1000"),
        ("/api/v1/builds?outcome=fine".into(), 400, "give good or failed"),
        ("/api/v1/builds?since=yesterday".into(), 400, "since cannot be \"yesterday\": give a time such as"),
        ("/api/v1/builds?cursor=%00".into(), 400, "take it from `next`"),
        ("/api/v1/builds?cursor=MQ".into(), 400, "take it from `next`"),
        ("/api/v1/builds?job=none".into(), 404, "nothing"),
        ("/api/v1/jobs/none".into(), 404, "nothing"),
        ("/api/v1/jobs/%FF".into(), 400, "Percent-encode"),
        ("/api/v1/builds/1".into(), 400, "a UUID looks like"),
        (format!("/api/v1/builds/{none}"), 404, "There is no build 63636363-"),
        (format!("/api/v1/builds/{none}/artifacts"), 404, "nothing"),
        (format!("/api/v1/builds/{build}/artifacts?cursor=x"), 400, "take it from `next`"),
        ("/api/v1/artifacts/2d71".into(), 400, "give 8 to 64 hexadecimal digits"),
        (format!("/api/v1/compare/{build}/{none}"), 404, "There is no build 63636363-"),
        ("/api/v1/compare/a/b".into(), 400, "a UUID looks like"),
        ("/api/v1/search".into(), 400, "say what to search for"),
        (format!("/api/v1/search?q={}", "x".repeat(513)), 400, "at most 512 characters"),
        ("/api/v1/search/packages?version=1".into(), 400, "package cannot be"),
    ] {
        let answer = site.get(&target).await;
        assert_eq!(answer.status.as_u16(), status, "{target}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{target}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{target}");
        let problem = document.check(&target, &answer);
        assert!(problem["detail"].as_str().unwrap().contains(words), "{target}: {problem}");
        assert_eq!(problem["status"], status);
    }
    let nowhere = site.get("/api/v2").await;
    assert_eq!(
        (nowhere.status, nowhere.header("content-type")),
        (StatusCode::NOT_FOUND, Some("application/problem+json"))
    );
    let post = site.send(Method::POST, "/api/v1/builds", &[], Body::empty()).await;
    assert_eq!(post.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn pages_of_other_sites_may_ask_and_ask_again() {
    let site = site().await;
    let target = format!("/api/v1/builds/{}", uuid(1));
    let answer = site.get_with(&target, &[("origin", "https://other.example")]).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    let tag = answer.header("etag").unwrap();
    let again = site.get_with(&target, &[("if-none-match", tag)]).await;
    assert_eq!((again.status, again.header("access-control-allow-origin")), (StatusCode::NOT_MODIFIED, Some("*")));
    let may = site.send(Method::OPTIONS, &target, &[("access-control-request-method", "GET")], Body::empty()).await;
    assert_eq!(may.status, StatusCode::NO_CONTENT);
    assert_eq!(may.header("access-control-allow-methods"), Some("GET, HEAD, OPTIONS"));
    let head = site.send(Method::HEAD, &target, &[], Body::empty()).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(site.get("/").await.header("access-control-allow-origin"), None);
}
