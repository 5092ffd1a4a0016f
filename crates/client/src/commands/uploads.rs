//! `uploads`.

use crate::builds::WaitingUpload;
use crate::cli::{Exit, Failure, Format, Screen, Table, text_of};
use crate::client::Client;
use builder_model::Shown;
use builder_wire::message::UPLOADS_LISTED_MAX;
use serde_json::json;
use std::io::{self, Write};

/// List the builds whose records wait for the repository: how often each was tried, and why it failed last.
///
/// The one that waits longest comes first. In JSON: `uploads`, a list of `uuid`, `name`, `tries` and `error`, which is
/// null where nothing failed yet.
#[derive(Debug, clap::Args)]
pub(crate) struct Uploads {}

impl Uploads {
    pub(crate) fn run(self, client: &Client, screen: &mut Screen) -> Result<Exit, Failure> {
        let uploads = client.uploads()?;
        let written = match screen.format() {
            Format::Text => write_text(screen, &uploads),
            Format::Json => {
                let uploads = uploads.iter().map(|upload| {
                    json!({
                        "uuid": upload.build.to_string(),
                        "name": text_of(upload.job.as_bytes()),
                        "tries": upload.tries,
                        "error": upload.error.as_deref().map(text_of),
                    })
                });
                screen.write_json(&json!({ "uploads": uploads.collect::<Vec<_>>() }))
            }
        };
        written.map_err(Failure::Output)?;
        Ok(Exit::Success)
    }
}

fn write_text(screen: &mut Screen, uploads: &[WaitingUpload]) -> io::Result<()> {
    if uploads.is_empty() {
        return writeln!(screen, "no upload waits");
    }
    let mut table = Table::new(&["UUID", "JOB", "TRIES", "LAST ERROR"]);
    for upload in uploads {
        let error = upload.error.as_deref().map(|error| Shown(error).to_string()).unwrap_or_default();
        table.row(vec![upload.build.to_string(), upload.job.to_string(), upload.tries.to_string(), error]);
    }
    screen.write_table(&table)?;
    if uploads.len() >= UPLOADS_LISTED_MAX {
        writeln!(screen, "these {} wait longest; there may be more", uploads.len())?;
    }
    Ok(())
}
