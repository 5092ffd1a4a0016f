//! `template render NAME --platform P [PARAMETER=VALUE…]`.

use super::Assignment;
use crate::cli::{Exit, Failure, Format, Screen, text_of};
use crate::client::Client;
use serde_json::json;

/// Show exactly the script that would run with these values; nothing is scheduled.
///
/// In JSON: `script`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  builder-client template render debian-source-package --platform debian-12 package=hello
  builder-client template render cargo --platform debian-12 url=https://example.org/a.tar.gz | shellcheck -")]
pub(crate) struct Render {
    /// The name of the template.
    name: String,
    /// Values for its parameters.
    #[arg(value_name = "PARAMETER=VALUE")]
    values: Vec<Assignment>,
    /// For this platform.
    #[arg(long)]
    platform: String,
}

impl Render {
    pub(crate) fn run(self, client: &Client, screen: &mut Screen) -> Result<Exit, Failure> {
        let values = self.values.iter().map(Assignment::pair).collect();
        let script = client.render(&self.name, &self.platform, values)?;
        let written = match screen.format() {
            Format::Text => screen.write_text(&script),
            Format::Json => screen.write_json(&json!({ "script": text_of(&script) })),
        };
        written.map_err(Failure::Output)?;
        Ok(Exit::Success)
    }
}
