//! The console without escapes, to be saved as a file: a stream of any length.

use super::decode::{Decoder, Piece};
use super::style::Style;

/// How much of a line is held back in case a carriage return overwrites it, in bytes. Of a longer one, what came
/// before is kept.
const HELD_BYTES_MAX: usize = 64 << 10;

/// Whether lines begin with their times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// As in `console.txt`: `1.500s:text`.
    Kept,
    /// Text only.
    Removed,
}

/// Turns `console.txt` into plain lines: no escapes, no control characters but tabs, of a line that was overwritten
/// (`\r`, as progress bars do) what was written last. Bytes that are not UTF-8 stay as they are.
pub struct PlainText {
    decoder: Decoder,
    line: Line,
}

struct Line {
    times: Times,
    held: Vec<u8>,
    is_overwritten_next: bool,
}

impl PlainText {
    /// At the start of a console.
    pub fn new(times: Times) -> Self {
        let line = Line { times, held: Vec::new(), is_overwritten_next: false };
        Self { decoder: Decoder::new(Style::default()), line }
    }

    /// Appends to `out` what the next bytes of the console are as plain text. Never longer than these bytes, what was
    /// held back, and a newline.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.decoder.push(bytes, &mut |piece| self.line.piece(piece, out));
    }

    /// Appends what was held back.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        self.decoder.finish(&mut |piece| self.line.piece(piece, out));
    }
}

impl Line {
    fn piece(&mut self, piece: Piece<'_>, out: &mut Vec<u8>) {
        match piece {
            Piece::Time(time) if self.times == Times::Kept => {
                out.extend(time.as_bytes());
                out.push(b':');
            }
            Piece::Time(_) => {}
            Piece::Text(text, _) => self.text(text, out),
            Piece::Control(b'\t', _) => self.text(b"\t", out),
            Piece::Control(b'\r', _) => self.is_overwritten_next = true,
            Piece::Control(_, _) => {}
            Piece::LineEnd => {
                out.append(&mut self.held);
                out.push(b'\n');
                self.is_overwritten_next = false;
            }
        }
    }

    fn text(&mut self, text: &[u8], out: &mut Vec<u8>) {
        if std::mem::take(&mut self.is_overwritten_next) {
            self.held.clear();
        }
        if self.held.len() + text.len() > HELD_BYTES_MAX {
            out.append(&mut self.held);
            out.extend(text);
        } else {
            self.held.extend(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(console: &[u8], times: Times, piece: usize) -> Vec<u8> {
        let mut plain = PlainText::new(times);
        let mut out = Vec::new();
        console.chunks(piece).for_each(|piece| plain.push(piece, &mut out));
        plain.finish(&mut out);
        out
    }

    #[test]
    fn escapes_and_overwritten_text_are_removed() {
        let console = b"0.000s:\x1b[31mred\x1b[m\tx\x07\n1.500s:10%\r20%\r\x1b[K30%\r\n2.000s:\xff\nno time\r";
        for piece in [1, 5, usize::MAX] {
            let kept = plain(console, Times::Kept, piece);
            assert_eq!(kept, b"0.000s:red\tx\n1.500s:30%\n2.000s:\xff\nno time\n");
            assert_eq!(plain(console, Times::Removed, piece), b"red\tx\n30%\n\xff\nno time\n");
        }
    }

    #[test]
    fn a_line_without_end_is_not_held_for_ever() {
        let mut plain = PlainText::new(Times::Removed);
        let mut out = Vec::new();
        for _ in 0..100 {
            plain.push(&[b'x'; 10_000], &mut out);
            assert!(plain.line.held.len() <= HELD_BYTES_MAX);
        }
        plain.finish(&mut out);
        assert_eq!(out.len(), 1_000_001);
    }
}
