//! Jobs that mean harm, in bubblewrap: what they reach, what the outcome says, and what is left of them, which is nothing.
#![expect(clippy::unwrap_used, reason = "all of this is test")]

mod common;

use builder_model::Outcome;
use common::{Finished, Server, Worker, dies, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::Permissions;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};

/// A worker for one job after the other in bubblewrap, with a server and a folder for what a test needs.
struct Host {
    server: Server,
    worker: Worker,
    folder: tempfile::TempDir,
}

impl Host {
    /// One whose policy has these lines, and whose worker these arguments.
    fn start(lines: &str, arguments: &[&str]) -> Self {
        let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
        let policy = folder.path().join("policy.toml");
        std::fs::write(&policy, format!("sandbox = 'bubblewrap'\n{lines}")).unwrap();
        let worker = [&["--loop", "--config", policy.to_str().unwrap()], arguments].concat();
        let worker = Worker::start(&server, &worker);
        Self { server, worker, folder }
    }

    /// Runs a hostile job, then one that is none; sees that nothing is left.
    fn survives(self, script: &str) -> Finished {
        let mut peer = self.server.waiting();
        peer.schedule(script.as_bytes());
        let finished = peer.finish();
        drop(peer);
        self.ends_well();
        finished
    }

    /// The next job runs, and the worker leaves no process, mount, control group or folder.
    fn ends_well(self) {
        let next = self.server.run("echo fine; touch artifact");
        assert_eq!(next.outcome, Outcome::Exited(0), "{}", next.text());
        assert!(next.paths().contains(&"artifact"), "{}", next.text());
        let _waiting = self.server.waiting();
        eventually("nobody is left but the supervisor on standby", || descendants(self.worker.id()).len() <= 1);
        let mounts = std::fs::read_to_string(format!("/proc/{}/mountinfo", self.worker.id())).unwrap();
        assert!(!mounts.contains("/builder-"), "{mounts}");
        self.worker.signal(Signal::SIGTERM);
        let id = self.worker.id();
        self.worker.ends_well();
        eventually("no control group is left", || !has_group(Path::new("/sys/fs/cgroup"), &format!("-{id}-"), 4));
    }
}

/// Everybody below a process.
fn descendants(of: Pid) -> Vec<Pid> {
    let ids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let parents: Vec<(Pid, i32)> = ids.filter_map(|id| Some((Pid::from_raw(id), parent_of(id)?))).collect();
    let (mut found, mut at) = (vec![of], 0);
    while at < found.len() {
        let children = parents.iter().filter(|(_, parent)| *parent == found[at].as_raw()).map(|(id, _)| *id);
        found.extend(children.collect::<Vec<_>>());
        at += 1;
    }
    found.split_off(1)
}

fn parent_of(process: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// Whether there is a control group of ours with this in its name.
fn has_group(folder: &Path, part: &str, depth: usize) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).any(|entry| {
        let name = entry.file_name().into_string().unwrap_or_default();
        (name.starts_with("builder") && name.contains(part)) || (depth > 0 && has_group(&entry.path(), part, depth - 1))
    })
}

/// What a job printed after the worker's own first line.
#[track_caller]
fn console(finished: &Finished) -> String {
    finished.text().split_once('\n').unwrap().1.to_owned()
}

