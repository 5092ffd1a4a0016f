//! What an operator watches: numbers of a repository in the Prometheus text format. What counts tells it here; the
//! route that shows it is in `http::operation`.

use crate::database::totals::{self, Totals};
use crate::error::WebError;
use crate::limits::{METRICS_HOOKS_MAX, TOTALS_AGE_MAX};
use crate::{App, Database};
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::fmt::{self, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bounds of the histogram of requests, in seconds.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// The kinds of routes that are counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum RouteClass {
    /// Lists: the front page, a job, failed builds.
    List,
    /// A build or a part of its console.
    Build,
    /// A comparison.
    Compare,
    /// A search.
    Search,
    /// What a build left, its script, its archive, its record.
    File,
    /// What leads to another address.
    Redirect,
    /// What takes builds.
    Upload,
    /// The interface for programs.
    Api,
    /// Feeds.
    Feed,
    /// Metrics and health.
    Operation,
    /// All else, also what does not exist.
    Other,
}

impl RouteClass {
    const ALL: [Self; 11] = [
        Self::List,
        Self::Build,
        Self::Compare,
        Self::Search,
        Self::File,
        Self::Redirect,
        Self::Upload,
        Self::Api,
        Self::Feed,
        Self::Operation,
        Self::Other,
    ];

    /// The class of a route, by its pattern.
    pub(crate) fn of(pattern: Option<&str>) -> Self {
        let Some(pattern) = pattern else { return Self::Other };
        if pattern.starts_with("/api/") {
            return Self::Api;
        }
        if pattern.ends_with("/upload") {
            return Self::Upload;
        }
        if pattern.ends_with("feed.atom") {
            return Self::Feed;
        }
        match pattern {
            "/" | "/all-builds" | "/builds" | "/failed-builds" | "/job/{job}" | "/job/{job}/builds"
            | "/job/{job}/failed" => Self::List,
            "/hash" | "/job/{job}/build/latest" | "/job/{job}/build/latest/{*rest}" => Self::Redirect,
            "/job/{job}/build/{uuid}/main-binary" => Self::Redirect,
            "/search" => Self::Search,
            "/metrics" | "/healthz" => Self::Operation,
            "/job/{job}/build/{uuid}" | "/job/{job}/build/{uuid}/console" => Self::Build,
            _ if pattern.starts_with("/compare/") => Self::Compare,
            _ if pattern.starts_with("/job/{job}/build/{uuid}/console/") => Self::Build,
            _ if pattern.starts_with("/job/{job}/build/{uuid}/") => Self::File,
            _ => Self::Other,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Build => "build",
            Self::Compare => "compare",
            Self::Search => "search",
            Self::File => "file",
            Self::Redirect => "redirect",
            Self::Upload => "upload",
            Self::Api => "api",
            Self::Feed => "feed",
            Self::Operation => "operation",
            Self::Other => "other",
        }
    }
}

impl EncodeLabelValue for RouteClass {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        encoder.write_str(self.word())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: RouteClass,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfClass {
    route: RouteClass,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HookState {
    state: String,
}

/// All numbers of a repository.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter>,
    durations: Family<OfClass, Histogram, fn() -> Histogram>,
    uploads: Family<Ended, Counter>,
    upload_bytes: Counter,
    wrong_passwords: Counter,
    builds: Gauge,
    artifacts: Gauge,
    artifact_bytes: Gauge,
    free_bytes: Gauge,
    hook_runs: Family<HookState, Gauge>,
    totals: Mutex<Option<Counted>>,
}

/// What was counted in the database, and when.
#[derive(Debug, Clone, Copy)]
struct Counted {
    totals: Totals,
    version: i64,
    at: Instant,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("builder_web");
        let durations = Family::new_with_constructor((|| Histogram::new(SECONDS)) as fn() -> Histogram);
        let metrics = Self {
            requests: Family::default(),
            durations: durations.clone(),
            uploads: Family::default(),
            upload_bytes: Counter::default(),
            wrong_passwords: Counter::default(),
            builds: Gauge::default(),
            artifacts: Gauge::default(),
            artifact_bytes: Gauge::default(),
            free_bytes: Gauge::default(),
            hook_runs: Family::default(),
            totals: Mutex::new(None),
            registry: Registry::default(),
        };
        registry.register("requests", "Requests, by class of route and status", metrics.requests.clone());
        let help = "From a request's head to the head of its answer";
        registry.register_with_unit("request_duration", help, Unit::Seconds, durations.clone());
        registry.register("uploads", "Uploads, by what became of them", metrics.uploads.clone());
        let bytes = Unit::Bytes;
        registry.register_with_unit("upload", "Received in uploads", bytes.clone(), metrics.upload_bytes.clone());
        let help = "Passwords and tokens that do not hold";
        registry.register("wrong_passwords", help, metrics.wrong_passwords.clone());
        registry.register("builds", "Builds that are stored", metrics.builds.clone());
        registry.register("artifacts", "Artifacts that builds name", metrics.artifacts.clone());
        let help = "Artifacts that builds name, each counted as often as it is named";
        registry.register_with_unit("artifact", help, bytes.clone(), metrics.artifact_bytes.clone());
        registry.register_with_unit("free", "Room on the disk of the data folder", bytes, metrics.free_bytes.clone());
        registry.register("hook_runs", "Hooks and webhooks that are not done, by state", metrics.hook_runs.clone());
        metrics.begin_at_zero();
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// Counts from 0 on what alerts wait for: Prometheus sees no increase where a number begins at 1.
    fn begin_at_zero(&self) {
        for result in UPLOAD_RESULTS {
            drop(self.uploads.get_or_create(&Ended { result }));
        }
        for route in RouteClass::ALL {
            drop(self.requests.get_or_create(&Answered { route, status: 500 }));
        }
    }

