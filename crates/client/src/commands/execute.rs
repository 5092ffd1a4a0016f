//! `execute NAME`.

use crate::cli::{Exit, Failure};
use crate::client::Client;

/// Run a job now: it comes to the front of the queue.
#[derive(Debug, clap::Args)]
pub(crate) struct Execute {
    /// The name of the job.
    name: String,
    /// Only on this platform.
    #[arg(long)]
    platform: Option<String>,
}

impl Execute {
    pub(crate) fn run(self, client: &Client) -> Result<Exit, Failure> {
        client.execute(&self.name, self.platform.as_deref())?;
        Ok(Exit::Success)
    }
}