/// A function for the shell that calls the system by number, and says what came of it.
const CALL: &str = r#"
call() { perl -e 'my $name = shift; $! = 0; my $result = syscall($_[0] = shift, map { $_ + 0 } @ARGV);
    print "$name: ", $result == -1 ? "$!" : "DONE", "\n"' "$@"; }
"#;

#[test]
fn a_job_in_bubblewrap_reads_neither_other_builds_nor_the_workers_secrets() {
    let host = Host::start("", &["--jobs", "2", "--grace", "100ms"]);
    let secret = host.folder.path().join("secret");
    std::fs::write(&secret, "TOP-SECRET").unwrap();
    // Another build runs, and has a file that all may read.
    let mut other = host.server.waiting();
    other.schedule(b"umask 0; echo TOP-SECRET > file; echo there; sleep 1000");
    other.line();
    assert_eq!(other.line(), "there");
    let other_folder = folder_of_the_job(&host.worker);
    assert!(other_folder.join("file").exists());
    let script = format!(
        "ls {} {} 2>&1; cat /proc/[0-9]*/environ | tr '\\0' '\\n' | grep FROM_OUTSIDE; \
         grep -rs TOP-SECRET /build /etc /home /opt /root /run /srv /tmp /var --include=file --include=secret; \
         for file in /etc/shadow /root /home /var/lib/builder /etc/builder /run/docker.sock /sys/kernel; do \
         [ -e $file ] && echo sees $file; done; ls /proc/self/fd",
        secret.display(),
        other_folder.display(),
    );
    let mut peer = host.server.waiting();
    peer.schedule(script.as_bytes());
    let console = console(&peer.finish());
    assert_eq!(console.matches("No such file or directory\n").count(), 2, "{console}");
    // Its own three streams, and the folder that is being listed.
    assert!(console.ends_with("\n0\n1\n2\n3\n"), "{console}");
    assert!(!console.contains("SECRET") && !console.contains("sees") && !console.contains("OUTSIDE"), "{console}");
    host.worker.signal(Signal::SIGTERM);
    other.vanishes();
    host.worker.ends_well();
}

/// Where the one job lies that a worker runs.
fn folder_of_the_job(worker: &Worker) -> PathBuf {
    let folders =
        descendants(worker.id()).into_iter().filter_map(|id| std::fs::read_link(format!("/proc/{id}/cwd")).ok());
    folders.into_iter().find(|folder| folder.to_string_lossy().contains("/builder-")).unwrap()
}

#[test]
fn what_a_worker_has_open_does_not_get_into_bubblewrap() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "TOP-SECRET").unwrap();
    let server = Server::start();
    let shell = format!("exec 7<{}; exec \"$0\" \"$@\"", secret.display());
    let worker = Worker::start_in_shell(&shell, &server, &["--sandbox", "bubblewrap"]);
    let finished = server.run("(cat <&7); cat /proc/*/fd/7");
    let text = finished.text();
    assert!(!text.contains("TOP-SECRET") && text.contains("Bad file descriptor"), "{text}");
    worker.ends_well();
}

#[test]
fn a_job_in_bubblewrap_writes_only_where_it_may() {
    let shown = tempfile::tempdir().unwrap();
    std::fs::write(shown.path().join("file"), "kept").unwrap();
    let script = format!(
        "for place in / /usr /usr/bin /etc /var /var/lib /dev /bin /proc /proc/sys/kernel {shown}; do \
         (echo x > $place/hostile) 2>/dev/null && echo WROTE $place; done; \
         for file in /etc/passwd /proc/sys/kernel/hostname /proc/sysrq-trigger /run/builder/builder-worker {shown}/file; \
         do [ -w $file ] && echo WRITABLE $file; done; \
         cat {shown}/file; rm -rf {shown} 2>/dev/null; mv /build /tmp/x 2>/dev/null && echo MOVED; echo; \
         for place in /build /tmp /var/tmp /dev/shm; do echo x > $place/file || echo CANNOT $place; done",
        shown = shown.path().display()
    );
    let finished = Host::start(&format!("read-only = ['{}']\n", shown.path().display()), &[]).survives(&script);
    assert_eq!((console(&finished), finished.outcome), ("kept\n".to_owned(), Outcome::Exited(0)));
    assert_eq!(std::fs::read_to_string(shown.path().join("file")).unwrap(), "kept");
}

