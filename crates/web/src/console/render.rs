//! One part of a console as HTML or text: numbered lines that can be linked, their times, their colours as classes; equal
//! lines, and the middle of long rows without anything notable, folded.
//!
//! A line is `<div id="L12"><a href="#L12">12</a><span>1.500s</span><code>text</code></div>`. Equal lines behind the
//! first lie in `<details><summary>… 37 more like this</summary>…</details>`, so that links to them still work, and
//! such rows in `<details><summary>… 90 lines without errors, warnings, commands and headings</summary>…</details>`.

use super::decode::{Decoder, Piece};
use super::notable::is_notable;
use super::style::Style;
use super::{
    ConsoleIndex, EQUAL_LINES_FOLDED_MIN, LINE_SHOWN_BYTES_MAX, PART_READ_BYTES_MAX, QUIET_LINES_FOLDED_MIN,
    QUIET_LINES_SHOWN,
};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;

/// How much is read at once, in bytes.
const READ_BYTES: usize = 64 << 10;
/// The sign for a control character is this many code points behind it.
const CONTROL_PICTURES: u32 = 0x2400;
const DELETE_PICTURE: char = '\u{2421}';

/// Some lines of a console as HTML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The lines.
    pub html: String,
    /// The number of the first of them, counted from 1.
    pub first_line: u64,
    /// The number of the last of them.
    pub last_line: u64,
}

/// How a part is shown.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shown<'a> {
    /// Where the whole console is, as an address that may stand in an attribute.
    pub raw: &'a str,
    /// The line that is asked for: what is folded around it is open.
    pub line: Option<u64>,
}

/// Reads one part, counted from 0, out of `console.txt`; `None` if there is no such part.
///
/// Reads at most [`PART_READ_BYTES_MAX`] bytes. Of a line that goes on behind them, or is longer than
/// [`LINE_SHOWN_BYTES_MAX`], the end is left out, and the page says so. The HTML has at most about 15 times as many
/// bytes as what is shown, if each of its characters has another colour.
pub fn render_part(file: &File, index: &ConsoleIndex, part: usize, shown: Shown<'_>) -> io::Result<Option<Part>> {
    let Some((first_line, _)) = index.part_lines(part) else { return Ok(None) };
    let mut lines = Lines::new(first_line - 1, shown);
    read_lines(file, index, part, &mut |line| lines.end_line(line))?;
    Ok(Some(lines.finish(first_line)))
}

/// A line of a console as text, for programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextLine {
    /// Counted from 1.
    pub number: u64,
    /// `1.500s`; empty if it has none.
    pub time: String,
    /// Without escapes; control characters are shown as signs, and what is not UTF-8 as U+FFFD.
    pub text: String,
    /// How many bytes at its end are left out.
    pub left_out: u64,
}

/// Reads the lines of one part, as [`render_part`] does.
pub fn text_of_part(file: &File, index: &ConsoleIndex, part: usize) -> io::Result<Option<Vec<TextLine>>> {
    let Some((first_line, _)) = index.part_lines(part) else { return Ok(None) };
    let mut lines = Vec::new();
    read_lines(file, index, part, &mut |line| {
        lines.push(TextLine {
            number: first_line + lines.len() as u64,
            time: line.time.clone(),
            text: String::from_utf8_lossy(&line.text).into_owned(),
            left_out: line.left_out + line.unread,
        });
    })?;
    Ok(Some(lines))
}

