//! A real server in this process: on a free port, in a folder of its own, with a clock that a test may move.

use crate::client::{self, Observed, Observer, Seen};
use crate::record::Told;
use crate::wait::eventually;
use crate::worker::{FakeWorker, JobSeen};
use builder_model::state::FinishedBuild;
use builder_model::{BuildId, JobName, Period, Timestamp};
use builder_server::clock::{Clock, ManualClock};
use builder_server::{Server, Settings, StartError};
use builder_store::{History, StoreError};
use builder_wire::Message;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// The folders, settings and clock of a farm whose server does not run.
#[derive(Debug)]
pub struct Grounds {
    folder: TempDir,
    /// What the server is told.
    pub settings: Settings,
    clock: Option<ManualClock>,
}

/// A farm with a running server.
#[derive(Debug)]
pub struct Farm {
    grounds: Grounds,
    server: Server,
    metrics: SocketAddr,
}

impl Default for Grounds {
    fn default() -> Self {
        Self::new()
    }
}

impl Grounds {
    /// Empty folders and default settings.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (data, config) = (folder.path().join("data"), folder.path().join("config"));
        for path in [&data, &config] {
            std::fs::create_dir(path).unwrap();
        }
        Self { settings: Settings::new(data, config), clock: None, folder }
    }

    /// With a clock that stands at this time until it is moved.
    #[must_use]
    pub fn at(mut self, time: &str) -> Self {
        let (clock, hand) = Clock::manual(time.parse().unwrap());
        self.settings.clock = clock;
        self.clock = Some(hand);
        self
    }

    /// With other settings.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// The folder in which everything of the farm lies.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        &self.settings.dir
    }

    /// Writes the template of a platform.
    pub fn template(&self, platform: &str, text: &str) {
        std::fs::write(self.template_path(platform), text).unwrap();
    }

    /// Writes a template with parameters of a platform.
    pub fn named_template(&self, name: &str, platform: &str, text: &str) {
        let path = self.named_template_path(name, platform);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Where a template with parameters of a platform lies.
    pub fn named_template_path(&self, name: &str, platform: &str) -> PathBuf {
        self.settings.config_dir.join("templates").join(name).join(platform)
    }

    /// Where the template of a platform lies.
    pub fn template_path(&self, platform: &str) -> PathBuf {
        self.settings.config_dir.join(format!("orb-build.template.{platform}"))
    }

    /// The finished builds, the newest first.
    pub fn history(&self) -> Vec<FinishedBuild> {
        History::open(self.data()).unwrap().newest(10_000).unwrap()
    }

    /// Where the record of a build lies; the job's name is a strict one.
    pub fn record_path(&self, job: &str, build: BuildId) -> PathBuf {
        assert!(JobName::parse(job.as_bytes()).is_ok(), "{job:?}");
        self.data().join(job).join(build.to_string()).join("full")
    }

    /// The record of a build.
    pub fn record(&self, job: &str, build: BuildId) -> Told {
        Told::of(&std::fs::read(self.record_path(job, build)).unwrap())
    }

    /// Starts the server.
    ///
    /// A program that another test starts at this moment has all descriptors of this process, and with them the locks
    /// of servers that just ended, until it is what it is to be: so a folder that is locked is asked for again.
    pub async fn start(self) -> Farm {
        let (server, metrics) = eventually("the data folder is free", async || {
            let metrics_listener = listen();
            let metrics = metrics_listener.local_addr().unwrap();
            match Server::start(self.settings.clone(), vec![listen()], vec![metrics_listener]).await {
                Ok(server) => Some((server, metrics)),
                Err(StartError::Store(StoreError::Locked { .. })) => None,
                Err(error) => panic!("the server does not start: {error}"),
            }
        })
        .await;
        Farm { grounds: self, server, metrics }
    }

    /// Why a server does not start here; the folders stay as they are.
    pub async fn refusal(&self) -> String {
        match Server::start(self.settings.clone(), vec![listen()], Vec::new()).await {
            Ok(_) => panic!("the server starts"),
            Err(error) => error.to_string(),
        }
    }
}

/// A socket on a free port.
fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

impl Farm {
    /// A farm with default settings.
    pub async fn start() -> Self {
        Grounds::new().start().await
    }

    /// The folders and settings.
    pub fn grounds(&self) -> &Grounds {
        &self.grounds
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.server.addresses()[0]
    }

    /// Where it serves metrics.
    pub fn metrics(&self) -> SocketAddr {
        self.metrics
    }

    /// Stops the server in order.
    pub async fn stop(self) -> Grounds {
        self.server.stop().await;
        self.grounds
    }

    /// Stops the server, and starts it again on the same folders.
    pub async fn restart(self) -> Self {
        self.stop().await.start().await
    }

    /// Lets time pass.
    pub fn advance(&self, seconds: u64) {
        self.grounds.clock.as_ref().unwrap().advance(Duration::from_secs(seconds));
    }

    /// Sets the time of day.
    pub fn set_wall(&self, time: &str) {
        let time: Timestamp = time.parse().unwrap();
        self.grounds.clock.as_ref().unwrap().set_wall(time);
    }

    /// Gives the server one command.
    pub async fn command(&self, command: &Message<'_>) -> Result<(), String> {
        client::command(self.address(), command).await
    }

    /// Puts a job on the schedule that runs now, and else never.
    pub async fn schedule(&self, name: &str, platform: &str) {
        self.schedule_every(Period::Never, name, platform).await;
    }

    /// Puts a job on the schedule.
    pub async fn schedule_every(&self, period: Period, name: &str, platform: &str) {
        assert_eq!(client::schedule(self.address(), name, platform, period).await, Ok(()));
    }

    /// Puts a templated job on the schedule that runs now, and else never.
    pub async fn schedule_templated(&self, name: &str, package: &str) {
        let (name, package) = (name.as_bytes(), package.as_bytes());
        let message = Message::ScheduleTemplated { period: Period::Never, name, package };
        assert_eq!(self.command(&message).await, Ok(()));
    }

    /// What the server says of itself.
    pub async fn info(&self) -> Seen {
        client::info(self.address()).await
    }

    /// Waits until the server says this of its queues.
    pub async fn queues_become(&self, expected: &[&str]) {
        let mut last = Vec::new();
        let what = format!("queues {expected:?}");
        eventually(&what, async || {
            last = self.info().await.queues;
            (last == expected).then_some(())
        })
        .await;
    }

    /// A worker that waits.
    pub async fn worker(&self, platform: &str) -> FakeWorker {
        FakeWorker::waiting(self.address(), platform).await
    }

    /// A worker that has a job.
    pub async fn running(&self, platform: &str) -> (FakeWorker, JobSeen) {
        FakeWorker::running(self.address(), platform).await
    }

    /// A client that watches a build.
    pub async fn observer(&self, build: BuildId) -> Observer {
        Observer::of(self.address(), build).await
    }

    /// Everything that an observer of a build sees up to its end.
    pub async fn observe(&self, build: BuildId) -> Observed {
        self.observer(build).await.rest().await
    }

    /// Waits until a build has its row in the history.
    pub async fn finished(&self, build: BuildId) -> FinishedBuild {
        let history = History::open(self.grounds.data()).unwrap();
        eventually("the build is in the history", async || history.find(&build).unwrap()).await
    }

    /// The record of a build.
    pub fn record(&self, job: &str, build: BuildId) -> Told {
        self.grounds.record(job, build)
    }
}
