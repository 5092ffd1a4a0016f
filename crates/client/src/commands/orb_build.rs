//! `orb-build NAME OPAM_PACKAGE`.

use crate::cli::{Exit, Failure};
use crate::client::Client;
use builder_model::Period;

/// Put a templated build of a package on the schedule, and run it now on every platform with a template.
#[derive(Debug, clap::Args)]
pub(crate) struct OrbBuild {
    /// The name of the job, unique on the server.
    name: String,
    /// The package that the templates build.
    opam_package: String,
    /// How often it runs: hourly, daily, weekly or never.
    #[arg(long, default_value = "daily")]
    period: Period,
}

impl OrbBuild {
    pub(crate) fn run(self, client: &Client) -> Result<Exit, Failure> {
        client.schedule_templated(&self.name, &self.opam_package, self.period)?;
        Ok(Exit::Success)
    }
}