/// Gives each line of a part to `each`.
fn read_lines(file: &File, index: &ConsoleIndex, part: usize, each: &mut impl FnMut(&Line)) -> io::Result<()> {
    let Some((start, end)) = index.part(part) else { return Ok(()) };
    let mut decoder = Decoder::new(start.style);
    let mut line = Line::default();
    let mut buffer = [0; READ_BYTES];
    let read_end = end.min(start.offset.saturating_add(PART_READ_BYTES_MAX));
    let mut at = start.offset;
    while at < read_end {
        let wanted = (read_end - at).min(READ_BYTES as u64) as usize;
        let count = match file.read_at(&mut buffer[..wanted], at) {
            // Somebody cut the file: what is there is shown.
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        decoder.push(&buffer[..count], &mut |piece| line.piece(piece, each));
        at += count as u64;
    }
    line.unread = end - at;
    decoder.finish(&mut |piece| line.piece(piece, each));
    Ok(())
}

/// The line that is being read.
#[derive(Default)]
struct Line {
    /// Empty if it has none.
    time: String,
    text: Vec<u8>,
    /// Where in the text another style begins.
    styles: Vec<(usize, Style)>,
    is_overwritten_next: bool,
    /// How many bytes of text are not in `text`.
    left_out: u64,
    /// How many bytes of the file behind this line, its own among them, were not read.
    unread: u64,
}

/// All lines so far.
struct Lines<'a> {
    shown: Shown<'a>,
    /// Runs of equal lines, most of them of one.
    runs: Vec<Run>,
    number: u64,
    /// The HTML of the text of the last line.
    content: String,
}

/// Lines that are equal.
struct Run {
    first_line: u64,
    length: u64,
    is_notable: bool,
    /// The HTML of all of them.
    html: String,
    /// Where in it the first line ends.
    first_end: usize,
}

impl Line {
    /// Takes the next piece, and begins anew when `each` has the whole line.
    fn piece(&mut self, piece: Piece<'_>, each: &mut impl FnMut(&Self)) {
        match piece {
            Piece::Time(time) => self.time.push_str(time),
            Piece::Text(text, style) => self.text(text, style),
            Piece::Control(byte, style) => self.control(byte, style),
            Piece::LineEnd => each(&std::mem::take(self)),
        }
    }

    fn text(&mut self, text: &[u8], style: Style) {
        if std::mem::take(&mut self.is_overwritten_next) {
            self.text.clear();
            self.styles.clear();
            self.left_out = 0;
        }
        let shown = text.len().min(LINE_SHOWN_BYTES_MAX.saturating_sub(self.text.len()));
        self.left_out += (text.len() - shown) as u64;
        if shown > 0 && self.styles.last().is_none_or(|(_, last)| *last != style) {
            self.styles.push((self.text.len(), style));
        }
        self.text.extend(&text[..shown]);
    }

    fn control(&mut self, byte: u8, style: Style) {
        match byte {
            b'\r' => self.is_overwritten_next = true,
            b'\t' => self.text(b"\t", style),
            _ => {
                let picture = char::from_u32(CONTROL_PICTURES + u32::from(byte)).filter(|_| byte < b' ');
                self.text(picture.unwrap_or(DELETE_PICTURE).encode_utf8(&mut [0; 4]).as_bytes(), style);
            }
        }
    }

    fn content(&self) -> String {
        let mut html = String::with_capacity(self.text.len());
        let ends = self.styles.iter().skip(1).map(|(start, _)| *start).chain([self.text.len()]);
        for ((start, style), end) in self.styles.iter().zip(ends) {
            let text = &self.text[*start..end];
            if *style == Style::default() {
                push_text(&mut html, text);
                continue;
            }
            html.push_str("<span class=\"");
            style.push_classes(&mut html);
            html.push_str("\">");
            push_text(&mut html, text);
            html.push_str("</span>");
        }
        html
    }
}

impl<'a> Lines<'a> {
    fn new(lines_before: u64, shown: Shown<'a>) -> Self {
        Self { shown, runs: Vec::new(), number: lines_before, content: String::new() }
    }

    fn end_line(&mut self, line: &Line) {
        let mut content = line.content();
        let left_out = line.left_out + line.unread;
        if left_out > 0 {
            let raw = self.shown.raw;
            content.push_str(&format!("<em>… <a href=\"{raw}\">{left_out} more bytes</a></em>"));
        }
        self.number += 1;
        let number = self.number;
        if content != self.content || self.runs.is_empty() {
            let is_notable = is_notable(&line.text);
            self.runs.push(Run { first_line: number, length: 0, is_notable, html: String::new(), first_end: 0 });
            self.content = content;
        }
        let Some(run) = self.runs.last_mut() else { return };
        let (time, content) = (&line.time, &self.content);
        run.html.push_str(&format!("<div id=\"L{number}\"><a href=\"#L{number}\">{number}</a><span>{time}</span>"));
        run.html.push_str(&format!("<code>{content}</code></div>\n"));
        run.length += 1;
        if run.length == 1 {
            run.first_end = run.html.len();
        }
    }

