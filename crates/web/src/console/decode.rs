//! `console.txt` as lines with times, texts and styles. Bytes come in any pieces.

use super::escape::{Scanner, Token};
use super::style::Style;

/// Longest time before a line, in bytes: 18 digits, and `.000s:` behind them.
const TIME_BYTES_MAX: usize = 24;

/// What the bytes of a console mean.
pub(super) enum Piece<'a> {
    /// The line has this time: `1.500s`. Comes first, if at all.
    Time(&'a str),
    /// Bytes to show in a style.
    Text(&'a [u8], Style),
    /// A control character of ASCII other than ESC and newline.
    Control(u8, Style),
    /// The line ends.
    LineEnd,
}

enum Place {
    /// At the start of a line, behind what may become its time.
    Time { bytes: [u8; TIME_BYTES_MAX], length: usize },
    /// In the text of a line.
    Text,
}

const LINE_START: Place = Place::Time { bytes: [0; TIME_BYTES_MAX], length: 0 };

/// Turns bytes into pieces.
pub(super) struct Decoder {
    scanner: Scanner,
    style: Style,
    place: Place,
}

impl Decoder {
    /// At the start of a line, with the style that was on before it.
    pub(super) fn new(style: Style) -> Self {
        Self { scanner: Scanner::new(), style, place: LINE_START }
    }

    pub(super) fn style(&self) -> Style {
        self.style
    }

    /// Whether a line has begun that has not ended.
    pub(super) fn is_within_line(&self) -> bool {
        !matches!(self.place, Place::Time { length: 0, .. })
    }

    pub(super) fn push(&mut self, bytes: &[u8], sink: &mut impl FnMut(Piece<'_>)) {
        let mut at = 0;
        while at < bytes.len() {
            match self.place {
                Place::Time { .. } => at += self.time(&bytes[at..], sink),
                Place::Text => {
                    let rest = &bytes[at..];
                    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                    self.text(&rest[..end], sink);
                    at += end;
                    if at < bytes.len() {
                        at += 1;
                        self.end_line(sink);
                    }
                }
            }
        }
    }

    /// The end of the file; a last line may lack its newline.
    pub(super) fn finish(&mut self, sink: &mut impl FnMut(Piece<'_>)) {
        if self.is_within_line() {
            self.no_time(sink);
            self.end_line(sink);
        }
    }

    fn end_line(&mut self, sink: &mut impl FnMut(Piece<'_>)) {
        self.scanner.reset();
        self.place = LINE_START;
        sink(Piece::LineEnd);
    }

    /// Collects the time of a line; says how many bytes it took.
    fn time(&mut self, bytes: &[u8], sink: &mut impl FnMut(Piece<'_>)) -> usize {
        let Place::Time { bytes: time, length } = &mut self.place else { return 0 };
        for (taken, byte) in (1..).zip(bytes) {
            let belongs = matches!(byte, b'0'..=b'9' | b'.' | b's' | b':') && *length < TIME_BYTES_MAX;
            if !belongs {
                self.no_time(sink);
                return taken - 1;
            }
            time[*length] = *byte;
            *length += 1;
            if *byte == b':' {
                // What looked like a time is let go with its place, so it is copied.
                let (time, length) = (*time, *length - 1);
                match time_text(&time[..length]) {
                    Some(time) => {
                        self.place = Place::Text;
                        sink(Piece::Time(time));
                    }
                    None => self.no_time(sink),
                }
                return taken;
            }
        }
        bytes.len()
    }

    /// What looked like a time is text.
    fn no_time(&mut self, sink: &mut impl FnMut(Piece<'_>)) {
        if let Place::Time { bytes, length } = std::mem::replace(&mut self.place, Place::Text) {
            self.text(&bytes[..length], sink);
        }
    }

    fn text(&mut self, bytes: &[u8], sink: &mut impl FnMut(Piece<'_>)) {
        let style = &mut self.style;
        self.scanner.feed(bytes, &mut |token| match token {
            Token::Text(text) => sink(Piece::Text(text, *style)),
            Token::Control(byte) => sink(Piece::Control(byte, *style)),
            Token::Graphics(parameters) => style.apply(parameters),
        });
    }
}

/// Whole seconds and three decimals, as text.
fn time_text(time: &[u8]) -> Option<&str> {
    let digits = time.strip_suffix(b"s")?;
    let (seconds, fraction) = digits.split_at_checked(digits.len().checked_sub(4)?)?;
    let is_number = |digits: &[u8]| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let is_time = is_number(seconds) && fraction.strip_prefix(b".").is_some_and(is_number);
    str::from_utf8(time).ok().filter(|_| is_time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pieces: &[&[u8]]) -> String {
        let mut decoder = Decoder::new(Style::default());
        let mut told = String::new();
        let mut sink = |piece: Piece<'_>| match piece {
            Piece::Time(time) => told.push_str(&format!("[{time}]")),
            Piece::Text(text, _) => told.push_str(&String::from_utf8_lossy(text)),
            Piece::Control(byte, _) => told.push_str(&format!("<{byte}>")),
            Piece::LineEnd => told.push('|'),
        };
        for piece in pieces {
            decoder.push(piece, &mut sink);
        }
        decoder.finish(&mut sink);
        told
    }

    #[test]
    fn times_and_texts_are_told_apart() {
        assert_eq!(told(&[b"0.000s:a\n1.500s:b: c\n"]), "[0.000s]a|[1.500s]b: c|");
        assert_eq!(told(&[b"0.000s:\n\n0.000s"]), "[0.000s]||0.000s|");
        assert_eq!(
            told(&[b"no time\n1.5s:x\n1s:y\n12:34\n.000s:z\n1.000s1:a"]),
            "no time|1.5s:x|1s:y|12:34|.000s:z|1.000s1:a|"
        );
        assert_eq!(told(&[b"99999999999999999999999999999.000s:x\n"]), "99999999999999999999999999999.000s:x|");
        assert_eq!(told(&[b"999999999999999999.000s:x"]), "[999999999999999999.000s]x|");
        assert_eq!(told(&[b""]), "");
    }

    #[test]
    fn an_escape_ends_with_its_line() {
        assert_eq!(told(&[b"0.000s:a\x1b]0;title\n0.001s:b\x1b[\n31m\n"]), "[0.000s]a|[0.001s]b|31m|");
    }

    #[test]
    fn pieces_do_not_matter() {
        let all = b"0.000s:a\x1b[31m\n1.500s:b\nx 12.000s:c\n3.00";
        let whole = told(&[all]);
        for cut in 0..all.len() {
            assert_eq!(told(&[&all[..cut], &all[cut..]]), whole, "{cut}");
        }
    }
}
