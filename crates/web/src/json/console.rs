//! `/job/<job>/build/<uuid>/log`: a part of a console, the same lines as the page shows.

use crate::console::TextLine;
use crate::http::Refusal;
use crate::http::page::Page;
use serde::Serialize;

#[derive(Serialize)]
struct ConsoleJson<'a> {
    /// The numbers of the first and the last line; null when there are no lines.
    from: Option<u64>,
    to: Option<u64>,
    lines_total: u64,
    lines: Vec<LineJson<'a>>,
    /// The addresses of the parts around this one.
    next: Option<String>,
    previous: Option<String>,
    /// Why it is not what was asked for, such as a line that is not there.
    note: Option<&'a str>,
}

#[derive(Serialize)]
struct LineJson<'a> {
    number: u64,
    /// `1.500s`; empty when the line has none.
    time: &'a str,
    text: &'a str,
    /// How many bytes at its end are left out; only of a line that is too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<u64>,
}

impl<'a> LineJson<'a> {
    fn of(line: &'a TextLine) -> Self {
        let left_out = (line.left_out > 0).then_some(line.left_out);
        Self { number: line.number, time: &line.time, text: &line.text, left_out }
    }
}

/// What is around the lines of a part.
pub(crate) struct Around<'a> {
    pub(crate) lines_total: u64,
    /// The address of the console.
    pub(crate) address: &'a str,
    /// The first lines of the parts that are led to.
    pub(crate) next: Option<u64>,
    pub(crate) previous: Option<u64>,
    pub(crate) note: Option<&'a str>,
}

/// A part of a console.
pub(crate) fn page(lines: &[TextLine], around: &Around<'_>) -> Result<Page, Refusal> {
    let address = |line: Option<u64>| line.map(|line| format!("{}?from={line}", around.address));
    Page::json(&ConsoleJson {
        from: lines.first().map(|line| line.number),
        to: lines.last().map(|line| line.number),
        lines_total: around.lines_total,
        lines: lines.iter().map(LineJson::of).collect(),
        next: address(around.next),
        previous: address(around.previous),
        note: around.note,
    })
}
