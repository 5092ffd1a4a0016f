//! Limits of a job are held by this very host, and one that is reached is the outcome, in words. The tests with `cgroup`
//! in their names need a host that lets us make control groups that limit something.

mod common;

use builder_model::Outcome;
use builder_sandbox::{Kind, Limits, Policy, Processors};
use builder_worker::{Settings, Stop};
use common::{Finished, Server};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long who ignores TERM would have.
const GRACE: Duration = Duration::from_secs(30);
const MEBIBYTE: u64 = 1 << 20;

/// Runs a script under limits. Nothing of it is left, neither folders nor control groups.
#[track_caller]
fn run(limits: Limits, script: &str) -> Finished {
    run_in(Policy { limits, ..Policy::default() }, script)
}

#[track_caller]
#[expect(clippy::unwrap_used, reason = "all of this is test")]
fn run_in(policy: Policy, script: &str) -> Finished {
    let workdir = tempfile::tempdir().unwrap();
    run_at(workdir.path(), policy, script)
}

#[track_caller]
#[expect(clippy::unwrap_used, reason = "all of this is test")]
fn run_at(workdir: &Path, policy: Policy, script: &str) -> Finished {
    let (server, stop) = (Server::start(), Stop::new().unwrap());
    let settings = settings(&server, workdir.to_owned(), policy);
    let finished = std::thread::scope(|scope| {
        let worker = scope.spawn(|| builder_worker::run(&settings, &stop));
        let finished = server.run(script);
        worker.join().unwrap().unwrap();
        finished
    });
    assert_eq!(std::fs::read_dir(workdir).unwrap().count(), 0);
    assert_eq!(groups(), Vec::<PathBuf>::new());
    finished
}

#[expect(clippy::unwrap_used, reason = "all of this is test")]
fn settings(server: &Server, workdir: PathBuf, policy: Policy) -> Settings {
    Settings {
        remote: server.address().to_string().parse().unwrap(),
        policy,
        workdir,
        grace: GRACE,
        supervisor_program: Some(PathBuf::from(env!("CARGO_BIN_EXE_builder-worker"))),
        ..Settings::for_platform("test-1".parse().unwrap())
    }
}

/// A small disk, as long as this value lives.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    #[expect(clippy::unwrap_used, reason = "all of this is test")]
    fn tmpfs(folder: &'a Path, options: &str) -> Self {
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(folder).status().unwrap();
        assert!(status.success(), "{status}");
        Self(folder)
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        match Command::new("umount").arg(self.0).status() {
            // The folder cannot be removed then, which its owner tells.
            Ok(_) | Err(_) => {}
        }
    }
}

/// The control groups that were made by this process.
fn groups() -> Vec<PathBuf> {
    let own = format!("-{}-", std::process::id());
    let is_own = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("builder-") && name.contains(&own)
    };
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = folders.pop() {
        // Groups come and go while we look.
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        let entries = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        for path in entries.map(|entry| entry.path()) {
            if is_own(&path) { found.push(path) } else { folders.push(path) }
        }
    }
    found
}

#[test]
fn a_job_that_eats_memory_is_ended_by_its_cgroup() {
    let limits = Limits { memory_bytes: Some(64 * MEBIBYTE), ..Limits::default() };
    let finished = run(limits, "echo begun; tail /dev/zero; echo survived; sleep 1000");
    assert_eq!(finished.outcome, Outcome::aborted("memory limit 64 MiB reached"));
    assert_eq!(finished.outcome.to_string(), "execution aborted: memory limit 64 MiB reached");
    assert!(finished.text().starts_with("begun\n"), "{}", finished.text());
}

#[test]
fn a_job_within_its_cgroup_does_not_notice() {
    let limits = Limits {
        memory_bytes: Some(512 * MEBIBYTE),
        processors: Some(Processors { hundredths: 200 }),
        processes: Some(100),
        disk_bytes: Some(64 * MEBIBYTE),
        open_files: Some(128),
        time: None,
    };
    let finished = run(limits, "ulimit -Sn; ulimit -Hn; echo made > file; for i in 1 2 3; do sleep 0.01 & done; wait");
    assert_eq!((finished.outcome.clone(), finished.paths()), (Outcome::Exited(0), vec!["file"]));
    assert_eq!(finished.text(), "128\n128\n");
}

