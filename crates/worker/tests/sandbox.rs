//! Jobs in real sandboxes: what they find there, and how their end is told.

#![expect(clippy::unwrap_used, reason = "all of this is test")]

mod common;

use builder_model::Outcome;
use common::{Finished, Server, Worker};

const BUBBLEWRAP: &[&str] = &["--sandbox", "bubblewrap"];
/// The line that each build in a sandbox begins with.
const NOTE: &str = "builder-worker: sandbox bubblewrap, the host's programs, network off\n";

/// Runs one script in bubblewrap with a worker of its own.
fn run(script: &str) -> Finished {
    let server = Server::start();
    let worker = Worker::start(&server, BUBBLEWRAP);
    let finished = server.run(script);
    worker.ends_well();
    finished
}

/// The console without the worker's own first line.
#[track_caller]
fn console(finished: &Finished) -> String {
    let text = finished.text();
    assert!(text.starts_with(NOTE), "{text}");
    text[NOTE.len()..].to_owned()
}

#[test]
fn the_world_inside_bubblewrap_is_always_the_same() {
    let script = "pwd; echo $0; id; hostname; umask; env | LC_ALL=C sort; echo /*; ls -A . /tmp /var/tmp; echo $PPID; \
        readlink /proc/self/fd/0; echo x > artifact";
    for shebang in ["", "#!/bin/sh\n"] {
        let finished = run(&format!("{shebang}{script}"));
        let expected = "/build\n/build/script.sh\nuid=1000(build) gid=1000(build) groups=1000(build)\nbuilder\n0022\n\
            HOME=/build\nLANG=C.UTF-8\nLC_ALL=C.UTF-8\nLOGNAME=build\n\
            PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nPWD=/build\nSHELL=/bin/sh\n\
            TMPDIR=/tmp\nTZ=UTC\nUSER=build\n\
            /bin /build /dev /etc /lib /lib64 /proc /run /sbin /tmp /usr /var\n\
            .:\nscript.sh\n\n/tmp:\n\n/var/tmp:\n1\n/dev/null\n";
        assert_eq!(console(&finished), expected);
        assert_eq!(finished.outcome, Outcome::Exited(0));
        assert_eq!(finished.files, [("artifact".to_owned(), b"x\n".to_vec())]);
    }
}

#[test]
fn the_end_of_a_script_in_bubblewrap_is_told_exactly() {
    for (script, outcome) in [
        ("exit 7", Outcome::Exited(7)),
        ("exit 137", Outcome::Exited(137)),
        ("kill -KILL $$; sleep 100", Outcome::Signalled(-7)),
        ("kill -TERM $$; sleep 100", Outcome::Signalled(-11)),
    ] {
        let finished = run(script);
        assert_eq!((console(&finished), finished.outcome), (String::new(), outcome), "{script}");
    }
}

#[test]
fn what_a_script_leaves_running_in_bubblewrap_is_ended() {
    let finished = run("trap '' TERM; setsid sleep 1000 & (setsid sh -c 'sleep 1000' &); exit 3");
    assert_eq!(finished.outcome, Outcome::Exited(3));
    let console = console(&finished);
    assert!(console.contains("that the script left running"), "{console}");
}

#[test]
fn a_script_in_bubblewrap_may_clean_up_within_the_grace() {
    let server = Server::start();
    let worker = Worker::start(&server, &[BUBBLEWRAP, &["--timeout", "1s", "--grace", "20s"]].concat());
    let finished = server.run("trap 'echo cleaned up; exit 0' TERM; while :; do sleep 1000; done");
    assert_eq!(finished.outcome, Outcome::aborted("timeout"));
    assert!(finished.text().contains("cleaned up\n"), "{}", finished.text());
    worker.ends_well();
}

/// A root file system, and a policy that has it and these lines.
fn root_and_policy(lines: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    common::root::make(&folder.path().join("small"));
    let root = folder.path().join("small");
    let policy = format!("sandbox = 'bubblewrap'\nroot = '{}'\n{lines}", root.display());
    std::fs::write(folder.path().join("policy.toml"), policy).unwrap();
    let config = folder.path().join("policy.toml").to_str().unwrap().to_owned();
    (folder, config)
}

fn run_with(config: &str, script: &str) -> Finished {
    run_with_all(&["--config", config], script)
}

fn run_with_all(arguments: &[&str], script: &str) -> Finished {
    let server = Server::start();
    let worker = Worker::start(&server, arguments);
    let finished = server.run(script);
    worker.ends_well();
    finished
}

