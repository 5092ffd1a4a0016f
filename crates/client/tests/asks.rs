//! The commands that need version 14: `builds`, `artifacts`, `uploads`; and `log`, which does not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

mod support;

use builder_model::{BuildId, Outcome, Timestamp};
use builder_wire::message::{ArtifactRow, AskBuilds, BuildRow, BuildsReply, UploadRow};
use builder_wire::{Ask, ClientVersion, Message};
use support::{BUILD, Peer, Server, UUID, client, frames, line, ran, run};

const ALL: AskBuilds<'_> = AskBuilds { count: 20, before: None, job: None, platform: None, failed: false };

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn build(number: i64, outcome: Outcome) -> BuildRow<'static> {
    BuildRow {
        number,
        build: BuildId::from_bytes([number as u8; 16]),
        job: b"hello",
        platform: b"debian-12",
        attempts: 1,
        started: time("2024-09-05T12:34:56Z"),
        finished: time("2024-09-05T12:35:57.250Z"),
        outcome,
        record_bytes: Some(300),
        uploaded: None,
    }
}

fn page(builds: Vec<BuildRow<'_>>, next: Option<i64>) -> Vec<u8> {
    frames(&[Message::BuildsReply(BuildsReply { builds, next }), Message::Success])
}

fn two_builds() -> Vec<BuildRow<'static>> {
    let kept =
        BuildRow { job: b"\xff\x1b", uploaded: Some(time("2024-09-05T12:36:00Z")), ..build(0x22, Outcome::Exited(0)) };
    vec![kept, BuildRow { record_bytes: None, ..build(0x11, Outcome::aborted("timeout")) }]
}

#[test]
fn builds_as_a_table_and_in_json() {
    let server = Server::answering(vec![page(two_builds(), None); 3]);
    let plain = run(&mut client(&["builds", "-r", &server.remote]));
    let expected = "\
FINISHED             JOB       PLATFORM   TOOK   OUTCOME                     UUID                                  UPLOADED
2024-09-05 12:35:57  \\xff\\x1b  debian-12  1m01s  exited 0                    22222222-2222-2222-2222-222222222222  yes
2024-09-05 12:35:57  hello     debian-12  1m01s  execution aborted: timeout  11111111-1111-1111-1111-111111111111  no
";
    assert_eq!(plain, ran(0, expected, ""));
    let colours = run(&mut client(&["builds", "--color", "always", "-r", &server.remote])).stdout;
    assert!(colours.contains("\x1b[32;1mexited 0") && colours.contains("\x1b[31;1mexecution aborted"), "{colours:?}");

    let json = run(&mut client(&["builds", "--format", "json", "-r", &server.remote]));
    let value: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let common = |mut value: serde_json::Value| {
        value["platform"] = "debian-12".into();
        value["attempts"] = 1.into();
        value["started"] = "2024-09-05T12:34:56Z".into();
        value["finished"] = "2024-09-05T12:35:57.250Z".into();
        value
    };
    let expected = serde_json::json!({ "builds": [
        common(serde_json::json!({
            "uuid": "22222222-2222-2222-2222-222222222222", "name": "\\xff\\x1b", "outcome": "exited 0",
            "success": true, "record_bytes": 300, "uploaded": "2024-09-05T12:36:00Z",
        })),
        common(serde_json::json!({
            "uuid": UUID, "name": "hello", "outcome": "execution aborted: timeout", "success": false,
            "record_bytes": null, "uploaded": null,
        })),
    ]});
    assert_eq!(value, expected);
}

#[test]
fn builds_are_asked_for_in_pages() {
    let pages = vec![
        page(vec![build(9, Outcome::Exited(0)), build(8, Outcome::Exited(0))], Some(8)),
        // A filter that few builds pass: an empty page that is not the last.
        page(Vec::new(), Some(4)),
        page(vec![build(3, Outcome::Exited(0))], Some(3)),
    ];
    let server = Server::answering(pages);
    let arguments = ["builds", "--count", "3", "--job", "j", "--platform", "p", "--failed", "-r", &server.remote];
    let result = run(&mut client(&arguments));
    assert_eq!((result.status, result.stdout.lines().count()), (0, 4), "{result:?}");
    let ask = |count, before| {
        let ask = AskBuilds { count, before, job: Some(b"j"), platform: Some(b"p"), failed: true };
        Message::Ask(Ask::Builds(ask)).encode().to_vec()
    };
    assert_eq!(server.commands(), [ask(3, None), ask(1, Some(8)), ask(1, Some(4))]);

    let server = Server::answering(vec![page(Vec::new(), Some(5)), page(Vec::new(), Some(5))]);
    let result = run(&mut client(&["builds", "-r", &server.remote]));
    let stderr =
        format!("builder-client: {} sends pages of its history that do not follow one another\n", server.remote);
    assert_eq!(result, ran(124, "", &stderr));

    let server = Server::answering(vec![page(Vec::new(), None)]);
    assert_eq!(run(&mut client(&["builds", "-r", &server.remote])), ran(0, "no such build\n", ""));
    assert_eq!(server.commands(), [Message::Ask(Ask::Builds(ALL)).encode().to_vec()]);
    assert_eq!(run(&mut client(&["builds", "--count", "0"])).status, 2);
}

