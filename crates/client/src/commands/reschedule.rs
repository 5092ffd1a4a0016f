//! `reschedule NAME TIME`.

use crate::cli::{Exit, Failure};
use crate::client::Client;
use builder_model::{Period, Timestamp};

/// Change when a job runs next.
#[derive(Debug, clap::Args)]
pub(crate) struct Reschedule {
    /// The name of the job.
    name: String,
    /// When it runs next: RFC 3339 in any zone, such as 2026-01-31T12:00:00Z or 2026-01-31T12:00:00+02:00.
    #[arg(value_name = "TIME")]
    next: Timestamp,
    /// How often it runs from then on: hourly, daily, weekly or never; as before unless given.
    #[arg(long)]
    period: Option<Period>,
}

impl Reschedule {
    pub(crate) fn run(self, client: &Client) -> Result<Exit, Failure> {
        client.reschedule(&self.name, self.next, self.period)?;
        Ok(Exit::Success)
    }
}
