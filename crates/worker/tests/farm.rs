//! A worker and its server: finding it, losing it, and what people read when something is wrong.

mod common;

use builder_model::Outcome;
use builder_wire::{Message, ScriptJob};
use common::{BUILD, Server, Worker};
use nix::sys::signal::Signal;
use std::io::Write;
use std::net::TcpListener;

#[test]
fn a_looping_worker_does_one_job_after_the_other() {
    let server = Server::start();
    let worker = Worker::start(&server, &["--loop"]);
    for round in 0..3 {
        let finished = server.run(&format!("echo {round}; exit {round}"));
        assert_eq!((finished.text(), finished.outcome), (format!("{round}\n"), Outcome::Exited(round)));
    }
    worker.signal(Signal::SIGTERM);
    worker.ends_well();
}

#[test]
fn a_looping_worker_waits_for_a_server_that_is_away() {
    let server = Server::start();
    let address = server.address();
    let worker = Worker::start(&server, &["--loop"]);
    let peer = server.waiting();
    drop(server);
    drop(peer);
    common::eventually("the worker notices", || worker.stderr().contains("trying again"));
    let server = Server::restart_at(address);
    assert_eq!(server.run("echo back").text(), "back\n");
    // One that goes in the middle of a job is a server that is away, too.
    let mut peer = server.waiting();
    peer.schedule(b"echo started; sleep 1000");
    assert_eq!(peer.line(), "started");
    drop(peer);
    assert_eq!(server.run("echo again").text(), "again\n");
    worker.signal(Signal::SIGTERM);
    worker.ends_well();
}

#[test]
fn a_worker_without_a_server_says_so() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ended = Worker::start_at(&free.to_string(), "test-1", &[]).end();
    assert_eq!(ended.status, Some(124));
    let expected = format!("builder-worker: cannot connect to {free}: Connection refused (os error 111)\n");
    assert_eq!(ended.stderr, expected);
}

#[test]
fn a_platform_that_is_no_name_is_refused_before_connecting() {
    let server = Server::start();
    for (platform, message) in [
        ("a/b", "platform a/b may only have ASCII letters, digits and ._+-@ and may not start with a dot or a dash"),
        ("", "platform is empty"),
    ] {
        let ended = Worker::start_at(&server.address().to_string(), platform, &[]).end();
        assert_eq!((ended.status, ended.stderr), (Some(124), format!("builder-worker: {message}\n")));
    }
}

#[test]
fn mistakes_on_the_command_line_are_errors_like_others() {
    let server = Server::start();
    for (arguments, message) in [
        (
            &["--timeout", "5"][..],
            "builder-worker: invalid value '5' for '--timeout <DURATION>': expected a whole number",
        ),
        (
            &["--rootfs-digest", "a b"],
            "builder-worker: invalid value 'a b' for '--rootfs-digest <DIGEST>': a digest is 1 to 256 visible ASCII \
             characters, such as sha256:…",
        ),
        (&["--no-such"], "builder-worker: unexpected argument '--no-such' found"),
        (&["--remote", "nowhere"], "builder-worker: the argument '--remote <HOST:PORT>' cannot be used multiple times"),
    ] {
        let ended = Worker::start(&server, arguments).end();
        assert_eq!(ended.status, Some(124));
        assert!(ended.stderr.starts_with(message), "{}", ended.stderr);
    }
    let ended = Worker::start_at("nowhere", "test-1", &[]).end();
    assert_eq!(ended.status, Some(124));
    assert!(ended.stderr.contains("\"nowhere\" is not HOST:PORT: the port is missing"), "{}", ended.stderr);
}

#[test]
fn servers_that_are_none_are_told_apart() {
    let server = Server::start();
    let worker = Worker::start(&server, &[]);
    // With the newest version and the oldest.
    drop(server.accept());
    drop(server.accept());
    let ended = worker.end();
    assert_eq!(ended.status, Some(124));
    assert!(ended.stderr.contains("instead of saying hello") || ended.stderr.contains("reset"), "{}", ended.stderr);

    let worker = Worker::start(&server, &[]);
    let mut peer = server.accept();
    peer.stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    assert!(worker.end().stderr.contains("what is no message of the protocol"));

    let worker = Worker::start(&server, &[]);
    let mut peer = server.waiting();
    peer.send(&Message::Success);
    let ended = worker.end();
    assert_eq!((ended.status, &ended.left[..]), (Some(124), &[][..]));
    assert!(ended.stderr.contains("the server sent Success where a job was expected"), "{}", ended.stderr);

    let worker = Worker::start(&server, &[]);
    drop(server.waiting());
    assert!(worker.end().stderr.contains("closed the connection while we waited for a job"));
}

#[test]
fn a_job_for_another_platform_is_run() {
    let server = Server::start();
    let worker = Worker::start(&server, &[]);
    let mut peer = server.waiting();
    let job = ScriptJob { name: b"odd name/\x1b", platform: b"other", script: b"echo here" };
    peer.send(&Message::JobSchedule { build: BUILD, job });
    assert_eq!(peer.finish().text(), "here\n");
    drop(peer);
    let log = worker.ends_well();
    assert!(log.contains("name odd name/\\x1b on other"), "{log}");
    assert!(log.contains("the job is for other, and we are test-1"), "{log}");
}

#[test]
fn a_worker_that_cannot_make_folders_takes_no_job() {
    let server = Server::start();
    let worker = Worker::start(&server, &["--workdir", "/proc"]);
    let ended = worker.end();
    assert_eq!(ended.status, Some(124));
    assert!(ended.stderr.contains("--workdir"), "{}", ended.stderr);
}

#[test]
fn a_worker_that_cannot_fill_folders_takes_no_job() {
    let server = Server::start();
    let ended = Worker::start_limited(&server, 8, &[]).end();
    assert_eq!((ended.status, &ended.left[..]), (Some(124), &[][..]));
    assert!(ended.stderr.contains("builder-worker: cannot write to ") && ended.stderr.contains("--workdir"));

    let worker = Worker::start_limited(&server, 8, &["--loop"]);
    common::eventually("it tries and tries", || worker.pauses().len() == 3);
    // Each is between half of what it could be and all of it.
    assert!(worker.pauses().iter().zip([125, 250, 500]).all(|(&pause, least)| pause >= least && pause <= 2 * least));
    assert!(server.is_alone());
    worker.signal(Signal::SIGTERM);
    worker.ends_well();
}

#[test]
fn a_worker_at_fault_says_so_and_leaves_the_build_to_others() {
    let server = Server::start();
    let worker = Worker::start_limited(&server, 400, &["--loop"]);
    let long = [b"#!/bin/sh\n", &vec![b'#'; 1 << 20][..]].concat();
    let fails = || {
        let mut peer = server.waiting();
        peer.schedule(&long);
        let (lines, reason) = peer.refused();
        assert!(reason.starts_with("cannot write the script ") && reason.contains("too large"), "{reason}");
        assert_eq!(lines, [""; 0]);
    };
    (0..3).for_each(|_| fails());
    assert_eq!(server.run("echo fine").text(), "fine\n");
    fails();
    common::eventually("it pauses again", || worker.pauses().len() == 4);
    let least = [125, 250, 500, 125];
    let pauses = worker.pauses();
    assert!(pauses.iter().zip(least).all(|(&pause, least)| pause >= least && pause <= 2 * least), "{pauses:?}");
    worker.signal(Signal::SIGTERM);
    worker.ends_well();
}
