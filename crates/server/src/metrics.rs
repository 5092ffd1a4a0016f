//! What an operator watches: numbers in the Prometheus text format, and a health check, over HTTP.

use crate::engine::Engine;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use builder_model::Outcome;
use builder_sched::Counts;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::sync::Arc;
use std::time::Duration;

/// How long the engine may take to answer a health check.
const HEALTH_LIMIT: Duration = Duration::from_secs(5);
/// Bounds of the histograms, in seconds.
const SECONDS: [f64; 12] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// What a build may end as. Each is counted from 0 on: Prometheus sees no increase where a number begins at 1.
const OUTCOMES: [&str; 5] = ["success", "exited", "signalled", "stopped", "aborted"];

type PerPlatform = Family<Vec<(String, String)>, Gauge>;

/// All numbers of a server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    queued: PerPlatform,
    waiting: PerPlatform,
    running: PerPlatform,
    scheduled: Gauge,
    finished: Family<Vec<(String, String)>, Counter>,
    refused: Counter,
    dispatch: Histogram,
    save: Histogram,
    failed_saves: Counter,
    uploads_waiting: Gauge,
    failed_uploads: Counter,
    bytes_in: Counter,
    connections: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("builder");
        let metrics = Self {
            queued: Family::default(),
            waiting: Family::default(),
            running: Family::default(),
            scheduled: Gauge::default(),
            finished: Family::default(),
            refused: Counter::default(),
            dispatch: Histogram::new(SECONDS),
            save: Histogram::new(SECONDS),
            failed_saves: Counter::default(),
            uploads_waiting: Gauge::default(),
            failed_uploads: Counter::default(),
            bytes_in: Counter::default(),
            connections: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register("queue_length", "Jobs that wait, by platform", metrics.queued.clone());
        registry.register("waiting_workers", "Workers that wait for a job, by platform", metrics.waiting.clone());
        registry.register("running_builds", "Builds that run, by platform", metrics.running.clone());
        registry.register("scheduled_jobs", "Jobs on the schedule", metrics.scheduled.clone());
        registry.register("builds_finished", "Builds that ended, by outcome", metrics.finished.clone());
        registry.register("builds_refused", "Builds that workers could not begin", metrics.refused.clone());
        let seconds = Unit::Seconds;
        let help = "From an event to the job that it hands to a worker";
        registry.register_with_unit("dispatch_latency", help, seconds.clone(), metrics.dispatch.clone());
        registry.register_with_unit("save", "One transaction of the database", seconds, metrics.save.clone());
        registry.register("failed_saves", "Transactions that failed", metrics.failed_saves.clone());
        registry.register("upload_backlog", "Builds that wait to be uploaded", metrics.uploads_waiting.clone());
        registry.register("failed_uploads", "Uploads that failed and are tried again", metrics.failed_uploads.clone());
        registry.register_with_unit("received", "From clients and workers", Unit::Bytes, metrics.bytes_in.clone());
        registry.register("connections", "Open connections of clients and workers", metrics.connections.clone());
        for label in OUTCOMES {
            drop(metrics.finished.get_or_create(&ended_as(label)));
        }
        Self { registry, ..metrics }
    }
}

fn ended_as(label: &str) -> Vec<(String, String)> {
    vec![("outcome".to_owned(), label.to_owned())]
}

fn platform(name: &impl ToString) -> Vec<(String, String)> {
    vec![("platform".to_owned(), name.to_string())]
}

impl Metrics {
    fn scheduler(&self, counts: &Counts) {
        self.scheduled.set(i64::try_from(counts.scheduled).unwrap_or(i64::MAX));
        for family in [&self.queued, &self.waiting, &self.running] {
            family.clear();
        }
        for counted in &counts.platforms {
            let label = platform(&counted.platform);
            let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
            self.queued.get_or_create(&label).set(number(counted.queued));
            self.waiting.get_or_create(&label).set(number(counted.waiting));
            self.running.get_or_create(&label).set(number(counted.running));
        }
    }

    pub(crate) fn dispatched(&self, latency: Duration) {
        self.dispatch.observe(latency.as_secs_f64());
    }

    pub(crate) fn saved(&self, duration: Duration) {
        self.save.observe(duration.as_secs_f64());
    }

    pub(crate) fn save_failed(&self) {
        self.failed_saves.inc();
    }

    pub(crate) fn finished(&self, outcome: &Outcome) {
        let label = if outcome.is_success() { "success" } else { outcome.kind() };
        self.finished.get_or_create(&ended_as(label)).inc();
    }

    pub(crate) fn refused(&self) {
        self.refused.inc();
    }

    fn uploads_waiting(&self, count: u64) {
        self.uploads_waiting.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(crate) fn upload_failed(&self) {
        self.failed_uploads.inc();
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.bytes_in.inc_by(bytes as u64);
    }

    /// Counts a connection for as long as the guard lives.
    pub(crate) fn connected(self: &Arc<Self>) -> Connected {
        self.connections.inc();
        Connected(self.clone())
    }

    /// Everything, in the Prometheus text format.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connected(Arc<Metrics>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.connections.dec();
    }
}

/// `GET /metrics` and `GET /healthz`.
pub(crate) fn routes(metrics: Arc<Metrics>, engine: Engine) -> Router {
    Router::new().route("/healthz", get(health)).route("/metrics", get(text)).with_state((metrics, engine))
}

async fn health(State((_, engine)): State<(Arc<Metrics>, Engine)>) -> (StatusCode, &'static str) {
    match tokio::time::timeout(HEALTH_LIMIT, engine.counts()).await {
        Ok(Ok(_)) => (StatusCode::OK, "ok\n"),
        Ok(Err(_)) => (StatusCode::SERVICE_UNAVAILABLE, "the engine is stopping\n"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the engine does not answer\n"),
    }
}

async fn text(State((metrics, engine)): State<(Arc<Metrics>, Engine)>) -> impl IntoResponse {
    let content_type = [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    // Numbers of a scheduler that does not answer stay as they were: the rest is worth to be seen.
    if let Ok(Ok(counts)) = tokio::time::timeout(HEALTH_LIMIT, engine.counts()).await {
        metrics.scheduler(&counts);
    }
    match tokio::time::timeout(HEALTH_LIMIT, engine.uploads_waiting()).await {
        Ok(Ok(waiting)) => metrics.uploads_waiting(waiting),
        Ok(Err(error)) => tracing::warn!("the uploads that wait are not counted: {error}"),
        Err(_) => tracing::warn!("the uploads that wait are not counted: the engine does not answer"),
    }
    match metrics.text() {
        Ok(text) => (StatusCode::OK, content_type, text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, content_type, error.to_string()),
    }
}
