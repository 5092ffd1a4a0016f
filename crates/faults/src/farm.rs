//! The farm of a run: its folders, its server, its workers behind their proxies.

use crate::jobs::PLATFORMS;
use crate::mounts::Mounts;
use crate::plan::{CLIENTS, WORKERS};
use crate::processes;
use crate::programs::{Program, Programs};
use crate::proxy::{Holds, Proxy};
use crate::wait;
use anyhow::{Context, Result, bail};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a server may take until it listens.
const START_LIMIT: Duration = Duration::from_secs(15);
/// How long a program may take to stop in order: a server lets its sessions end for up to 10 seconds.
pub(crate) const STOP_LIMIT: Duration = Duration::from_secs(20);
/// The time limit of a build, in seconds: none of the jobs takes nearly so long by itself.
const BUILD_SECONDS_MAX: u64 = 10;

/// Everything that runs.
#[derive(Debug)]
pub(crate) struct Farm {
    /// The server's data folder.
    pub(crate) data: PathBuf,
    /// Its volumes, if they could be mounted.
    pub(crate) mounts: Option<Mounts>,
    /// Where the server listens.
    pub(crate) address: SocketAddr,
    /// The server, while it runs.
    pub(crate) server: Option<Program>,
    /// The workers.
    pub(crate) workers: Vec<Program>,
    /// Their networks, and that of the clients.
    pub(crate) proxies: Vec<Proxy>,
    /// Which connection holds which build.
    pub(crate) holds: Arc<Holds>,
    /// How programs are started.
    pub(crate) programs: Programs,
    folder: TempDir,
}

