//! No process of a job outlives the job, whatever ends it and whatever the job does against that.

mod common;

use builder_model::{BuildId, Outcome};
use builder_wire::{Message, ScriptJob};
use common::{Peer, Server, Worker, dies, is_alive, parent};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// A script that has a child, a child in a session of its own, and a daemon that nobody of the job is the parent of;
/// all of them ignore TERM and hold the console open.
const FAMILY: &str = r"
trap '' TERM
sleep 1000 & echo $!
setsid sh -c 'echo $$; touch one; exec sleep 1000' &
(setsid sh -c 'sh -c '\''echo $$; touch two; exec sleep 1000'\'' &') &
until [ -e one ] && [ -e two ]; do sleep 0.01; done; rm one two
echo $$
";
const ENDLESS: &str = "while :; do sleep 1000; done";

/// The processes of [`FAMILY`]; the last one is the script.
fn family(peer: &mut Peer) -> Vec<Pid> {
    let family: Vec<Pid> = (0..4).map(|_| peer.process()).collect();
    for &process in &family {
        assert!(is_alive(process), "{process}");
    }
    family
}

fn all_die(family: Vec<Pid>) {
    family.into_iter().for_each(dies);
}

/// A worker that runs this script behind [`FAMILY`].
fn start(script: &str, arguments: &[&str]) -> (Server, Worker, Peer, Vec<Pid>) {
    let server = Server::start();
    let worker = Worker::start(&server, &[&["--grace", "300ms"], arguments].concat());
    let mut peer = server.waiting();
    peer.schedule(format!("{FAMILY}\n{script}").as_bytes());
    let family = family(&mut peer);
    (server, worker, peer, family)
}

#[test]
fn what_a_script_leaves_running_is_ended_and_does_not_hold_the_build_up() {
    let (_server, worker, mut peer, family) = start("until [ -e go ]; do sleep 0.01; done; exit 3", &[]);
    std::fs::write(worker.job_folder().join("go"), "").unwrap();
    let finished = peer.finish();
    // Nobody is left by the time the build is handed in.
    assert!(!family.into_iter().any(is_alive));
    assert_eq!((finished.outcome.clone(), finished.paths()), (Outcome::Exited(3), vec!["go"]));
    assert_eq!(finished.text(), "builder-worker: ended 3 processes that the script left running\n");
    drop(peer);
    worker.ends_well();
}

#[test]
fn our_own_time_limit_ends_a_script_that_will_not_go() {
    let (_server, worker, mut peer, family) = start(ENDLESS, &["--timeout", "2s"]);
    let finished = peer.finish();
    assert!(!family.into_iter().any(is_alive));
    assert_eq!((finished.outcome, finished.files), (Outcome::aborted("timeout"), vec![]));
    assert_eq!(finished.lines, [b"builder-worker: the build ran longer than 2s and was ended"]);
    drop(peer);
    worker.ends_well();
}

#[test]
fn a_script_may_clean_up_within_the_grace() {
    let server = Server::start();
    let worker = Worker::start(&server, &["--timeout", "1s", "--grace", "20s"]);
    let start = Instant::now();
    let finished = server.run("trap 'echo cleaned up; exit 0' TERM; while :; do sleep 1000; done");
    assert_eq!(finished.outcome, Outcome::aborted("timeout"));
    assert!(finished.text().contains("cleaned up\n"), "{}", finished.text());
    assert!(start.elapsed() < Duration::from_secs(15));
    worker.ends_well();
}

#[test]
fn a_stopped_script_is_ended_too() {
    let server = Server::start();
    let worker = Worker::start(&server, &["--timeout", "1s"]);
    let finished = server.run("kill -STOP $$; echo woken; sleep 1000");
    assert_eq!(finished.outcome, Outcome::aborted("timeout"));
    worker.ends_well();
}

#[test]
fn a_server_that_goes_ends_the_job() {
    let (server, worker, peer, family) = start(ENDLESS, &[]);
    drop(peer);
    drop(server);
    all_die(family);
    let ended = worker.end();
    assert_eq!((ended.status, &ended.left[..]), (Some(124), &[][..]));
    assert!(ended.stderr.contains("builder-worker: the server ended the build"), "{}", ended.stderr);
}

#[test]
fn a_server_that_speaks_during_the_job_ends_it() {
    let (_server, worker, mut peer, family) = start(ENDLESS, &[]);
    let job = ScriptJob { name: b"second", platform: b"test-1", script: b"" };
    peer.send(&Message::JobSchedule { build: BuildId::from_bytes([9; 16]), job });
    peer.vanishes();
    all_die(family);
    let ended = worker.end();
    assert_eq!((ended.status, &ended.left[..]), (Some(124), &[][..]));
    assert!(ended.stderr.contains("the server sent bytes while the job ran"), "{}", ended.stderr);
}

#[test]
fn a_worker_that_is_asked_to_stop_ends_the_job_and_does_not_hand_it_in() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (_server, worker, mut peer, family) = start(ENDLESS, &["--loop"]);
        worker.signal(signal);
        peer.vanishes();
        all_die(family);
        let log = worker.ends_well();
        assert!(log.contains("asked to stop"), "{log}");
    }
}

