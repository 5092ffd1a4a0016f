//! Several workers as threads of one program that is none itself.

mod common;

use builder_model::Outcome;
use builder_worker::{Ended, Policy, Settings, Stop};
use common::{PATIENCE, Server};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const WORKERS: usize = 4;
const JOBS: usize = 40;

/// A test that fails must not wait for workers that loop.
struct StopAtEnd<'a>(&'a Stop);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

#[expect(clippy::unwrap_used, reason = "all of this is test")]
fn settings(server: &Server, workdir: &Path) -> Settings {
    Settings {
        platform: "test-1".parse().unwrap(),
        remote: server.address().to_string().parse().unwrap(),
        looping: true,
        timeout: None,
        workdir: workdir.to_owned(),
        grace: Duration::from_secs(1),
        policy: Policy::default(),
        rootfs_digest: None,
        slot: 0,
        supervisor_program: Some(PathBuf::from(env!("CARGO_BIN_EXE_builder-worker"))),
        orphans: None,
    }
}

#[test]
fn workers_in_one_process_do_not_get_in_each_others_way() {
    let (server, workdir, stop) = (Server::start(), tempfile::tempdir().unwrap(), Stop::new().unwrap());
    let settings = settings(&server, workdir.path());
    std::thread::scope(|scope| {
        let _stop_at_end = StopAtEnd(&stop);
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(|| builder_worker::run(&settings, &stop))).collect();
        for round in 0..JOBS / WORKERS {
            // All of them wait before one of them runs, so that they run at once.
            let mut peers: Vec<_> = (0..WORKERS).map(|_| server.waiting()).collect();
            for (index, peer) in peers.iter_mut().enumerate() {
                peer.schedule(format!("#!/bin/sh\necho {round}.{index}; pwd > here; exit {index}").as_bytes());
            }
            for (index, peer) in peers.iter_mut().enumerate() {
                let finished = peer.finish();
                assert_eq!(finished.text(), format!("{round}.{index}\n"));
                assert_eq!(finished.outcome, Outcome::Exited(i64::try_from(index).unwrap()));
                assert_eq!(finished.paths(), ["here"]);
            }
        }
        // Some of them wait, some run a job, when they are asked to stop.
        let mut busy = server.waiting();
        busy.schedule(b"echo started; sleep 1000");
        assert_eq!(busy.line(), "started");
        stop.stop();
        busy.vanishes();
        for worker in workers {
            assert_eq!(worker.join().unwrap().unwrap(), Ended::Stopped);
        }
    });
    assert_eq!(std::fs::read_dir(workdir.path()).unwrap().count(), 0);
}

#[test]
fn a_program_that_is_no_supervisor_is_noticed() {
    let (server, workdir, stop) = (Server::start(), tempfile::tempdir().unwrap(), Stop::new().unwrap());
    let program = Some(PathBuf::from("/bin/false"));
    let settings = Settings { looping: false, supervisor_program: program, ..settings(&server, workdir.path()) };
    std::thread::scope(|scope| {
        let _stop_at_end = StopAtEnd(&stop);
        let worker = scope.spawn(|| builder_worker::run(&settings, &stop));
        let mut peer = server.waiting();
        peer.schedule(b"echo never");
        let reason = "the build's supervisor ended before its time: exit status: 1";
        assert_eq!(peer.refused(), (vec![], reason.to_owned()));
        let error = worker.join().unwrap().unwrap_err().to_string();
        assert!(error.starts_with(reason), "{error}");
    });
}

#[test]
fn a_server_that_does_not_read_holds_the_job_up_and_nothing_else() {
    let (server, workdir, stop) = (Server::start(), tempfile::tempdir().unwrap(), Stop::new().unwrap());
    let settings = Settings { looping: false, ..settings(&server, workdir.path()) };
    std::thread::scope(|scope| {
        let _stop_at_end = StopAtEnd(&stop);
        let worker = scope.spawn(|| builder_worker::run(&settings, &stop));
        let mut peer = server.waiting();
        peer.schedule(b"echo $$; yes");
        let script = peer.process();
        // Its child is held up when it waits in the kernel for room in the pipe. A kernel that does not tell costs this
        // test its patience, not its result.
        let is_held_up = || {
            let child = std::fs::read_to_string(format!("/proc/{script}/task/{script}/children")).unwrap();
            let place = std::fs::read_to_string(format!("/proc/{}/wchan", child.trim()));
            place.is_ok_and(|place| place.contains("pipe"))
        };
        let until = Instant::now() + PATIENCE;
        while !is_held_up() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        stop.stop();
        assert_eq!(worker.join().unwrap().unwrap(), Ended::Stopped);
        common::dies(script);
    });
}
