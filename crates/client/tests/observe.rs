//! `observe` and `observe-latest`: no line is lost, lines are shown as they come, the outcome is the exit status.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

mod support;

use builder_model::{BuildId, Timestamp};
use builder_wire::{Info, InfoRunning, Message, ScriptJob};
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::sync::mpsc;
use support::{BUILD, Peer, Server, UUID, client, frames, line, ran, run};

const SECOND: i64 = 1_000_000_000;

#[test]
fn lines_and_the_outcome() {
    let cases = [
        ("exited 0", 0),
        ("exited 1", 1),
        ("exited -1", 1),
        ("signalled -7", 1),
        ("stopped -16", 1),
        ("execution aborted: timeout", 1),
    ];
    for (outcome, status) in cases {
        let server = Server::sending(vec![frames(&[
            line(54_321, b"first"),
            line(87_067_000, b""),
            line(SECOND + 49_000_000, "tab\there ünï".as_bytes()),
            line(60 * SECOND, b"exited 0"),
            line(3600 * SECOND, b"exited 2"),
            line(90_000 * SECOND, outcome.as_bytes()),
            Message::Success,
        ])]);
        let result = run(&mut client(&["observe", UUID, "-r", &server.remote]));
        let expected = format!(
            "54.321μs first\n87.067ms \n1.049s tab\there ünï\n1m00s exited 0\n1h00m exited 2\n1d01h {outcome}\n"
        );
        assert_eq!(result, ran(status, &expected, ""));
        assert_eq!(server.commands(), [Message::Observe { build: BUILD }.encode().to_vec()]);
    }
}

#[test]
fn piped_lines_are_the_bytes_that_came() {
    let server = Server::sending(vec![frames(&[line(0, b"\xff\x1b[1m\0"), line(0, b"exited 0"), Message::Success])]);
    let output = client(&["observe", UUID, "-r", &server.remote]).output().unwrap();
    assert_eq!(output.stdout, b"0.000\xce\xbcs \xff\x1b[1m\0\n0.000\xce\xbcs exited 0\n");
}

#[test]
fn json_one_object_a_line() {
    let messages = [line(5, "a\"ü\n".as_bytes()), line(-6, b"\xff"), line(7, b"exited 3"), Message::Success];
    let server = Server::sending(vec![frames(&messages)]);
    let result = run(&mut client(&["observe", UUID, "-r", &server.remote, "--format", "json"]));
    let expected = "{\"delta_ns\":5,\"line\":\"a\\\"ü\\n\"}\n{\"delta_ns\":-6,\"line\":\"\\\\xff\"}\n\
                    {\"outcome\":\"exited 3\",\"success\":false}\n";
    assert_eq!(result, ran(1, expected, ""));
}

#[test]
fn ends_that_are_none() {
    let other = Message::Output { build: BuildId::from_bytes([2; 16]), line: b"x", delta: Some(1) };
    let server = Server::sending(vec![
        frames(&[Message::Failure { reason: b"uuid not found" }]),
        frames(&[line(1_000, b"a"), line(2_000, b"exited 0")]),
        frames(&[line(1_000, b"a"), Message::Success]),
        frames(&[other]),
    ]);
    let remote = server.remote.clone();
    let cut = format!(
        "builder-client: the connection to {remote} ended before build {UUID} did; it may still run\n\
         hint: observe it again: builder-client observe {UUID}\n"
    );
    let refused = "builder-client: the server refuses: uuid not found\nhint: `builder-client info` lists what is running, \
         `builder-client builds` what has ended\n";
    let unended = format!("builder-client: the server ended the console of build {UUID} without an outcome\n");
    let violation = "builder-client: the server sent Output where a line of the observed build was expected\n";
    let expected = [
        ran(124, "", refused),
        ran(124, "1.000μs a\n2.000μs exited 0\n", &cut),
        ran(124, "1.000μs a\n", &unended),
        ran(124, "", violation),
    ];
    for expected in expected {
        assert_eq!(run(&mut client(&["observe", UUID, "-r", &remote])), expected);
    }
}

