//! Why bytes are no file in opam's format, or no export of a switch.

use super::{OPAM_BYTES_MAX, OPAM_DEPTH_MAX, OPAM_VALUES_MAX};
use std::fmt;

/// Bytes of the file that an error repeats.
const FOUND_BYTES_MAX: usize = 40;

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line, counted from 1.
    pub line: usize,
    /// The character on that line, counted from 1.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Why bytes are no file in opam's format, or no export of a switch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpamError {
    /// More bytes than [`OPAM_BYTES_MAX`].
    #[error("opam file has {bytes} bytes, more than {OPAM_BYTES_MAX}")]
    TooLong {
        /// How many there are.
        bytes: usize,
    },
    /// Nothing but blanks and comments.
    #[error("opam file is empty")]
    Empty,
    /// Something else than the grammar has at this place.
    #[error("{position}: found {found}, expected {expected}")]
    Syntax {
        /// Where.
        position: Position,
        /// What is there, shortened.
        found: String,
        /// What could be there.
        expected: &'static str,
    },
    /// Values in values in values, more than [`OPAM_DEPTH_MAX`] levels.
    #[error("{position}: nested deeper than {OPAM_DEPTH_MAX} levels")]
    TooDeep {
        /// Where the level begins that is too much.
        position: Position,
    },
    /// More values than [`OPAM_VALUES_MAX`].
    #[error("{position}: more than {OPAM_VALUES_MAX} values")]
    TooManyValues {
        /// Where the first value stands that is too much.
        position: Position,
    },
    /// A field of an export that holds something else than it should.
    #[error("{position}: {field} holds {found}, expected {expected}")]
    Field {
        /// Where the value stands.
        position: Position,
        /// The name of the field.
        field: &'static str,
        /// What is there, shortened.
        found: String,
        /// What should be there.
        expected: &'static str,
    },
}

/// The place of a byte. Takes time in proportion to the file, so it is asked once: for an error.
pub(super) fn position(bytes: &[u8], offset: usize) -> Position {
    let before = &bytes[..offset.min(bytes.len())];
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |index| index + 1);
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    let continues = |byte: &&u8| **byte & 0b1100_0000 == 0b1000_0000;
    let column = 1 + before.len() - line_start - before[line_start..].iter().filter(continues).count();
    Position { line, column }
}

/// What stands in a range of bytes, for an error: in quotes, shortened, on one line.
pub(super) fn found(bytes: &[u8], start: usize, end: usize) -> String {
    let end = end.min(bytes.len());
    if start >= end {
        return "the end of the file".to_owned();
    }
    let shown = &bytes[start..end.min(start + FOUND_BYTES_MAX)];
    let more = if start + shown.len() < end { "…" } else { "" };
    format!("`{}{more}`", builder_model::Shown(shown))
}
