//! Several jobs at the same time in one process tree.

mod common;

use builder_model::Outcome;
use common::{Server, Worker, dies, is_alive};
use nix::sys::signal::Signal;

#[test]
fn a_pool_runs_its_jobs_side_by_side_and_ends_in_good_order() {
    let server = Server::start();
    let worker = Worker::start(&server, &["--loop", "--jobs", "3", "--grace", "300ms"]);
    let mut peers: Vec<_> = (0..3).map(|_| server.waiting()).collect();
    for (index, peer) in peers.iter_mut().enumerate() {
        peer.schedule(format!("echo $$; until [ -e go ]; do sleep 0.01; done; exit {index}").as_bytes());
    }
    let scripts: Vec<_> = peers.iter_mut().map(common::Peer::process).collect();
    assert!(scripts.iter().all(|script| is_alive(*script)));
    // One ends, and another job takes its place while the others go on.
    let folder = std::fs::read_link(format!("/proc/{}/cwd", scripts[1])).unwrap();
    std::fs::write(folder.join("go"), "").unwrap();
    assert_eq!(peers.remove(1).finish().outcome, Outcome::Exited(1));
    let mut next = server.waiting();
    next.schedule(b"echo $$; sleep 1000");
    let script = next.process();
    worker.signal(Signal::SIGTERM);
    for peer in peers.iter_mut().chain([&mut next]) {
        peer.vanishes();
    }
    for script in scripts.into_iter().chain([script]) {
        dies(script);
    }
    worker.ends_well();
}

#[test]
fn a_pool_that_does_not_loop_runs_one_job_each() {
    let server = Server::start();
    let worker = Worker::start(&server, &["--jobs", "2"]);
    let mut peers: Vec<_> = (0..2).map(|_| server.waiting()).collect();
    for peer in &mut peers {
        peer.schedule(b"exit 0");
        assert_eq!(peer.finish().outcome, Outcome::Exited(0));
    }
    drop(peers);
    worker.ends_well();
}
