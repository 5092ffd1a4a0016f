//! The console of a build as a page serves it, from `console.txt`: lines `1.500s:text`, oldest first, of any bytes and
//! any number.
//!
//! A file may have gigabytes, so nobody reads it from its start but [`ConsoleIndexer`], once, as it is stored. It cuts
//! the console into *parts*: up to [`PART_LINES_MAX`] lines, but no line begins in one behind its first
//! [`PART_SHOWN_BYTES`] that are shown, or its first [`PART_BYTES`] in the file. With the index, [`render_part`] reads one part and nothing else, and knows the colours that were
//! switched on before it. [`PlainText`] is the console without escapes, as a stream.
//!
//! Everything here takes bytes in any pieces and answers the same for each way of cutting them. Colours are those of a
//! terminal ([`Style`]); every other escape is dropped, and ends with its line at the latest, so that no broken one
//! swallows what follows.

mod decode;
mod escape;
mod index;
mod notable;
mod plain;
mod render;
mod style;

pub use index::{ConsoleIndex, ConsoleIndexError, ConsoleIndexer};
pub use plain::{PlainText, Times};
pub use render::{Part, Shown, TextLine, render_part, text_of_part};
pub use style::Style;

/// Most lines in one part.
pub const PART_LINES_MAX: u64 = 1_000;
/// Where a part ends even if it has fewer lines: behind the line with which so many bytes of it are shown.
pub const PART_SHOWN_BYTES: u64 = 512 << 10;
/// Where a part ends in any case: behind the line that reaches this many bytes of the file.
pub const PART_BYTES: u64 = 4 << 20;
/// How much of a part is read, in bytes: [`PART_BYTES`] and the longest line that a server of ours takes.
pub const PART_READ_BYTES_MAX: u64 = 8 << 20;
/// How much of a line is shown, in bytes.
pub const LINE_SHOWN_BYTES_MAX: usize = 16 << 10;
/// From how many equal lines on all but the first are folded.
pub const EQUAL_LINES_FOLDED_MIN: u64 = 4;
/// From how many lines in a row without anything notable on those in the middle are folded.
pub const QUIET_LINES_FOLDED_MIN: u64 = 60;
/// How many of such lines stay at the beginning of the row, and at its end.
pub const QUIET_LINES_SHOWN: usize = 10;
/// How much of a line is looked at for what is notable, in bytes.
pub const NOTABLE_BYTES_MAX: usize = 1 << 10;
