//! The units that are shipped for workers in containers, run without systemd and docker: what they would start.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const UNIT: &str = "../packaging/containers/builder-worker-docker@.service";

/// The command of the unit, for a shell: with the name of the instance, and a dollar where systemd would leave one.
fn command(unit: &str) -> String {
    let whole = unit.replace("\\\n", " ");
    let line = whole.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap().to_owned();
    line.replace("%i", "debian-12").replace("$$", "$").replace("${BUILDER_REMOTE}", "172.17.0.1:1234")
}

#[test]
fn a_worker_in_docker_runs_in_the_image_that_it_has_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let docker = folder.path().join("docker");
    let log = folder.path().join("log");
    let answers = |images: &str| {
        let text = format!("#!/bin/sh\n[ \"$1\" = run ] || {{ {images}; exit; }}\necho \"$@\" > {}\n", log.display());
        fs::write(&docker, text).unwrap();
        fs::set_permissions(&docker, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let unit = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(UNIT)).unwrap();
    let command = command(&unit).replace("/usr/bin/docker", &docker.display().to_string());

    answers("[ \"$*\" = 'image inspect --format {{.Id}} builder-worker:debian-12' ] && echo sha256:0123");
    assert!(Command::new("/bin/sh").arg("-c").arg(&command).status().unwrap().success());
    let ran = fs::read_to_string(&log).unwrap();
    assert!(ran.starts_with("run --rm --name builder-worker-debian-12 --memory 4g "), "{ran}");
    let end = " sha256:0123 debian-12 --remote 172.17.0.1:1234 --rootfs-digest sha256:0123\n";
    assert!(ran.ends_with(end), "{ran}");

    // Without an image there is nothing to run.
    fs::remove_file(&log).unwrap();
    answers("exit 1");
    assert!(!Command::new("/bin/sh").arg("-c").arg(&command).status().unwrap().success());
    assert!(!log.exists());
}
