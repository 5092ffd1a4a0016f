//! `schedule-template NAME TEMPLATE [PARAMETER=VALUE…]`.

use crate::cli::{Exit, Failure};
use crate::client::Client;
use crate::commands::template::Assignment;
use crate::templates::NewParameterJob;
use builder_model::Period;

/// Put a job of a template with parameters on the schedule, and run it now.
///
/// It runs on every platform that has the template, or only on one. `builder-client template show TEMPLATE` tells which
/// parameters there are. A change of the template counts from the next build on.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  builder-client schedule-template hello debian-source-package package=hello --platform debian-12
  builder-client schedule-template tool cargo url=https://example.org/tool-1.0.tar.gz \\
      sha256=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef --period weekly")]
pub(crate) struct ScheduleTemplate {
    /// The name of the job, unique on the server.
    name: String,
    /// The name of the template.
    template: String,
    /// Values for its parameters.
    #[arg(value_name = "PARAMETER=VALUE")]
    values: Vec<Assignment>,
    /// Only on this platform.
    #[arg(long)]
    platform: Option<String>,
    /// How often it runs: hourly, daily, weekly or never.
    #[arg(long, default_value = "daily")]
    period: Period,
}

impl ScheduleTemplate {
    pub(crate) fn run(self, client: &Client) -> Result<Exit, Failure> {
        let values = self.values.iter().map(Assignment::pair).collect();
        let platform = self.platform.as_deref();
        let job = NewParameterJob { name: &self.name, template: &self.template, platform, values };
        client.schedule_parameter(&job, self.period)?;
        Ok(Exit::Success)
    }
}
