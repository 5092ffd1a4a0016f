//! `log UUID`.

use crate::cli::{Exit, Failure, Screen};
use crate::client::Client;
use crate::commands::observe::{Beside, watch};
use builder_model::BuildId;

/// Show the console of a build, finished or running, and at last its outcome.
///
/// As observe does, but the lines are as the build printed them, and the exit status is 0 when all was shown,
/// whatever the outcome. In JSON as observe.
#[derive(Debug, clap::Args)]
pub(crate) struct Log {
    /// The build, as `builds` or `info` lists it.
    #[arg(value_name = "UUID")]
    build: BuildId,
    /// Show beside each line how long the build had run.
    #[arg(long)]
    durations: bool,
}

impl Log {
    pub(crate) fn run(self, client: &Client, screen: &mut Screen) -> Result<Exit, Failure> {
        let beside = if self.durations { Beside::Durations } else { Beside::Nothing };
        watch(client, self.build, screen, beside)?;
        Ok(Exit::Success)
    }
}