#[test]
fn artifacts_of_a_build() {
    let rows = vec![
        ArtifactRow { path: b"bin/a\x1b", bytes: 300, sha256: [0xee; 32] },
        ArtifactRow { path: b"empty", bytes: 0, sha256: [0x01; 32] },
    ];
    let reply = frames(&[Message::ArtifactsReply(rows), Message::Success]);
    let refusal = frames(&[Message::Failure { reason: b"uuid not found" }]);
    let server = Server::answering(vec![reply.clone(), reply, refusal]);
    let arguments = ["artifacts", UUID, "-r", &server.remote];
    let (first, second) = ("ee".repeat(32), "01".repeat(32));
    let expected = format!("{first}           300  bin/a\\x1b\n{second}             0  empty\n");
    assert_eq!(run(&mut client(&arguments)), ran(0, &expected, ""));
    let json = run(client(&arguments).args(["--format", "json"]));
    let expected = format!(
        "{{\"artifacts\":[{{\"path\":\"bin/a\\u001b\",\"sha256\":\"{first}\",\"size\":300}},\
         {{\"path\":\"empty\",\"sha256\":\"{second}\",\"size\":0}}]}}\n"
    );
    assert_eq!(json, ran(0, &expected, ""));
    let refused = run(&mut client(&arguments));
    assert!(refused.status == 124 && refused.stderr.contains("uuid not found"), "{refused:?}");
    let ask = Message::Ask(Ask::Artifacts(BUILD)).encode().to_vec();
    assert_eq!(server.commands(), vec![ask; 3]);
}

#[test]
fn uploads_that_wait() {
    let rows = vec![
        UploadRow { build: BUILD, job: b"hello", tries: 12, error: Some(b"status 500\n") },
        UploadRow { build: BuildId::from_bytes([0x22; 16]), job: b"b", tries: 0, error: None },
    ];
    let reply = frames(&[Message::UploadsReply(rows), Message::Success]);
    let none = frames(&[Message::UploadsReply(Vec::new()), Message::Success]);
    let server = Server::answering(vec![reply.clone(), reply, none]);
    let expected = "\
UUID                                  JOB    TRIES  LAST ERROR
11111111-1111-1111-1111-111111111111  hello  12     status 500\\x0a
22222222-2222-2222-2222-222222222222  b      0
";
    assert_eq!(run(&mut client(&["uploads", "-r", &server.remote])), ran(0, expected, ""));
    let json = run(&mut client(&["uploads", "--format", "json", "-r", &server.remote]));
    let value: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let expected = serde_json::json!({ "uploads": [
        { "uuid": UUID, "name": "hello", "tries": 12, "error": "status 500\n" },
        { "uuid": "22222222-2222-2222-2222-222222222222", "name": "b", "tries": 0, "error": null },
    ]});
    assert_eq!(value, expected);
    assert_eq!(run(&mut client(&["uploads", "-r", &server.remote])), ran(0, "no upload waits\n", ""));
}

#[test]
fn a_log_is_the_console_and_its_outcome() {
    let console =
        frames(&[line(5, b"one"), line(1_500_000_000, b"two\xff"), line(2_000_000_000, b"exited 1"), Message::Success]);
    // An old server can show it, too.
    let server = Server::sending(vec![console; 3]);
    let plain = client(&["log", UUID, "-r", &server.remote]).output().unwrap();
    assert_eq!((plain.status.code(), &plain.stdout[..]), (Some(0), &b"one\ntwo\xff\nexited 1\n"[..]));
    let timed = client(&["log", "--durations", UUID, "-r", &server.remote]).output().unwrap();
    let expected = ["0.005μs one\n1.500s two".as_bytes(), b"\xff\n2.000s exited 1\n"].concat();
    assert_eq!((timed.status.code(), timed.stdout), (Some(0), expected));
    let json = run(&mut client(&["log", UUID, "--format", "json", "-r", &server.remote]));
    assert!(json.status == 0 && json.stdout.ends_with("{\"outcome\":\"exited 1\",\"success\":false}\n"), "{json:?}");
    assert_eq!(server.commands(), vec![Message::Observe { build: BUILD }.encode().to_vec(); 3]);
}

#[test]
fn an_old_server_cannot_tell() {
    for arguments in [&["builds"][..], &["artifacts", UUID], &["uploads"]] {
        let server = Server::start(2, |connection, stream| {
            let mut peer = Peer::new(stream);
            let hello = peer.receive();
            if connection == 1 {
                peer.send(&frames(&[Message::ServerHello]));
            }
            hello
        });
        let stderr = format!(
            "builder-client: the server at {} speaks protocol 13: it cannot tell\nhint: update builder-server there\n",
            server.remote
        );
        assert_eq!(run(client(arguments).args(["-r", &server.remote])), ran(124, "", &stderr));
        let hellos =
            [ClientVersion::Fourteen, ClientVersion::Thirteen].map(|version| version.hello().encode().to_vec());
        assert_eq!(server.commands(), hellos);
    }
}

#[test]
fn replies_that_may_not_come() {
    let other = frames(&[Message::UploadsReply(Vec::new()), Message::Success]);
    let server = Server::answering(vec![other, frames(&[Message::Success])]);
    for kind in ["UploadsReply", "Success"] {
        let result = run(&mut client(&["builds", "-r", &server.remote]));
        let stderr = format!("builder-client: the server sent {kind} where the reply to the question was expected\n");
        assert_eq!(result, ran(124, "", &stderr));
    }
}