#[test]
fn a_job_in_bubblewrap_has_the_network_only_when_it_may() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let name = format!("builder-hostile-{port}");
    let unix = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let script = format!(
        r#"cat > connect <<'E'
use Socket;
socket(my $t, AF_INET, SOCK_STREAM, 0);
print "tcp: ", connect($t, sockaddr_in({port}, inet_aton("127.0.0.1"))) ? "CONNECTED" : "$!", "\n";
socket(my $u, AF_UNIX, SOCK_STREAM, 0);
print "unix: ", connect($u, pack("S a*", AF_UNIX, "\0{name}")) ? "CONNECTED" : "$!", "\n";
print "vsock: ", socket(my $v, 40, SOCK_STREAM, 0) ? "MADE" : "$!", "\n";
E
perl connect"#
    );
    let vsock = "vsock: Address family not supported by protocol\n";
    let finished = Host::start("", &[]).survives(&script);
    assert_eq!(console(&finished), format!("tcp: Connection refused\nunix: Connection refused\n{vsock}"));
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err());
    // With the network, it is the host's: this shows that the test would see it.
    let finished = Host::start("network = true\n", &[]).survives(&script);
    let text = console(&finished);
    assert!(text.starts_with("tcp: CONNECTED\n") && text.ends_with(vsock), "{text}");
    // Since 6.12, Linux can hold a job from sockets of the host that have no file even then.
    assert!(!is_linux(6, 12) || text.contains("unix: Operation not permitted\n"), "{text}");
    drop(unix);
}

/// Whether this is Linux of that version, or a later one.
fn is_linux(major: u32, minor: u32) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (major, minor)
}

#[test]
fn a_job_in_bubblewrap_cannot_touch_processes_of_the_host() {
    let host = Host::start("", &[]);
    let worker = host.worker.id();
    let attach = if cfg!(target_arch = "x86_64") { "101 16" } else { "117 16" };
    let script = format!(
        "{CALL}kill -9 {worker} 2>/dev/null && echo KILLED; kill -9 1; call attach {attach} 1 0 0; \
         for file in environ mem fd root cwd exe; do (cat /proc/1/$file || ls /proc/1/$file/) >/dev/null 2>&1 && \
         echo READS $file; done; ls /proc > seen; grep -c '^[0-9]' seen; echo still here"
    );
    let finished = host.survives(&script);
    // The supervisor inside, the script, and ls.
    let expected = "attach: Operation not permitted\n3\nstill here\n";
    assert_eq!((console(&finished), finished.outcome), (expected.to_owned(), Outcome::Exited(0)));
}

#[test]
fn calls_that_no_build_needs_are_refused_in_bubblewrap() {
    let script = format!(
        "{CALL}for call in {}; do call ${{call%=*}} ${{call#*=}} 0 0 0 0; done; unshare --user true; unshare --mount true; \
         mount -t tmpfs none /tmp; grep -E 'NoNewPrivs|Seccomp:|CapEff' /proc/self/status",
        CALLS.join(" ")
    );
    let finished = Host::start("", &[]).survives(&script);
    let text = console(&finished);
    assert_eq!(text.matches("=").count(), 0, "{text}");
    for call in CALLS {
        let (name, _) = call.split_once('=').unwrap();
        assert!(text.contains(&format!("{name}: Operation not permitted\n")), "{name}: {text}");
    }
    assert_eq!(text.matches("unshare: unshare failed: Operation not permitted").count(), 2, "{text}");
    assert!(text.ends_with("CapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n"), "{text}");
}

/// Some of them, by name and number: to add a key, to load a program into the kernel and a module, to watch it, to open
/// files past all folders, to mount in the new way.
#[cfg(target_arch = "x86_64")]
const CALLS: [&str; 8] = [
    "add_key=248",
    "keyctl=250",
    "bpf=321",
    "finit_module=313",
    "perf_event_open=298",
    "open_by_handle_at=304",
    "fsopen=430",
    "io_uring_setup=425",
];
#[cfg(not(target_arch = "x86_64"))]
const CALLS: [&str; 8] = [
    "add_key=217",
    "keyctl=219",
    "bpf=280",
    "finit_module=273",
    "perf_event_open=241",
    "open_by_handle_at=265",
    "fsopen=430",
    "io_uring_setup=425",
];

