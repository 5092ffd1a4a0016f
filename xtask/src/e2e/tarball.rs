//! The tarball on another Linux than the one where it was made: the smallest Debian 13, where every program starts, host
//! names are found, and a job is built.

use super::machine::empty;
use crate::command::{output, program, run as run_command};
use crate::dist::{self, target_folder};
use anyhow::{Context, Result, ensure};
use std::path::Path;

/// Beside the smallest system: what many have, which looks names up by a library of that system's own.
const INCLUDED: &str = "libnss-myhostname";
const NAMES: &str = "passwd: files\ngroup: files\nhosts: files myhostname dns\n";

/// Makes the tarball and tries it. With `--tarball FILE` that one is tried.
pub(super) fn run(arguments: &[&str]) -> Result<bool> {
    let tarball = match arguments {
        [] => dist::tarball()?,
        ["--tarball", file] => std::path::absolute(file).context("find the tarball")?,
        _ => anyhow::bail!("usage: cargo xtask e2e tarball [--tarball FILE]"),
    };
    let system = target_folder()?.join("e2e/debian-13");
    empty(&system)?;
    let mut debootstrap = program("debootstrap", &["--variant=minbase", "--include", INCLUDED, "trixie"]);
    run_command(debootstrap.arg(&system)).context("needs root and debootstrap")?;
    let result = try_in(&system, &tarball);
    std::fs::remove_dir_all(&system).with_context(|| format!("remove {}", system.display()))?;
    result.map(|()| true)
}

fn try_in(system: &Path, tarball: &Path) -> Result<()> {
    std::fs::write(system.join("etc/nsswitch.conf"), NAMES).context("write nsswitch.conf")?;
    let mut tar = program("tar", &["--extract", "--gzip", "--strip-components=1", "--no-same-owner", "--file"]);
    run_command(tar.arg(tarball).arg("--directory").arg(system.join("usr/local")))?;
    let version = inside(system, "cat /etc/debian_version; ldd --version 2>&1 | head -n 1")?;
    println!("\nDebian {}", version.trim().replace('\n', ", "));
    let programs = inside(system, "ls /usr/local/bin")?;
    for name in programs.split_whitespace() {
        let said = inside(system, &format!("{name} --version"))?;
        let linked = inside(system, &format!("ldd /usr/local/bin/{name} | grep -o '^[^ ]*' | xargs"))?;
        println!("   {}: {}", said.trim(), linked.trim());
        ensure!(said.contains(env!("CARGO_PKG_VERSION")), "{name} says {said:?}");
    }
    // Nobody listens there: what matters is that the name is one.
    let said = inside(system, "builder-client -r localhost:9 info 2>&1 || true")?;
    println!("   builder-client -r localhost:9 info: {}", said.trim());
    ensure!(said.contains("refused"), "a host name is not found: {said}");
    let farm = "useradd --system builder; install -d -o builder /tmp/data /tmp/config; \
                runuser -u builder -- builder-server --listen 127.0.0.1:0 --dir /tmp/data --config-dir /tmp/config 2>/tmp/log & \
                until address=$(grep -o 'listening at .*' /tmp/log | cut -d' ' -f3) && test -n \"$address\"; do sleep 0.1; done; \
                printf 'echo built on an old system\\n' >/tmp/job; \
                builder-client -r $address schedule job p /tmp/job; builder-worker p -r $address; \
                builder-client -r $address builds; kill %1 2>/dev/null || kill $!";
    let said = inside(system, farm)?;
    said.trim().lines().for_each(|line| println!("   {line}"));
    ensure!(said.contains("exited 0") || said.contains("success"), "the job did not end well: {said}");
    Ok(())
}

/// What a script prints that runs in the system, with process and network of its own.
fn inside(system: &Path, script: &str) -> Result<String> {
    let mut command = program("unshare", &["--mount", "--pid", "--fork", "--kill-child", "--net", "sh", "-ec"]);
    let prepare = "ip link set lo up; mount -t proc proc \"$1/proc\"; exec chroot \"$1\" env -i \
                   PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root sh -c \"$2\"";
    let text = output(command.arg(prepare).arg("sh").arg(system).arg(script))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
