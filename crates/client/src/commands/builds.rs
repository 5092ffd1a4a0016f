//! `builds`.

use crate::builds::{BuildFilter, EndedBuild};
use crate::cli::{Exit, Failure, Format, Screen, Table, text_of};
use crate::client::Client;
use crate::console_text::nanoseconds_text;
use builder_model::Outcome;
use builder_model::time::local_text;
use serde_json::{Value, json};
use std::io::{self, Write};

/// Where a table cuts the reason of an aborted build, in characters.
const OUTCOME_CHARACTERS_MAX: usize = 60;

/// List builds that have ended, the newest first.
///
/// In JSON: `builds`, a list of `uuid`, `name`, `platform`, `attempts`, `started`, `finished`, `outcome`, `success`,
/// `record_bytes` (the size of its record, null where the server does not keep it any more) and `uploaded` (when the
/// repository took it, null where it did not). Times are RFC 3339.
#[derive(Debug, clap::Args)]
pub(crate) struct Builds {
    /// Only builds of this job.
    #[arg(long, value_name = "NAME")]
    job: Option<String>,
    /// Only builds on this platform.
    #[arg(long)]
    platform: Option<String>,
    /// Only builds that did not exit with status 0.
    #[arg(long)]
    failed: bool,
    /// At most this many.
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
}

impl Builds {
    pub(crate) fn run(self, client: &Client, screen: &mut Screen) -> Result<Exit, Failure> {
        let Self { job, platform, failed, count } = self;
        let builds = client.builds(&BuildFilter { count: count as usize, job, platform, failed })?;
        let written = match screen.format() {
            Format::Text => write_text(screen, &builds),
            Format::Json => screen.write_json(&json!({ "builds": builds.iter().map(value).collect::<Vec<_>>() })),
        };
        written.map_err(Failure::Output)?;
        Ok(Exit::Success)
    }
}

fn write_text(screen: &mut Screen, builds: &[EndedBuild]) -> io::Result<()> {
    if builds.is_empty() {
        return writeln!(screen, "no such build");
    }
    let mut table = Table::new(&["FINISHED", "JOB", "PLATFORM", "TOOK", "OUTCOME", "UUID", "UPLOADED"]);
    for EndedBuild { build, uploaded } in builds {
        let took = build.finished.milliseconds_since(build.started).saturating_mul(1_000_000);
        table.row(vec![
            local_text(build.finished),
            build.job.to_string(),
            build.platform.to_string(),
            nanoseconds_text(took),
            screen.outcome(&build.outcome, &short(&build.outcome)),
            build.build.to_string(),
            if uploaded.is_some() { "yes" } else { "no" }.to_owned(),
        ]);
    }
    screen.write_table(&table)
}

/// An outcome for a table.
fn short(outcome: &Outcome) -> String {
    let text = outcome.to_string();
    match text.char_indices().nth(OUTCOME_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn value(EndedBuild { build, uploaded }: &EndedBuild) -> Value {
    json!({
        "uuid": build.build.to_string(),
        "name": text_of(build.job.as_bytes()),
        "platform": text_of(build.platform.as_bytes()),
        "attempts": build.attempts,
        "started": build.started.to_string(),
        "finished": build.finished.to_string(),
        "outcome": build.outcome.to_string(),
        "success": build.outcome.is_success(),
        "record_bytes": build.record_bytes,
        "uploaded": uploaded.map(|at| at.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_reasons_are_cut() {
        assert_eq!(short(&Outcome::Exited(1)), "exited 1");
        let long = short(&Outcome::aborted("ü".repeat(100)));
        assert_eq!(long.chars().count(), OUTCOME_CHARACTERS_MAX + 1);
        assert!(long.ends_with("ü…"));
    }
}
