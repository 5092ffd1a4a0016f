//! Standard output, locked once; JSON or text; progress on a terminal.

use crate::admin::args::Format;
use builder_model::Shown;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;
use std::io::{self, BufWriter, StdoutLock, Write};

// A size reads alike in a terminal and on a page.
pub(crate) use crate::pages::text::bytes as bytes_text;

/// Standard output.
pub(crate) struct Screen {
    out: BufWriter<StdoutLock<'static>>,
    format: Format,
    quiet: bool,
}

impl Screen {
    /// Takes standard output for the rest of the program.
    pub(crate) fn new(format: Format, quiet: bool) -> Self {
        Self { out: BufWriter::new(io::stdout().lock()), format, quiet }
    }

    /// How results are shown.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// A line for people.
    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{}", Shown(text.as_bytes()))
    }

    /// Bytes as they are.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    /// Standard output itself.
    pub(crate) fn raw(&mut self) -> &mut impl Write {
        &mut self.out
    }

    /// Says what was done: a line for people unless they asked for silence, or JSON.
    pub(crate) fn done(&mut self, text: &str, json: &Value) -> io::Result<()> {
        match self.format {
            Format::Json => self.json(json),
            Format::Text if self.quiet => Ok(()),
            Format::Text => self.line(text),
        }
    }

    /// One value on one line.
    pub(crate) fn json(&mut self, value: &Value) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, value)?;
        self.out.write_all(b"\n")
    }

    /// A table: columns as wide as their widest cell, two spaces between them.
    pub(crate) fn table(&mut self, header: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
        let header: Vec<String> = header.iter().map(|cell| (*cell).to_owned()).collect();
        let shown = |row: &Vec<String>| row.iter().map(|cell| Shown(cell.as_bytes()).to_string()).collect();
        let rows: Vec<Vec<String>> = std::iter::once(&header).chain(rows).map(shown).collect();
        let mut widths = vec![0; header.len()];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        for row in &rows {
            let mut line = String::new();
            for (cell, &width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
            }
            writeln!(self.out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    /// What was not asked for and yet matters, on stderr.
    #[expect(clippy::print_stderr, reason = "this is the one place for it")]
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            eprintln!("builder-db: {}", Shown(text.as_bytes()));
        }
    }

    /// A bar on stderr where that is a terminal, and nowhere else.
    pub(crate) fn progress(&self, count: u64, unit: Unit) -> ProgressBar {
        let target = if self.quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(count), target);
        let style = match unit {
            Unit::Builds => "{bar:30} {pos}/{len} builds, {eta} left",
            Unit::Files => "{bar:30} {pos}/{len} files, {eta} left",
            Unit::Bytes => "{bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left",
        };
        // A style that indicatif does not know leaves the bar as it is.
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar
    }

    /// Writes what is left.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// What a progress bar counts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unit {
    Builds,
    Files,
    Bytes,
}

/// A number and its noun: `1 build`, `2 builds`.
pub(crate) fn count_text(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nouns_follow_their_number() {
        assert_eq!((count_text(1, "build"), count_text(0, "build")), ("1 build".into(), "0 builds".into()));
    }
}
