//! Jobs in real sandboxes: what they find there, and how their end is told.

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
