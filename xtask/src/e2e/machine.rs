//! A whole system in a container of systemd-nspawn: booted, spoken to, rebooted, and gone at the end.

use crate::command::program;
use anyhow::{Context, Result, bail, ensure};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a system may take to boot, and any other thing that is waited for.
const WAIT_MAX: Duration = Duration::from_secs(180);
/// How often something that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// With this status systemd-nspawn ends when its system wants to boot again.
const STATUS_REBOOT: i32 = 133;

/// A system that runs.
pub(super) struct Machine {
    nspawn: Child,
    /// Its root, as this system sees it.
    pub(super) root: PathBuf,
    log: PathBuf,
}

impl Machine {
    /// Boots the system in a folder, without a network; its console goes to the file `log`.
    pub(super) fn boot(root: &Path, log: &Path) -> Result<Self> {
        let machine = Self { nspawn: nspawn(root, log)?, root: root.into(), log: log.into() };
        machine.wait_until_up()?;
        Ok(machine)
    }

    /// Reboots, and waits until it is up again.
    pub(super) fn reboot(&mut self) -> Result<()> {
        // The connection ends with what it asked for: only what follows tells.
        self.ask("systemctl reboot").map(drop)?;
        let status = wait("the system is down", || self.nspawn.try_wait().context("wait for systemd-nspawn"))?;
        ensure!(status.code() == Some(STATUS_REBOOT), "the system went down instead of rebooting: {status}");
        self.nspawn = nspawn(&self.root, &self.log)?;
        self.wait_until_up()
    }

    /// The process 1 of the system, as this system counts.
    fn init(&self) -> Option<u32> {
        let pid = self.nspawn.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    }

    fn wait_until_up(&self) -> Result<()> {
        wait("the system is up", || {
            // "degraded" is up, with a unit that failed: the steps that need that unit will say so.
            let state = self.ask("systemctl is-system-running").unwrap_or_default();
            Ok(["running", "degraded"].contains(&state.trim()).then_some(()))
        })
    }

    fn enter(&self, script: &str) -> Result<Command> {
        let init = self.init().context("the system does not run any more")?;
        let mut command = program("nsenter", &["--all", "--target", &init.to_string(), "env", "--ignore-environment"]);
        command.args(["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "COLUMNS=120"]);
        command.args(["DEBIAN_FRONTEND=noninteractive", "sh", "-ec", script]).stdin(Stdio::null());
        Ok(command)
    }

    /// What a shell script, run by root in the system, prints, whatever its exit status is.
    pub(super) fn ask(&self, script: &str) -> Result<String> {
        let output = self.enter(script)?.output().context("run nsenter")?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What a shell script, run by root in the system, prints; its failure is one, with all it said.
    pub(super) fn run(&self, script: &str) -> Result<String> {
        let output = self.enter(script)?.output().context("run nsenter")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "in the system, `{script}` failed: {}\n{said}{complaint}", output.status);
        Ok(said)
    }

    /// Waits until a script succeeds; returns what it prints.
    pub(super) fn wait(&self, what: &str, script: &str) -> Result<String> {
        wait(what, || {
            let output = self.enter(script)?.output().context("run nsenter")?;
            Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned()))
        })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Process 1 takes all others of the system with it.
        if let Some(init) = self.init() {
            let killed = program("kill", &["-KILL", &init.to_string()]).status();
            if !killed.is_ok_and(|status| status.success()) {
                eprintln!("xtask: cannot end the system with process {init}");
            }
        }
        if let Err(error) = self.nspawn.kill().and_then(|()| self.nspawn.wait()) {
            eprintln!("xtask: cannot end systemd-nspawn: {error}");
        }
    }
}

fn nspawn(root: &Path, log: &Path) -> Result<Child> {
    let console = OpenOptions::new().create(true).append(true).open(log);
    let console = console.with_context(|| format!("open {}", log.display()))?;
    let mut command = program("systemd-nspawn", &["--quiet", "--register=no", "--keep-unit", "--private-network"]);
    command.arg(format!("--machine=builder-e2e-{}", std::process::id())).arg("--directory").arg(root).arg("--boot");
    command.stdin(Stdio::null()).stderr(console.try_clone()?).stdout(console);
    command.spawn().context("run systemd-nspawn; apt-get install systemd-container brings it")
}

/// Looks again and again until there is something.
pub(super) fn wait<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if start.elapsed() > WAIT_MAX {
            bail!("waited {} seconds until {what}", WAIT_MAX.as_secs());
        }
        // tidy: systems and programs of their own tell nobody outside of them; they can only be asked again
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Makes a folder with nothing in it.
pub(super) fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("empty {}", folder.display()))?;
    }
    std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))
}
