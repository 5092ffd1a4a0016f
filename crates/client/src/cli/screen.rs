//! Standard output, locked once and buffered; whether it is a terminal, and whether it takes colours.

use crate::cli::args::{Color, Format};
use crate::cli::table::Table;
use builder_model::{Outcome, Shown};
use owo_colors::{OwoColorize, Style};
use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

/// How much is collected before it is written, in bytes.
const BUFFER_BYTES: usize = 256 << 10;

/// Standard output.
pub(crate) struct Screen {
    out: BufWriter<StdoutLock<'static>>,
    format: Format,
    color: bool,
    terminal: bool,
}

impl Screen {
    /// Takes standard output for the rest of the program.
    pub(crate) fn new(format: Format, color: Color) -> Self {
        let stdout = io::stdout();
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never,
        };
        let terminal = stdout.is_terminal();
        Self { out: BufWriter::with_capacity(BUFFER_BYTES, stdout.lock()), format, color, terminal }
    }

    /// How results are printed.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Text in a style, or plain where colours are not wanted.
    pub(crate) fn styled(&self, text: impl Display, style: Style) -> String {
        if self.color { text.style(style).to_string() } else { text.to_string() }
    }

    /// A table; nothing at all where it has no rows.
    pub(crate) fn write_table(&mut self, table: &Table) -> io::Result<()> {
        if table.is_empty() {
            return Ok(());
        }
        let mut lines = Vec::new();
        table.write(&mut lines, |header| self.styled(header, Style::new().dimmed()))?;
        self.write_all(&lines)
    }

    /// A value as one line of JSON.
    pub(crate) fn write_json(&mut self, value: &serde_json::Value) -> io::Result<()> {
        serde_json::to_writer(&mut *self, value)?;
        self.write_all(b"\n")
    }

    /// An outcome: green where it is a success, else red.
    pub(crate) fn outcome(&self, outcome: &Outcome, text: &str) -> String {
        let style = if outcome.is_success() { Style::new().green() } else { Style::new().red() };
        self.styled(text, style.bold())
    }

    /// A text of several lines, each as [`Self::write_console_text`] has it; the last one is ended if it is not.
    pub(crate) fn write_text(&mut self, text: &[u8]) -> io::Result<()> {
        for line in text.strip_suffix(b"\n").unwrap_or(text).split(|byte| *byte == b'\n') {
            self.write_console_text(line)?;
            self.write_all(b"\n")?;
        }
        Ok(())
    }

    /// A line of a console: as it is where a program reads it, with control characters made visible on a terminal.
    pub(crate) fn write_console_text(&mut self, line: &[u8]) -> io::Result<()> {
        if !self.terminal {
            return self.write_all(line);
        }
        for (index, part) in line.split(|byte| *byte == b'\t').enumerate() {
            let tab = if index > 0 { "\t" } else { "" };
            write!(self, "{tab}{}", Shown(part))?;
        }
        Ok(())
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Bytes as text for JSON: as they are when they are UTF-8, else with the rest as `\xNN`.
pub(crate) fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(Shown(bytes).to_string()),
    }
}

/// Writes bytes as a JSON string.
pub(crate) fn json_string(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    serde_json::to_writer(out, &text_of(bytes)).map_err(io::Error::from)
}
