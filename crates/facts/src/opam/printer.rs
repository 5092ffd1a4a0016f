//! The tree of a file as text: always the same layout, one thing on each line, so that a diff of two texts reads well.

use super::ast::{File, Item, Value, ValueKind};
use std::fmt::{self, Write as _};

/// Characters of a line before a value is spread over several.
const LINE_CHARACTERS_MAX: usize = 78;

/// Spaces of each level.
const INDENT_SPACES: usize = 2;

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print_items(&self.items))
    }
}

impl fmt::Display for Value {
    /// The value on as few lines as it takes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut printer = Printer { text: String::new(), indent: 0 };
        printer.inline(self);
        f.write_str(&printer.text)
    }
}

/// Fields and sections as text that ends with a newline, or is empty.
pub(super) fn print_items(items: &[Item]) -> String {
    let mut printer = Printer { text: String::new(), indent: 0 };
    printer.items(items);
    printer.text
}

struct Printer {
    text: String,
    indent: usize,
}

impl Printer {
    fn items(&mut self, items: &[Item]) {
        for item in items {
            self.margin();
            match item {
                Item::Field(field) => {
                    self.text.push_str(&field.name);
                    self.text.push_str(": ");
                    self.value(&field.value, self.indent + field.name.len() + 2);
                }
                Item::Section(section) => {
                    self.text.push_str(&section.kind);
                    self.text.push(' ');
                    if let Some(name) = &section.name {
                        self.quoted(name);
                        self.text.push(' ');
                    }
                    self.text.push_str("{\n");
                    self.nested(|printer| printer.items(&section.items));
                    self.margin();
                    self.text.push('}');
                }
            }
            self.text.push('\n');
        }
    }

    fn margin(&mut self) {
        self.text.extend(std::iter::repeat_n(' ', self.indent));
    }

    fn nested(&mut self, print: impl FnOnce(&mut Self)) {
        self.indent += INDENT_SPACES;
        print(self);
        self.indent -= INDENT_SPACES;
    }

    /// A value that begins at `column`, on one line if it is short and simple.
    fn value(&mut self, value: &Value, column: usize) {
        let room = LINE_CHARACTERS_MAX.saturating_sub(column);
        match &value.kind {
            ValueKind::List(values) if is_spread(values) || remaining(value, room).is_none() => self.spread(values),
            ValueKind::Logic { operator, operands } if remaining(value, room).is_none() => {
                self.nested(|printer| printer.formula(operator.as_str(), operands, column));
            }
            ValueKind::Group(values) if remaining(value, room).is_none() => {
                self.text.push('(');
                self.nested(|printer| printer.joined(values));
                self.text.push(')');
            }
            ValueKind::Option { value, constraints } => {
                self.value(value, column);
                self.constraints(constraints);
            }
            ValueKind::Bool(_)
            | ValueKind::Int(_)
            | ValueKind::String(_)
            | ValueKind::Ident(_)
            | ValueKind::List(_)
            | ValueKind::Group(_)
            | ValueKind::Relation { .. }
            | ValueKind::Constraint { .. }
            | ValueKind::Logic { .. }
            | ValueKind::Prefix { .. }
            | ValueKind::Environment { .. } => self.inline(value),
        }
    }

    /// A formula with each operand on its own line.
    fn formula(&mut self, operator: &str, operands: &[Value], column: usize) {
        for (index, operand) in operands.iter().enumerate() {
            if index == 0 {
                self.value(operand, column);
            } else {
                self.text.push('\n');
                self.margin();
                self.text.push_str(operator);
                self.text.push(' ');
                self.value(operand, self.indent + operator.len() + 1);
            }
        }
    }

    /// A list with each element on its own line.
    fn spread(&mut self, values: &[Value]) {
        self.text.push_str("[\n");
        self.nested(|printer| {
            for value in values {
                printer.margin();
                printer.value(value, printer.indent);
                printer.text.push('\n');
            }
        });
        self.margin();
        self.text.push(']');
    }

