//! Templated jobs: one for each platform that has a template, which is read fresh.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

use builder_model::Outcome;
use builder_testkit::{Farm, Grounds};
use builder_wire::Message;
use std::time::Duration;

/// Shorter than the pause after which a server that has nothing to do looks at the templates again.
const AT_ONCE: Duration = Duration::from_secs(3);

fn execute(platform: Option<&str>) -> Message<'_> {
    Message::Execute { name: b"t", platform: platform.map(str::as_bytes) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_becomes_a_script() {
    let grounds = Grounds::new();
    grounds.template("p", "build %%OPAM_PACKAGE%% for %%PLATFORM%%\n%%OPAM_PACKAGE%%\n");
    let farm = grounds.start().await;
    let mut worker = farm.worker("p").await;
    farm.queues_become(&["p:"]).await;

    farm.schedule_templated("t", "mirage-www").await;
    // Nobody asks the server anything meanwhile: the template is read because the job came.
    let job = tokio::time::timeout(AT_ONCE, worker.job()).await.unwrap();

    assert_eq!(job.script, "build mirage-www for p\nmirage-www\n");
    assert_eq!(farm.info().await.running, ["t on p"]);
    worker.finish(Outcome::Exited(0), &[("bin/t", b"x")]).await;
    let record = farm.record("t", job.build);
    assert_eq!((record.job.as_str(), record.script), ("t on p", job.script.into_bytes()));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_platforms_with_a_template_get_the_job() {
    let grounds = Grounds::new();
    grounds.template("p", "p");
    grounds.template("q", "q");
    let farm = grounds.start().await;
    for platform in ["p", "q", "r"] {
        farm.schedule(&format!("script-{platform}"), platform).await;
    }
    farm.schedule_templated("t", "pkg").await;
    farm.queues_become(&["p: script-p t", "q: script-q t", "r: script-r"]).await;

    assert_eq!(farm.command(&execute(None)).await, Ok(()));
    assert_eq!(farm.info().await.queues, ["p: t script-p", "q: t script-q", "r: script-r"]);
    let refused = Err("execute failed: platform r has no template".to_owned());
    assert_eq!(farm.command(&execute(Some("r"))).await, refused);

    assert_eq!(farm.command(&Message::Unschedule { name: b"t" }).await, Ok(()));
    assert_eq!(farm.info().await.queues, ["p: script-p", "q: script-q", "r: script-r"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_platform_gets_what_it_has_a_template_for() {
    let grounds = Grounds::new();
    grounds.template("p", "p");
    let farm = grounds.start().await;
    farm.schedule_templated("t", "pkg").await;
    assert!(farm.info().await.queues.is_empty());

    let mut with = farm.worker("p").await;
    let _without = farm.worker("q").await;
    let job = tokio::time::timeout(AT_ONCE, with.job()).await.unwrap();
    assert_eq!(job.script, "p");
    farm.queues_become(&["p:", "q:"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_vanishes_leaves_its_jobs_waiting() {
    let grounds = Grounds::new();
    grounds.template("p", "before");
    let farm = grounds.start().await;
    farm.schedule("script", "p").await;
    farm.schedule_templated("t", "pkg").await;
    farm.queues_become(&["p: script t"]).await;
    std::fs::remove_file(farm.grounds().template_path("p")).unwrap();

    let (first, job) = farm.running("p").await;
    assert_eq!(job.name, "script");
    let mut second = farm.worker("p").await;
    farm.queues_become(&["p: t"]).await;
    first.finish(Outcome::Exited(0), &[]).await;
    assert_eq!(farm.info().await.queues, ["p: t"]);

    farm.grounds().template("p", "after");
    farm.queues_become(&["p:"]).await;
    assert_eq!(second.job().await.script, "after");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_cannot_be_read_leaves_its_jobs_waiting() {
    let grounds = Grounds::new();
    let path = grounds.template_path("p");
    std::fs::create_dir(&path).unwrap();
    let farm = grounds.start().await;
    farm.schedule("script", "p").await;
    farm.schedule_templated("t", "pkg").await;
    farm.queues_become(&["p: script t"]).await;
    let why = format!("cannot read {}: Is a directory (os error 21)", path.display());
    let refused = Err(format!("execute failed: the template of platform p cannot be read: {why}"));
    assert_eq!(farm.command(&execute(Some("p"))).await, refused);

    let (_script, _) = farm.running("p").await;
    let mut waits = farm.worker("p").await;
    assert_eq!(farm.info().await.queues, ["p: t"]);
    std::fs::remove_dir(&path).unwrap();
    farm.grounds().template("p", "mended");
    farm.queues_become(&["p:"]).await;
    assert_eq!(waits.job().await.script, "mended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_over_the_limit_is_not_run() {
    let grounds = Grounds::new();
    grounds.template("p", &"x".repeat((4 << 20) + 1));
    let farm = grounds.start().await;
    farm.schedule_templated("t", "pkg").await;
    let mut worker = farm.worker("p").await;
    farm.queues_become(&["p: t"]).await;
    farm.grounds().template("p", "short");
    farm.queues_become(&["p:"]).await;
    assert_eq!(worker.job().await.script, "short");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_runs_without_any_template() {
    let farm = Farm::start().await;
    farm.schedule_templated("t", "pkg").await;
    let refused = |text: &str| Err(format!("execute failed: {text}"));
    assert_eq!(farm.command(&execute(None)).await, refused("no platform has a template"));
    assert_eq!(farm.command(&execute(Some("p"))).await, refused("no such platform"));
}