    fn finish(mut self, first_line: u64) -> Part {
        let mut html = String::new();
        self.runs.iter_mut().for_each(|run| run.fold(self.shown.line));
        for row in self.runs.chunk_by(|one, other| one.is_notable == other.is_notable) {
            push_row(&mut html, row, self.shown.line);
        }
        Part { html, first_line, last_line: self.number }
    }
}

impl Run {
    /// Folds all but the first line, if there are enough.
    fn fold(&mut self, line: Option<u64>) {
        if self.length >= EQUAL_LINES_FOLDED_MIN {
            let rest = self.length - 1;
            let details = details(self.first_line + 1, rest, line, &format!("{rest} more like this"));
            self.html.insert_str(self.first_end, &details);
            self.html.push_str("</details>\n");
        }
    }
}

/// Adds runs in a row, all notable or none; of those that are not, the middle is folded if they are many.
fn push_row(html: &mut String, row: &[Run], line: Option<u64>) {
    let lines = |runs: &[Run]| runs.iter().map(|run| run.length).sum::<u64>();
    let push = |html: &mut String, runs: &[Run]| runs.iter().for_each(|run| html.push_str(&run.html));
    let middle = QUIET_LINES_SHOWN..row.len().saturating_sub(QUIET_LINES_SHOWN);
    let is_quiet = row.first().is_some_and(|run| !run.is_notable) && lines(row) >= QUIET_LINES_FOLDED_MIN;
    match row.get(middle.clone()) {
        Some(folded @ [first, _, ..]) if is_quiet => {
            let count = lines(folded);
            let words = format!("{count} lines without errors, warnings, commands and headings");
            push(html, row.get(..middle.start).unwrap_or_default());
            html.push_str(&details(first.first_line, count, line, &words));
            push(html, folded);
            html.push_str("</details>\n");
            push(html, row.get(middle.end..).unwrap_or_default());
        }
        Some(_) | None => push(html, row),
    }
}

/// The start of what is folded: open if the line that is asked for is in it.
fn details(first_line: u64, count: u64, line: Option<u64>, words: &str) -> String {
    let is_open = line.is_some_and(|line| (first_line..first_line + count).contains(&line));
    format!("<details{}><summary>… {words}</summary>\n", if is_open { " open" } else { "" })
}

/// Text as HTML. What is not UTF-8, and what would steer a browser (C1, marks that reorder text), is U+FFFD.
fn push_text(html: &mut String, text: &[u8]) {
    for chunk in text.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some((at, special)) = rest.char_indices().find(|(_, character)| replacement(*character).is_some()) {
            html.push_str(&rest[..at]);
            html.push_str(replacement(special).unwrap_or_default());
            rest = &rest[at + special.len_utf8()..];
        }
        html.push_str(rest);
        if !chunk.invalid().is_empty() {
            html.push('\u{fffd}');
        }
    }
}

