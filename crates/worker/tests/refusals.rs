//! What a worker does when its host breaks just when a job is to begin: the job is refused, and no other one asked for
//! before the host is well again.

#![expect(clippy::unwrap_used, reason = "all of this is test")]

mod common;

use builder_model::Outcome;
use builder_testkit::Farm;
use builder_wire::WorkerVersion;
use common::{Said, Server, Worker, eventually};
use nix::sys::signal::Signal;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// What the supervisor inside of bubblewrap says when there is no bwrap.
const NO_BWRAP: &str = "cannot start the sandbox bubblewrap: ";
const SANDBOX_NOTE: &str = "builder-worker: sandbox bubblewrap, the host's programs, network off";

/// A host's bwrap, which can go and come back.
struct Bubblewrap {
    folder: TempDir,
}

impl Bubblewrap {
    fn installed() -> Self {
        // What lies in /tmp is hidden from those who start it.
        let bubblewrap = Self { folder: tempfile::tempdir_in("/var/tmp").unwrap() };
        bubblewrap.install();
        bubblewrap
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("bwrap")
    }

    fn install(&self) {
        // Only whole is it there.
        let copy = self.folder.path().join("new");
        std::fs::copy("/usr/bin/bwrap", &copy).unwrap();
        std::fs::rename(copy, self.path()).unwrap();
    }

    fn remove(&self) {
        std::fs::remove_file(self.path()).unwrap();
    }

    /// A worker that finds no other one.
    fn worker(&self, remote: &str, arguments: &[&str]) -> Worker {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "PATH=$FOLDER exec \"$0\" \"$@\"", common::PROGRAM]).env("FOLDER", self.folder.path());
        Worker::spawn(command, remote, "test-1", &[&["--sandbox", "bubblewrap"], arguments].concat())
    }
}

fn stop(worker: Worker) -> String {
    worker.signal(Signal::SIGTERM);
    worker.ends_well()
}

#[test]
fn a_worker_without_its_bubblewrap_refuses_and_stays_away_until_it_is_back() {
    let (server, bubblewrap) = (Server::start(), Bubblewrap::installed());
    let worker = bubblewrap.worker(&server.address().to_string(), &["--loop"]);
    assert_eq!(server.run("exit 1").outcome, Outcome::Exited(1));
    let mut peer = server.waiting();
    bubblewrap.remove();
    peer.schedule(b"echo never");
    let (lines, reason) = peer.refused();
    assert_eq!(lines, [SANDBOX_NOTE]);
    assert!(reason.starts_with(NO_BWRAP) && reason.contains(bubblewrap.path().to_str().unwrap()), "{reason}");
    eventually("it looks again and again", || worker.pauses().len() >= 4);
    assert!(server.is_alone());
    bubblewrap.install();
    assert_eq!(server.run("exit 2").outcome, Outcome::Exited(2));
    let log = stop(worker);
    assert!(log.contains("asking for no other job before one for a trial has run here"), "{log}");
    assert!(log.contains("this host cannot give what the policy asks: bwrap: is not in PATH"), "{log}");
    assert_eq!(log.matches("a job for a trial ran here: asking for jobs again").count(), 1, "{log}");
}

#[test]
fn an_old_server_is_told_in_the_console_why_bubblewrap_did_not_begin_the_job() {
    let (server, bubblewrap) = (Server::start(), Bubblewrap::installed());
    let worker = bubblewrap.worker(&server.address().to_string(), &["--loop"]);
    server.accept().hello(WorkerVersion::Six);
    let mut peer = server.accept();
    peer.greet_as(WorkerVersion::Five);
    bubblewrap.remove();
    peer.schedule(b"echo never");
    assert_eq!(peer.line(), SANDBOX_NOTE);
    let line = peer.line();
    assert!(line.starts_with(&format!("builder-worker: {NO_BWRAP}")), "{line}");
    assert_eq!(peer.said(), Said::End);
    eventually("it looks again and again", || worker.pauses().len() >= 3);
    assert!(server.is_alone());
    bubblewrap.install();
    // It remembers the version until the server goes: then there may be another one.
    let mut peer = server.accept();
    peer.greet_as(WorkerVersion::Five);
    peer.schedule(b"exit 2");
    assert_eq!(peer.finish().outcome, Outcome::Exited(2));
    drop(peer);
    let mut peer = server.accept();
    peer.greet_as(WorkerVersion::Five);
    drop(peer);
    assert_eq!(server.run("exit 3").outcome, Outcome::Exited(3));
    stop(worker);
}

#[test]
fn a_root_file_system_that_is_gone_when_a_job_comes_to_bubblewrap_is_a_refusal() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("small");
    common::root::make(&root);
    let server = Server::start();
    let worker = Worker::start(&server, &["--sandbox", "bubblewrap", "--root", root.to_str().unwrap()]);
    let mut peer = server.waiting();
    std::fs::remove_dir_all(&root).unwrap();
    peer.schedule(b"echo never");
    let (lines, reason) = peer.refused();
    assert_eq!(lines, [""; 0]);
    assert!(reason.starts_with("this host cannot give what the policy asks: root file system: "), "{reason}");
    let ended = worker.end();
    assert_eq!((ended.status, &ended.left[..]), (Some(124), &[][..]));
}

#[test]
fn a_supervisor_that_cannot_enter_its_group_says_so_before_it_begins() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let mut command = Command::new(common::PROGRAM);
    command.args(["__builder-supervise", "1000", "--group", "/nowhere/at/all"]);
    command.stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)));
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    drop(command);
    let mut said = String::new();
    ours.read_to_string(&mut said).unwrap();
    assert!(said.starts_with("lost cannot supervise the job: ") && said.contains("No such file"), "{said:?}");
    assert_eq!((output.status.code(), &output.stdout[..], &output.stderr[..]), (Some(1), &[][..], &[][..]));
    // Nobody listens to what it gets.
    ours.write_all(b"e").unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_from_a_worker_without_bubblewrap_to_another_one_at_no_cost() {
    let farm = Farm::start().await;
    let (remote, bubblewrap) = (farm.address().to_string(), Bubblewrap::installed());
    let broken = bubblewrap.worker(&remote, &["--loop"]);
    farm.queues_become(&["test-1:"]).await;
    bubblewrap.remove();
    farm.schedule("a", "test-1").await;
    farm.queues_become(&["test-1: a"]).await;
    // Who comes now gets it after the pause; the broken one does not ask.
    let well = Worker::start_at(&remote, "test-1", &["--timeout", "1h"]);
    let ended = builder_testkit::eventually("the build ends", async || farm.grounds().history().pop()).await;
    assert_eq!((ended.outcome, ended.attempts), (Outcome::Exited(0), 2));
    well.ends_well();
    let console = farm.observe(ended.build).await.lines;
    let told = format!("builder-server: the worker refuses the build: {NO_BWRAP}");
    assert_eq!(console[0], SANDBOX_NOTE);
    assert!(console[1].starts_with(&told), "{console:#?}");
    assert_eq!(console[2..], ["builder-server: attempt 2 begins", "a", "exited 0"]);
    stop(broken);
}
