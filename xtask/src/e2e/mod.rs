//! Whole systems: programs and packages used as they are on a machine of somebody else. A system is a file here and a
//! line in the table.

mod bubblewrap;
mod cgroup2;
mod debian;
mod docker;
mod machine;
mod reproduce;
mod tarball;

use crate::command::{cargo, program, run};
use crate::dist::target_folder;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Runs a system with the arguments behind its name; whether all was as it should be.
type Run = fn(&[&str]) -> Result<bool>;

/// What there is, by the name that the command line has for it.
const SYSTEMS: &[(&str, Run)] = &[
    ("bubblewrap", bubblewrap::run),
    ("cgroup2", cgroup2::run),
    ("debian", debian::run),
    ("docker", docker::run),
    ("reproduce", reproduce::run),
    ("tarball", tarball::run),
    ("ubuntu", debian::run_on_ubuntu),
];

/// What the stories in containers read in, by the names that they have for it.
const STORY_PARTS: [(&str, &str); 2] =
    [("prelude.sh", include_str!("prelude.sh")), ("hostile.sh", include_str!("hostile.sh"))];

/// Runs the system that is named; nothing if there is none of that name.
pub(crate) fn e2e(arguments: &[&str]) -> Option<Result<bool>> {
    let (name, rest) = arguments.split_first()?;
    let (_, run) = SYSTEMS.iter().find(|(known, _)| known == name)?;
    Some(run(rest))
}

/// The folder of a system, in the target folder: what takes long to make is kept there, and so are logs.
fn folder(name: &str) -> Result<PathBuf> {
    let folder = target_folder()?.join("e2e").join(name);
    std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    Ok(folder)
}

/// Builds these programs and puts them into a folder: as they are released, or quicker with `--debug`.
fn programs(names: &[&str], into: &Path, arguments: &[&str]) -> Result<()> {
    let profile = if arguments.contains(&"--debug") { "debug" } else { "release" };
    let mut build = cargo(&["build", "--locked"]);
    if profile == "release" {
        build.arg("--release");
    }
    run(build.args(names.iter().flat_map(|name| ["--bin", name])))?;
    for name in names {
        let built = target_folder()?.join(profile).join(name);
        run(program("strip", &["-o"]).arg(into.join(name)).arg(built))?;
    }
    Ok(())
}

/// A Debian root file system; made once.
fn base() -> Result<PathBuf> {
    let folder = folder("base")?;
    let (base, made) = (folder.join("root"), folder.join("made"));
    if !made.exists() {
        println!("making a Debian root file system, once: debootstrap takes a minute");
        machine::empty(&base)?;
        run(program("debootstrap", &["--variant=minbase", "bookworm"]).arg(&base))?;
        std::fs::write(&made, "").context("note that the root file system is whole")?;
    }
    Ok(base)
}

/// Says what is done now.
fn step(what: &str) {
    println!("\n== {what}");
}

/// Shows what was seen, as it was printed.
fn seen(text: &str) {
    text.trim_end().lines().for_each(|line| println!("   {line}"));
}

#[cfg(test)]
mod tests {
    use crate::command::root;
    use std::process::Command;

    #[test]
    fn stories_are_clean_for_shellcheck() {
        let scripts = std::fs::read_dir(root().join("xtask/src/e2e")).unwrap().map(|entry| entry.unwrap().path());
        let scripts: Vec<_> = scripts.filter(|path| path.extension().is_some_and(|name| name == "sh")).collect();
        assert!(scripts.len() >= 2, "{scripts:?}");
        // SC2016: scripts of jobs stand in single quotes, so that nothing in them is expanded here.
        let mut shellcheck = Command::new("shellcheck");
        shellcheck.args(["--external-sources", "--shell", "sh", "--exclude", "SC2016"]).args(&scripts);
        let output = shellcheck.current_dir(root()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
