//! What a job prints, leaves and ends with is what the server gets.

mod common;

use builder_model::Outcome;
use builder_model::limits::LINE_BYTES_CUT;
use common::{Finished, PATIENCE, Server, Worker};
use std::time::Instant;

/// Runs one script with a worker of its own.
fn run(script: &str) -> Finished {
    let server = Server::start();
    let worker = Worker::start(&server, &[]);
    let finished = server.run(script);
    worker.ends_well();
    finished
}

#[test]
fn a_job_is_received_run_and_handed_in() {
    let server = Server::start();
    let worker = Worker::start(&server, &[]);
    let finished = server.run("#!/bin/sh\necho hello; echo x > artifact; exit 0\n");
    assert_eq!(finished.text(), "hello\n");
    assert_eq!(finished.outcome, Outcome::Exited(0));
    assert_eq!(finished.files, [("artifact".to_owned(), b"x\n".to_vec())]);
    let log = worker.ends_well();
    assert!(log.contains("received job uuid 07070707-0707-0707-0707-070707070707: name job on test-1"), "{log}");
}

#[test]
fn a_worker_that_was_told_what_it_runs_in_has_that_recorded() {
    let server = Server::start();
    let worker = Worker::start(&server, &["--rootfs-digest", "zfs-guid:8436572847108723394"]);
    let finished = server.run("env | grep -i digest");
    worker.ends_well();
    assert_eq!(finished.text(), "builder-worker: root file system of this worker (zfs-guid:8436572847108723394)\n");
    let recorded = ("rootfs-digest".to_owned(), b"zfs-guid:8436572847108723394\n".to_vec());
    assert_eq!((finished.outcome.to_string(), finished.files), ("exited 1".to_owned(), vec![recorded]));
}

#[test]
fn files_are_handed_in_whatever_the_status() {
    let finished = run("echo x > artifact; exit 7");
    assert_eq!((finished.outcome.to_string(), finished.paths()), ("exited 7".to_owned(), vec!["artifact"]));
}

#[test]
fn a_script_killed_by_a_signal_is_signalled_and_leaves_no_files() {
    for (signal, number) in [("KILL", -7), ("SEGV", -10), ("TERM", -11), ("USR1", -12), ("RTMIN+3", 37)] {
        let finished = run(&format!("#!/bin/bash\ntouch artifact\nkill -s {signal} $$\nsleep 100"));
        assert_eq!((finished.outcome, finished.files), (Outcome::Signalled(number), vec![]), "{signal}");
    }
}

#[test]
fn the_world_of_a_script() {
    let script = "pwd; echo $0; umask; ls -A; echo $FROM_OUTSIDE; readlink /proc/self/fd/0; stat -c %a . script.sh";
    for shebang in ["", "#!/bin/sh\n"] {
        let finished = run(&format!("{shebang}{script}"));
        let text = finished.text();
        let lines: Vec<&str> = text.lines().collect();
        let folder = lines[0];
        let (_, name) = folder.rsplit_once("/builder-").unwrap();
        assert!(name.len() == 6 && name.bytes().all(|byte| byte.is_ascii_hexdigit()), "{folder}");
        let script = format!("{folder}/script.sh");
        assert_eq!(lines[1], script);
        assert_eq!(lines[3..], ["script.sh", "inherited", "/dev/null", "700", "700"]);
        assert!(!std::path::Path::new(folder).exists());
    }
}

#[test]
fn interpreters_are_those_of_the_script() {
    assert_eq!(run("#!/bin/cat\ntext").text(), "#!/bin/cat\ntext\n");
    let finished = run("#!/no/such/interpreter\n");
    assert_eq!(finished.outcome, Outcome::Exited(127));
    assert_eq!(finished.text(), "builder-worker: cannot run script.sh: No such file or directory (os error 2)\n");
    assert_eq!(run("").outcome, Outcome::Exited(0));
    // The worker ignores SIGPIPE; a script that inherited that would hear of it here.
    assert_eq!(run("yes | head -n 1; echo end").text(), "y\nend\n");
}

