//! Debian, booted with systemd in a container: packages installed, used, upgraded and purged, and an installed original
//! taken over. This file makes the systems and tells the story; what happens in each lies in files of their own.

mod farm;
mod original;

use super::machine::{Machine, empty};
use super::{seen, step};
use crate::command::{program, run as run_command};
use crate::dist::{self, target_folder};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What the system has beside the smallest one: an init, what our packages and a stranger with curl need, and what its
/// checks read databases with.
const INCLUDED: &str = "systemd,systemd-sysv,dbus,curl,ca-certificates,init-system-helpers,libgcc-s1,sqlite3";
/// Behind the version of the tree: what a system is upgraded to on trial.
const NEWER: &str = "+newer";

/// What is tried.
struct Distribution {
    /// As people call it.
    name: &'static str,
    /// The folder of its own.
    folder: &'static str,
    suite: &'static str,
    /// Where it is from, and debootstrap's script for it, where that is not Debian.
    other: Option<[&'static str; 2]>,
    /// The keys by which its archive is known.
    keyring: &'static str,
    /// What debootstrap does not see that it is needed, as it heeds no package that provides another.
    besides: &'static str,
}

const DEBIAN: Distribution = Distribution {
    name: "Debian 12",
    folder: "debian-12",
    suite: "bookworm",
    other: None,
    keyring: "/usr/share/keyrings/debian-archive-keyring.gpg",
    besides: "libreadline8",
};
/// The script is the one of all newer ones, which an older debootstrap does not know by their names.
const UBUNTU: Distribution = Distribution {
    name: "Ubuntu 24.04",
    folder: "ubuntu-24.04",
    suite: "noble",
    other: Some(["http://archive.ubuntu.com/ubuntu", "gutsy"]),
    keyring: "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
    besides: "libreadline8t64",
};

/// Where everything of a run lies.
struct Ground {
    distribution: &'static Distribution,
    /// A system that nobody has touched.
    base: PathBuf,
    /// The packages of this tree, and the same of a newer version.
    packages: PathBuf,
    newer: PathBuf,
    /// Consoles and journals, which stay.
    logs: PathBuf,
    /// The systems that are used, which go.
    systems: PathBuf,
}

/// Runs both stories on Debian. With `--packages FOLDER` the packages there are tried, not those of this tree.
pub(super) fn run(arguments: &[&str]) -> Result<bool> {
    run_on(&DEBIAN, arguments)
}

/// The same on Ubuntu, with the packages that were made here.
pub(super) fn run_on_ubuntu(arguments: &[&str]) -> Result<bool> {
    run_on(&UBUNTU, arguments)
}

fn run_on(distribution: &'static Distribution, arguments: &[&str]) -> Result<bool> {
    let given = match arguments {
        [] => None,
        ["--packages", folder] => Some(PathBuf::from(folder)),
        _ => anyhow::bail!("usage: cargo xtask e2e debian|ubuntu [--packages FOLDER]"),
    };
    let ground = Ground::prepare(distribution, given)?;
    let start = Instant::now();
    let result = farm::story(&ground).and_then(|()| original::story(&ground));
    let (name, seconds) = (distribution.name, start.elapsed().as_secs_f64());
    match &result {
        Ok(()) => println!("\ne2e: {name}: all of it was as it should be, {seconds:.0} s"),
        Err(_) => println!("\ne2e: {name}: FAILED; consoles and journals are in {}", ground.logs.display()),
    }
    empty(&ground.systems)?;
    result.map(|()| true)
}

impl Ground {
    fn prepare(distribution: &'static Distribution, given: Option<PathBuf>) -> Result<Self> {
        let folder = target_folder()?.join("e2e").join(distribution.folder);
        let (packages, newer) = match given {
            Some(given) => (given.clone(), given.join("newer")),
            None => {
                let version = env!("CARGO_PKG_VERSION");
                let made = [("packages", version.to_owned()), ("newer", format!("{version}{NEWER}"))];
                for (name, version) in &made {
                    empty(&folder.join(name))?;
                    dist::debian_packages(version, &folder.join(name))?;
                }
                (folder.join("packages"), folder.join("newer"))
            }
        };
        let base = distribution.base(&folder)?;
        let (logs, systems) = (folder.join("logs"), folder.join("systems"));
        empty(&logs)?;
        empty(&systems)?;
        Ok(Self { distribution, base, packages, newer, logs, systems })
    }

    /// A fresh copy of the base system.
    fn system(&self, name: &str) -> Result<PathBuf> {
        let system = self.systems.join(name);
        run_command(program("cp", &["--archive", "--reflink=auto"]).arg(&self.base).arg(&system))?;
        Ok(system)
    }

    /// Boots a system; both kinds of packages lie in its `/root`.
    fn boot(&self, system: &Path, name: &str) -> Result<Machine> {
        for (from, to) in [(&self.packages, "packages"), (&self.newer, "newer")] {
            let to = system.join("root").join(to);
            empty(&to)?;
            for package in std::fs::read_dir(from).with_context(|| format!("list {}", from.display()))? {
                let package = package?.path();
                if package.extension().is_some_and(|extension| extension == "deb") {
                    let name = package.file_name().context("a package has no name")?;
                    std::fs::copy(&package, to.join(name)).with_context(|| format!("copy {}", package.display()))?;
                }
            }
        }
        Machine::boot(system, &self.logs.join(format!("{name}.console")))
    }

    /// Tells a story in a system that is booted, and keeps the journal whatever happens.
    fn tell(&self, system: &Path, name: &str, story: impl FnOnce(&mut Machine) -> Result<()>) -> Result<()> {
        let mut machine = self.boot(system, name)?;
        let result = story(&mut machine);
        let journal = machine.ask("journalctl --no-pager");
        let kept = journal.and_then(|text| Ok(std::fs::write(self.logs.join(format!("{name}.journal")), text)?));
        result.and(kept.context("keep the journal"))
    }
}

impl Distribution {
    /// The untouched system; made by debootstrap once, then kept in the target folder.
    fn base(&self, folder: &Path) -> Result<PathBuf> {
        let (done, system) = (folder.join("made"), folder.join("base"));
        let included = format!("{INCLUDED},{}", self.besides);
        if !std::fs::read_to_string(&done).is_ok_and(|made| made == included) {
            empty(&system)?;
            let mut debootstrap = program("debootstrap", &["--variant=minbase", "--include", &included]);
            if Path::new(self.keyring).exists() {
                debootstrap.arg(format!("--keyring={}", self.keyring));
            } else {
                println!(
                    "e2e: without {} nobody knows whether this is {}: fit for a trial only",
                    self.keyring, self.name
                );
                debootstrap.arg("--no-check-gpg");
            }
            debootstrap.arg(self.suite).arg(&system).args(self.other.iter().flatten());
            run_command(&mut debootstrap).context("needs root and debootstrap")?;
            std::fs::write(&done, &included).context("note that the base system is whole")?;
        }
        Ok(system)
    }
}

/// Installs the packages in a folder of the system, as somebody does who has them as files.
fn install(machine: &Machine, folder: &str) -> Result<()> {
    let said = machine.run(&format!("apt-get install --yes --no-install-recommends /root/{folder}/*.deb 2>&1"))?;
    let ours = said.lines().filter(|line| line.starts_with("Setting up builder") || line.starts_with("builder-"));
    ours.for_each(seen);
    Ok(())
}

/// What is written must be there.
fn expect(text: &str, wanted: &str) -> Result<()> {
    ensure!(text.contains(wanted), "`{wanted}` is not in:\n{text}");
    Ok(())
}
