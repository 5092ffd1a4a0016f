//! Escape sequences (ECMA-48): text, control characters and changes of colours, told apart. Bytes come in any pieces.
//!
//! By hand, not by a terminal's parser: those decode character by character, and keep the text of commands that we
//! drop, without limit.

/// Longest parameters of a change of colours, in bytes; longer ones are dropped.
const PARAMETERS_BYTES_MAX: usize = 64;

const ESCAPE: u8 = 0x1b;
const BELL: u8 = 0x07;
const CANCEL: u8 = 0x18;
const SUBSTITUTE: u8 = 0x1a;
const DELETE: u8 = 0x7f;

/// What bytes mean.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// Bytes to show; they may begin or end within a character.
    Text(&'a [u8]),
    /// A control character of ASCII.
    Control(u8),
    /// The parameters of "select graphic rendition".
    Graphics(&'a [u8]),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Text,
    /// Behind ESC.
    Escape,
    /// Behind ESC and an intermediate byte.
    Intermediate,
    /// Within a control sequence; whether it can still be a change of colours.
    Sequence {
        graphics: bool,
    },
    /// Within a command that has a text, such as a title or a link.
    Command,
    /// Behind ESC within such a command.
    CommandEscape,
}

/// Tells bytes apart.
pub(super) struct Scanner {
    state: State,
    parameters: [u8; PARAMETERS_BYTES_MAX],
    length: usize,
}

impl Scanner {
    pub(super) fn new() -> Self {
        Self { state: State::Text, parameters: [0; PARAMETERS_BYTES_MAX], length: 0 }
    }

    /// Forgets a sequence that has not ended.
    pub(super) fn reset(&mut self) {
        self.state = State::Text;
    }

    pub(super) fn feed(&mut self, mut bytes: &[u8], sink: &mut impl FnMut(Token<'_>)) {
        while let Some(first) = bytes.first() {
            bytes = match self.state {
                State::Text => self.text(bytes, sink),
                State::Command => {
                    let end = bytes.iter().position(|byte| matches!(*byte, ESCAPE | BELL | CANCEL | SUBSTITUTE));
                    match end.map(|end| (bytes[end], &bytes[end + 1..])) {
                        Some((ESCAPE, rest)) => {
                            self.state = State::CommandEscape;
                            rest
                        }
                        Some((_, rest)) => {
                            self.state = State::Text;
                            rest
                        }
                        None => &[],
                    }
                }
                State::Escape | State::Intermediate | State::Sequence { .. } | State::CommandEscape => {
                    if self.step(*first, sink) {
                        &bytes[1..]
                    } else {
                        self.state = State::Text;
                        bytes
                    }
                }
            };
        }
    }

    fn text<'a>(&mut self, bytes: &'a [u8], sink: &mut impl FnMut(Token<'_>)) -> &'a [u8] {
        let end = bytes.iter().position(|byte| *byte < b' ' || *byte == DELETE).unwrap_or(bytes.len());
        if end > 0 {
            sink(Token::Text(&bytes[..end]));
        }
        match bytes.get(end) {
            None => return &[],
            Some(&ESCAPE) => self.state = State::Escape,
            Some(&control) => sink(Token::Control(control)),
        }
        &bytes[end + 1..]
    }

    /// One byte of a sequence; false if it does not belong to it and is to be seen as text.
    fn step(&mut self, byte: u8, sink: &mut impl FnMut(Token<'_>)) -> bool {
        match (byte, self.state) {
            (ESCAPE, _) => self.state = State::Escape,
            (CANCEL | SUBSTITUTE, _) => self.state = State::Text,
            // A terminal obeys control characters in the middle of a sequence.
            (0..b' ' | DELETE, _) => sink(Token::Control(byte)),
            (0x80.., _) => return false,
            (_, State::Sequence { graphics }) => self.sequence(byte, graphics, sink),
            (b' '..=b'/', _) => self.state = State::Intermediate,
            (b'[', State::Escape | State::CommandEscape) => {
                self.length = 0;
                self.state = State::Sequence { graphics: true };
            }
            (b']' | b'P' | b'X' | b'^' | b'_', State::Escape | State::CommandEscape) => self.state = State::Command,
            (b'0'..=b'~', _) => self.state = State::Text,
        }
        true
    }

    fn sequence(&mut self, byte: u8, graphics: bool, sink: &mut impl FnMut(Token<'_>)) {
        match byte {
            b'0'..=b';' if self.length < PARAMETERS_BYTES_MAX => {
                self.parameters[self.length] = byte;
                self.length += 1;
            }
            b'@'..=b'~' => {
                self.state = State::Text;
                if byte == b'm' && graphics {
                    sink(Token::Graphics(&self.parameters[..self.length]));
                }
            }
            // Private parameters, intermediate bytes, or too many: not a change of colours.
            _ => self.state = State::Sequence { graphics: false },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pieces: &[&[u8]]) -> String {
        let mut told = String::new();
        let mut scanner = Scanner::new();
        for piece in pieces {
            scanner.feed(piece, &mut |token| match token {
                Token::Text(text) => told.push_str(&String::from_utf8_lossy(text)),
                Token::Control(byte) => told.push_str(&format!("<{byte}>")),
                Token::Graphics(parameters) => told.push_str(&format!("<{}>", String::from_utf8_lossy(parameters))),
            });
        }
        told
    }

    #[test]
    fn colours_are_kept_and_the_rest_is_dropped() {
        assert_eq!(told(&[b"a\x1b[1;31mb\x1b[mc"]), "a<1;31>b<>c");
        assert_eq!(told(&[b"\x1b[2K\x1b[10;20Ha\x1b[?25lb\x1b[>4;1mc\x1b[0 qd\x1b(Be\x1b7f"]), "abcdef");
        assert_eq!(told(&[b"\x1b]0;title\x07a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\b\x1bPdcs\x1b\\c"]), "alinkbc");
        assert_eq!(told(&[b"a\rb\x08\x7f\x00"]), "a<13>b<8><127><0>");
    }

    #[test]
    fn broken_sequences_end() {
        assert_eq!(told(&[b"\x1b[3\x181mx"]), "1mx", "cancelled");
        assert_eq!(told(&[b"\x1b[31\x1b[32mx"]), "<32>x", "begun again");
        assert_eq!(told(&["\x1b[3ü".as_bytes(), b"\x1b"]), "ü");
        assert_eq!(told(&[b"\x1b]0;t\x1b[31mx"]), "<31>x", "a command that another one ends");
        assert_eq!(told(&[b"\x1b[3\r1mx"]), "<13><31>x", "a control character within");
        let long = [b"\x1b[".as_slice(), &b"1;".repeat(40), b"mx"].concat();
        assert_eq!(told(&[&long]), "x");
    }

    #[test]
    fn pieces_do_not_matter() {
        let all = b"a\x1b[1;31mb\x1b]0;t\x1b\\c\x1b(Bd\x1b[?2he";
        for cut in 0..all.len() {
            assert_eq!(told(&[&all[..cut], &all[cut..]]), "a<1;31>bcde", "{cut}");
        }
    }
}
