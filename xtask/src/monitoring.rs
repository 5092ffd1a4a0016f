//! The files for Prometheus and Grafana in `packaging/monitoring`: every metric that they ask for is one of ours, and
//! alerts are told when they should be. That a real farm has the numbers is for a test of `crates/builder`.

use crate::command::root;
use std::process::Command;

/// Where metrics are registered, and the prefix of their names.
const SOURCES: [(&str, &str); 2] =
    [("crates/server/src/metrics.rs", "builder_"), ("crates/web/src/metrics.rs", "builder_web_")];
const FILES: [&str; 2] = ["builder.rules.yml", "builder.dashboard.json"];
/// What the text format puts behind the name of a metric without and with a unit.
const PLAIN: [&str; 2] = ["", "_total"];
const WITH_UNIT: [&str; 6] =
    ["_seconds_bucket", "_seconds_count", "_seconds_sum", "_seconds", "_bytes", "_bytes_total"];

/// The names that a source registers, each with what may stand behind it.
fn registered(source: &str, prefix: &str) -> Vec<(String, &'static [&'static str])> {
    let calls: [(&str, &[&str]); 2] = [("register(\"", &PLAIN), ("register_with_unit(\"", &WITH_UNIT)];
    let mut names = Vec::new();
    for (call, endings) in calls {
        for behind in source.split(call).skip(1) {
            let name = behind.split('"').next().unwrap_or_default();
            names.push((format!("{prefix}{name}"), endings));
        }
    }
    names
}

/// The words of a text that look like a metric.
fn asked(text: &str) -> Vec<&str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("builder_")).collect()
}

#[test]
fn rules_and_dashboard_ask_for_metrics_that_exist() {
    let mut known = Vec::new();
    for (path, prefix) in SOURCES {
        let names = registered(&std::fs::read_to_string(root().join(path)).unwrap(), prefix);
        assert!(names.len() >= 9, "{path} registers {names:?}");
        known.extend(names);
    }
    for file in FILES {
        let text = std::fs::read_to_string(root().join("packaging/monitoring").join(file)).unwrap();
        let asked = asked(&text);
        assert!(asked.len() > 10, "{file}");
        for word in asked {
            let is_known = known.iter().any(|(name, endings)| {
                word.strip_prefix(name.as_str()).is_some_and(|ending| endings.contains(&ending))
            });
            assert!(is_known, "{file} asks for {word}, which is registered nowhere");
        }
    }
}

#[test]
fn the_dashboard_is_json_whose_panels_all_ask_something() {
    let text = std::fs::read(root().join("packaging/monitoring/builder.dashboard.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        assert!(panel["targets"].as_array().is_some_and(|targets| !targets.is_empty()), "{}", panel["title"]);
    }
}

fn promtool(arguments: &[&str]) {
    let output = Command::new("promtool").args(arguments).current_dir(root()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn promtool_finds_nothing_in_the_rules() {
    promtool(&["check", "rules", "packaging/monitoring/builder.rules.yml"]);
}

#[test]
fn promtool_sees_every_alert_told_when_it_should_be() {
    let stories = "xtask/src/monitoring.alerts.yml";
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let (rules, told) = (read("packaging/monitoring/builder.rules.yml"), read(stories));
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(told.contains(&format!("- alertname: {alert}\n")), "{stories} has no trouble for {alert}");
        assert!(told.contains(&format!("{{alertname: {alert}, ")), "{stories} has no peace for {alert}");
    }
    promtool(&["test", "rules", stories]);
}