#[test]
fn processes_in_bubblewrap_that_daemonize_and_ignore_term_end_with_their_job() {
    let host = Host::start("", &["--timeout", "1s", "--grace", "200ms"]);
    let script = "trap '' TERM; (setsid sh -c 'trap \"\" TERM; echo daemon; while :; do sleep 1000; done' &) ; \
        while :; do sleep 1000; done";
    let mut peer = host.server.waiting();
    peer.schedule(script.as_bytes());
    let finished = peer.finish();
    assert_eq!(finished.outcome, Outcome::aborted("timeout"));
    assert!(console(&finished).contains("daemon\n"), "{}", finished.text());
    drop(peer);
    host.ends_well();
}

#[test]
fn a_job_in_bubblewrap_dies_with_its_killed_worker_and_supervisor() {
    let host = Host::start("", &[]);
    let mut peer = host.server.waiting();
    peer.schedule(b"trap '' TERM; setsid sleep 1000 & echo there; while :; do sleep 1000; done");
    peer.line();
    assert_eq!(peer.line(), "there");
    let family = descendants(host.worker.id());
    // The supervisor, bwrap, the supervisor inside, the script, and what it runs.
    assert!(family.len() >= 5, "{family:?}");
    // Both at once: neither can do anything any more.
    host.worker.signal(Signal::SIGSTOP);
    for &process in &family {
        if parent_of(process.as_raw()) == Some(host.worker.id().as_raw()) {
            kill(process, Signal::SIGKILL).unwrap();
        }
    }
    host.worker.signal(Signal::SIGKILL);
    peer.vanishes();
    family.into_iter().for_each(dies);
}

#[test]
fn files_of_a_job_in_bubblewrap_that_cannot_be_handled_do_no_harm() {
    let script = "mkdir -p deep/er closed; echo x > closed/file; chmod 000 closed; echo x > secret; chmod 000 secret; \
        chattr +i secret 2>/dev/null && echo IMMUTABLE; mknod device b 8 0 2>/dev/null && echo DEVICE; mkfifo fifo; \
        perl -e 'use Socket; socket(S, AF_UNIX, SOCK_STREAM, 0); bind(S, pack_sockaddr_un(\"socket\"))'; \
        ln -s /etc/shadow shadow; ln -s ../../../../../../etc/shadow deep/shadow; ln -s /proc/1/environ environ; \
        cp /bin/true setuid; chmod 6755 setuid; echo fine > deep/er/file";
    let finished = Host::start("", &[]).survives(script);
    let text = console(&finished);
    let left_out =
        ["fifo is a FIFO", "socket is a socket", "shadow is a link to /etc/shadow", "deep/shadow is a link to"];
    for left_out in left_out {
        assert!(text.contains(&format!("not collected: {left_out}")), "{text}");
    }
    assert!(!text.contains("IMMUTABLE") && !text.contains("DEVICE"), "{text}");
    let paths = finished.paths();
    assert!(paths.contains(&"deep/er/file") && paths.iter().all(|path| !path.contains("shadow")), "{paths:?}");
    assert!(!paths.contains(&"environ"), "{paths:?}");
}

#[test]
fn very_many_files_and_very_long_paths_out_of_bubblewrap() {
    let script = r#"perl -e 'for (1..30000) { open(my $f, ">", "f$_") }
        my $name = "n" x 198; for (1..20) { mkdir $name; chdir $name }
        open(my $f, ">", "x" x 20); mkdir "y" x 120; chdir "y" x 120; open($f, ">", "z")'"#;
    let finished = Host::start("", &[]).survives(script);
    assert_eq!((finished.files.len(), &finished.outcome), (30_001, &Outcome::Exited(0)));
    assert!(finished.paths().iter().any(|path| path.len() == 4000));
    let text = console(&finished);
    assert!(text.starts_with("builder-worker: not collected: nnn") && text.lines().count() == 1, "{text}");
}

