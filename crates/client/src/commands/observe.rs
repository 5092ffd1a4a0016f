//! `observe UUID`.

use crate::cli::{Exit, Failure, Format, Screen, json_string};
use crate::client::Client;
use crate::console_text::nanoseconds_text;
use crate::observe::ConsoleEvent;
use builder_model::{BuildId, Outcome};
use owo_colors::Style;
use std::io::{self, Write};

/// Show the console of a build from its first line to its end; the exit status tells its outcome.
///
/// In JSON, one object a line: `delta_ns` (nanoseconds since the start) and `line`, and at last `outcome` and
/// `success`.
#[derive(Debug, clap::Args)]
pub(crate) struct Observe {
    /// The build, as `info` lists it.
    #[arg(value_name = "UUID")]
    build: BuildId,
}

impl Observe {
    pub(crate) fn run(self, client: &Client, screen: &mut Screen) -> Result<Exit, Failure> {
        watch(client, self.build, screen)
    }
}

/// Shows a build to its end.
pub(crate) fn watch(client: &Client, build: BuildId, screen: &mut Screen) -> Result<Exit, Failure> {
    let mut ended = 0;
    let outcome = client.observe(build, &mut |event| match event {
        ConsoleEvent::Line { delta, line } => match screen.format() {
            Format::Text => write_text(screen, delta, line),
            Format::Json => write_json(screen, delta, line),
        },
        ConsoleEvent::Idle => screen.flush(),
        ConsoleEvent::Ended { delta } => {
            ended = delta;
            Ok(())
        }
    })?;
    let written = match screen.format() {
        Format::Text => write_outcome(screen, ended, &outcome),
        Format::Json => {
            let value = serde_json::json!({ "outcome": outcome.to_string(), "success": outcome.is_success() });
            writeln!(screen, "{value}")
        }
    };
    written.map_err(Failure::Output)?;
    Ok(if outcome.is_success() { Exit::Success } else { Exit::BuildFailed })
}

fn write_text(screen: &mut Screen, delta: i64, line: &[u8]) -> io::Result<()> {
    write!(screen, "{} ", nanoseconds_text(delta))?;
    screen.write_console_text(line)?;
    screen.write_all(b"\n")
}

fn write_json(screen: &mut Screen, delta: i64, line: &[u8]) -> io::Result<()> {
    write!(screen, "{{\"delta_ns\":{delta},\"line\":")?;
    json_string(screen, line)?;
    screen.write_all(b"}\n")
}

fn write_outcome(screen: &mut Screen, delta: i64, outcome: &Outcome) -> io::Result<()> {
    let style = if outcome.is_success() { Style::new().green() } else { Style::new().red() };
    let text = screen.styled(outcome, style.bold());
    writeln!(screen, "{} {text}", nanoseconds_text(delta))
}
