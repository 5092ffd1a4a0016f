//! A program that runs beside the test, with its log in a file; it does not outlive the test.

use crate::wait::{PATIENCE, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use tempfile::TempDir;

/// A running program.
#[derive(Debug)]
pub struct Program {
    child: Child,
    log: PathBuf,
    _folder: TempDir,
}

impl Program {
    /// Starts a program. What it says goes to [`Program::log`].
    pub fn start(program: impl AsRef<Path>, arguments: &[&str]) -> Self {
        Self::start_with(Command::new(program.as_ref()).args(arguments).stdin(Stdio::null()))
    }

    /// Starts a program that was prepared; only where its output goes is set here.
    pub fn start_with(command: &mut Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let file = File::create(&log).unwrap();
        command.stdout(file.try_clone().unwrap()).stderr(file);
        Self { child: command.spawn().unwrap(), log, _folder: folder }
    }

    /// What it said so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()).into_owned()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until a line of its log has this text; gives what follows it on the line.
    pub async fn says(&mut self, text: &str) -> String {
        eventually(&format!("the program says {text:?}"), async || {
            let ended = self.child.try_wait().unwrap();
            let log = self.log();
            let found =
                log.split_once(text).and_then(|(_, rest)| rest.split_once('\n')).map(|(rest, _)| rest.to_owned());
            assert!(found.is_some() || ended.is_none(), "{ended:?} before {text:?}:\n{log}");
            found
        })
        .await
    }

    /// Where a server listens, once it says so.
    pub async fn address(&mut self) -> SocketAddr {
        self.says("listening at ").await.parse().unwrap()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(pid, signal).unwrap();
    }

    /// Ends it the hard way.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it ends.
    pub async fn ended(mut self) -> (ExitStatus, String) {
        let what = format!("the program ends within {} s", PATIENCE.as_secs());
        let status = eventually(&what, async || self.child.try_wait().unwrap()).await;
        (status, self.log())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Whoever waited for its end has it already.
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) && self.child.kill().is_ok() {
            self.child.wait().unwrap();
        }
    }
}