#[test]
fn a_line_is_shown_before_the_next_one_comes() {
    let (go_on, wait) = mpsc::channel();
    let server = Server::start(1, move |_, stream| {
        let mut peer = Peer::greeted(stream);
        let command = peer.receive();
        for text in ["one", "two", "three"] {
            peer.send(&frames(&[line(1_000, text.as_bytes())]));
            wait.recv().unwrap();
        }
        peer.send(&frames(&[line(2_000, b"exited 0"), Message::Success]));
        command
    });
    let mut child = client(&["observe", UUID, "-r", &server.remote]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for text in ["one", "two", "three"] {
        assert_eq!(lines.next().unwrap().unwrap(), format!("1.000μs {text}"));
        go_on.send(()).unwrap();
    }
    assert_eq!(lines.next().unwrap().unwrap(), "2.000μs exited 0");
    assert!(child.wait().unwrap().success());
}

#[test]
fn many_lines_and_a_long_one_pass() {
    const COUNT: usize = 200_000;
    let long = vec![b'x'; builder_model::limits::LINE_BYTES_MAX];
    let mut bytes = Vec::new();
    for number in 0..COUNT {
        builder_wire::message::write_output_frame(&mut bytes, &BUILD, format!("line {number}").as_bytes(), Some(0));
    }
    bytes.extend(frames(&[line(0, &long), line(0, b"exited 0"), Message::Success]));
    let server = Server::sending(vec![bytes]);
    let result = run(&mut client(&["observe", UUID, "-r", &server.remote]));
    assert_eq!(result.status, 0, "{}", result.stderr);
    let mut lines = result.stdout.lines();
    for number in 0..COUNT {
        assert_eq!(lines.next(), Some(format!("0.000μs line {number}").as_str()));
    }
    assert_eq!(lines.next().map(str::len), Some("0.000μs ".len() + long.len()));
    assert_eq!(lines.collect::<Vec<_>>(), ["0.000μs exited 0"]);
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let (stop, stopped) = mpsc::channel::<()>();
    let server = Server::start(1, move |_, stream| {
        let mut peer = Peer::greeted(stream);
        let command = peer.receive();
        let bytes = frames(&[line(1, b"some line of the console")]);
        while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
            // The client closes its end when its own reader is gone.
            if std::io::Write::write_all(&mut peer.stream, &bytes).is_err() {
                break;
            }
        }
        command
    });
    let mut command = client(&["observe", UUID, "-r", &server.remote]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut String::new()).unwrap();
    drop(stdout);
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(124), ""));
    drop(stop);
}

#[test]
fn the_latest_build() {
    let running = |byte: u8, name: &'static [u8], platform: &'static [u8], second: i64| InfoRunning {
        started: Timestamp::from_milliseconds(second * 1000).unwrap(),
        build: BuildId::from_bytes([byte; 16]),
        job: ScriptJob { name, platform, script: b"" },
    };
    let info = Info {
        running: vec![running(0x33, b"k", b"q", 5), running(0x11, b"j", b"p", 9), running(0x22, b"k", b"p", 7)],
        ..Info::default()
    };
    let info = frames(&[Message::InfoReply(info), Message::Success]);
    let console = |byte: u8| {
        let line = |line| Message::Output { build: BuildId::from_bytes([byte; 16]), line, delta: Some(1) };
        frames(&[line(b"hi"), line(b"exited 1"), Message::Success])
    };
    let hi = "0.001μs hi\n0.001μs exited 1\n";
    let cases: [(&[&str], u8, &str); 3] = [
        (&["observe-latest"], 0x11, "Observing j on p (11111111-1111-1111-1111-111111111111)\n"),
        (&["observe-latest", "--job", "k"], 0x22, "Observing k on p (22222222-2222-2222-2222-222222222222)\n"),
        (&["observe-latest", "--platform", "q"], 0x33, "Observing k on q (33333333-3333-3333-3333-333333333333)\n"),
    ];
    for (arguments, byte, first) in cases {
        let server = Server::sending(vec![info.clone(), console(byte)]);
        let result = run(client(arguments).args(["-r", &server.remote]));
        assert_eq!(result, ran(1, &format!("{first}{hi}"), ""), "{arguments:?}");
    }
    let server = Server::sending(vec![info.clone(), info.clone(), info, console(0x11)]);
    let none = ["observe-latest", "--job", "none", "-r", &server.remote];
    assert_eq!(run(&mut client(&none)), ran(0, "No running jobs\n", ""));
    assert_eq!(run(client(&none).args(["--format", "json"])), ran(0, "{\"observing\":null}\n", ""));
    let json = run(&mut client(&["observe-latest", "--format", "json", "-r", &server.remote]));
    let first =
        "{\"observing\":{\"name\":\"j\",\"platform\":\"p\",\"uuid\":\"11111111-1111-1111-1111-111111111111\"}}\n";
    let rest = "{\"delta_ns\":1,\"line\":\"hi\"}\n{\"outcome\":\"exited 1\",\"success\":false}\n";
    assert_eq!(json, ran(1, &format!("{first}{rest}"), ""));
}