#[test]
fn a_fork_bomb_in_bubblewrap_is_held_by_its_cgroup() {
    let host = Host::start("limits.processes = 50\n", &["--timeout", "2s", "--grace", "200ms"]);
    let finished = host.survives(
        // It has an end, for the sake of a host on which nothing holds it.
        "bomb() { if [ $1 -lt 12 ]; then bomb $(($1 + 1)) & bomb $(($1 + 1)) & wait; else sleep 1000; fi; }; bomb 0",
    );
    let text = finished.text();
    assert!(text.contains("process limit 50 reached"), "{text}, {}", finished.outcome);
}

#[test]
fn a_job_that_eats_memory_in_bubblewrap_is_ended_by_its_cgroup() {
    let finished = Host::start("limits.memory = '64M'\n", &[]).survives("tail /dev/zero; sleep 1000");
    assert_eq!(finished.outcome, Outcome::aborted("memory limit 64 MiB reached"));
}

#[test]
fn a_job_that_fills_the_disk_in_bubblewrap_is_ended() {
    let host = Host::start("tmp = '8M'\nlimits.disk = '32M'\n", &[]);
    let fill = "for place in /tmp /var/tmp /dev/shm /run; do \
        head -c 100M /dev/zero 2>/dev/null > $place/big && echo FILLED $place; done; \
        while :; do i=$((i + 1)); head -c 1M /dev/zero > file$i; done";
    let finished = host.survives(fill);
    let is_filled = console(&finished).contains("FILLED");
    assert_eq!((is_filled, finished.outcome), (false, Outcome::aborted("disk limit 32 MiB reached")));
}

#[test]
fn root_in_bubblewrap_with_a_layer_is_nobody_on_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let (root, shown) = (folder.path().join("small"), folder.path().join("shown"));
    common::root::make(&root);
    std::fs::create_dir(root.join("shown")).unwrap();
    std::fs::create_dir(&shown).unwrap();
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    // Of root on the host, and for nobody else.
    std::fs::write(shown.join("secret"), "TOP-SECRET").unwrap();
    std::fs::set_permissions(shown.join("secret"), Permissions::from_mode(0o600)).unwrap();
    std::fs::write(shown.join("open"), "open\n").unwrap();
    let policy = format!(
        "root = '{}'\nuser = 'root'\nroot-writable = true\nnetwork = true\nread-only = ['{}']\n",
        root.display(),
        shown.display()
    );
    let script = format!(
        "id -u; cat {shown}/open {shown}/secret; touch {shown}/x; chown 0:0 {shown}/open; \
         for file in kernel/hostname kernel/core_pattern vm/swappiness user/max_user_namespaces; do \
         (cat /proc/sys/$file >/tmp/same; cat /tmp/same >/proc/sys/$file) 2>/dev/null && echo WROTE $file; done; \
         [ -w /proc/sysrq-trigger ] && echo WROTE sysrq; mkdir -p /made/by/root; stat -c %u /made; \
         ls /dev; echo still here",
        shown = shown.display()
    );
    let finished = Host::start(&policy, &[]).survives(&script);
    let text = console(&finished);
    assert!(text.starts_with("0\nopen\n") && text.ends_with("\nstill here\n"), "{text}");
    assert!(text.contains("secret: Permission denied") && !text.contains("TOP-SECRET"), "{text}");
    assert!(!text.contains("WROTE"), "{text}");
    assert!(["sda", "vda", "mem", "kmsg"].iter().all(|device| !text.contains(&format!("\n{device}\n"))), "{text}");
    assert_eq!(std::fs::read_dir(&shown).unwrap().count(), 2);
    assert!(!root.join("made").exists());
}
