//! `observe-latest`.

use crate::cli::{Exit, Failure, Format, Screen};
use crate::client::Client;
use crate::commands::observe::{Beside, watch};
use serde_json::json;
use std::io::Write;

/// Show the build that was started last, as observe does.
///
/// Says first which one; in JSON as an object whose `observing` has `uuid`, `name` and `platform`, or is null when
/// nothing runs. The exit status is 0 then.
#[derive(Debug, clap::Args)]
pub(crate) struct ObserveLatest {
    /// Only builds on this platform.
    #[arg(long)]
    platform: Option<String>,
    /// Only builds of this job.
    #[arg(long, value_name = "NAME")]
    job: Option<String>,
}

impl ObserveLatest {
    pub(crate) fn run(self, client: &Client, screen: &mut Screen) -> Result<Exit, Failure> {
        let farm = client.info()?;
        let latest = farm.latest(self.platform.as_deref(), self.job.as_deref());
        let written = match (screen.format(), latest) {
            (Format::Text, None) => writeln!(screen, "No running jobs"),
            (Format::Json, None) => writeln!(screen, "{}", json!({ "observing": null })),
            (Format::Text, Some(build)) => {
                writeln!(screen, "Observing {} on {} ({})", build.job, build.platform, build.build)
            }
            (Format::Json, Some(build)) => {
                let (name, platform) = (build.job.to_string(), build.platform.to_string());
                let observing = json!({ "uuid": build.build.to_string(), "name": name, "platform": platform });
                writeln!(screen, "{}", json!({ "observing": observing }))
            }
        };
        written.map_err(Failure::Output)?;
        match latest {
            Some(build) => Ok(Exit::of(&watch(client, build.build, screen, Beside::Durations)?)),
            None => Ok(Exit::Success),
        }
    }
}