#[test]
fn a_root_file_system_in_bubblewrap_is_all_that_a_job_sees_and_is_named_in_its_record() {
    let (folder, config) = root_and_policy("");
    let script = "cat /etc/only-here; echo /* /etc/*; id; touch /etc/x /srv/file /x; ls /usr/bin/git; touch artifact";
    let finished = run_with(&config, script);
    let text = finished.text();
    let expected = "builder-worker: sandbox bubblewrap, root file system small (sha256:0123), network off\nof the root\n\
        /bin /build /dev /etc /lib /lib64 /proc /root /run /srv /tmp /usr /var \
        /etc/group /etc/hosts /etc/nsswitch.conf /etc/only-here /etc/passwd\n\
        uid=1000(build) gid=1000(build) groups=1000(build)\n";
    assert!(text.starts_with(expected), "{text}");
    assert_eq!(text.matches("Read-only file system").count() + text.matches("Permission denied").count(), 3, "{text}");
    assert_eq!(finished.outcome, Outcome::Exited(0));
    let expected = [("artifact".to_owned(), vec![]), ("rootfs-digest".to_owned(), b"sha256:0123\n".to_vec())];
    assert_eq!(finished.files, expected);
    // So it is if the worker was told what it runs in itself, which the job does not see; without a root, it does.
    let finished = run_with_all(&["--config", &config, "--rootfs-digest", "sha256:own"], "");
    assert_eq!(finished.files, [("rootfs-digest".to_owned(), b"sha256:0123\n".to_vec())]);
    let finished = run_with_all(&["--sandbox", "bubblewrap", "--rootfs-digest", "sha256:own"], "");
    assert_eq!(finished.text(), NOTE.replace("programs", "programs (sha256:own)"));
    assert_eq!(finished.files, [("rootfs-digest".to_owned(), b"sha256:own\n".to_vec())]);
    // What a job says of itself stays.
    let finished = run_with(&config, "echo mine > rootfs-digest");
    assert_eq!(finished.files, [("rootfs-digest".to_owned(), b"mine\n".to_vec())]);
    drop(folder);
}

#[test]
fn what_root_in_bubblewrap_writes_goes_with_its_layer() {
    let (folder, config) = root_and_policy("user = 'root'\nroot-writable = true\n");
    let script = "id; echo changed > /srv/file; rm /etc/only-here; mkdir -p /opt/new; touch /opt/new/file; \
        chown 7:8 /opt/new/file; stat -c '%u:%g %a' /opt/new/file /root /srv/file; cat /srv/file; touch /etc/passwd; \
        readlink /etc/only-here || echo gone; cat /proc/sys/user/max_user_namespaces";
    for _ in 0..2 {
        let finished = run_with(&config, script);
        let text = finished.text();
        let (_, text) = text.split_once('\n').unwrap();
        let expected = "uid=0(root) gid=0(root) groups=0(root)\n7:8 644\n0:0 755\n0:0 644\nchanged\ngone\n0\n";
        assert_eq!((text, finished.outcome), (expected, Outcome::Exited(0)));
    }
    let root = folder.path().join("small");
    assert_eq!(std::fs::read_to_string(root.join("srv/file")).unwrap(), "of the root\n");
    assert!(root.join("etc/only-here").exists() && !root.join("opt").exists() && !root.join("build").exists());
}

#[test]
fn a_worker_whose_program_was_replaced_goes_on_in_bubblewrap() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("builder-worker");
    std::fs::copy(env!("CARGO_BIN_EXE_builder-worker"), &program).unwrap();
    let server = Server::start();
    let worker = Worker::start_program(&program, &server, &[BUBBLEWRAP, &["--loop"]].concat());
    assert_eq!(server.run("exit 1").outcome, Outcome::Exited(1));
    let waiting = server.waiting();
    std::fs::remove_file(&program).unwrap();
    drop(waiting);
    let finished = server.run("exit 2");
    assert_eq!(finished.outcome, Outcome::Exited(2), "{}", finished.text());
    worker.signal(nix::sys::signal::Signal::SIGTERM);
    worker.ends_well();
}

#[test]
fn a_sandbox_that_bubblewrap_cannot_make_is_told_by_the_worker_before_any_job() {
    // There is no place for it in that root file system, and none can be made.
    let (_folder, config) = root_and_policy("read-only = ['/usr/share']\n");
    let server = Server::start();
    let ended = Worker::start(&server, &["--config", &config]).end();
    assert_eq!((ended.status, &ended.left[..], server.is_alone()), (Some(124), &[][..], true));
    let expected = "the sandbox bubblewrap could not be made: exit status: 1: bwrap: Can't mkdir";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
}
