//! A machine with control groups of version 2 only: an emulated one that boots Debian, with server, workers and docker as
//! systemd units. What happens in it is told by `cgroup2.sh`, which runs inside; here the machine is made, booted and heard.
//!
//! The system of the machine is made once and kept in the target folder; programs, units and the story are on a second
//! disk, made anew each time. What the machine writes to its disks is thrown away.

use crate::command::{program, root, run as run_command, watch};
use crate::component::require;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};

/// What the machine has beside the smallest Debian: an init, a kernel for emulated machines, and sandboxes, with what
/// apt-get would bring along because it is recommended, or because one of several will do.
const INCLUDED: &str = "systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,linux-image-cloud-amd64,apparmor,\
    bubblewrap,systemd-container,docker.io,iptables,podman,crun,netavark,uidmap";
/// The unit of workers in containers.
const CONTAINER_UNIT: &str = "builder-worker-docker@.service";
/// What Debian starts at boot because it is installed, and the story does not need or starts itself.
const DISABLED: [&str; 8] = [
    "docker.service",
    "docker.socket",
    "containerd.service",
    "podman.service",
    "podman.socket",
    "podman-auto-update.service",
    "podman-auto-update.timer",
    "podman-restart.service",
];
/// The kernel and what it begins with, below the folder of the system.
const KERNEL: &str = "vmlinuz";
const INITRD: &str = "initrd.img";
/// The size of the disk with the system, in MiB, and of that with the programs: there has to be room for both.
const SYSTEM_MEBIBYTES: &str = "3000";
const PROGRAMS_MEBIBYTES: &str = "400";
/// The parts of the story: the limits of jobs, and docker and podman.
const PARTS: [&str; 2] = ["limits", "engines"];
/// The programs that the story uses.
const PROGRAMS: [&str; 3] = ["builder-server", "builder-worker", "builder-client"];
/// Parts of a Debian root file system that no job of the story reads.
const UNREAD: [&str; 5] = ["usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists"];
/// How long the machine may take from its start to its end, in seconds: it takes a quarter of an hour on a machine that has
/// nothing else to do.
const SECONDS_MAX: &str = "5400";
/// Tells the story as soon as the machine is up, on a serial line of its own, and then ends the machine.
const UNIT: &str = "\
[Unit]
Description=the story of cargo xtask e2e cgroup2
After=multi-user.target
OnSuccess=poweroff.target
OnFailure=poweroff.target
[Service]
Type=oneshot
ExecStartPre=/usr/bin/mount -o ro /dev/vdb /e2e
ExecStart=/bin/sh /e2e/story.sh
StandardOutput=file:/dev/ttyS1
StandardError=file:/dev/ttyS1
[Install]
WantedBy=multi-user.target
";
/// Boots the machine and hears the story; whether all of it went well.
pub(super) fn run(arguments: &[&str]) -> Result<bool> {
    require(&[
        ("debootstrap", "debootstrap"),
        ("systemctl", "systemd"),
        ("mke2fs", "e2fsprogs"),
        ("qemu-system-x86_64", "qemu-system-x86"),
        ("timeout", "coreutils"),
    ])?;
    let folder = super::folder("cgroup2")?;
    let system = system(&folder)?;
    let programs = programs(&folder, arguments)?;
    println!("\nbooting Debian with control groups of version 2 only; the machine is emulated, which takes its time");
    let console = folder.join("console.log");
    let mut last = String::new();
    let mut told = Vec::new();
    let ended = watch(&mut machine(&folder, &system, &programs, &console), |line| {
        if !line.trim().is_empty() {
            last = line.trim().to_owned();
            told.push(last.clone());
        }
    })?;
    fs::write(folder.join("story.log"), told.join("\n") + "\n").context("keep the story")?;
    if ended && last == "story: 0 failed" {
        println!("\ncgroup2: all as it should be");
        return Ok(true);
    }
    eprintln!("\nxtask: the story did not end well; it lies in {}/story.log,", folder.display());
    eprintln!("xtask: and what the machine printed while it booted in {}", console.display());
    Ok(false)
}