    /// A request was answered.
    pub(crate) fn answered(&self, route: RouteClass, status: http::StatusCode, duration: Duration) {
        self.requests.get_or_create(&Answered { route, status: status.as_u16() }).inc();
        self.durations.get_or_create(&OfClass { route }).observe(duration.as_secs_f64());
        if route == RouteClass::Upload {
            self.uploads.get_or_create(&Ended { result: upload_result(status) }).inc();
        }
    }

    /// Somebody came with a password or token that does not hold.
    pub(crate) fn wrong_password(&self) {
        self.wrong_passwords.inc();
    }

    /// A piece of an upload came.
    pub(crate) fn received(&self, bytes: usize) {
        self.upload_bytes.inc_by(bytes as u64);
    }

    /// Everything, in the text format. For code that may block.
    pub(crate) fn text(&self, app: &App) -> Result<String, WebError> {
        let totals = self.totals(app.database())?;
        self.builds.set(gauge(totals.builds));
        self.artifacts.set(gauge(totals.artifacts));
        self.artifact_bytes.set(gauge(totals.artifact_bytes));
        let root = app.depot().root();
        match nix::sys::statvfs::statvfs(root) {
            Ok(disk) => {
                self.free_bytes.set(gauge(disk.blocks_available().saturating_mul(disk.fragment_size())));
            }
            Err(error) => tracing::warn!("cannot tell the room on the disk of {}: {error}", root.display()),
        }
        self.hook_runs.clear();
        for (state, count) in app.read(|connection| totals::hook_runs(connection, METRICS_HOOKS_MAX))? {
            self.hook_runs.get_or_create(&HookState { state }).set(gauge(count));
        }
        let mut text = String::new();
        if let Err(error) = encode(&mut text, &self.registry) {
            // Writing into a string does not fail, so that this is an encoder's mistake.
            tracing::error!("cannot write metrics: {error}");
        }
        Ok(text)
    }

    /// What is stored: counted again only when something was committed, and not too often even then.
    fn totals(&self, database: &Database) -> Result<Totals, WebError> {
        let version = database.version()?;
        let mut known = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counted) = *known
            && (counted.version == version || counted.at.elapsed() < TOTALS_AGE_MAX)
        {
            return Ok(counted.totals);
        }
        let totals = database.read(totals::totals)?;
        *known = Some(Counted { totals, version, at: Instant::now() });
        Ok(totals)
    }
}

fn gauge(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// All that [`upload_result`] says.
const UPLOAD_RESULTS: [&str; 9] =
    ["stored", "again", "refused", "conflict", "too-large", "busy", "full", "bad", "broken"];

fn upload_result(status: http::StatusCode) -> &'static str {
    match status.as_u16() {
        201 => "stored",
        200 => "again",
        401 | 403 | 429 => "refused",
        409 => "conflict",
        413 => "too-large",
        503 => "busy",
        507 => "full",
        400..=499 => "bad",
        _ => "broken",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_has_a_class_and_unknown_ones_share_one() {
        let class = |pattern| RouteClass::of(Some(pattern)).word();
        assert_eq!(class("/"), "list");
        assert_eq!(class("/job/{job}/build/{uuid}/f/{*path}"), "file");
        assert_eq!(class("/job/{job}/platform/{platform}/upload"), "upload");
        assert_eq!(class("/job/{job}/build/{uuid}"), "build");
        assert_eq!(class("/api/v1/builds/{uuid}"), "api");
        assert_eq!(class("/job/{job}/feed.atom"), "feed");
        assert_eq!(RouteClass::of(None).word(), "other");
    }

    #[test]
    fn what_alerts_wait_for_is_counted_from_zero_on() {
        let mut text = String::new();
        encode(&mut text, &Metrics::default().registry).unwrap();
        for route in RouteClass::ALL {
            let line = format!("builder_web_requests_total{{route=\"{}\",status=\"500\"}} 0\n", route.word());
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
        for status in 200..600 {
            let result = upload_result(http::StatusCode::from_u16(status).unwrap());
            let line = format!("builder_web_uploads_total{{result=\"{result}\"}} 0\n");
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
    }
}