impl Farm {
    /// Makes the folders, and starts everything.
    pub(crate) fn start(programs: &Path, may_mount: bool) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("builder-faults-").tempdir().context("make a folder")?;
        let path = |name: &str| folder.path().join(name);
        for name in ["data", "database", "config", "logs", "work"] {
            std::fs::create_dir(path(name)).context("make the folders of the farm")?;
        }
        let data = path("data");
        let mounts = if may_mount { Some(Mounts::new(&data, &path("database"))?) } else { None };
        let address = free_address()?;
        let mark = format!("{}", folder.path().display());
        let programs = Programs { folder: programs.to_owned(), logs: path("logs"), mark };
        let holds = Arc::new(Holds::default());
        let (server, workers, proxies) = (None, Vec::new(), Vec::new());
        let mut farm = Self { data, mounts, address, server, workers, proxies, holds, programs, folder };
        farm.start_server()?;
        for _ in 0..=CLIENTS {
            farm.proxies.push(Proxy::start(address, farm.holds.clone())?);
        }
        for number in 0..WORKERS {
            let worker = farm.start_worker(number)?;
            farm.workers.push(worker);
        }
        Ok(farm)
    }

    fn server_arguments(&self, address: SocketAddr) -> Vec<OsString> {
        let listen = address.to_string();
        let (timeout, config) = (format!("{BUILD_SECONDS_MAX}s"), self.folder.path().join("config"));
        let pairs: [(&str, OsString); 4] = [
            ("--listen", listen.into()),
            ("--dir", self.data.clone().into()),
            ("--config-dir", config.into()),
            ("--timeout", timeout.into()),
        ];
        pairs.into_iter().flat_map(|(flag, value)| [flag.into(), value]).collect()
    }

    /// Starts the server and waits until it listens.
    pub(crate) fn start_server(&mut self) -> Result<()> {
        let mut server = self.programs.start("builder-server", "server.log", &self.server_arguments(self.address))?;
        let mut ended = None;
        let listens = wait::until(START_LIMIT, || {
            ended = server.ended().ok().flatten();
            ended.is_some() || TcpStream::connect(self.address).is_ok()
        });
        match ended {
            Some(status) => bail!("the server does not start: {status}\n    {}", server.last_words()),
            None if !listens => bail!("the server does not listen\n    {}", server.last_words()),
            None => self.server = Some(server),
        }
        Ok(())
    }

    /// Starts a second server on the data folder; how it ended, and what it said, or nothing if it runs.
    pub(crate) fn start_second_server(&self) -> Result<Option<(ExitStatus, String)>> {
        let arguments = self.server_arguments("127.0.0.1:0".parse()?);
        let mut second = self.programs.start("builder-server", "second.log", &arguments)?;
        let mut ended = None;
        wait::until(START_LIMIT, || {
            ended = second.ended().ok().flatten();
            ended.is_some()
        });
        Ok(ended.map(|status| (status, second.last_words())))
    }

    /// Starts a worker. Their folders are apart, so that each can be looked into when a run failed.
    pub(crate) fn start_worker(&self, number: usize) -> Result<Program> {
        let workdir = self.folder.path().join("work").join(number.to_string());
        std::fs::create_dir_all(&workdir).context("make a folder for a worker")?;
        let platform = PLATFORMS[number % PLATFORMS.len()];
        let remote = self.proxies[number].address.to_string();
        let mut arguments: Vec<OsString> = [platform, "--remote", &remote, "--loop", "--grace", "300ms", "--workdir"]
            .iter()
            .map(OsString::from)
            .collect();
        arguments.push(workdir.into());
        self.programs.start("builder-worker", &format!("worker-{number}.log"), &arguments)
    }

    /// The programs that we started ourselves.
    pub(crate) fn known(&self) -> Vec<Pid> {
        self.server.iter().chain(&self.workers).map(Program::id).collect()
    }

    /// The processes of jobs, supervisors among them, whose worker lives.
    pub(crate) fn job_processes(&self) -> Vec<Pid> {
        let workers: Vec<Pid> = self.workers.iter().map(Program::id).collect();
        processes::below(&workers)
    }

    /// Processes that carry the mark of this run and are no programs of it.
    pub(crate) fn marked(&self) -> Vec<Pid> {
        processes::marked(&self.programs.mark, &self.known())
    }

    /// The same without the supervisors that wait for a job beside a worker that waits, too.
    pub(crate) fn left_of_jobs(&self) -> Vec<Pid> {
        let workers: Vec<Pid> = self.workers.iter().map(Program::id).collect();
        let is_on_standby =
            |process: Pid| processes::is_supervisor(process) && processes::is_childless_child_of(process, &workers);
        self.marked().into_iter().filter(|process| !is_on_standby(*process)).collect()
    }

    /// What the server said about a build that a text names, as far as its log tells.
    pub(crate) fn said_about(&self, text: &str) -> String {
        let log = std::fs::read(self.programs.logs.join("server.log")).unwrap_or_default();
        let builds: Vec<&str> = text.split_ascii_whitespace().filter(|word| word.len() >= 36).collect();
        let is_named = |line: &&str| builds.iter().any(|build| line.contains(build.trim_end_matches(':')));
        let log = String::from_utf8_lossy(&log);
        log.lines().filter(is_named).map(|line| format!("\n    {line}")).collect()
    }

    /// Lines of all logs in which a program panics.
    pub(crate) fn panics(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(&self.programs.logs) else { return Vec::new() };
        let texts = entries.filter_map(|entry| std::fs::read(entry.ok()?.path()).ok());
        let lines = texts.flat_map(|text| {
            let text = String::from_utf8_lossy(&text).into_owned();
            text.lines().filter(|line| line.contains("panicked at")).map(str::to_owned).collect::<Vec<_>>()
        });
        lines.collect()
    }
}

impl Drop for Farm {
    /// Ends everything that is left, the processes of jobs too; the folders go after it.
    fn drop(&mut self) {
        self.server = None;
        self.workers.clear();
        let end = Instant::now() + STOP_LIMIT;
        loop {
            let left = self.marked();
            if left.is_empty() || Instant::now() >= end {
                break;
            }
            for process in left {
                processes::signal(process, nix::sys::signal::Signal::SIGKILL);
            }
            processes::reap_strangers(&[]);
            wait::pause(Duration::from_millis(10));
        }
        processes::reap_strangers(&[]);
        if let Some(mounts) = &self.mounts {
            mounts.unmount();
        }
    }
}

/// An address that nobody listens at. Its port is below those that the system gives to outgoing connections: a client
/// that finds nobody there must not, by chance, be connected to itself.
fn free_address() -> Result<SocketAddr> {
    let first = 20_000 + std::process::id() % 10_000;
    let ports = (first..32_000).chain(20_000..first);
    let addresses = ports.filter_map(|port| Some(SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).ok()?))));
    let mut free = addresses.filter(|address| TcpListener::bind(address).is_ok());
    free.next().context("find a free port")
}
