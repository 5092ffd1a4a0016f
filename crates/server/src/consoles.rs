//! The consoles of builds that have no record yet: who writes announces how far, who observes waits for that.
//!
//! Lines themselves go through the log on disk, so that an observer, however slow, misses none and holds up nobody.

use builder_model::state::FinishedBuild;
use builder_model::{BuildId, Outcome};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// How far a console is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct News {
    /// How many bytes of the log are there to be read.
    pub log_bytes: u64,
    /// Whether the last lines are only in the record.
    pub rest_is_in_record: bool,
    /// How the build ended, once it has its record.
    pub ended: Option<Ended>,
}

/// How a build ended, and after how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub outcome: Outcome,
    /// Nanoseconds from its start to its end.
    pub delta: i64,
}

impl From<&FinishedBuild> for Ended {
    fn from(build: &FinishedBuild) -> Self {
        let delta = build.finished.milliseconds_since(build.started).saturating_mul(1_000_000);
        Self { outcome: build.outcome.clone(), delta }
    }
}

/// One console's announcements, for as long as the build has no record.
#[derive(Debug, Default)]
pub struct ConsoleFeed {
    news: watch::Sender<News>,
}

impl ConsoleFeed {
    /// The log has this many bytes now.
    pub fn announce(&self, log_bytes: u64) {
        self.news.send_modify(|news| news.log_bytes = log_bytes);
    }

    /// The build ends before its last lines were in the log: the record has them.
    pub fn rest_is_in_record(&self) {
        self.news.send_modify(|news| news.rest_is_in_record = true);
    }

    /// Waits until the build has its record, and whoever looks for the file finds it.
    pub async fn ended(&self) {
        let mut news = self.news.subscribe();
        // The sender is ours: it does not go.
        let _known: Result<_, _> = news.wait_for(|news| news.ended.is_some()).await;
    }

    /// How far the log is, and how to wait for more.
    pub fn subscribe(&self) -> watch::Receiver<News> {
        self.news.subscribe()
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Consoles {
    feeds: Mutex<HashMap<BuildId, Arc<ConsoleFeed>>>,
}

impl Consoles {
    /// The feed of a build, made when it is new.
    pub fn feed(&self, build: &BuildId) -> Arc<ConsoleFeed> {
        self.lock().entry(*build).or_default().clone()
    }

    /// The feed of a build that has no record yet.
    pub fn find(&self, build: &BuildId) -> Option<Arc<ConsoleFeed>> {
        self.lock().get(build).cloned()
    }

    /// The build has its record, and its row in the history: observers end, new ones read the record.
    pub fn finished(&self, build: &FinishedBuild) {
        let feed = self.lock().remove(&build.build);
        if let Some(feed) = feed {
            feed.news.send_modify(|news| news.ended = Some(build.into()));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<BuildId, Arc<ConsoleFeed>>> {
        // Nothing panics while it holds the lock; if it did, the map would still be whole.
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
