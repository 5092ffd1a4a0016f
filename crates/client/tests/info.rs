//! `info` as text and as JSON.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

mod support;

use builder_model::{BuildId, Period, Timestamp};
use builder_wire::{Info, InfoQueue, InfoRunning, Job, Message, ScheduleEntry, ScriptJob};
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
            ScheduleEntry { next: Timestamp::MAX, period: Period::Never, job: orb },
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
    let value: serde_json::Value = serde_json::from_str(&result.stdout).unwrap();
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
            {"platform": "debian-12", "jobs": [www, hello]},
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