#[test]
fn a_waiting_worker_stops_at_once() {
    let server = Server::start();
    let worker = Worker::start(&server, &[]);
    let mut peer = server.waiting();
    worker.signal(Signal::SIGTERM);
    peer.vanishes();
    worker.ends_well();
}

#[test]
fn a_killed_worker_takes_its_job_along() {
    let (_server, worker, mut peer, family) = start(ENDLESS, &[]);
    worker.signal(Signal::SIGKILL);
    peer.vanishes();
    all_die(family);
    let ended = worker.end();
    // The folder, and whose it was: by that the next worker knows that it may remove it.
    assert_eq!((ended.status, ended.left.len()), (None, 2));
}

#[test]
fn a_job_that_kills_its_supervisor_wins_nothing() {
    let (_server, worker, mut peer, family) = start("while [ ! -e /proc/$PPID/nothing ]; do sleep 0.1; done", &[]);
    let script = *family.last().unwrap();
    kill(parent(script), Signal::SIGKILL).unwrap();
    let finished = peer.finish();
    assert!(!family.into_iter().any(is_alive));
    let reason = "the build's supervisor ended before its time: signal: 9 (SIGKILL)";
    assert_eq!(finished.outcome, Outcome::aborted(reason));
    assert_eq!(finished.text(), format!("builder-worker: {reason}\n"));
    drop(peer);
    worker.ends_well();
}

#[test]
fn a_supervisor_that_is_asked_to_end_ends_the_job() {
    let (_server, worker, mut peer, family) = start(ENDLESS, &[]);
    kill(parent(*family.last().unwrap()), Signal::SIGTERM).unwrap();
    let finished = peer.finish();
    assert!(!family.into_iter().any(is_alive));
    assert_eq!(finished.outcome, Outcome::Signalled(-7));
    drop(peer);
    worker.ends_well();
}

#[test]
fn processes_that_keep_forking_are_caught() {
    let server = Server::start();
    let worker = Worker::start(&server, &["--grace", "100ms", "--timeout", "1s"]);
    let mut peer = server.waiting();
    // Each one starts the next, in a session of its own, and ends.
    peer.schedule(
        b"cat > next <<'E'\ntrap '' TERM\nsleep 0.01\necho alive\nsetsid sh ./next &\nE\nsh ./next & sleep 1000",
    );
    let finished = peer.finish();
    assert_eq!(finished.outcome, Outcome::aborted("timeout"));
    assert!(!finished.text().contains("cannot be killed"), "{}", finished.text());
    drop(peer);
    worker.ends_well();
}
