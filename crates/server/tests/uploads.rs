//! Uploads: every finished build reaches the repository, however long that takes.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

use builder_model::{BuildId, Outcome};
use builder_testkit::{Farm, Grounds, Post, Repository, eventually, metric};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};

async fn uploading_to(url: String) -> Farm {
    Grounds::new().with(|settings| settings.upload = Some(url)).start().await
}

async fn build(farm: &Farm, name: &str) -> BuildId {
    farm.schedule(name, "p").await;
    let (mut worker, job) = farm.running("p").await;
    worker.line("a line").await;
    worker.finish(Outcome::Exited(0), &[("f", &[7; 300_000])]).await;
    job.build
}

fn stored(farm: &Farm, name: &str, build: BuildId) -> Vec<u8> {
    std::fs::read(farm.grounds().record_path(name, build)).unwrap()
}

async fn posts(repository: &Repository, count: usize) -> Vec<Post> {
    let what = format!("{count} uploads");
    eventually(&what, async || Some(repository.posts()).filter(|posts| posts.len() >= count)).await
}

async fn backlog_becomes(farm: &Farm, count: f64) {
    let what = format!("a backlog of {count}");
    let backlog = async || metric(farm.metrics(), "builder_upload_backlog").await.filter(|backlog| *backlog == count);
    eventually(&what, backlog).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_is_sent_as_it_is() {
    let repository = Repository::start(&[]).await;
    let farm = uploading_to(repository.url("user:p%40ss")).await;
    let build = build(&farm, "a").await;
    let post = posts(&repository, 1).await.remove(0);
    assert_eq!(post.line, "POST /upload HTTP/1.1");
    assert_eq!(post.header("authorization"), Some("Basic dXNlcjpwQHNz"));
    assert_eq!(post.header("content-length"), Some(post.body.len().to_string().as_str()));
    assert!(post.body == stored(&farm, "a", build));
    backlog_becomes(&farm, 0.0).await;
    let farm = farm.restart().await;
    assert_eq!(farm.observe(build).await.lines, ["a line", "exited 0"], "the record is kept for a while");
    assert_eq!(repository.posts().len(), 1, "it is not sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_fails_is_asked_again() {
    let repository = Repository::start(&[500]).await;
    let farm = uploading_to(repository.url("user:secret")).await;
    let first = build(&farm, "a").await;
    posts(&repository, 1).await;
    // What fails holds up nothing else.
    let second = build(&farm, "b").await;
    let posts = posts(&repository, 3).await;
    let expected = [("a", first), ("b", second), ("a", first)].map(|(name, build)| stored(&farm, name, build));
    assert!(posts.iter().map(|post| &post.body).eq(&expected));
    backlog_becomes(&farm, 0.0).await;
    assert_eq!(metric(farm.metrics(), "builder_failed_uploads_total").await, Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_the_repository_has_is_done() {
    let repository = Repository::start(&[409]).await;
    let farm = uploading_to(repository.url("user:secret")).await;
    build(&farm, "a").await;
    posts(&repository, 1).await;
    backlog_becomes(&farm, 0.0).await;
    assert_eq!(metric(farm.metrics(), "builder_failed_uploads_total").await, Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_may_come_later() {
    // Bound but not yet listening: nobody else gets the port, and who connects is refused.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let farm = uploading_to(format!("http://{}/upload", socket.local_addr().unwrap())).await;
    let build = build(&farm, "a").await;
    let failed = async || metric(farm.metrics(), "builder_failed_uploads_total").await.filter(|failed| *failed >= 1.0);
    eventually("an upload fails", failed).await;
    assert_eq!(metric(farm.metrics(), "builder_upload_backlog").await, Some(1.0));

    let repository = Repository::serve(socket.listen(8).unwrap(), &[]);
    let post = posts(&repository, 1).await.remove(0);
    assert_eq!(post.header("authorization"), None);
    assert!(post.body == stored(&farm, "a", build));
    backlog_becomes(&farm, 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_survives_a_restart() {
    let failing = Repository::start(&[500; 100]).await;
    let farm = uploading_to(failing.url("user:secret")).await;
    let first = build(&farm, "a").await;
    let second = build(&farm, "b").await;
    posts(&failing, 2).await;
    let working = Repository::start(&[]).await;
    let url = working.url("user:secret");
    let farm = farm.stop().await.with(|settings| settings.upload = Some(url)).start().await;
    let posts = posts(&working, 2).await;
    assert!(posts[0].body == stored(&farm, "a", first) && posts[1].body == stored(&farm, "b", second));
    backlog_becomes(&farm, 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_builds_are_uploaded_too() {
    let repository = Repository::start(&[]).await;
    let farm = uploading_to(repository.url("user:secret")).await;
    farm.schedule("a", "p").await;
    for _ in 0..2 {
        let (mut worker, _) = farm.running("p").await;
        worker.peer.end_of_words().await;
        worker.closed().await;
    }
    let post = posts(&repository, 1).await.remove(0);
    assert_eq!(
        builder_testkit::Told::of(&post.body).outcome,
        "execution aborted: worker lost; attempt 2, no retry is left"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn uploaded_records_are_removed_when_their_time_is_over() {
    let repository = Repository::start(&[]).await;
    let farm = uploading_to(repository.url("user:secret")).await;
    let build = build(&farm, "a").await;
    posts(&repository, 1).await;
    backlog_becomes(&farm, 0.0).await;
    let farm = farm.stop().await.with(|settings| settings.keep_uploaded = Duration::ZERO).start().await;
    let path = farm.grounds().record_path("a", build);
    eventually("the record is removed", async || (!path.exists()).then_some(())).await;
    let gone = Err("the build ended (exited 0), but its record is not kept here any more".to_owned());
    assert_eq!(farm.observe(build).await.answer, gone);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_never_answers_does_not_hold_up_the_end() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let farm = uploading_to(format!("http://{}/upload", silent.local_addr().unwrap())).await;
    let build = build(&farm, "a").await;
    let (_connection, _) = silent.accept().await.unwrap();
    self::build(&farm, "b").await;
    // Counted when somebody looks, not when the uploader asks.
    backlog_becomes(&farm, 2.0).await;
    let grounds = farm.stop().await;
    let repository = Repository::start(&[]).await;
    let url = repository.url("user:secret");
    let farm = grounds.with(|settings| settings.upload = Some(url)).start().await;
    assert!(posts(&repository, 2).await[0].body == stored(&farm, "a", build));
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_are_none_are_refused() {
    for (url, why) in [
        ("builds.example.org/upload", "it does not begin with http:// or https://"),
        ("ftp://builds.example.org", "it does not begin with http:// or https://"),
        ("http:///upload", "it is malformed"),
    ] {
        let grounds = Grounds::new().with(|settings| settings.upload = Some(url.to_owned()));
        let refusal = grounds.refusal().await;
        assert!(refusal.contains(&format!(": {why}\nhint: ")), "{refusal}");
    }
}
