//! The time that a server goes by: the system's, or in tests one that is moved by hand.

use builder_model::Timestamp;
use builder_sched::Now;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;

/// Where the time comes from.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The system's clocks; what does not jump counts from here.
    System(Instant),
    /// A clock that stands still until somebody moves it.
    Manual(watch::Receiver<Now>),
}

/// What moves a manual clock.
#[derive(Debug)]
pub struct ManualClock {
    now: watch::Sender<Now>,
}

impl Default for Clock {
    fn default() -> Self {
        Self::System(Instant::now())
    }
}

impl Clock {
    /// A clock that stands at `wall`, and what moves it.
    pub fn manual(wall: Timestamp) -> (Self, ManualClock) {
        let (now, reading) = watch::channel(Now { wall, monotonic: Duration::ZERO });
        (Self::Manual(reading), ManualClock { now })
    }

    /// The time.
    pub fn now(&self) -> Now {
        match self {
            Self::System(epoch) => Now { wall: Timestamp::from(SystemTime::now()), monotonic: epoch.elapsed() },
            Self::Manual(reading) => *reading.borrow(),
        }
    }

    /// Waits until the clock reads `due`, for `at_most` this long of real time, or until it is moved.
    pub(crate) async fn wait(&mut self, due: Duration, at_most: Duration) {
        match self {
            Self::System(_) => tokio::time::sleep(due.min(at_most)).await,
            Self::Manual(reading) => {
                // Who held the clock may have let go of it: then it stands for ever.
                if let Ok(Err(_)) = tokio::time::timeout(at_most, reading.changed()).await {
                    tokio::time::sleep(at_most).await;
                }
            }
        }
    }
}

impl ManualClock {
    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let milliseconds = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.now.send_modify(|now| {
            *now = Now { wall: now.wall.plus_milliseconds(milliseconds), monotonic: now.monotonic + by };
        });
    }

    /// Sets the time of day, as an administrator or a time server does; nothing that counts seconds notices.
    pub fn set_wall(&self, wall: Timestamp) {
        self.now.send_modify(|now| now.wall = wall);
    }
}
