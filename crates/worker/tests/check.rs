//! `builder-worker check`, and workers that refuse because of what it would say.

#![expect(clippy::unwrap_used, reason = "all of this is test")]
mod common;

use common::{Server, Worker};
use std::process::{Command, Output};

fn worker(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_builder-worker")).args(arguments).env_remove("BUILDER_REMOTE").output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_host_that_gives_everything_passes() {
    let output = worker(&["check", "--sandbox", "none"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("a job for a trial  works    ran in "), "{text}");
}

#[test]
fn without_a_choice_each_kind_is_held_against_the_host() {
    let output = worker(&["check", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &json["works"]), (Some(0), &true.into()), "{json:#}");
    let survey = json["survey"].as_array().unwrap();
    for subject in ["bubblewrap", "container", "nspawn", "memory limit", "processor limit", "process limit"] {
        let found = survey.iter().find(|finding| finding["subject"] == subject).unwrap();
        // Whatever is missing, it is said how it could be had.
        assert!(found["state"] == "works" || found["mend"].is_string(), "{found:#}");
    }
    let said = stdout(&worker(&["check"]));
    assert!(said.contains("\nNo sandbox is chosen") && said.contains("\nnspawn "), "{said}");
    for chosen in ["none", "bubblewrap"] {
        let said = stdout(&worker(&["check", "--sandbox", chosen]));
        assert!(!said.contains("No sandbox is chosen"), "{said}");
    }
}

#[test]
fn a_host_with_bubblewrap_passes() {
    let output = worker(&["check", "--sandbox", "bubblewrap"]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
}

#[test]
fn what_is_missing_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("builder-worker.toml");
    std::fs::write(&config, "[platform.debian-12]\nsandbox = 'bubblewrap'\nroot = '/nowhere'\nread-only = ['/none']\n")
        .unwrap();
    let config = config.to_str().unwrap();
    assert_eq!(worker(&["check", "--config", config]).status.code(), Some(0), "another platform");
    let output = worker(&["check", "--config", config, "--platform", "debian-12", "--format", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let missing: Vec<_> = json["findings"].as_array().unwrap().iter().filter(|f| f["state"] == "missing").collect();
    let subjects: Vec<_> = missing.iter().map(|finding| finding["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects[..2], ["root file system", "/none"]);
    assert!(missing[0]["mend"].as_str().unwrap().contains("builder rootfs create"));

    // The worker takes no job.
    let server = Server::start();
    let config = ["--config", config, "--sandbox", "bubblewrap", "--root", "/nowhere"];
    let ended = Worker::start(&server, &config).end();
    assert_eq!((ended.status, server.is_alone()), (Some(124), true));
    let expected =
        "this host cannot give what the policy asks: root file system: there is no root file system in /nowhere";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
}

#[test]
fn no_job_may_run_as_root_of_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("policy.toml");
    for kind in ["bubblewrap", "container", "nspawn"] {
        let more = if kind == "bubblewrap" { "" } else { "root = '/'\n" };
        for name in ["root", "0"] {
            std::fs::write(&config, format!("sandbox = '{kind}'\n{more}host-user = '{name}'\n")).unwrap();
            let output = worker(&["check", "--config", config.to_str().unwrap(), "--format", "json"]);
            let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            let found = json["findings"].as_array().unwrap().iter().find(|finding| finding["subject"] == "host-user");
            let found = found.unwrap();
            assert_eq!((output.status.code(), &found["state"]), (Some(1), &"missing".into()), "{kind}, {name}");
            assert!(found["detail"].as_str().unwrap().contains("is root of the host"), "{found}");
        }
    }
}

#[test]
fn what_would_only_fail_in_the_trial_in_bubblewrap_is_found_before() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("policy.toml");
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    for (policy, subject, detail) in [
        (format!("root = '{}'", empty.display()), "root file system", "there is no /bin/sh in "),
        ("writable = ['/etc/passwd']".to_owned(), "/etc/passwd", "is made anew for each job"),
    ] {
        std::fs::write(&config, format!("sandbox = 'bubblewrap'\n{policy}\n")).unwrap();
        let output = worker(&["check", "--config", config.to_str().unwrap(), "--format", "json"]);
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = json["findings"].as_array().unwrap();
        let found: Vec<_> = findings.iter().filter(|finding| finding["subject"] == subject).collect();
        assert_eq!((found.len(), &found[0]["state"]), (1, &"missing".into()), "{json:#}");
        assert!(found[0]["detail"].as_str().unwrap().contains(detail), "{json:#}");
        assert!(findings.iter().all(|finding| finding["subject"] != "a job for a trial"), "{json:#}");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn a_trial_in_bubblewrap_that_fails_does_not_send_to_the_check_that_ran_it() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("hollow");
    std::fs::create_dir_all(root.join("usr/bin")).unwrap();
    std::os::unix::fs::symlink("usr/bin", root.join("bin")).unwrap();
    std::fs::write(root.join("usr/bin/sh"), "no program").unwrap();
    let output = worker(&["check", "--sandbox", "bubblewrap", "--root", root.to_str().unwrap()]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("a job for a trial       missing ") && text.contains("do: see to what it names"), "{text}");
    assert!(!text.contains("builder-worker check"), "{text}");
}

#[test]
fn a_policy_that_makes_no_sense_is_an_error_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("policy.toml");
    std::fs::write(&config, "sandbox = 'bubblewrap'\nnetworks = true\n").unwrap();
    let output = worker(&["check", "--config", config.to_str().unwrap()]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(124));
    assert!(stderr.contains("policy.toml: TOML parse error at line 2") && stderr.contains("networks"), "{stderr}");
}

#[test]
fn a_platform_may_be_called_like_a_command() {
    let output = worker(&["--remote", "127.0.0.1:1", "--", "check"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(124));
    assert!(stderr.contains("cannot connect to 127.0.0.1:1"), "{stderr}");
}

#[test]
fn completions_and_pages_come_from_the_definition() {
    let folder = tempfile::tempdir().unwrap();
    let output = worker(&["man", folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    let page = std::fs::read_to_string(folder.path().join("builder-worker.1")).unwrap();
    assert!(page.contains("sandbox"), "{page}");
    for shell in ["bash", "zsh", "fish"] {
        assert!(stdout(&worker(&["completions", shell])).contains("sandbox"), "{shell}");
    }
}
