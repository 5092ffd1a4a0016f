//! Programs that a case or the suite starts: a server on folders of its own, a real worker. They do not outlive us.

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpStream;

/// How long a program may take to end when it is asked to.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// How often we look whether something has happened that nothing tells of.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// A running program.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    log: PathBuf,
    _folder: TempDir,
}

impl Program {
    /// Starts it; the folder, which gets its log, is removed when it has ended.
    pub(crate) fn start(command: &mut Command, folder: TempDir) -> Result<Self> {
        let log = folder.path().join("log");
        let file = File::create(&log).context("create a log")?;
        let streams = command.stdin(Stdio::null()).stdout(file.try_clone().context("share a log")?).stderr(file);
        let child = streams.spawn().with_context(|| format!("run {}", command.get_program().display()))?;
        Ok(Self { child, log, _folder: folder })
    }

    /// Starts a builder-worker that takes one job after the other.
    pub(crate) fn worker(program: &Path, server: SocketAddr, platform: &str, arguments: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir().context("make a folder")?;
        let mut command = Command::new(program);
        command
            .args([platform, "--loop", "--remote", &server.to_string(), "--workdir"])
            .arg(folder.path())
            .args(arguments);
        Self::start(&mut command, folder)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, and waits until it has; gives the last line that it wrote, for the error of a case.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).context("a process has a strange number")?);
        kill(pid, Signal::SIGTERM).context("ask a program to end")?;
        let ended = async {
            while self.child.try_wait().context("wait for a program")?.is_none() {
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
            anyhow::Ok(())
        };
        match tokio::time::timeout(STOP_LIMIT, ended).await {
            Ok(ended) => ended,
            Err(_) => bail!("a program does not end; its last words were: {}", self.last_words()),
        }
    }

    /// The end of its log.
    fn last_words(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        log.lines().last().unwrap_or("nothing").to_owned()
    }

    /// Whether it is still there; an error with its last words when it is not.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.child.try_wait().context("look at a program")? {
            None => Ok(()),
            Some(status) => bail!("a program ended ({status}); its last words were: {}", self.last_words()),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Whoever waited for its end has it already; and whoever cannot be ended now has ended by itself.
        if matches!(self.child.try_wait(), Ok(None)) && self.child.kill().is_ok() {
            match self.child.wait() {
                Ok(_) | Err(_) => {}
            }
        }
    }
}

/// A running server, with our flags.
#[derive(Debug)]
pub(crate) struct Server {
    /// The program.
    pub(crate) program: Program,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts a server on a data folder; it may not listen yet.
    pub(crate) fn start(program: &Path, dir: &Path) -> Result<Self> {
        let folder = tempfile::tempdir().context("make a folder")?;
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let address = free.context("find a free port")?;
        let mut command = Command::new(program);
        command.arg("--dir").arg(dir).arg("--config-dir").arg(folder.path());
        command.args(["--listen", &address.to_string()]);
        Ok(Self { program: Program::start(&mut command, folder)?, address })
    }

    /// Starts a repository on a data folder; it may not listen yet.
    pub(crate) fn repository(program: &Path, datadir: &Path) -> Result<Self> {
        let folder = tempfile::tempdir().context("make a folder")?;
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let address = free.context("find a free port")?;
        let mut command = Command::new(program);
        command.arg("--datadir").arg(datadir).arg("--configdir").arg(folder.path());
        command.args(["--host", "127.0.0.1", "--port", &address.port().to_string()]);
        Ok(Self { program: Program::start(&mut command, folder)?, address })
    }

    /// Starts a second server, beside the one under test, on a folder that is removed with what this gives.
    pub(crate) async fn reference(program: &Path, parent: Option<&Path>) -> Result<(Self, TempDir)> {
        let temporary = std::env::temp_dir();
        let dir = tempfile::tempdir_in(parent.unwrap_or(&temporary)).context("make a data folder")?;
        let mut server = Self::start(program, dir.path())?;
        server.listening().await?;
        Ok((server, dir))
    }

    /// Waits until it accepts connections.
    pub(crate) async fn listening(&mut self) -> Result<()> {
        while TcpStream::connect(self.address).await.is_err() {
            self.program.check()?;
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        Ok(())
    }
}
