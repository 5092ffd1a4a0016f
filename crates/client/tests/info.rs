//! `info` as text and as JSON.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

mod support;

use builder_model::{BuildId, Period, Timestamp};
use builder_wire::Ask;
use builder_wire::message::WaitRow;
use builder_wire::{Info, InfoQueue, InfoRunning, Job, Message, ScheduleEntry, ScriptJob};
use serde_json::Value;
use std::time::SystemTime;
use support::{Server, client, frames, ran, run, unhex};

/// A time this many seconds from now, in whole seconds, and how tables show it.
fn from_now(seconds: i64) -> (Timestamp, String) {
    let now = Timestamp::from(SystemTime::now()).milliseconds() / 1000;
    let time = Timestamp::from_milliseconds((now + seconds) * 1000).unwrap();
    (time, time.to_string().replace('T', " ").replace('Z', ""))
}

fn info(next: Timestamp, started: Timestamp) -> Info<'static> {
    let hello = ScriptJob { name: b"hello", platform: b"debian-12", script: b"make" };
    let orb = Job::Templated { name: b"www", package: b"mirage-www" };
    let odd = ScriptJob { name: b"\xff\x1b[31m", platform: b"p\"q", script: b"" };
    Info {
        schedule: vec![
            ScheduleEntry { next, period: Period::Daily, job: Job::Script(hello) },
            ScheduleEntry { next: Timestamp::MAX, period: Period::Never, job: orb.clone() },
        ],
        queues: vec![
            InfoQueue { platform: b"debian-12", jobs: vec![orb, Job::Script(hello)] },
            InfoQueue { platform: b"freebsd-14", jobs: vec![] },
        ],
        running: vec![InfoRunning { started, build: BuildId::from_bytes([0x11; 16]), job: odd }],
        dropped: vec![b"debian-9", b"ubuntu"],
    }
}

#[test]
fn tables_for_people() {
    let ((next, next_text), (started, started_text)) = (from_now(3 * 3600 + 600), from_now(-330));
    let server = Server::sending(vec![frames(&[Message::InfoReply(info(next, started)), Message::Success])]);
    let expected = format!(
        "dropped platforms: debian-9 ubuntu

schedule: 2 jobs
NAME   RUNS ON             PERIOD  NEXT
hello  debian-12           daily   {next_text}  in 3h
www    package mirage-www  never   never

queues: 2 jobs
PLATFORM    PLACE  NAME
debian-12   1      www    package mirage-www
debian-12   2      hello
freebsd-14  -      empty

running: 1 build
UUID                                  NAME          PLATFORM  SINCE
11111111-1111-1111-1111-111111111111  \\xff\\x1b[31m  p\"q       {started_text}  5m ago
"
    );
    assert_eq!(run(&mut client(&["info", "-r", &server.remote])), ran(0, &expected, ""));
}

/// The answers of a server of version 14, which is asked twice.
fn told(started: Timestamp) -> Vec<Vec<u8>> {
    let row = |job, reason: &'static str| WaitRow { platform: b"debian-12", job, reason: reason.as_bytes().into() };
    // A job that came after the picture was taken is no trouble, nor is one that is not told of.
    let waits = vec![row(b"new", "a free worker"), row(b"www", "a template: the platform has\x1b none")];
    vec![
        frames(&[Message::InfoReply(info(Timestamp::MAX, started)), Message::Success]),
        frames(&[Message::WaitsReply(waits), Message::Success]),
    ]
}

#[test]
fn what_jobs_wait_for_where_the_server_can_tell() {
    let server = Server::answering(told(Timestamp::MAX));
    let result = run(&mut client(&["info", "-r", &server.remote]));
    let expected = "
queues: 2 jobs
PLATFORM    PLACE  NAME                       WAITS FOR
debian-12   1      www    package mirage-www  a template: the platform has\\x1b none
debian-12   2      hello
freebsd-14  -      empty

running";
    assert!((result.status, result.stderr.as_str()) == (0, "") && result.stdout.contains(expected), "{result:?}");
    let commands = [Message::Info, Message::Ask(Ask::Waits)].map(|command| command.encode().to_vec());
    assert_eq!(server.commands(), commands);

    let server = Server::answering(told(Timestamp::MAX));
    let result = run(&mut client(&["info", "--format", "json", "-r", &server.remote]));
    let value: Value = serde_json::from_str(&result.stdout).unwrap();
    let waits: Vec<&Value> =
        value["queues"][0]["jobs"].as_array().unwrap().iter().map(|job| &job["waits_for"]).collect();
    assert_eq!(waits, [&Value::from("a template: the platform has\\x1b none"), &Value::Null]);
}

#[test]
fn nothing_at_all_and_an_old_server() {
    let old = unhex("a7083006300030003000");
    let mut old_frame = 10_u64.to_be_bytes().to_vec();
    old_frame.extend(old);
    old_frame.extend(frames(&[Message::Success]));
    let server = Server::sending(vec![frames(&[Message::InfoReply(Info::default()), Message::Success]), old_frame]);
    for _ in 0..2 {
        let expected = "dropped platforms: none\n\nschedule: 0 jobs\n\nqueues: 0 jobs\n\nrunning: 0 builds\n";
        assert_eq!(run(&mut client(&["info", "-r", &server.remote])), ran(0, expected, ""));
    }
}

#[test]
fn json_for_scripts() {
    let (next, started) = ("2024-09-04T12:34:56.789Z".parse().unwrap(), "2024-09-04T12:00:00Z".parse().unwrap());
    let server = Server::sending(vec![frames(&[Message::InfoReply(info(next, started)), Message::Success])]);
    let result = run(&mut client(&["--format", "json", "info", "-r", &server.remote]));
    assert_eq!((result.status, result.stderr.as_str()), (0, ""));
    let value: Value = serde_json::from_str(&result.stdout).unwrap();
    let queued = |job: &Value, waits_for: Value| {
        let mut job = job.clone();
        job["waits_for"] = waits_for;
        job
    };
    let hello = serde_json::json!({"name": "hello", "platform": "debian-12", "package": null});
    let www = serde_json::json!({"name": "www", "platform": null, "package": "mirage-www"});
    let expected = serde_json::json!({
        "dropped_platforms": ["debian-9", "ubuntu"],
        "schedule": [
            {"name": "hello", "platform": "debian-12", "package": null, "period": "daily",
             "next": "2024-09-04T12:34:56.789Z"},
            {"name": "www", "platform": null, "package": "mirage-www", "period": "never", "next": null},
        ],
        "queues": [
            {"platform": "debian-12", "jobs": [queued(&www, Value::Null), queued(&hello, Value::Null)]},
            {"platform": "freebsd-14", "jobs": []},
        ],
        "running": [
            {"uuid": "11111111-1111-1111-1111-111111111111", "name": "\\xff\\x1b[31m", "platform": "p\"q",
             "started": "2024-09-04T12:00:00Z"},
        ],
    });
    assert_eq!(value, expected);
}

#[test]
fn colours_only_when_wanted() {
    let reply = frames(&[Message::InfoReply(Info::default()), Message::Success]);
    let server = Server::sending(vec![reply; 3]);
    let colours = |command: &mut std::process::Command| run(command).stdout.contains('\x1b');
    assert!(!colours(&mut client(&["info", "-r", &server.remote])));
    assert!(colours(&mut client(&["info", "-r", &server.remote, "--color", "always"])));
    let mut forced = client(&["info", "-r", &server.remote]);
    assert!(!colours(forced.env("NO_COLOR", "1").env("CLICOLOR_FORCE", "1")));
}
