//! `undrop-platform PLATFORM`.

use crate::cli::{Exit, Failure};
use crate::client::Client;

/// Take a dropped platform again; its old scripts do not come back.
#[derive(Debug, clap::Args)]
pub(crate) struct UndropPlatform {
    /// Which platform.
    platform: String,
}

impl UndropPlatform {
    pub(crate) fn run(self, client: &Client) -> Result<Exit, Failure> {
        client.undrop_platform(&self.platform)?;
        Ok(Exit::Success)
    }
}