#[test]
fn stdout_and_stderr_come_in_the_order_they_were_written() {
    let finished = run("for i in 1 2 3 4 5 6 7 8 9; do echo out $i; echo err $i >&2; done; printf 'no newline'");
    let expected: String = (1..10).map(|i| format!("out {i}\nerr {i}\n")).collect();
    assert_eq!(finished.text(), expected + "no newline\n");
}

#[test]
fn bytes_are_kept_and_endless_lines_are_cut() {
    let script = r"printf 'a\377\000b\r\n\n'; head -c 150000 /dev/zero | tr '\0' x; printf '\nend\n'";
    let finished = run(script);
    let cut = vec![b'x'; LINE_BYTES_CUT];
    let rest = vec![b'x'; 150_000 - 2 * LINE_BYTES_CUT];
    assert_eq!(finished.lines, [b"a\xff\0b\r".to_vec(), vec![], cut.clone(), cut, rest, b"end".to_vec()]);
}

#[test]
fn a_line_comes_at_once() {
    let server = Server::start();
    let worker = Worker::start(&server, &[]);
    let mut peer = server.waiting();
    peer.schedule(b"echo one; while [ ! -e go ]; do sleep 0.01; done; echo two");
    assert_eq!(peer.line(), "one");
    // The script waits for us now, so the line did not come because of the end.
    std::fs::write(worker.job_folder().join("go"), "").unwrap();
    assert_eq!(peer.line(), "two");
    assert_eq!(peer.finish().outcome, Outcome::Exited(0));
    drop(peer);
    worker.ends_well();
}

#[test]
fn artifacts_and_what_is_none() {
    let script = r"
        mkdir -p bin .git empty sub/.hidden; echo b > bin/b; echo a > bin/a; echo x > .dot; echo x > .git/config
        echo x > sub/.hidden/x; echo mine > sub/script.sh; : > zero
        ln -s bin/a link; ln -s bin tools; ln -s /etc/passwd passwd; ln -s nowhere broken; ln -s .. up
        mkfifo fifo; ln -s ../.. bin/out; printf x > 'with space'
        chmod 000 bin/b";
    let finished = run(script);
    let root_reads_all = nix::unistd::geteuid().is_root();
    let mut expected = vec!["bin/a", "link", "sub/script.sh", "tools/a", "with space", "zero"];
    if root_reads_all {
        expected.extend(["bin/b", "tools/b"]);
    }
    expected.sort_unstable();
    assert_eq!(finished.paths(), expected);
    assert_eq!(finished.files.iter().find(|(path, _)| path == "link").unwrap().1, b"a\n");
    let remarks = finished.text();
    for expected in [
        "builder-worker: not collected: bin/out is a link to ../.., outside the build's folder\n",
        "builder-worker: not collected: fifo is a FIFO\n",
        "builder-worker: not collected: passwd is a link to /etc/passwd, outside the build's folder\n",
        "builder-worker: not collected: up is a link to .., outside the build's folder\n",
        "builder-worker: not collected: broken is a link to nowhere, which cannot be followed: ",
    ] {
        assert!(remarks.contains(expected), "{expected}{remarks}");
    }
}

#[test]
fn large_artifacts_arrive_whole() {
    let finished = run("head -c 5000000 /dev/zero > zero; seq 1 300000 > seq; : > last");
    assert_eq!(finished.paths(), ["last", "seq", "zero"]);
    let seq: String = (1..=300_000).map(|i| format!("{i}\n")).collect();
    assert!(finished.files[1].1 == seq.as_bytes());
    assert!(finished.files[2].1 == vec![0; 5_000_000]);
}

#[test]
fn a_build_that_moved_its_folder_away_hands_in_nothing() {
    let finished = run("d=$PWD; mkdir sub; mv $d $d-moved; ln -s /etc $d; rm -r $d-moved; rm $d");
    assert_eq!(finished.outcome, Outcome::Exited(0));
    assert_eq!(finished.paths(), [""; 0]);
    assert_eq!(finished.text(), "builder-worker: not collected: the build's folder was moved away or removed\n");
}

#[test]
fn a_talkative_job_is_not_slowed_down() {
    let start = Instant::now();
    let finished = run("seq 1 300000");
    assert_eq!(finished.lines.len(), 300_000);
    assert_eq!(finished.lines[299_999], b"300000");
    assert!(start.elapsed() < PATIENCE);
}