fn replacement(character: char) -> Option<&'static str> {
    match character {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\'' => Some("&#39;"),
        '\u{80}'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            Some("\u{fffd}")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::ConsoleIndexer;
    use proptest::prelude::*;
    use std::io::Write as _;

    fn parts(console: &[u8]) -> Vec<Part> {
        let mut indexer = ConsoleIndexer::new();
        indexer.push(console);
        let index = indexer.finish();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(console).unwrap();
        (0..index.part_count())
            .map(|part| render_part(&file, &index, part, Shown { raw: "console", line: None }).unwrap().unwrap())
            .collect()
    }

    /// The texts of all lines, as HTML.
    fn texts(console: &[u8]) -> Vec<String> {
        let html: String = parts(console).into_iter().map(|part| part.html).collect();
        let lines = html.split("<code>").skip(1);
        lines.map(|line| line.split("</code>").next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn lines_have_numbers_times_and_colours() {
        let console = b"0.000s:plain\n1.500s:\x1b[1;31mred & <b>\n2.000s:still\x1b[0m not\nno time\n";
        insta::assert_snapshot!(parts(console)[0].html, @r##"
        <div id="L1"><a href="#L1">1</a><span>0.000s</span><code>plain</code></div>
        <div id="L2"><a href="#L2">2</a><span>1.500s</span><code><span class="a-red a-bold">red &amp; &lt;b&gt;</span></code></div>
        <div id="L3"><a href="#L3">3</a><span>2.000s</span><code><span class="a-red a-bold">still</span> not</code></div>
        <div id="L4"><a href="#L4">4</a><span></span><code>no time</code></div>
        "##);
    }

    #[test]
    fn equal_lines_are_folded_and_still_have_numbers() {
        let console = "0.000s:a\n".to_owned() + &"1.000s:.\n".repeat(4) + &"2.000s:b\n".repeat(3);
        insta::assert_snapshot!(parts(console.as_bytes())[0].html, @r##"
        <div id="L1"><a href="#L1">1</a><span>0.000s</span><code>a</code></div>
        <div id="L2"><a href="#L2">2</a><span>1.000s</span><code>.</code></div>
        <details><summary>… 3 more like this</summary>
        <div id="L3"><a href="#L3">3</a><span>1.000s</span><code>.</code></div>
        <div id="L4"><a href="#L4">4</a><span>1.000s</span><code>.</code></div>
        <div id="L5"><a href="#L5">5</a><span>1.000s</span><code>.</code></div>
        </details>
        <div id="L6"><a href="#L6">6</a><span>2.000s</span><code>b</code></div>
        <div id="L7"><a href="#L7">7</a><span>2.000s</span><code>b</code></div>
        <div id="L8"><a href="#L8">8</a><span>2.000s</span><code>b</code></div>
        "##);
    }

    /// What is seen of lines without opening anything: their numbers, and how many are folded in one place.
    fn seen(html: &str) -> Vec<String> {
        let mut depth = 0;
        let mut seen = Vec::new();
        for line in html.lines() {
            if let Some(words) = line.strip_prefix("<details><summary>… ") {
                if depth == 0 {
                    seen.push(words.split(' ').next().unwrap().to_owned() + " folded");
                }
                depth += 1;
            } else if line == "</details>" {
                depth -= 1;
            } else if depth == 0 {
                seen.push(line.split('"').nth(1).unwrap().to_owned());
            }
        }
        assert_eq!(depth, 0);
        seen
    }

    #[test]
    fn long_rows_without_anything_notable_are_folded_in_their_middle() {
        let quiet = |from: u64, to: u64| (from..=to).map(|line| format!("0.000s:line {line}\n")).collect::<String>();
        let numbers = |from: u64, to: u64| (from..=to).map(|line| format!("L{line}"));
        let console = "0.000s:+ make\n".to_owned()
            + &quiet(2, 100)
            + "0.000s:Error: oops\n"
            + &quiet(102, 150)
            + &"0.000s:same\n".repeat(50)
            + &quiet(201, 230);
        let part = &parts(console.as_bytes())[0];
        let mut expected: Vec<_> = numbers(1, 11).collect();
        expected.push("79 folded".into());
        expected.extend(numbers(91, 111));
        expected.push("109 folded".into());
        expected.extend(numbers(221, 230));
        assert_eq!(seen(&part.html), expected);
        assert!(part.html.contains("… 79 lines without errors, warnings, commands and headings"), "{}", part.html);
        assert_eq!(part.html.matches("<div id=").count(), 230, "all are there");
        let short = "0.000s:+ make\n".to_owned() + &quiet(2, 40) + "0.000s:$ end\n";
        assert!(!parts(short.as_bytes())[0].html.contains("<details"));
    }

    #[test]
    fn what_is_folded_around_the_line_that_is_asked_for_is_open() {
        let console = (1..=100).map(|line| format!("line {line}\n")).collect::<String>() + &"same\n".repeat(100);
        let mut indexer = ConsoleIndexer::new();
        indexer.push(console.as_bytes());
        let index = indexer.finish();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(console.as_bytes()).unwrap();
        let open = |line| {
            let shown = Shown { raw: "", line: Some(line) };
            render_part(&file, &index, 0, shown).unwrap().unwrap().html.matches("<details open>").count()
        };
        assert_eq!([5, 50, 150].map(open), [0, 1, 1]);
    }

    #[test]
    fn of_an_overwritten_line_the_last_text_is_shown() {
        assert_eq!(
            texts(b"0.000s:10%\r20%\r\x1b[32m30%\r\n0.000s:next"),
            ["<span class=\"a-green\">30%</span>", "<span class=\"a-green\">next</span>"]
        );
        assert_eq!(texts(b"\r\na\r\r\nb"), ["", "a", "b"]);
    }

    #[test]
    fn nothing_steers_a_browser() {
        let console = "0.000s:\x1b]0;t\x07a\x08\x07\x00\x7f\tb\u{9b}\u{202e}'\"".as_bytes();
        assert_eq!(texts(console), ["a␈␇␀␡\tb\u{fffd}\u{fffd}&#39;&quot;"]);
        assert_eq!(texts(b"a\xff\xfeb\xc3"), ["a\u{fffd}\u{fffd}b\u{fffd}"]);
    }

    #[test]
    fn a_part_begins_with_the_colour_of_the_one_before() {
        let console = "0.000s:\x1b[31mred\n".to_owned() + &"0.000s:still\n".repeat(1_999) + "0.000s:end\n";
        let parts = parts(console.as_bytes());
        let lines: Vec<_> = parts.iter().map(|part| (part.first_line, part.last_line)).collect();
        assert_eq!(lines, [(1, 1_000), (1_001, 2_000), (2_001, 2_001)]);
        assert!(parts[1].html.contains("… 999 more like this"));
        assert!(parts[2].html.starts_with("<div id=\"L2001\">"));
        assert!(parts[2].html.contains("<span class=\"a-red\">end</span>"));
    }

    #[test]
    fn of_a_long_line_the_start_is_shown() {
        let console = [&b"0.000s:"[..], &vec![b'x'; LINE_SHOWN_BYTES_MAX + 7], b"\nnext\n"].concat();
        let texts = texts(&console);
        assert!(
            texts[0].ends_with("x<em>… <a href=\"console\">7 more bytes</a></em>"),
            "{}",
            &texts[0][texts[0].len() - 80..]
        );
        assert_eq!(texts[1], "next");
        let huge = vec![b'x'; PART_READ_BYTES_MAX as usize + 1000];
        let parts = parts(&huge);
        let left_out = huge.len() - LINE_SHOWN_BYTES_MAX;
        assert_eq!((parts.len(), parts[0].last_line), (1, 1));
        assert!(parts[0].html.contains(&format!("<em>… <a href=\"console\">{left_out} more bytes</a></em>")));
    }

    #[test]
    fn a_file_that_was_cut_is_shown_as_far_as_it_goes() {
        let mut indexer = ConsoleIndexer::new();
        indexer.push(b"0.000s:abc\n0.000s:def\n");
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0.000s:a").unwrap();
        let part = render_part(&file, &indexer.finish(), 0, Shown::default()).unwrap().unwrap();
        assert_eq!(part.last_line, 1);
        assert!(part.html.contains("<code>a<em>… <a href=\"\">14 more bytes</a></em></code>"), "{}", part.html);
    }

    proptest! {
        #[test]
        fn any_bytes_have_all_their_lines(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let texts = texts(&bytes);
            prop_assert_eq!(texts.len(), bytes.split_inclusive(|byte| *byte == b'\n').count());
            let outside = texts.concat().replace("<span class=", "").replace("</span>", "");
            prop_assert!(!outside.contains('<'), "{}", outside);
        }
    }
}
