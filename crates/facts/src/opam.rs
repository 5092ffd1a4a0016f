//! opam's file format, and what an export of a switch (`opam switch export --full --freeze`) tells.
//!
//! The format is described at <https://opam.ocaml.org/doc/Manual.html#Common-file-format>. Bytes come from strangers: length,
//! depth and number of values are limited, and every step takes time in proportion to the bytes.

mod ast;
mod duniverse;
mod effective;
mod error;
mod lexer;
mod lines;
mod overlay;
mod parser;
mod printer;
mod switch;
#[cfg(test)]
mod tests;

pub use ast::{EnvironmentOperator, Field, File, Item, LogicOperator, PrefixOperator};
pub use ast::{RelationOperator, Section, Span, Value, ValueKind};
pub use duniverse::{Duniverse, DuniverseDirectory};
pub use error::{OpamError, Position};
pub use overlay::Overlay;
pub use switch::{InstalledPackage, Kind, Package, Switch};

pub(crate) use effective::effectively_equal;

/// Bytes of a file that are parsed: ten times the largest exports seen.
pub const OPAM_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Levels of lists, groups, options, prefixes and sections that may lie in each other. Real files have less than ten.
pub const OPAM_DEPTH_MAX: usize = 64;

/// Values and fields in one file, which bounds the memory that it takes once it is parsed.
pub const OPAM_VALUES_MAX: usize = 500_000;
