//! `drop-platform PLATFORM`.

use crate::cli::{Exit, Failure};
use crate::client::Client;

/// Forget a platform with its queue and its scripts, and refuse it from now on.
#[derive(Debug, clap::Args)]
pub(crate) struct DropPlatform {
    /// Which platform.
    platform: String,
}

impl DropPlatform {
    pub(crate) fn run(self, client: &Client) -> Result<Exit, Failure> {
        client.drop_platform(&self.platform)?;
        Ok(Exit::Success)
    }
}