    fn joined(&mut self, values: &[Value]) {
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                self.text.push(' ');
            }
            self.value(value, self.indent);
        }
    }

    fn constraints(&mut self, constraints: &[Value]) {
        self.text.push_str(" {");
        self.side_by_side(constraints);
        self.text.push('}');
    }

    fn side_by_side(&mut self, values: &[Value]) {
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                self.text.push(' ');
            }
            self.inline(value);
        }
    }

    fn inline(&mut self, value: &Value) {
        match &value.kind {
            ValueKind::Bool(truth) => self.text.push_str(if *truth { "true" } else { "false" }),
            ValueKind::Int(number) => write!(self.text, "{number}").expect("a string takes what is written"),
            ValueKind::String(text) => self.quoted(text),
            ValueKind::Ident(name) => self.text.push_str(name),
            ValueKind::List(values) => {
                self.text.push('[');
                self.side_by_side(values);
                self.text.push(']');
            }
            ValueKind::Group(values) => {
                self.text.push('(');
                self.side_by_side(values);
                self.text.push(')');
            }
            ValueKind::Option { value, constraints } => {
                self.inline(value);
                self.constraints(constraints);
            }
            ValueKind::Relation { operator, left, right } => self.infix(left, operator.as_str(), right),
            ValueKind::Environment { operator, left, right } => self.infix(left, operator.as_str(), right),
            ValueKind::Constraint { operator, value } => {
                self.text.push_str(operator.as_str());
                self.text.push(' ');
                self.inline(value);
            }
            ValueKind::Logic { operator, operands } => {
                for (index, operand) in operands.iter().enumerate() {
                    if index > 0 {
                        self.text.push(' ');
                        self.text.push_str(operator.as_str());
                        self.text.push(' ');
                    }
                    self.inline(operand);
                }
            }
            ValueKind::Prefix { operator, value } => {
                self.text.push_str(operator.as_str());
                self.inline(value);
            }
        }
    }

    fn infix(&mut self, left: &Value, operator: &str, right: &Value) {
        self.inline(left);
        self.text.push(' ');
        self.text.push_str(operator);
        self.text.push(' ');
        self.inline(right);
    }

    /// A string in quotes, or, with newlines in it, in triple quotes from the next line on, as opam does.
    fn quoted(&mut self, text: &str) {
        let triple = text.contains('\n');
        self.text.push_str(if triple { "\"\"\"\\\n" } else { "\"" });
        let mut before = None;
        for (index, character) in text.char_indices() {
            match character {
                '\\' => self.text.push_str("\\\\"),
                // A lone quote may stand in triple quotes, unless it would join the last three.
                '"' if triple && before != Some('"') && index + 1 < text.len() => self.text.push('"'),
                '"' => self.text.push_str("\\\""),
                '\n' => self.text.push('\n'),
                // The escaped newline after the quotes swallows blanks; an escaped one stays.
                ' ' if triple && index == 0 => self.text.push_str("\\ "),
                '\t' => self.text.push_str("\\t"),
                '\r' => self.text.push_str("\\r"),
                // This is how `crate::text` shows a byte that is not UTF-8; its two digits follow.
                char::REPLACEMENT_CHARACTER => self.text.push_str("\\x"),
                control if control.is_ascii_control() => {
                    write!(self.text, "\\x{:02x}", u32::from(control)).expect("a string takes what is written");
                }
                plain => self.text.push(plain),
            }
            before = Some(character);
        }
        self.text.push_str(if triple { "\"\"\"" } else { "\"" });
    }
}

/// Whether each element has a line of its own even if all would fit on one.
fn is_spread(values: &[Value]) -> bool {
    let is_compound = |value: &Value| match &value.kind {
        ValueKind::List(_) | ValueKind::Group(_) | ValueKind::Option { .. } | ValueKind::Logic { .. } => true,
        ValueKind::Bool(_)
        | ValueKind::Int(_)
        | ValueKind::String(_)
        | ValueKind::Ident(_)
        | ValueKind::Relation { .. }
        | ValueKind::Constraint { .. }
        | ValueKind::Prefix { .. }
        | ValueKind::Environment { .. } => false,
    };
    values.len() > 1 && values.iter().any(is_compound)
}

/// What remains of `room` characters after the value on one line; nothing if it does not fit or has newlines.
///
/// It stops as soon as the room is used up, so that asking it on every level stays cheap.
fn remaining(value: &Value, room: usize) -> Option<usize> {
    let all = |values: &[Value], room: usize, between: usize| {
        values.iter().try_fold(room, |room, value| remaining(value, room)?.checked_sub(between))
    };
    match &value.kind {
        ValueKind::Bool(_) => room.checked_sub("false".len()),
        ValueKind::Int(number) => room.checked_sub(number.to_string().len()),
        ValueKind::String(text) if text.len() > room || text.contains('\n') => None,
        ValueKind::String(text) => room.checked_sub(text.chars().count() + 2),
        ValueKind::Ident(name) => room.checked_sub(name.len()),
        ValueKind::List(values) | ValueKind::Group(values) => all(values, room.checked_sub(1)?, 1),
        ValueKind::Option { value, constraints } => all(constraints, remaining(value, room)?.checked_sub(2)?, 1),
        ValueKind::Relation { left, right, .. } => remaining(right, remaining(left, room)?.checked_sub(4)?),
        ValueKind::Environment { left, right, .. } => remaining(right, remaining(left, room)?.checked_sub(5)?),
        ValueKind::Constraint { value, .. } => remaining(value, room.checked_sub(3)?),
        ValueKind::Logic { operands, .. } => all(operands, room, 3),
        ValueKind::Prefix { value, .. } => remaining(value, room.checked_sub(1)?),
    }
}
