//! `artifacts UUID`.

use crate::cli::{Exit, Failure, Format, Screen, text_of};
use crate::client::Client;
use builder_model::{BuildId, Shown};
use serde_json::json;
use std::io::Write;

/// List what a finished build left: SHA-256, size in bytes and path of each artifact.
///
/// The server reads all of them for it, which may take a while. In JSON: `artifacts`, a list of `path`, `size` and
/// `sha256`.
#[derive(Debug, clap::Args)]
pub(crate) struct Artifacts {
    /// The build, as `builds` lists it.
    #[arg(value_name = "UUID")]
    build: BuildId,
}

impl Artifacts {
    pub(crate) fn run(self, client: &Client, screen: &mut Screen) -> Result<Exit, Failure> {
        let artifacts = client.artifacts(self.build)?;
        let written = match screen.format() {
            Format::Text => artifacts.iter().try_for_each(|artifact| {
                writeln!(screen, "{}  {:>12}  {}", artifact.sha256_text(), artifact.bytes, Shown(&artifact.path))
            }),
            Format::Json => {
                let artifacts = artifacts.iter().map(|artifact| {
                    json!({
                        "path": text_of(&artifact.path),
                        "size": artifact.bytes,
                        "sha256": artifact.sha256_text(),
                    })
                });
                screen.write_json(&json!({ "artifacts": artifacts.collect::<Vec<_>>() }))
            }
        };
        written.map_err(Failure::Output)?;
        Ok(Exit::Success)
    }
}
