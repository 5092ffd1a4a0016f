//! `unschedule NAME`.

use crate::cli::{Exit, Failure};
use crate::client::Client;

/// Take a job off the schedule and out of the queues.
#[derive(Debug, clap::Args)]
pub(crate) struct Unschedule {
    /// The name of the job.
    name: String,
}

impl Unschedule {
    pub(crate) fn run(self, client: &Client) -> Result<Exit, Failure> {
        client.unschedule(&self.name)?;
        Ok(Exit::Success)
    }
}
