//! `builder-web mirror`: copies of builds from a repository of ours, and from one that answers as the original does.

use crate::site::{PASSWORD, Site, Told, USER, basic, uuid};
use axum::Router;
use axum::extract::{Path, Query};
use axum::response::IntoResponse;
use axum::routing::get;
use builder_model::Outcome;
use builder_web::Digest;
use builder_web::mirror::{MirrorError, Options, Report, mirror};
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::future::pending;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

async fn run(site: &Site, options: Options) -> Result<Report, MirrorError> {
    let app = site.app.clone();
    tokio::task::spawn_blocking(move || mirror(&app, &options, &mut |_| {})).await.unwrap()
}

fn from(url: &str) -> Options {
    Options { url: url.into(), ..Options::default() }
}

fn uuids(site: &Site) -> Vec<String> {
    let connection = site.connection();
    let mut statement = connection.prepare("SELECT uuid FROM build ORDER BY id").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_holds_every_build_octet_for_octet_and_is_brought_up_to_date() {
    let (source, copy) = (Site::new(), Site::new());
    let files: [(&str, &[u8]); 3] = [("README.md", b"# hello"), ("bin/hello", b"binary"), ("empty", b"")];
    let told = [
        Told::new(1).files(&files),
        Told::new(2).files(&files),
        Told::new(3).outcome(Outcome::Exited(1)).files(&[]),
        Told::new(4).job("grün & co").platform("freebsd-14").outcome(Outcome::aborted("no")),
    ];
    for told in &told {
        source.upload(told).await;
    }
    let served = source.serve().await;
    let report = run(&copy, from(&served.url())).await.unwrap();
    let bytes = told.iter().map(|told| told.encode().len() as u64).sum();
    assert_eq!(report, Report { copied: 4, bytes, ..Report::default() });
    // Builds of one job come in the order of their time, so that the newest describes the job.
    let hello: Vec<_> = uuids(&copy).into_iter().filter(|id| *id != uuid(4).to_string()).collect();
    assert_eq!(hello, [uuid(1), uuid(2), uuid(3)].map(|uuid| uuid.to_string()));
    for told in told.iter().take(3) {
        assert!(copy.get(&format!("{}/exec", told.page())).await.body == told.encode());
    }
    assert_eq!(copy.count("SELECT count(*) FROM build JOIN user ON user.id = build.user WHERE username = 'mirror'"), 4);
    source.upload(&Told::new(5)).await;
    let report = run(&copy, from(&served.url())).await.unwrap();
    assert_eq!((report.copied, report.known, report.failed), (1, 4, 0));
    let staged = copy.files().into_iter().filter(|file| file.starts_with("_staging")).count();
    assert_eq!(staged, 0);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_and_a_platform_can_be_chosen() {
    let (source, copy) = (Site::new(), Site::new());
    source.upload(&Told::new(1)).await;
    source.upload(&Told::new(2).platform("freebsd-14")).await;
    source.upload(&Told::new(3).job("other").platform("freebsd-14")).await;
    let served = source.serve().await;
    let options = Options { jobs: vec!["hello".into()], platform: Some("freebsd-14".into()), ..from(&served.url()) };
    assert_eq!(run(&copy, options).await.unwrap().copied, 1);
    assert_eq!(uuids(&copy), [uuid(2).to_string()]);
    // A name that is none, or none any more, keeps the others away from nobody.
    let options = Options { jobs: vec!["none".into(), "other".into()], ..from(&served.url()) };
    let report = run(&copy, options).await.unwrap();
    assert_eq!((report.copied, report.failed, report.failed_jobs), (1, 0, 1));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_original_lists_of_others_is_not_copied_where_a_job_was_chosen() {
    // One output has one build in its lists, of whatever job and platform.
    let mut original = Original { jobs: json!(["hello"]), ..Original::default() };
    original.has(&Told::new(1), Some(b"binary"));
    original.has(&Told::new(2).job("other"), Some(b"binary"));
    original.has(&Told::new(3).platform("freebsd-14"), Some(b"binary"));
    let (copy, url) = (Site::new(), original.serve().await);
    let options = Options { jobs: vec!["hello".into()], platform: Some(Told::new(1).platform), ..from(&url) };
    let report = run(&copy, options).await.unwrap();
    assert_eq!((report.copied, report.other, report.failed), (1, 2, 0));
    assert_eq!(uuids(&copy), [uuid(1).to_string()]);
    let report = run(&copy, from(&url)).await.unwrap();
    assert_eq!((report.copied, report.known, report.other), (2, 1, 0), "each under its own name");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_at_the_source_is_not_copied_as_something_else() {
    let (source, copy) = (Site::new(), Site::new());
    let files: [(&str, &[u8]); 3] = [("bin/hello", b"binary"), ("log", b"what it said"), ("README.md", b"# hello")];
    let (damaged, sound) = (Told::new(1).files(&files), Told::new(2));
    source.upload(&damaged).await;
    source.upload(&sound).await;
    let log = source.app.depot().artifact(&Digest::of(b"what it said"));
    std::fs::write(&log, b"WHAT it said").unwrap();
    let served = source.serve().await;
    let report = run(&copy, from(&served.url())).await.unwrap();
    assert_eq!((report.copied, report.failed), (1, 1));
    assert_eq!(uuids(&copy), [uuid(2).to_string()]);
    // Mended there, it comes with the next run.
    std::fs::write(&log, b"what it said").unwrap();
    let report = run(&copy, from(&served.url())).await.unwrap();
    assert_eq!((report.copied, report.known, report.failed), (1, 1, 0));
    assert!(copy.get(&format!("{}/exec", damaged.page())).await.body == damaged.encode());
    served.stop().await;

    // The original does not list artifacts, but knows each by its digest.
    let mut original = Original { jobs: json!(["hello"]), ..Original::default() };
    original.has(&damaged, Some(b"binary"));
    original.has(&sound, Some(b"binary"));
    let other: [(&str, &[u8]); 2] = [("bin/hello", b"binary"), ("log", b"WHAT it said")];
    original.records.insert(uuid(1).to_string(), Told::new(1).files(&other).encode());
    let copy = Site::new();
    let report = run(&copy, from(&original.serve().await)).await.unwrap();
    assert_eq!((report.copied, report.failed), (1, 1));
    assert_eq!(uuids(&copy), [uuid(2).to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_source_removes_meanwhile_is_no_failure() {
    let mut original = Original { jobs: json!(["gone", "broken", "hello"]), ..Original::default() };
    for number in 1..10 {
        original.has(&Told::new(number), Some(b"binary"));
    }
    // More than may fail in a row, and the oldest, which come first.
    (1..8).for_each(|number| drop(original.records.remove(&uuid(number).to_string())));
    // That a build is there, and its record is not, is another matter.
    original.records.insert(uuid(8).to_string(), Vec::new());
    let copy = Site::new();
    let report = run(&copy, from(&original.serve().await)).await.unwrap();
    assert_eq!((report.copied, report.gone, report.failed, report.failed_jobs), (1, 7, 1, 1));
    assert_eq!(uuids(&copy), [uuid(9).to_string()]);
}

/// A repository that answers as the original does.
#[derive(Clone, Default)]
struct Original {
    jobs: Value,
    /// What `/job/<job>` and `/job/<job>/failed` list.
    builds: Vec<Value>,
    failed: Vec<Value>,
    records: HashMap<String, Vec<u8>>,
    /// Of the artifacts that its rows have.
    digests: HashSet<String>,
    /// Whether its proxy answers that it is not there.
    is_down: bool,
    /// Records that are cut off while they are sent.
    cut: Arc<Mutex<Vec<String>>>,
    /// Where a test sends the next record from, piece by piece.
    held: Arc<Mutex<Option<mpsc::Receiver<Bytes>>>>,
    fetched: Arc<AtomicU32>,
}

impl Original {
    async fn serve(self) -> String {
        let jobs = json!({ "jobs": self.jobs });
        let builds = json!({ "builds": self.builds });
        let failed = json!({ "builds": self.failed });
        let robots = if self.is_down { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        // Of two jobs that it lists, one goes right after, and it stumbles over what the other one has.
        let list = |builds: Value| {
            async move |Path(job): Path<String>| match job.as_str() {
                "gone" => StatusCode::NOT_FOUND.into_response(),
                "broken" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
                _ => axum::Json(builds).into_response(),
            }
        };
        let (there, known) = (self.records.keys().cloned().collect::<Vec<_>>(), self.digests.clone());
        let page = async move |Path((_, uuid)): Path<(String, String)>| match there.contains(&uuid) {
            true => StatusCode::OK,
            false => StatusCode::NOT_FOUND,
        };
        let hash = async move |Query(query): Query<HashMap<String, String>>| match known.contains(&query["sha256"]) {
            true => (StatusCode::FOUND, [("location", "/job/hello/build/of-it")]).into_response(),
            false => StatusCode::NOT_FOUND.into_response(),
        };
        let record = move |Path((_, uuid)): Path<(String, String)>| {
            let original = self.clone();
            async move { original.record(&uuid) }
        };
        let router = Router::new()
            .route("/all-builds", get(async move || axum::Json(jobs)))
            .route("/job/{job}", get(list(builds)))
            .route("/job/{job}/failed", get(list(failed)))
            .route("/job/{job}/build/{uuid}", get(page))
            .route("/job/{job}/build/{uuid}/exec", get(record))
            .route("/hash", get(hash))
            .route("/robots.txt", get(async move || robots))
            .fallback(async || (StatusCode::NOT_FOUND, "<h1>This page does not exist</h1>"));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(builder_web::http::serve(vec![listener], router, pending()));
        url
    }

    fn record(&self, uuid: &str) -> axum::response::Response {
        self.fetched.fetch_add(1, Ordering::Relaxed);
        if let Some(pieces) = self.held.lock().unwrap().take() {
            return axum::body::Body::new(Pieces(pieces)).into_response();
        }
        if self.is_down {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        let record = self.records.get(uuid).filter(|record| !record.is_empty());
        let Some(record) = record else { return StatusCode::NOT_FOUND.into_response() };
        let mut cut = self.cut.lock().unwrap();
        match cut.iter().position(|cut| cut == uuid) {
            Some(place) => {
                cut.remove(place);
                record.split_at(record.len() - 3).0.to_vec().into_response()
            }
            None => record.clone().into_response(),
        }
    }

    fn has(&mut self, told: &Told, main_binary: Option<&[u8]>) {
        let uuid = told.build.to_string();
        let list = if main_binary.is_some() { &mut self.builds } else { &mut self.failed };
        let binary = main_binary.map(
            |content| json!({ "filename": "hello", "sha256": Digest::of(content).to_string(), "size": content.len() }),
        );
        list.insert(0, json!({ "uuid": uuid, "main_binary": binary }));
        self.records.insert(uuid, told.encode());
        self.digests.extend(told.files.iter().map(|(_, content)| Digest::of(content).to_string()));
    }
}

/// A body that comes when somebody sends it.
struct Pieces(mpsc::Receiver<Bytes>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(http_body::Frame::data(piece))))
    }
}

/// Waits until so many uploads are on their way in a data folder.
async fn wait_for_stagings(data: &std::path::Path, count: usize) {
    let until = Instant::now() + Duration::from_secs(60);
    while std::fs::read_dir(data.join("_staging")).unwrap().count() != count {
        assert!(Instant::now() < until, "there are not {count} uploads on their way");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_answers_receives_and_starts_again_while_its_data_folder_is_brought_up_to_date() {
    let mut original = Original { jobs: json!(["hello"]), ..Original::default() };
    // What both have is one file, whoever stores it first.
    let (slow, next) = (Told::new(1), Told::new(2));
    original.has(&slow, Some(b"binary"));
    original.has(&next, Some(b"binary"));
    let (send, receive) = mpsc::channel(1);
    *original.held.lock().unwrap() = Some(receive);
    let (copy, url) = (Site::new(), original.serve().await);
    let served = copy.serve().await;
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_builder-web"));
    command.args(["mirror", &url, "--datadir"]).arg(copy.data());
    let mirrored = tokio::task::spawn_blocking(move || command.output().unwrap());
    let record = slow.encode();
    let (first, last) = record.split_at(record.len() / 2);
    send.send(Bytes::copy_from_slice(first)).await.unwrap();
    wait_for_stagings(&copy.data(), 1).await;

    // The record of the mirror is half there. Pages and uploads go on meanwhile, and a new start leaves it alone.
    let client = Client::new(&served.url());
    assert_eq!(client.upload(&Told::new(3)).await, 201);
    assert_eq!(client.upload(&next).await, 201, "a build that the mirror will meet");
    assert_eq!(client.get(&Told::new(3).page()).await, 200);
    served.stop().await;
    let served = copy.serve().await;
    let client = Client::new(&served.url());
    assert_eq!(client.get(&slow.page()).await, 404);
    send.send(Bytes::copy_from_slice(last)).await.unwrap();
    drop(send);

    let mirrored = mirrored.await.unwrap();
    let text = String::from_utf8_lossy(&mirrored.stdout).into_owned() + &String::from_utf8_lossy(&mirrored.stderr);
    assert!(text.contains("copied 1 builds") && text.contains("0 failed"), "{text}");
    for told in [&slow, &next, &Told::new(3)] {
        assert_eq!(client.get(&told.page()).await, 200, "the server shows what the mirror stored");
    }
    served.stop().await;
    let mut check = std::process::Command::new(env!("CARGO_BIN_EXE_builder-db"));
    let checked = check.arg("check").arg("--datadir").arg(copy.data()).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");
}

/// Somebody who asks a repository at work.
struct Client {
    agent: ureq::Agent,
    url: String,
}

impl Client {
    fn new(url: &str) -> Self {
        Self { agent: ureq::Agent::config_builder().http_status_as_error(false).build().into(), url: url.into() }
    }

    async fn get(&self, page: &str) -> u16 {
        let (agent, address) = (self.agent.clone(), format!("{}{page}", self.url));
        let get = move || agent.get(address).call().unwrap().status().as_u16();
        tokio::task::spawn_blocking(get).await.unwrap()
    }

    async fn upload(&self, told: &Told) -> u16 {
        let (agent, address, body) = (self.agent.clone(), format!("{}/upload", self.url), told.encode());
        let post = move || {
            agent.post(address).header("authorization", basic(USER, PASSWORD)).send(body).unwrap().status().as_u16()
        };
        tokio::task::spawn_blocking(post).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_original_is_copied_and_what_was_cut_off_comes_with_the_next_run() {
    for jobs in [json!(["hello"]), json!([{ "name": "hello", "synopsis": null }])] {
        let mut original = Original { jobs, ..Original::default() };
        original.has(&Told::new(1), Some(b"binary"));
        original.has(&Told::new(2), Some(b"binary"));
        original.has(&Told::new(3).outcome(Outcome::Signalled(-7)).files(&[]), None);
        original.cut.lock().unwrap().push(uuid(2).to_string());
        let (fetched, url) = (original.fetched.clone(), original.serve().await);
        let copy = Site::new();
        let first = run(&copy, from(&format!("{url}/"))).await.unwrap();
        assert_eq!((first.copied, first.known, first.failed), (2, 0, 1));
        assert_eq!(copy.files().into_iter().filter(|file| file.starts_with("_staging")).count(), 0);
        let second = run(&copy, from(&url)).await.unwrap();
        assert_eq!((second.copied, second.known, second.failed), (1, 2, 0));
        assert_eq!(fetched.load(Ordering::Relaxed), 4, "what is here is not fetched again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_lies_leaves_nothing() {
    let mut original = Original { jobs: json!(["hello"]), ..Original::default() };
    // Another main binary than it says, the record of another build, and no record at all.
    original.has(&Told::new(1), Some(b"another"));
    original.has(&Told::new(2), Some(b"binary"));
    original.records.insert(uuid(2).to_string(), Told::new(9).encode());
    original.has(&Told::new(3), Some(b"binary"));
    original.records.insert(uuid(3).to_string(), b"<html>".to_vec());
    let copy = Site::new();
    let report = run(&copy, from(&original.clone().serve().await)).await.unwrap();
    assert_eq!((report.copied, report.failed), (0, 3));
    assert_eq!(copy.files(), [""; 0]);
    assert_eq!(copy.count("SELECT count(*) FROM build"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_source_cannot_give_keeps_nothing_newer_away() {
    let mut original = Original { jobs: json!(["hello"]), ..Original::default() };
    // They share a file that is lost there, so that it answers 404 for all of their records.
    for number in 1..10 {
        original.has(&Told::new(number), Some(b"binary"));
        original.records.insert(uuid(number).to_string(), Vec::new());
    }
    original.has(&Told::new(10), Some(b"binary"));
    let (copy, fetched) = (Site::new(), original.fetched.clone());
    let report = run(&copy, from(&original.clone().serve().await)).await.unwrap();
    assert_eq!((report.copied, report.failed, fetched.swap(0, Ordering::Relaxed)), (1, 9, 10));
    // One that is gone altogether is left alone after a while.
    original.has(&Told::new(11), Some(b"binary"));
    original.is_down = true;
    let error = run(&copy, from(&original.serve().await)).await.unwrap_err().to_string();
    assert!(error.contains("5 builds in a row") && error.contains("hint:"), "{error}");
    assert_eq!(fetched.load(Ordering::Relaxed), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_repository_is_said_so() {
    let copy = Site::new();
    let error = run(&copy, from("builds.example.org")).await.unwrap_err().to_string();
    assert!(error.contains("is not the address of a repository") && error.contains("hint:"), "{error}");
    let url = Original { jobs: json!({ "a": 1 }), ..Original::default() }.serve().await;
    let error = run(&copy, from(&url)).await.unwrap_err().to_string();
    assert!(error.contains("cannot read what") && error.contains("is this the address of a repository?"), "{error}");
    let error = run(&copy, from("http://127.0.0.1:1")).await.unwrap_err().to_string();
    assert!(error.contains("cannot fetch http://127.0.0.1:1/api/v1/jobs"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_says_what_became_of_it() {
    let (source, copy) = (Site::new(), Site::new());
    source.upload(&Told::new(1)).await;
    let served = source.serve().await;
    let command = async |url: String| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_builder-web"));
        command.args(["mirror", &url, "--job", "hello", "--datadir"]).arg(copy.data());
        let ended = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (ended.status.code(), text(&ended.stdout), text(&ended.stderr))
    };
    let bytes = Told::new(1).encode().len();
    let (code, out, _) = command(served.url()).await;
    assert_eq!((code, out), (Some(0), format!("copied 1 builds ({bytes} bytes), 0 were here already, 0 failed\n")));
    let (code, out, _) = command(served.url()).await;
    assert_eq!((code, out), (Some(0), "copied 0 builds (0 bytes), 1 were here already, 0 failed\n".into()));
    let (code, _, errors) = command("nowhere".into()).await;
    assert_eq!(code, Some(1));
    assert!(errors.contains("is not the address of a repository"), "{errors}");
    served.stop().await;
}

/// Runs `builder-web mirror` into a data folder, by its configuration.
fn command(copy: &Site, url: &str, options: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_builder-web"));
    command.args(["mirror", url, "--datadir"]).arg(copy.data());
    command.arg("--configdir").arg(copy.data().with_file_name("config")).args(options);
    command
}

async fn output(mut command: std::process::Command) -> (Option<i32>, String) {
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_copied_goes_by_the_limits_and_hooks_of_the_configuration() {
    use std::os::unix::fs::PermissionsExt;
    let (source, copy) = (Site::new(), Site::new());
    source.upload(&Told::new(1)).await;
    let served = source.serve().await;
    let config = copy.data().with_file_name("config");
    let hook = config.join("upload-hooks/tell.sh");
    std::fs::create_dir(config.join("upload-hooks")).unwrap();
    std::fs::write(&hook, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    let webhook = "[[webhook]]\nurl = \"http://127.0.0.1:1/told\"\nsecret = \"0123456789abcdef\"\n";
    let write =
        |limit: u64| std::fs::write(config.join("builder-web.toml"), format!("upload-bytes-max = {limit}\n{webhook}"));
    write(100).unwrap();
    let (code, errors) = output(command(&copy, &served.url(), &[])).await;
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("larger than 100 bytes"), "{errors}");
    write(1_000_000).unwrap();
    assert_eq!(output(command(&copy, &served.url(), &[])).await.0, Some(0));
    // Its hooks run, when the server comes to it; no webhook is told.
    assert_eq!(copy.count("SELECT count(*) FROM repository_hook_run WHERE kind = 'hook' AND target = 'tell.sh'"), 1);
    assert_eq!(copy.count("SELECT count(*) FROM repository_hook_run"), 1);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_words_of_the_command_are_said_once_and_to_nobody_who_went() {
    let copy = Site::new();
    let (code, errors) = output(command(&copy, "http://127.0.0.1:1", &[])).await;
    assert_eq!((code, errors.matches("Connection refused").count()), (Some(1), 1), "{errors}");
    let served = copy.serve().await;
    for arguments in
        [&["mirror", &served.url(), "--datadir", copy.data().to_str().unwrap()][..], &["completions", "bash"]]
    {
        let (read, write) = std::io::pipe().unwrap();
        drop(read);
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_builder-web"));
        command.args(arguments).stdout(write);
        assert_eq!(output(command).await, (Some(0), String::new()), "{arguments:?}");
    }
    served.stop().await;
    copy.connection().pragma_update(None, "user_version", 17).unwrap();
    let (code, errors) = output(command(&copy, "http://127.0.0.1:1", &[])).await;
    assert_eq!(code, Some(2), "{errors}");
}
