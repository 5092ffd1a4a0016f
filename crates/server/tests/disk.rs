//! A disk that does not take what the server writes.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

use builder_model::Outcome;
use builder_testkit::Farm;

#[tokio::test(flavor = "multi_thread")]
async fn jobs_wait_until_consoles_can_be_written() {
    let farm = Farm::start().await;
    let consoles = farm.grounds().data().join("builder-server.console");
    std::fs::remove_dir(&consoles).unwrap();
    std::fs::write(&consoles, "no folder").unwrap();
    farm.schedule("a", "p").await;
    // More often than a job is tried again.
    for _ in 0..4 {
        farm.worker("p").await.closed().await;
        farm.queues_become(&["p: a"]).await;
    }
    std::fs::remove_file(&consoles).unwrap();
    std::fs::create_dir(&consoles).unwrap();
    let (worker, job) = farm.running("p").await;
    worker.finish(Outcome::Exited(0), &[]).await;
    let finished = farm.finished(job.build).await;
    assert_eq!((finished.outcome, finished.attempts), (Outcome::Exited(0), 1));
}
