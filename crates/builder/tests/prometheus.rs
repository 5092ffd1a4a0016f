//! The rules and the dashboard that are shipped, in a Prometheus that watches a farm at work.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

use builder_model::Period;
use builder_testkit::{Program, eventually, get, in_time, schedule};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn monitoring(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/monitoring").join(name).canonicalize().unwrap()
}

/// A farm, and where its parts are.
struct Farm {
    _builder: Program,
    clients: SocketAddr,
    metrics: SocketAddr,
    web: SocketAddr,
}

impl Farm {
    async fn start(folder: &Path) -> Self {
        let anywhere = "127.0.0.1:0";
        let mut command = Command::new(env!("CARGO_BIN_EXE_builder"));
        command.args([
            "up",
            "--platform",
            "p",
            "--listen",
            anywhere,
            "--metrics",
            anywhere,
            "--web",
            anywhere,
            "--dir",
        ]);
        command.arg(folder).stdin(Stdio::null()).env("NO_COLOR", "1").env("TMPDIR", folder);
        let mut builder = Program::start_with(&mut command);
        let metrics = builder.says("metrics at http://").await.trim_end_matches("/metrics").parse().unwrap();
        let clients = builder.says("clients connect to ").await.parse().unwrap();
        let web = builder.says("finished builds show at http://").await.trim_end_matches('/').parse().unwrap();
        Self { _builder: builder, clients, metrics, web }
    }

    /// A bit of everything that is counted only when it happens.
    async fn works(&self) {
        schedule(self.clients, "job", "p", Period::Daily).await.unwrap();
        let stored = async || (get(self.web, "/job/job").await.status == 200).then_some(());
        eventually("a build is in the repository", stored).await;
        for page in ["/", "/job/job/build/latest", "/nowhere"] {
            get(self.web, page).await;
        }
        let mut stream = TcpStream::connect(self.web).await.unwrap();
        let request = "POST /upload HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\
                       Authorization: Basic bm9ib2R5OndoYXRldmVy\r\n\r\nx";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        in_time("an answer to a stranger", stream.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
}

/// A Prometheus that scrapes a farm as the head of the rules says, but every second.
struct Prometheus {
    _program: Program,
    address: SocketAddr,
}

impl Prometheus {
    async fn start(folder: &Path, farm: &Farm) -> Self {
        let config = folder.join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{}]\nscrape_configs:\n\
             - job_name: builder-server\n  static_configs: [{{targets: [\"{}\"]}}]\n\
             - job_name: builder-web\n  static_configs: [{{targets: [\"{}\"]}}]\n",
            monitoring("builder.rules.yml").display(),
            farm.metrics,
            farm.web
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("series").display()));
        command.args(["--web.listen-address=127.0.0.1:0", "--log.level=info"]).stdin(Stdio::null());
        let mut program = Program::start_with(&mut command);
        let address = program.says("\"Listening on\" address=").await.parse().unwrap();
        program.says("Server is ready to receive web requests").await;
        Self { _program: program, address }
    }

    async fn ask(&self, target: &str) -> Value {
        let answer = get(self.address, target).await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.body);
        // The answer may come in pieces, each behind a line with its length.
        let begin = answer.body.find('{').unwrap();
        let end = answer.body.rfind('}').unwrap();
        serde_json::from_str(&answer.body[begin..=end]).unwrap()
    }

    /// What an expression gives now: the labels and the number of each series.
    async fn query(&self, expression: &str) -> Vec<(Value, f64)> {
        let answer = self.ask(&format!("/api/v1/query?query={}", encoded(expression))).await;
        let series = answer["data"]["result"].as_array().unwrap().iter();
        series.map(|series| (series["metric"].clone(), series["value"][1].as_str().unwrap().parse().unwrap())).collect()
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// What the dashboard draws: the expression of each line and what it is called.
fn drawn() -> Vec<(String, String)> {
    let dashboard: Value =
        serde_json::from_slice(&std::fs::read(monitoring("builder.dashboard.json")).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    targets.map(|target| (word(&target["expr"]), word(&target["legendFormat"]))).collect()
}

/// The labels that the name of a line is made of: `{{platform}}`.
fn labels(legend: &str) -> Vec<&str> {
    legend.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap().trim()).collect()
}

/// The words of an expression that are metrics of ours.
fn metrics(expression: &str) -> BTreeSet<&str> {
    let words = expression.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("builder_")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_the_dashboard_and_every_rule_has_numbers_in_prometheus() {
    let folder = tempfile::tempdir().unwrap();
    let farm = Farm::start(&folder.path().join("farm")).await;
    let prometheus = Prometheus::start(folder.path(), &farm).await;
    let both = async || (prometheus.query("up == 1").await.len() == 2).then_some(());
    eventually("both programs are scraped", both).await;
    farm.works().await;

    let drawn = drawn();
    assert!(drawn.len() > 20, "{drawn:?}");
    for (expression, legend) in &drawn {
        let numbers = async || {
            let found = prometheus.query(expression).await;
            found.iter().any(|(_, number)| number.is_finite()).then_some(found)
        };
        for (series, _) in eventually(&format!("`{expression}` gives a number"), numbers).await {
            for label in labels(legend) {
                assert!(series[label].is_string(), "`{expression}` has no label {label}: {series}");
            }
        }
    }

    let healthy = async || {
        let answer = prometheus.ask("/api/v1/rules").await;
        let groups = answer["data"]["groups"].as_array().unwrap().clone();
        let rules: Vec<Value> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect();
        rules.iter().all(|rule| rule["health"] != "unknown").then_some(rules)
    };
    let rules = eventually("every rule is evaluated", healthy).await;
    assert!(rules.len() >= 15, "{rules:?}");
    let names = prometheus.ask("/api/v1/label/__name__/values").await;
    let known: BTreeSet<&str> = names["data"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    for rule in &rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        let query = rule["query"].as_str().unwrap();
        let asked = metrics(query);
        assert!(!asked.is_empty() || query.starts_with("up{"), "{query}");
        assert!(asked.is_subset(&known), "{query} asks for what nobody has");
        assert_ne!(rule["state"], "firing", "nothing is wrong with this farm: {rule}");
    }
}
