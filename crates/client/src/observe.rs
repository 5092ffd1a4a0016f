//! Watching a build: its lines as they come, and its outcome at the end.
//!
//! On the wire the outcome is one more line, which only the `success` behind it tells from the console. So a line that
//! reads like an outcome is held back until it is known what follows it; every other line is shown at once.

use crate::connection::Connection;
use crate::error::Error;
use builder_model::{BuildId, Outcome, Shown};
use builder_wire::session::client::Step;
use std::io;

/// What there is to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsoleEvent<'a> {
    /// A line of the console.
    Line {
        /// Nanoseconds since the start of the build.
        delta: i64,
        /// The line without its newline: any bytes.
        line: &'a [u8],
    },
    /// Nothing more is here at the moment: what was shown should be visible now.
    Idle,
    /// The build ended: the outcome follows from the call.
    Ended {
        /// Nanoseconds since the start of the build.
        delta: i64,
    },
}

/// A line that may be the outcome.
struct Held {
    delta: i64,
    line: Vec<u8>,
    outcome: Outcome,
}

enum Next {
    Line,
    Done,
    Refused(String),
}

/// Shows a build until its end.
pub(crate) fn observe(
    connection: &mut Connection,
    build: BuildId,
    show: &mut dyn FnMut(ConsoleEvent<'_>) -> io::Result<()>,
) -> Result<Outcome, Error> {
    let mut held: Option<Held> = None;
    loop {
        if !connection.has_message() {
            show(ConsoleEvent::Idle).map_err(Error::Sink)?;
        }
        let next = connection.receive(|step| match step {
            Step::Line { delta, line } => {
                if let Some(held) = held.take() {
                    show(ConsoleEvent::Line { delta: held.delta, line: &held.line })?;
                }
                match outcome(line) {
                    Some(outcome) => held = Some(Held { delta, line: line.to_vec(), outcome }),
                    None => show(ConsoleEvent::Line { delta, line })?,
                }
                Ok(Next::Line)
            }
            Step::Done => Ok(Next::Done),
            Step::Refused(reason) => Ok(Next::Refused(Shown(reason).to_string())),
            Step::Ready
            | Step::Info(_)
            | Step::Waits(_)
            | Step::Builds(_)
            | Step::Uploads(_)
            | Step::Artifacts(_)
            | Step::Templates(_)
            | Step::Script(_) => Ok(Next::Line),
        })?;
        match next.transpose().map_err(Error::Sink)? {
            Some(Next::Line) => {}
            Some(Next::Done) => {
                let Held { delta, outcome, line: _ } = held.ok_or(Error::NoOutcome { build })?;
                show(ConsoleEvent::Ended { delta }).map_err(Error::Sink)?;
                return Ok(outcome);
            }
            Some(Next::Refused(reason)) => return Err(Error::Refused { reason }),
            None => {
                if let Some(held) = held {
                    show(ConsoleEvent::Line { delta: held.delta, line: &held.line }).map_err(Error::Sink)?;
                }
                return Err(Error::ConsoleCut { remote: connection.remote().clone(), build });
            }
        }
    }
}

/// Reads the rendering of an outcome (`exited N`, `signalled N`, `stopped N`, `execution aborted: TEXT`).
fn outcome(line: &[u8]) -> Option<Outcome> {
    // Most lines are none: this is asked of every line.
    if !matches!(line.first(), Some(b'e' | b's')) {
        return None;
    }
    if let Some(reason) = line.strip_prefix(b"execution aborted: ") {
        return Some(Outcome::Aborted(reason.to_vec()));
    }
    let (kind, number) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let number = number.parse().ok()?;
    match kind {
        "exited" => Some(Outcome::Exited(number)),
        "signalled" => Some(Outcome::Signalled(number)),
        "stopped" => Some(Outcome::Stopped(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_read_as_they_are_rendered() {
        for rendered in [
            Outcome::Exited(0),
            Outcome::Exited(-1),
            Outcome::Signalled(-7),
            Outcome::Stopped(19),
            Outcome::aborted("timeout"),
            Outcome::aborted(""),
        ] {
            assert_eq!(outcome(rendered.to_string().as_bytes()), Some(rendered));
        }
        for line in [&b""[..], b"exited", b"exited x", b"exited 1 2", b"execution aborted", b"stopping", b"e\xff 1"] {
            assert_eq!(outcome(line), None);
        }
    }
}
