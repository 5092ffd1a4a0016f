//! What an operator sees over HTTP.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

use builder_model::Outcome;
use builder_testkit::{Answer, Farm, eventually, get, in_time, metric};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The value of each of these metrics, as text.
async fn values(farm: &Farm, names: &[&str]) -> Vec<String> {
    let mut lines = Vec::new();
    for name in names {
        let value = metric(farm.metrics(), name).await;
        lines.push(value.map_or(format!("{name} none"), |value| format!("{name} {value}")));
    }
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_right_after_each_step() {
    let farm = Farm::start().await;
    let names = [
        "builder_scheduled_jobs",
        "builder_queue_length{platform=\"p\"}",
        "builder_waiting_workers{platform=\"p\"}",
        "builder_running_builds{platform=\"p\"}",
        "builder_builds_finished_total{outcome=\"success\"}",
        "builder_builds_finished_total{outcome=\"exited\"}",
        "builder_dispatch_latency_seconds_count",
    ];
    let picture = |numbers: [&str; 7]| -> Vec<String> {
        names.iter().zip(numbers).map(|(name, number)| format!("{name} {number}")).collect()
    };
    assert_eq!(values(&farm, &names).await, picture(["0", "none", "none", "none", "0", "0", "0"]));

    let mut worker = farm.worker("p").await;
    farm.queues_become(&["p:"]).await;
    assert_eq!(values(&farm, &names).await, picture(["0", "0", "1", "0", "0", "0", "0"]));
    for name in ["a", "b", "c"] {
        farm.schedule(name, "p").await;
    }
    worker.job().await;
    assert_eq!(values(&farm, &names).await, picture(["3", "2", "0", "1", "0", "0", "1"]));
    worker.finish(Outcome::Exited(0), &[("f", &[7; 100_000])]).await;
    let (worker, _) = farm.running("p").await;
    worker.finish(Outcome::Exited(1), &[]).await;
    assert_eq!(values(&farm, &names).await, picture(["3", "1", "0", "0", "1", "1", "2"]));
    assert!(metric(farm.metrics(), "builder_received_bytes_total").await.unwrap() > 100_000.0);
    assert_eq!(metric(farm.metrics(), "builder_failed_saves_total").await, Some(0.0));
    assert!(metric(farm.metrics(), "builder_save_seconds_count").await.unwrap() >= 7.0);
    let nobody = async || metric(farm.metrics(), "builder_connections").await.filter(|count| *count == 0.0);
    eventually("all connections are gone", nobody).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_told() {
    let farm = Farm::start().await;
    let answer = get(farm.metrics(), "/healthz").await;
    assert_eq!(answer, Answer { status: 200, body: "ok\n".to_owned() });
    assert_eq!(get(farm.metrics(), "/other").await.status, 404);
    let text = get(farm.metrics(), "/metrics").await;
    assert!(text.status == 200 && text.body.ends_with("# EOF\n"), "{text:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_watches_does_not_keep_the_server_from_stopping() {
    let farm = Farm::start().await;
    let mut watching = TcpStream::connect(farm.metrics()).await.unwrap();
    watching.write_all(b"GET /healthz HTTP/1.1\r\nHost: farm\r\n\r\n").await.unwrap();
    watching.read_exact(&mut [0; 12]).await.unwrap();
    in_time("the server stops", farm.stop()).await;
}