/// The disk of the machine, with kernel and all beside it; made once.
fn system(folder: &Path) -> Result<PathBuf> {
    let (tree, disk, made) = (folder.join("system"), folder.join("system.img"), folder.join("made"));
    // What it was made of, so that it is made anew when that changes.
    let recipe = format!("{INCLUDED}\n{DISABLED:?}\n{UNIT}");
    if fs::read_to_string(&made).is_ok_and(|text| text == recipe) {
        return Ok(disk);
    }
    println!("making the system of the machine, once: debootstrap takes a minute or two");
    if tree.exists() {
        fs::remove_dir_all(&tree).with_context(|| format!("empty {}", tree.display()))?;
    }
    let mut debootstrap = program("debootstrap", &["--variant=minbase", "--include", INCLUDED, "bookworm"]);
    run_command(debootstrap.arg(&tree))?;
    run_command(program("systemctl", &["--quiet", "--root"]).arg(&tree).arg("disable").args(DISABLED))?;
    let unit = "etc/systemd/system/e2e.service";
    fs::write(tree.join(unit), UNIT).context("write the unit that tells the story")?;
    fs::create_dir(tree.join("e2e")).context("make the place for the second disk")?;
    let wanted = tree.join("etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wanted).context("make the folder of what is started")?;
    std::os::unix::fs::symlink(Path::new("/").join(unit), wanted.join("e2e.service"))
        .context("have the story told at the start")?;
    for name in [KERNEL, INITRD] {
        fs::copy(tree.join(name), folder.join(name)).with_context(|| format!("take {name} out of the system"))?;
    }
    pack(&tree, &disk, SYSTEM_MEBIBYTES)?;
    fs::remove_dir_all(&tree).with_context(|| format!("empty {}", tree.display()))?;
    fs::write(&made, recipe).context("note that the system is whole")?;
    Ok(disk)
}

/// The disk with the programs, as they are released, and the story.
fn programs(folder: &Path, arguments: &[&str]) -> Result<PathBuf> {
    let tree = folder.join("programs");
    if tree.exists() {
        fs::remove_dir_all(&tree).with_context(|| format!("empty {}", tree.display()))?;
    }
    for name in ["bin", "units"] {
        fs::create_dir_all(tree.join(name)).with_context(|| format!("make {}", tree.display()))?;
    }
    super::programs(&PROGRAMS, &tree.join("bin"), arguments)?;
    let units = root().join("packaging/systemd");
    for name in ["builder-server.service", "builder-server.socket", "builder-worker@.service"] {
        fs::copy(units.join(name), tree.join("units").join(name)).with_context(|| format!("take the unit {name}"))?;
    }
    let containers = root().join("packaging/containers");
    run_command(program("cp", &["-r"]).arg(&containers).arg(&tree))?;
    fs::copy(containers.join(CONTAINER_UNIT), tree.join("units").join(CONTAINER_UNIT)).context("take its unit")?;
    fs::write(tree.join("builder-worker.toml"), include_str!("cgroup2.toml")).context("write the policy")?;
    let story = [
        ("story.sh", include_str!("cgroup2.sh")),
        ("limits.sh", include_str!("limits.sh")),
        ("engines.sh", include_str!("engines.sh")),
        ("parts", &parts(arguments)?),
    ];
    for (name, text) in story.iter().chain(&super::STORY_PARTS) {
        fs::write(tree.join(name), text).context("write the story")?;
    }
    let base = tree.join("base");
    run_command(program("cp", &["-a"]).arg(super::base()?).arg(&base))?;
    for unread in UNREAD.map(|name| base.join(name)).iter().filter(|path| path.exists()) {
        fs::remove_dir_all(unread).with_context(|| format!("remove {}", unread.display()))?;
    }
    let disk = folder.join("programs.img");
    pack(&tree, &disk, PROGRAMS_MEBIBYTES)?;
    Ok(disk)
}

/// The parts that are asked for by `--only`, or all of them.
fn parts(arguments: &[&str]) -> Result<String> {
    let asked = arguments.iter().position(|argument| *argument == "--only");
    let Some(asked) = asked.map(|at| arguments.get(at + 1).copied().unwrap_or_default()) else {
        return Ok(PARTS.join(" ") + "\n");
    };
    ensure!(PARTS.contains(&asked), "there is no part {asked:?} of the story; there are {}", PARTS.join(", "));
    Ok(format!("{asked}\n"))
}

/// Makes a disk of a folder.
fn pack(tree: &Path, disk: &Path, mebibytes: &str) -> Result<()> {
    if disk.exists() {
        fs::remove_file(disk).with_context(|| format!("remove {}", disk.display()))?;
    }
    let mut pack = program("mke2fs", &["-q", "-t", "ext4", "-d"]);
    run_command(pack.arg(tree).arg(disk).arg(format!("{mebibytes}M")))
}

/// The machine, whose second serial line is our standard output.
fn machine(folder: &Path, system: &Path, programs: &Path, console: &Path) -> std::process::Command {
    let drive = |disk: &Path| format!("file={},format=raw,if=virtio,snapshot=on", disk.display());
    let mut machine = program("timeout", &[SECONDS_MAX, "qemu-system-x86_64"]);
    machine.args(["-m", "2048", "-smp", "2", "-nic", "none", "-display", "none", "-no-reboot", "-monitor", "none"]);
    machine.arg("-kernel").arg(folder.join(KERNEL)).arg("-initrd").arg(folder.join(INITRD));
    machine.args(["-append", "root=/dev/vda rw console=ttyS0 systemd.show_status=true"]);
    machine.arg("-serial").arg(format!("file:{}", console.display())).args(["-serial", "stdio"]);
    machine.arg("-drive").arg(drive(system)).arg("-drive").arg(drive(programs));
    machine
}
