//! `observe UUID`.

use crate::cli::{Exit, Failure, Format, Screen, json_string};
use crate::client::Client;
use crate::console_text::nanoseconds_text;
use crate::observe::ConsoleEvent;
use builder_model::{BuildId, Outcome};
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
        let outcome = watch(client, self.build, screen, Beside::Durations)?;
        Ok(Exit::of(&outcome))
    }
}

/// What stands beside each line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beside {
    /// How long the build had run then.
    Durations,
    /// Nothing: the line as it was printed.
    Nothing,
}

/// Shows a build to its end.
pub(crate) fn watch(client: &Client, build: BuildId, screen: &mut Screen, beside: Beside) -> Result<Outcome, Failure> {
    let mut ended = 0;
    let outcome = client.observe(build, &mut |event| match event {
        ConsoleEvent::Line { delta, line } => match screen.format() {
            Format::Text => write_text(screen, beside, delta, line),
            Format::Json => write_json(screen, delta, line),
        },
        ConsoleEvent::Idle => screen.flush(),
        ConsoleEvent::Ended { delta } => {
            ended = delta;
            Ok(())
        }
    })?;
    let written = match screen.format() {
        Format::Text => write_outcome(screen, beside, ended, &outcome),
        Format::Json => {
            let value = serde_json::json!({ "outcome": outcome.to_string(), "success": outcome.is_success() });
            writeln!(screen, "{value}")
        }
    };
    written.map_err(Failure::Output)?;
    Ok(outcome)
}

fn write_text(screen: &mut Screen, beside: Beside, delta: i64, line: &[u8]) -> io::Result<()> {
    write_beside(screen, beside, delta)?;
    screen.write_console_text(line)?;
    screen.write_all(b"\n")
}

fn write_beside(screen: &mut Screen, beside: Beside, delta: i64) -> io::Result<()> {
    match beside {
        Beside::Durations => write!(screen, "{} ", nanoseconds_text(delta)),
        Beside::Nothing => Ok(()),
    }
}

fn write_json(screen: &mut Screen, delta: i64, line: &[u8]) -> io::Result<()> {
    write!(screen, "{{\"delta_ns\":{delta},\"line\":")?;
    json_string(screen, line)?;
    screen.write_all(b"}\n")
}

fn write_outcome(screen: &mut Screen, beside: Beside, delta: i64, outcome: &Outcome) -> io::Result<()> {
    write_beside(screen, beside, delta)?;
    let text = screen.outcome(outcome, &outcome.to_string());
    writeln!(screen, "{text}")
}
