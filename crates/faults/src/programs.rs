//! The real programs: started, signalled, stopped, and never left behind.
//!
//! A program is started through this very program, which first asks the system to be killed with its parent
//! (`PR_SET_PDEATHSIG`), so that nothing is left however a run ends.

use crate::processes::MARK;
use crate::wait;
use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// The first argument with which this program becomes another one.
pub(crate) const BECOME: &str = "__become";

/// Where the programs are, and how they are told from others.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    /// The folder of the programs.
    pub(crate) folder: PathBuf,
    /// The folder of their logs.
    pub(crate) logs: PathBuf,
    /// The mark in the environment of everything that descends from them.
    pub(crate) mark: String,
}

/// A program that runs.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    /// Where its log is.
    pub(crate) log: PathBuf,
}

/// Becomes the program that the arguments name; comes back only with an error.
pub(crate) fn become_program(mut arguments: impl Iterator<Item = OsString>) -> anyhow::Error {
    let Some(program) = arguments.next() else { return anyhow::anyhow!("no program was named") };
    if let Err(errno) = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL) {
        return anyhow::Error::from(errno).context("cannot ask to be killed with the parent");
    }
    anyhow::Error::from(Command::new(&program).args(arguments).exec()).context(format!("run {}", program.display()))
}

impl Programs {
    /// Starts a program. Its log grows over all its lives.
    pub(crate) fn start(&self, program: &str, name: &str, arguments: &[OsString]) -> Result<Program> {
        let log = self.logs.join(name);
        let file = OpenOptions::new().create(true).append(true).open(&log).context("open a log")?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(BECOME).arg(self.folder.join(program)).args(arguments);
        command.env(MARK, &self.mark).env_remove("RUST_LOG").env_remove("BUILDER_REMOTE");
        // A group of its own, so that what a terminal sends to us does not reach it.
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).process_group(0);
        let child = command.spawn().with_context(|| format!("start {program}"))?;
        Ok(Program { child, log })
    }
}

impl Program {
    /// Its number.
    pub(crate) fn id(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX))
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("wait for a program")
    }

    /// Ends it the hard way.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill().context("kill a program")?;
        self.child.wait().context("wait for a program")?;
        Ok(())
    }

    /// Asks it to end, and waits; nothing, if it does not end in time.
    pub(crate) fn stop(mut self, at_most: Duration) -> Result<Option<ExitStatus>> {
        nix::sys::signal::kill(self.id(), Signal::SIGTERM).context("send TERM")?;
        let mut status = None;
        wait::until(at_most, || {
            // An error here is an error at the next look, too, and then the time is over.
            status = self.ended().ok().flatten();
            status.is_some()
        });
        Ok(status)
    }

    /// The last lines of its log.
    pub(crate) fn last_words(&self) -> String {
        last_words(&self.log)
    }
}

/// The last lines of a log.
pub(crate) fn last_words(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n    ")
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            match self.child.kill().and_then(|()| self.child.wait()) {
                // It is gone, or it goes with us.
                Ok(_) | Err(_) => {}
            }
        }
    }
}
