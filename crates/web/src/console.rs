//! The console of a build as a page serves it, from `console.txt`: lines `1.500s:text`, oldest first, of any bytes and
//! any number.
//!
//! A file may have gigabytes, so nobody reads it from its start but [`ConsoleIndexer`], once, as it is stored. It cuts
//! the console into *parts*: up to [`PART_LINES_MAX`] lines, but no line begins in one behind its first
//! [`PART_BYTES`]. With the index, [`render_part`] reads one part and nothing else, and knows the colours that were
//! switched on before it. [`PlainText`] is the console without escapes, as a stream.
//!
//! Everything here takes bytes in any pieces and answers the same for each way of cutting them. Colours are those of a
//! terminal ([`Style`]); every other escape is dropped, and ends with its line at the latest, so that no broken one
//! swallows what follows.

mod decode;
mod escape;
mod index;
mod plain;
mod render;
mod style;

pub use index::{ConsoleIndex, ConsoleIndexError, ConsoleIndexer};
pub use plain::{PlainText, Times};
pub use render::{Part, TextLine, render_part, text_of_part};
pub use style::Style;

/// Most lines in one part.
pub const PART_LINES_MAX: u64 = 1_000;
/// Where a part ends even if it has fewer lines: behind the line that reaches this many bytes.
pub const PART_BYTES: u64 = 512 << 10;
/// How much of a part is read, in bytes: more than [`PART_BYTES`] and the longest line that a server of ours takes.
pub const PART_READ_BYTES_MAX: u64 = 8 << 20;
/// How much of a line is shown, in bytes. Our worker cuts lines there.
pub const LINE_SHOWN_BYTES_MAX: usize = builder_model::limits::LINE_BYTES_CUT;
/// From how many equal lines on all but the first are folded.
pub const EQUAL_LINES_FOLDED_MIN: u64 = 4;
