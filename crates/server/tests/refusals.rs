//! What a client is told when it asks for what cannot be: each text, exactly.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

use builder_model::{BuildId, Outcome, Period, Timestamp, limits};
use builder_testkit::{Farm, Peer, command_bytes};
use builder_wire::session::client::HELLO;
use builder_wire::{Info, Message, Role, ScriptJob};

const BUILD: BuildId = BuildId::from_bytes([7; 16]);

fn script<'a>(name: &'a [u8], platform: &'a [u8]) -> Message<'a> {
    Message::Schedule { period: Period::Never, job: ScriptJob { name, platform, script: b"true" } }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_named() {
    let farm = Farm::start().await;
    farm.schedule("a", "p").await;
    farm.schedule("b", "q").await;
    assert_eq!(farm.command(&Message::DropPlatform { platform: b"q" }).await, Ok(()));
    let next = Timestamp::MAX;
    let table: [(Message<'_>, &str); 13] = [
        (script(b"a", b"p"), "job name already used"),
        (script(b"a", b"other"), "job name already used"),
        (script(b"c", b"q"), "platform dropped; can't schedule jobs"),
        (Message::Unschedule { name: b"x" }, "unknown job x"),
        (Message::Unschedule { name: b"b" }, "unknown job b"),
        (Message::Reschedule { name: b"x", next, period: None }, "couldn't find job x"),
        (Message::DropPlatform { platform: b"x" }, "unknown platform x"),
        (Message::UndropPlatform { platform: b"x" }, "unknown platform x"),
        (Message::UndropPlatform { platform: b"p" }, "unknown platform p"),
        (Message::Execute { name: b"x", platform: None }, "execute failed: job not found"),
        (Message::Execute { name: b"a", platform: Some(b"q") }, "execute failed: job is for a different platform: p"),
        (Message::Unschedule { name: b"\x1b[31m" }, "unknown job \\x1b[31m"),
        (Message::Observe { build: BUILD }, "uuid not found"),
    ];
    for (message, text) in table {
        assert_eq!(farm.command(&message).await, Err(text.to_owned()), "{message:?}");
    }
    assert_eq!(farm.info().await.queues, ["p: a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_checked_when_they_arrive() {
    let farm = Farm::start().await;
    let long = [b'x'; 129];
    let rule = "may only have ASCII letters, digits and ._+-@ and may not start with a dot or a dash";
    let table: [(&[u8], String); 11] = [
        (b"", "is empty".to_owned()),
        (&long, "has 129 bytes, at most 128 are allowed".to_owned()),
        (b"a/b", format!("a/b {rule}")),
        (b"..", format!(".. {rule}")),
        (b"../esc", format!("../esc {rule}")),
        (b".hidden", format!(".hidden {rule}")),
        (b"-flag", format!("-flag {rule}")),
        (b"a b", format!("a b {rule}")),
        (b"a\0b", format!("a\\x00b {rule}")),
        ("\u{fc}".as_bytes(), format!("\u{fc} {rule}")),
        (b"\xff", format!("\\xff {rule}")),
    ];
    for (bad, text) in table {
        assert_eq!(farm.command(&script(bad, b"p")).await, Err(format!("job name {text}")));
        assert_eq!(farm.command(&script(b"j", bad)).await, Err(format!("platform {text}")));
        let templated = Message::ScheduleTemplated { period: Period::Never, name: bad, package: b"o" };
        assert_eq!(farm.command(&templated).await, Err(format!("job name {text}")));
        let package = Message::ScheduleTemplated { period: Period::Never, name: b"j", package: bad };
        assert_eq!(farm.command(&package).await, Err(format!("package name {text}")));
    }
    assert!(farm.info().await.schedule.is_empty());
}

/// Names that would be dangerous were they used as they are, but that the rule allows.
#[tokio::test(flavor = "multi_thread")]
async fn names_of_our_own_files_are_harmless() {
    let farm = Farm::start().await;
    for name in ["state", "state.tmp", "builder-server.sqlite3", "builder-server.lock", &"x".repeat(128)] {
        farm.schedule(name, "p").await;
        let (worker, job) = farm.running("p").await;
        worker.finish(Outcome::Exited(0), &[("f", b"data")]).await;
        let seen = farm.observe(job.build).await;
        assert_eq!((seen.lines, seen.answer), (vec!["exited 0".to_owned()], Ok(())), "{name}");
    }
    assert!(!farm.grounds().data().join("state").exists());
    farm.restart().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_have_a_limit() {
    let farm = Farm::start().await;
    let largest = vec![b'x'; limits::SCRIPT_BYTES_MAX];
    let job = ScriptJob { name: b"large", platform: b"p", script: &largest };
    assert_eq!(farm.command(&Message::Schedule { period: Period::Never, job }).await, Ok(()));
    assert_eq!(farm.running("p").await.1.script.len(), largest.len());

    let larger = vec![b'x'; limits::SCRIPT_BYTES_MAX + 1];
    let job = ScriptJob { name: b"larger", platform: b"p", script: &larger };
    let refused = Err("the script has 4194305 bytes, at most 4194304 are taken".to_owned());
    assert_eq!(farm.command(&Message::Schedule { period: Period::Never, job }).await, refused);

    let largest_message = vec![b'x'; 5 << 20];
    let job = ScriptJob { name: b"larger", platform: b"p", script: &largest_message };
    let frame = Message::Schedule { period: Period::Never, job }.frame().to_vec();
    let refused = "the message Schedule announces 5242917 bytes, at most 4259840 are taken".to_owned();
    assert_eq!(command_bytes(farm.address(), &frame[..100]).await, Some(Err(refused)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_command_is_bad_communication() {
    let farm = Farm::start().await;
    let job = ScriptJob { name: b"j", platform: b"p", script: b"" };
    let messages = [
        HELLO,
        Message::ClientHello { role: Role::Worker, version: 5 },
        Message::ServerHello,
        Message::Success,
        Message::Failure { reason: b"no" },
        Message::InfoReply(Info::default()),
        Message::JobRequested { platform: b"p" },
        Message::JobSchedule { build: BUILD, job },
        Message::Output { build: BUILD, line: b"x", delta: None },
        Message::JobFinished { build: BUILD, outcome: Outcome::Exited(0), files: vec![] },
    ];
    for message in messages {
        assert_eq!(farm.command(&message).await, Err("bad communication".to_owned()), "{message:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_told() {
    let farm = Farm::start().await;
    let framed = |der: &[u8]| [&(der.len() as u64).to_be_bytes()[..], der].concat();
    let table: [(Vec<u8>, &str); 9] = [
        (framed(b"\x30\x03\x01"), "a frame starts with 0x30, which no message does"),
        (framed(b"\xbf\x02\x05\x00"), "a frame starts with 0xbf, which no message does"),
        (framed(b"\xbe\x02\x05\x00"), "bad communication"),
        (framed(b""), "a frame announces no bytes"),
        (framed(b"\xa0\x03\x02\x01\x05"), "bad communication"),
        (framed(b"\xa8\x02\x05\x00"), "bad communication"),
        (framed(b"\xa6\x02\x05\x00\x00"), "a message cannot be read: byte 4: surplus data"),
        (
            framed(b"\xa6\x81\x02\x05\x00"),
            "a message cannot be read: byte 0: the length is indefinite, not minimal or too large",
        ),
        (
            [&(1_u64 << 62).to_be_bytes()[..], b"\xa6\x02"].concat(),
            "the message Info announces 4611686018427387904 bytes, at most 1024 are taken",
        ),
    ];
    for (bytes, text) in table {
        let answer = command_bytes(farm.address(), &bytes).await;
        assert_eq!(answer, Some(Err(text.to_owned())), "{bytes:x?}");
    }
    assert_eq!(command_bytes(farm.address(), b"").await, None);
    assert_eq!(command_bytes(farm.address(), &framed(b"\xa6\x02\x05\x00")[..9]).await, None);
    assert_eq!(farm.info().await.builds, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_without_a_proper_hello_are_sent_away() {
    let farm = Farm::start().await;
    let hello = |role, version| Message::ClientHello { role, version }.frame().to_vec();
    let greetings = [
        hello(Role::Client, 12),
        hello(Role::Client, 15),
        hello(Role::Client, -1),
        hello(Role::Worker, 4),
        hello(Role::Worker, 7),
        Message::Info.frame().to_vec(),
        Message::ServerHello.frame().to_vec(),
        vec![0xff; 20],
        vec![0; 8],
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        [&u64::MAX.to_be_bytes()[..], b"\xae"].concat(),
    ];
    for greeting in greetings {
        let mut peer = Peer::connect(farm.address()).await;
        peer.offer_bytes(&greeting).await;
        peer.closed().await;
    }
    assert_eq!(farm.info().await.builds, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_command_a_connection() {
    let farm = Farm::start().await;
    let twice = [Message::Info.frame().to_vec(), script(b"a", b"p").frame().to_vec()].concat();
    let mut peer = Peer::connect(farm.address()).await;
    peer.send(&HELLO).await;
    peer.expect(&Message::ServerHello).await;
    peer.send_bytes(&twice).await;
    peer.expect(&Message::InfoReply(Info::default())).await;
    peer.expect(&Message::Success).await;
    peer.closed().await;
    assert!(farm.info().await.schedule.is_empty());
}
