//! Results: JSON lines as they come, for programs and for later, and a table of each case for a terminal.

use crate::machine;
use crate::samples::Samples;
use anyhow::{Context, Result};
use serde_json::{Map, Value};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// How results are shown on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// One JSON object a line.
    Json,
    /// Tables.
    Text,
}

/// One result: named values of one run of a case.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Measurement {
    case: &'static str,
    fields: Vec<(String, Value)>,
}

impl Measurement {
    pub(crate) fn new(case: &'static str) -> Self {
        Self { case, fields: Vec::new() }
    }

    /// Adds a value.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a number with three decimals, which is more than any of them is worth.
    #[must_use]
    pub(crate) fn figure(self, name: &str, number: f64) -> Self {
        self.with(name, (number * 1000.0).round() / 1000.0)
    }

    /// Adds the percentiles of latencies as `NAME_p50_ms`, `NAME_p99_ms` and `NAME_max_ms`.
    #[must_use]
    pub(crate) fn latencies(self, name: &str, samples: &Samples) -> Self {
        [("p50", 50), ("p99", 99), ("max", 100)].into_iter().fold(self, |measurement, (word, percent)| {
            let milliseconds = samples.percentile(percent).unwrap_or(f64::NAN) * 1000.0;
            measurement.figure(&format!("{name}_{word}_ms"), milliseconds)
        })
    }

    /// Adds how many errors there were, and the first of them.
    #[must_use]
    pub(crate) fn errors(self, errors: &Errors) -> Self {
        let measurement = self.with("errors", errors.count);
        match &errors.first {
            Some(first) => measurement.with("first_error", first.as_str()),
            None => measurement,
        }
    }

    /// Whether it is of this case.
    pub(crate) fn is_of(&self, case: &str) -> bool {
        self.case == case
    }

    /// Whether it has this word under that name.
    pub(crate) fn has(&self, name: &str, word: &str) -> bool {
        self.fields.iter().any(|(known, value)| known == name && value == word)
    }

    /// A number by its name.
    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        self.fields.iter().find(|(known, _)| known == name)?.1.as_f64()
    }

    fn to_json(&self, label: &str) -> Value {
        let mut object: Map<String, Value> = self.fields.iter().cloned().collect();
        object.insert("case".into(), self.case.into());
        object.insert("label".into(), label.into());
        object.insert("load".into(), machine::load().into());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        object.insert("time".into(), now.as_secs().into());
        Value::Object(object)
    }
}

/// What went wrong in a run: counted and shown, never hidden.
#[derive(Debug, Clone, Default)]
pub(crate) struct Errors {
    pub(crate) count: u64,
    first: Option<String>,
}

impl Errors {
    pub(crate) fn note(&mut self, error: &anyhow::Error) {
        self.add(1, &format!("{error:#}"));
    }

    /// Notes several errors of a kind.
    pub(crate) fn add(&mut self, count: u64, text: &str) {
        if count > 0 && self.first.is_none() {
            self.first = Some(text.to_owned());
        }
        self.count += count;
    }

    pub(crate) fn append(&mut self, other: Self) {
        self.add(other.count, &other.first.unwrap_or_default());
    }
}

/// Where results go.
#[derive(Debug)]
pub(crate) struct Report {
    label: String,
    format: Format,
    out: Option<File>,
    all: Vec<Measurement>,
    /// How many of them were shown in a table.
    tabled: usize,
}

impl Report {
    pub(crate) fn new(label: String, format: Format, out: Option<&Path>) -> Result<Self> {
        let open = |path: &Path| OpenOptions::new().create(true).append(true).open(path);
        let out = out.map(|path| open(path).with_context(|| format!("open {}", path.display()))).transpose()?;
        Ok(Self { label, format, out, all: Vec::new(), tabled: 0 })
    }

    /// Takes a result and passes it on at once, so that a run that is cut off leaves what it had.
    pub(crate) fn add(&mut self, measurement: Measurement) -> Result<()> {
        let line = format!("{}\n", measurement.to_json(&self.label));
        if let Some(out) = &mut self.out {
            out.write_all(line.as_bytes()).context("write a result")?;
        }
        if self.format == Format::Json {
            std::io::stdout().write_all(line.as_bytes()).context("write a result")?;
        }
        self.all.push(measurement);
        Ok(())
    }

    /// All results so far.
    pub(crate) fn all(&self) -> &[Measurement] {
        &self.all
    }

    /// Shows a text to whoever reads tables.
    pub(crate) fn say(&self, text: &str) {
        if self.format == Format::Text {
            println!("{text}");
        }
    }

    /// Ends a case: shows its table.
    pub(crate) fn end_case(&mut self) -> Result<()> {
        let fresh = &self.all[self.tabled..];
        if self.format == Format::Text {
            for group in fresh.chunk_by(|a, b| a.case == b.case && names(a).eq(names(b))) {
                let rows = if group.len() == 1 { lines(&group[0]) } else { columns(group) };
                let text = format!("\n{}\n{}", group[0].case, table(&rows));
                std::io::stdout().write_all(text.as_bytes()).context("write a table")?;
            }
        }
        self.tabled = self.all.len();
        Ok(())
    }
}

fn names(measurement: &Measurement) -> impl Iterator<Item = &str> {
    measurement.fields.iter().map(|(name, _)| name.as_str())
}

/// A header with the names, and a row for each measurement.
fn columns(group: &[Measurement]) -> Vec<Vec<String>> {
    let header = group.iter().take(1).map(|first| names(first).map(str::to_owned).collect());
    header.chain(group.iter().map(|row| row.fields.iter().map(|(_, value)| cell(value)).collect())).collect()
}

/// A row for each value: what stands alone needs no columns.
fn lines(measurement: &Measurement) -> Vec<Vec<String>> {
    measurement.fields.iter().map(|(name, value)| vec![name.clone(), cell(value)]).collect()
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "–".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// Rows, the first of them a header, as columns that line up.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(format!("  {}", cells.collect::<Vec<_>>().join("  ")).trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_is_one_object() {
        let samples: Samples = [0.001, 0.002, 0.0034567].into_iter().collect();
        let mut errors = Errors::default();
        errors.note(&anyhow::anyhow!("inner").context("outer"));
        errors.add(2, "later");
        let measurement = Measurement::new("a")
            .with("workers", 8)
            .figure("rate", 2.0 / 3.0)
            .latencies("job", &samples)
            .errors(&errors);
        assert_eq!(measurement.number("workers"), Some(8.0));
        assert_eq!(measurement.number("job_max_ms"), Some(3.457));
        let json = measurement.to_json("x");
        assert_eq!((&json["case"], &json["label"]), (&"a".into(), &"x".into()));
        assert_eq!((&json["rate"], &json["job_p50_ms"]), (&0.667.into(), &2.0.into()));
        assert_eq!((&json["errors"], &json["first_error"]), (&3.into(), &"outer: inner".into()));
        let nothing = Measurement::new("a").latencies("job", &Samples::default());
        assert!(nothing.to_json("")["job_p50_ms"].is_null());
    }

    #[test]
    fn columns_line_up() {
        let rows = [["k", "jobs_per_s"], ["64", "9"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), "  k   jobs_per_s\n  64  9\n");
    }
}
