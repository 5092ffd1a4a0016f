//! What every case is told: which server, how long, and where results go.

use crate::report::Report;
use anyhow::{Result, bail};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// The surroundings of a case.
#[derive(Debug)]
pub(crate) struct Bench {
    /// The server under test.
    pub(crate) address: SocketAddr,
    /// Its process, for its memory and processor time.
    pub(crate) pid: Option<u32>,
    /// How long a phase of a case may take.
    pub(crate) phase_max: Duration,
    /// A folder on the server's disk, for floors that need one.
    pub(crate) folder: Option<PathBuf>,
    /// Where results go.
    pub(crate) report: Report,
}

impl Bench {
    /// When a phase that begins now is cut off.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.phase_max
    }

    /// A platform that nobody used before.
    pub(crate) fn platform(&self, case: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        format!("bench-{case}-{}-{}", std::process::id(), now.as_micros() % 1_000_000_000)
    }
}

/// Waits for something, until a phase is over.
pub(crate) async fn within<T>(deadline: Instant, what: &str, wait: impl Future<Output = Result<T>>) -> Result<T> {
    match tokio::time::timeout_at(deadline, wait).await {
        Ok(result) => result,
        Err(_) => bail!("cut off by --max-seconds while waiting for {what}"),
    }
}
