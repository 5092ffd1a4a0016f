//! Whether two opam files lead to the same build, whatever they say beside it.
//!
//! The rule is opam's own (`effectively_equal` in its library): fields that are only read by people, or that only
//! matter before a package is installed, do not count.

use super::ast::{Item, LogicOperator, Section, Value, ValueKind};
use super::overlay::{Overlay, field};

/// Fields whose order of elements and content counts. Name and version are equal wherever this is asked.
const FIELDS: &[&str] = &[
    "depends",
    "depopts",
    "conflicts",
    "conflict-class",
    "available",
    "setenv",
    "substs",
    "patches",
    "build-env",
    "features",
    "extra-files",
    "x-env-path-rewrite",
];

/// Fields that hold commands: lists of lists of words.
const COMMANDS: &[&str] = &["build", "run-test", "install", "remove"];

/// Whether two opam files of the same name and version lead to the same build.
pub(crate) fn effectively_equal(left: &Overlay, right: &Overlay) -> bool {
    left == right
        || (FIELDS.iter().all(|name| elements(left, name) == elements(right, name))
            && COMMANDS.iter().all(|name| commands(left, name) == commands(right, name))
            && is_plugin(left) == is_plugin(right)
            && left.section("url").map(source) == right.section("url").map(source)
            && extra_sources(left) == extra_sources(right))
}

/// The elements of a field in one shape: opam writes a list of one element without brackets, and none for an empty one.
fn elements(overlay: &Overlay, name: &str) -> Vec<Value> {
    let Some(value) = overlay.field(name) else { return Vec::new() };
    value.elements().iter().flat_map(plain).collect()
}

/// A value without brackets that add nothing: `(a)`, `[a]` as an element, and, on the top, `a & b` as two elements.
fn plain(value: &Value) -> Vec<Value> {
    match &value.kind {
        ValueKind::Group(values) if values.len() == 1 => plain(&values[0]),
        ValueKind::List(values) if values.len() == 1 => plain(&values[0]),
        ValueKind::Logic { operator: LogicOperator::And, operands } => operands.iter().flat_map(plain).collect(),
        ValueKind::Bool(_)
        | ValueKind::Int(_)
        | ValueKind::String(_)
        | ValueKind::Ident(_)
        | ValueKind::List(_)
        | ValueKind::Group(_)
        | ValueKind::Option { .. }
        | ValueKind::Relation { .. }
        | ValueKind::Constraint { .. }
        | ValueKind::Logic { .. }
        | ValueKind::Prefix { .. }
        | ValueKind::Environment { .. } => vec![value.clone()],
    }
}

/// The commands of a field: `"make"`, `["make"]` and `[["make"]]` are the same.
fn commands<'a>(overlay: &'a Overlay, name: &str) -> Vec<&'a [Value]> {
    let Some(value) = overlay.field(name) else { return Vec::new() };
    let is_list = |value: &Value| matches!(value.unconstrained().kind, ValueKind::List(_));
    match &value.kind {
        ValueKind::List(values) if values.iter().any(is_list) => values.iter().map(command).collect(),
        ValueKind::List(values) if values.is_empty() => Vec::new(),
        ValueKind::List(_)
        | ValueKind::Bool(_)
        | ValueKind::Int(_)
        | ValueKind::String(_)
        | ValueKind::Ident(_)
        | ValueKind::Group(_)
        | ValueKind::Option { .. }
        | ValueKind::Relation { .. }
        | ValueKind::Constraint { .. }
        | ValueKind::Logic { .. }
        | ValueKind::Prefix { .. }
        | ValueKind::Environment { .. } => vec![command(value)],
    }
}

/// The words of a command; of one with a condition, the whole of it.
fn command(value: &Value) -> &[Value] {
    value.elements()
}

fn is_plugin(overlay: &Overlay) -> bool {
    let flags = overlay.field("flags").map(Value::elements).unwrap_or_default();
    flags.iter().any(|flag| matches!(&flag.kind, ValueKind::Ident(name) if name == "plugin"))
}

/// What identifies sources: the first checksum, or, without one, where they came from.
fn source(section: &Section) -> Option<&Value> {
    let checksums = field(&section.items, "checksum").map(Value::elements).unwrap_or_default();
    checksums.first().or_else(|| ["src", "archive", "http", "git"].iter().find_map(|name| field(&section.items, name)))
}

fn extra_sources(overlay: &Overlay) -> Vec<(Option<&str>, Option<&Value>)> {
    let sections = overlay.items().iter().filter_map(|item| match item {
        Item::Section(section) if section.kind == "extra-source" => Some((section.name.as_deref(), source(section))),
        Item::Section(_) | Item::Field(_) => None,
    });
    sections.collect()
}
