//! Docker: worker containers as the original runs them, and the worker's own containers, on a daemon that is started for
//! this, and by podman. What happens is told by `docker.sh`; here everything is made ready for it, and taken away after it.
//!
//! The story runs in namespaces of its own: with the last process of it, network, mounts and all processes are gone.

use super::machine::empty;
use crate::command::{program, root, run as run_command, watch};
use crate::component::require;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// The programs that the story uses, and that the images hold.
const PROGRAMS: [&str; 6] =
    ["builder", "builder-server", "builder-worker", "builder-client", "builder-inspect", "builder-db"];
/// How long the story may take, in seconds: it takes a few minutes.
const SECONDS_MAX: &str = "1200";

/// Tells the story; whether all of it went well.
pub(super) fn run(arguments: &[&str]) -> Result<bool> {
    require(&[
        ("debootstrap", "debootstrap"),
        ("dockerd", "docker.io"),
        ("docker", "docker.io"),
        ("podman", "podman"),
        ("runc", "runc"),
        ("ip", "iproute2"),
        ("unshare", "util-linux"),
    ])?;
    let base = super::base()?;
    let folder = super::folder("docker")?.join("run");
    empty(&folder)?;
    // As an unpacked tarball has them.
    let context = folder.join("context");
    fs::create_dir_all(context.join("bin")).context("make the folder of the programs")?;
    super::programs(&PROGRAMS, &context.join("bin"), arguments)?;
    run_command(program("cp", &["-r", "packaging/containers"]).arg(&context))?;
    let story = folder.join("docker.sh");
    fs::write(&story, include_str!("docker.sh")).context("write the story")?;
    for (name, text) in super::STORY_PARTS {
        fs::write(folder.join(name), text).context("write what the story reads in")?;
    }
    let mut last = String::new();
    let namespaces = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh"];
    let mut command = program("timeout", &["--kill-after", "10", SECONDS_MAX]);
    command.args(namespaces).arg(&story).arg(&folder).arg(&base).env("TMPDIR", work(&folder)?).current_dir(root());
    let ended = watch(&mut command, |line| last = line.trim().to_owned())?;
    let groups = left_groups("docker");
    tidy_up_after_podman();
    if ended && last == "story: 0 failed" && groups.is_empty() {
        empty(&folder)?;
        println!("\ndocker: all as it should be");
        return Ok(true);
    }
    for group in groups {
        eprintln!("xtask: a control group is left: {}", group.display());
    }
    for kept in ["d/data", "podman/storage"].map(|name| folder.join(name)).iter().filter(|path| path.exists()) {
        fs::remove_dir_all(kept).with_context(|| format!("remove {}", kept.display()))?;
    }
    eprintln!(
        "\nxtask: the story did not end well; logs of the server, the workers and docker lie in {}",
        folder.display()
    );
    Ok(false)
}

/// Where the folders of jobs are made.
fn work(folder: &Path) -> Result<PathBuf> {
    let work = folder.join("work");
    fs::create_dir_all(&work).context("make the folder of jobs")?;
    Ok(work)
}

/// Control groups of containers of this engine, in trees of either version; the empty ones at the top are the engine's own,
/// and are removed.
fn left_groups(engine: &str) -> Vec<PathBuf> {
    let trees = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
    let tops = trees.filter(|path| path.is_dir()).map(|path| path.join(engine));
    let tops = tops.chain([Path::new("/sys/fs/cgroup").join(engine)]);
    let mut left = Vec::new();
    for top in tops.filter(|path| path.is_dir()) {
        let inner = fs::read_dir(&top).into_iter().flatten().flatten().map(|entry| entry.path());
        left.extend(inner.filter(|path| path.is_dir()));
        match fs::remove_dir(&top) {
            // Somebody else's containers may use it.
            Ok(()) | Err(_) => {}
        }
    }
    left
}

/// Podman leaves the groups of containers that had to be killed, in trees of version 1; they are empty.
fn tidy_up_after_podman() {
    const PARENT: &str = "libpod_parent";
    let left = left_groups(PARENT);
    let removed = left.iter().filter(|group| fs::remove_dir(group).is_ok()).count();
    if removed > 0 {
        println!("podman left {removed} empty control groups, which are removed now");
        left_groups(PARENT);
    }
}