#[test]
fn a_job_that_forks_without_end_is_held_by_its_cgroup() {
    let limits = Limits { processes: Some(20), ..Limits::default() };
    let bomb = "i=0; while [ $i -lt 40 ]; do sleep 1000 & i=$((i + 1)); done; echo forked";
    let finished = run(limits, bomb);
    let text = finished.text();
    let Outcome::Aborted(reason) = &finished.outcome else { panic!("{:?}, {text}", finished.outcome) };
    assert_eq!(String::from_utf8_lossy(reason), "process limit 20 reached, then exited 2");
    assert!(text.contains("builder-worker: process limit 20 reached: 1 process or thread was refused\n"), "{text}");
    assert!(!text.contains("forked\n"), "{text}");
}

#[test]
fn a_job_that_survives_being_refused_a_process_by_its_cgroup_is_good() {
    let limits = Limits { processes: Some(4), ..Limits::default() };
    let finished = run(limits, "(sleep 1000 & sleep 1000 & sleep 1000 & sleep 1000 &) 2>/dev/null; exit 0");
    assert_eq!(finished.outcome, Outcome::Exited(0));
    assert!(finished.text().contains("process limit 4 reached: "), "{}", finished.text());
}

#[test]
fn a_job_in_bubblewrap_is_held_by_its_cgroup_as_well() {
    let limits = Limits {
        memory_bytes: Some(64 * MEBIBYTE),
        processes: Some(20),
        disk_bytes: Some(16 * MEBIBYTE),
        open_files: Some(64),
        ..Limits::default()
    };
    let fill = "while :; do i=$((i + 1)); head -c 1M /dev/zero > file$i; done";
    for (script, outcome) in [
        ("ulimit -n; for i in 1 2 3; do sleep 0.01 & done; wait", "exited 0"),
        ("tail /dev/zero; sleep 1000", "execution aborted: memory limit 64 MiB reached"),
        (
            "for i in 1 2 3 4 5 6 7 8; do head -c 15M /dev/zero > /tmp/$i; done; sleep 1000",
            "execution aborted: memory limit 64 MiB reached",
        ),
        ("while :; do sleep 1000 & done", "execution aborted: process limit 20 reached, then exited 2"),
        (fill, "execution aborted: disk limit 16 MiB reached"),
        ("head -c 1G /dev/zero > file", "execution aborted: disk limit 16 MiB reached"),
    ] {
        let policy = Policy { kind: Kind::Bubblewrap, has_network: false, limits, ..Policy::default() };
        let finished = run_in(policy, script);
        assert_eq!(finished.outcome.to_string(), outcome, "{script}: {}", finished.text());
    }
}

#[test]
fn a_job_gets_its_share_of_the_processors_from_its_cgroup() {
    let limits = Limits { processors: Some(Processors { hundredths: 20 }), ..Limits::default() };
    // Two that do nothing but count have at most a fifth of a processor together.
    let script = "for i in 1 2; do timeout 2 sh -c 'while :; do :; done' & done; wait; times";
    let finished = run(limits, script);
    let text = finished.text();
    let used: f64 = text
        .lines()
        .skip(1)
        .flat_map(str::split_whitespace)
        .filter_map(|time| time.strip_suffix('s')?.split_once('m'))
        .filter_map(|(minutes, seconds)| Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?))
        .sum();
    assert!(used > 0.1 && used < 0.9, "{used}, {text}");
}

#[test]
fn a_job_that_fills_the_disk_is_ended() {
    let limits = Limits { disk_bytes: Some(16 * MEBIBYTE), ..Limits::default() };
    let script = "i=0; while [ $i -lt 20 ]; do head -c 1M /dev/zero > file$i; i=$((i + 1)); done; sleep 1000";
    let begun = Instant::now();
    let finished = run(limits, script);
    assert_eq!((finished.outcome, finished.files), (Outcome::aborted("disk limit 16 MiB reached"), vec![]));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn what_a_job_in_nspawn_writes_into_the_layer_counts() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("small");
    common::root::make(&root);
    std::fs::set_permissions(root.join("srv"), std::fs::Permissions::from_mode(0o777)).unwrap();
    let limits = Limits { disk_bytes: Some(16 * MEBIBYTE), ..Limits::default() };
    let policy = Policy {
        kind: Kind::Nspawn,
        root: Some(root.clone()),
        is_root_writable: true,
        has_network: false,
        limits,
        ..Policy::default()
    };
    let fill = "i=0; while [ $i -lt 40 ]; do head -c 1M /dev/zero > /srv/file$i; i=$((i + 1)); done; sleep 1000";
    let finished = run_in(policy, fill);
    assert_eq!(finished.outcome, Outcome::aborted("disk limit 16 MiB reached"), "{}", finished.text());
    assert_eq!(std::fs::read_dir(root.join("srv")).unwrap().count(), 1, "the root file system is as it was");
}

#[test]
fn files_that_a_job_has_removed_and_holds_open_count_in_its_cgroup() {
    let limits = Limits { disk_bytes: Some(16 * MEBIBYTE), ..Limits::default() };
    let script = "exec 3>a 4>b; rm a b; head -c 10M /dev/zero >&3; head -c 10M /dev/zero >&4; echo written; sleep 1000";
    let finished = run(limits, script);
    assert_eq!(finished.outcome, Outcome::aborted("disk limit 16 MiB reached"), "{}", finished.text());
}

#[test]
fn a_job_on_a_tmpfs_that_is_nearly_full_is_ended_before_it_fills_it() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = Mounted::tmpfs(folder.path(), "size=96M");
    let limits = Limits { disk_bytes: Some(1 << 30), ..Limits::default() };
    let policy = Policy { limits, ..Policy::default() };
    let finished = run_at(folder.path(), policy, "head -c 50M /dev/zero > file; sleep 1000");
    drop(mounted);
    assert_eq!(finished.outcome, Outcome::aborted("the worker's disk is full"));
}

#[test]
fn a_job_over_its_limit_has_no_grace_in_its_cgroup() {
    let limits = Limits { disk_bytes: Some(16 * MEBIBYTE), ..Limits::default() };
    let script = "trap '' TERM; while :; do i=$((i + 1)); head -c 1M /dev/zero > file$i; done";
    for kind in [Kind::None, Kind::Bubblewrap] {
        let begun = Instant::now();
        let finished = run_in(Policy { kind, has_network: false, limits, ..Policy::default() }, script);
        assert_eq!(finished.outcome, Outcome::aborted("disk limit 16 MiB reached"), "{kind}");
        assert!(!finished.text().contains("cannot"), "{kind}: {}", finished.text());
        // The grace of these tests for whoever ignores TERM is longer than all of this.
        assert!(begun.elapsed() < GRACE, "{kind}: {:?}", begun.elapsed());
    }
}

#[test]
fn a_job_that_fills_the_disk_with_one_file_gets_no_further_than_the_limit() {
    let limits = Limits { disk_bytes: Some(16 * MEBIBYTE), ..Limits::default() };
    for script in ["head -c 1G /dev/zero > file", "exec head -c 1G /dev/zero > file"] {
        let finished = run(limits, script);
        assert_eq!(finished.outcome, Outcome::aborted("disk limit 16 MiB reached"), "{script}");
    }
}

#[test]
fn open_files_have_a_limit() {
    let limits = Limits { open_files: Some(32), ..Limits::default() };
    let finished = run(limits, "ulimit -n 64 2>/dev/null; ulimit -n; exec 31</dev/null && exec 9</dev/null && echo no");
    assert!(finished.text().starts_with("32\n"), "{}", finished.text());
}

#[test]
fn a_worker_refuses_a_job_whose_limits_it_cannot_hold() {
    let (server, workdir, stop) = (Server::start(), tempfile::tempdir().unwrap(), Stop::new().unwrap());
    let limits = Limits { open_files: Some(u64::MAX - 1), ..Limits::default() };
    let settings = settings(&server, workdir.path().to_owned(), Policy { limits, ..Policy::default() });
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| builder_worker::run(&settings, &stop));
        // It says hello, and then it goes without having asked for a job.
        let mut peer = server.accept();
        peer.welcome();
        peer.vanishes();
        let error = worker.join().unwrap().unwrap_err().to_string();
        assert!(error.contains("open file limit: the hard limit is "), "{error}");
        assert!(error.contains("hint: LimitNOFILE="), "{error}");
    });
}
