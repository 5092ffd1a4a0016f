//! Bytes of a file in opam's format as tokens.

use super::ast::{EnvironmentOperator, RelationOperator, Span};
use super::error::{OpamError, found, position};
use crate::text::text;

/// The smallest pieces of the format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    Bool(bool),
    Int(i64),
    String(String),
    Ident(String),
    Colon,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    LeftParenthesis,
    RightParenthesis,
    And,
    Or,
    Not,
    Defined,
    Relation(RelationOperator),
    Environment(EnvironmentOperator),
    End,
}

/// A token and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Span,
}

/// Reads one token after the other. The bytes are at most [`super::OPAM_BYTES_MAX`], so that offsets fit a [`Span`].
pub(super) struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next token; at the end of the file always [`TokenKind::End`].
    pub(super) fn next_token(&mut self) -> Result<Token, OpamError> {
        self.skip_blanks()?;
        let start = self.at;
        let kind = match self.peek(0) {
            None => TokenKind::End,
            Some(b'"') if self.rest().starts_with(b"\"\"\"") => self.string(b"\"\"\"")?,
            Some(b'"') => self.string(b"\"")?,
            Some(byte) if is_word_byte(byte) => self.word()?,
            Some(_) => self.symbol()?,
        };
        Ok(Token { kind, span: self.span_from(start) })
    }

    /// An error about what stands in `span`.
    pub(super) fn unexpected(&self, span: Span, expected: &'static str) -> OpamError {
        let (start, end) = (offset(span.start), offset(span.end));
        OpamError::Syntax { position: position(self.bytes, start), found: found(self.bytes, start, end), expected }
    }

    /// The bytes that tokens are read from.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn span_from(&self, start: usize) -> Span {
        Span { start: narrow(start), end: narrow(self.at) }
    }

    fn refuse(&self, start: usize, expected: &'static str) -> OpamError {
        self.unexpected(self.span_from(start), expected)
    }

    /// Passes over blanks and comments: `#` to the end of the line, `(*` to its `*)`, which may nest.
    fn skip_blanks(&mut self) -> Result<(), OpamError> {
        loop {
            match self.peek(0) {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.at += 1,
                Some(b'#') => {
                    let rest = self.rest();
                    self.at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                }
                Some(b'(') if self.peek(1) == Some(b'*') => self.skip_comment()?,
                Some(_) | None => return Ok(()),
            }
        }
    }

    fn skip_comment(&mut self) -> Result<(), OpamError> {
        let start = self.at;
        let mut level = 0_usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(b'('), Some(b'*')) => {
                    level += 1;
                    self.at += 2;
                }
                (Some(b'*'), Some(b')')) => {
                    level -= 1;
                    self.at += 2;
                    if level == 0 {
                        return Ok(());
                    }
                }
                (Some(_), _) => self.at += 1,
                (None, _) => return Err(self.refuse(start, "a comment that ends with `*)`")),
            }
        }
    }

    fn string(&mut self, quote: &'static [u8]) -> Result<TokenKind, OpamError> {
        let start = self.at;
        self.at += quote.len();
        let mut content = Vec::new();
        loop {
            let rest = self.rest();
            let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'\\')).unwrap_or(rest.len());
            content.extend_from_slice(&rest[..plain]);
            self.at += plain;
            match self.peek(0) {
                None => return Err(self.refuse(start, "a string that ends with its quotes")),
                Some(b'\\') => self.escape(&mut content),
                Some(_) if self.rest().starts_with(quote) => {
                    self.at += quote.len();
                    return Ok(TokenKind::String(text(&content)));
                }
                Some(byte) => {
                    content.push(byte);
                    self.at += 1;
                }
            }
        }
    }

    /// Reads a backslash and what it escapes. A backslash that escapes nothing known stands for itself, as in opam.
    fn escape(&mut self, content: &mut Vec<u8>) {
        self.at += 1;
        let (byte, length) = match self.rest() {
            [quoted @ (b'\\' | b'"' | b'\'' | b' '), ..] => (*quoted, 1),
            [b'n', ..] => (b'\n', 1),
            [b'r', ..] => (b'\r', 1),
            [b't', ..] => (b'\t', 1),
            [b'b', ..] => (0x08, 1),
            [b'\n', ..] => return self.skip_line_start(1),
            [b'\r', b'\n', ..] => return self.skip_line_start(2),
            [b'x', high, low, ..] => match (hexadecimal(*high), hexadecimal(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, 3),
                (Some(_) | None, _) => (b'\\', 0),
            },
            [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', ..] => {
                let number = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
                u8::try_from(number).map_or((b'\\', 0), |byte| (byte, 3))
            }
            _ => (b'\\', 0),
        };
        content.push(byte);
        self.at += length;
    }

    /// Passes over an escaped end of line and the blanks that begin the next line.
    fn skip_line_start(&mut self, newline_bytes: usize) {
        self.at += newline_bytes;
        while matches!(self.peek(0), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    /// Reads a word: `true`, `false`, an integer, or a name such as `with-test`, `a+b` or `pkg:var`.
    fn word(&mut self) -> Result<TokenKind, OpamError> {
        let start = self.at;
        self.at += self.word_length(0);
        let first = &self.bytes[start..self.at];
        if !is_name(first) {
            return integer(first)
                .map(TokenKind::Int)
                .ok_or_else(|| self.refuse(start, "an integer of 64 bits or a name"));
        }
        while self.peek(0) == Some(b'+') && self.name_follows(1) {
            self.at += 1 + self.word_length(1);
        }
        if self.peek(0) == Some(b':') && self.name_follows(1) && self.peek(1) != Some(b'_') {
            self.at += 1 + self.word_length(1);
        }
        Ok(match &self.bytes[start..self.at] {
            b"true" => TokenKind::Bool(true),
            b"false" => TokenKind::Bool(false),
            name => TokenKind::Ident(text(name)),
        })
    }

    fn word_length(&self, ahead: usize) -> usize {
        let rest = self.bytes.get(self.at + ahead..).unwrap_or_default();
        rest.iter().position(|byte| !is_word_byte(*byte)).unwrap_or(rest.len())
    }

    fn name_follows(&self, ahead: usize) -> bool {
        let start = self.at + ahead;
        self.bytes.get(start..start + self.word_length(ahead)).is_some_and(is_name)
    }

    fn symbol(&mut self) -> Result<TokenKind, OpamError> {
        use EnvironmentOperator::{Append, AppendColon, Prepend, PrependColon, Replace, ReplaceColon};
        use RelationOperator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, Matches, NotEqual};
        let (kind, length) = match self.rest() {
            [b'=', b'+', b'=', ..] => (TokenKind::Environment(Replace), 3),
            [b'=', b':', b'=', ..] => (TokenKind::Environment(ReplaceColon), 3),
            [b'=', b'+', ..] => (TokenKind::Environment(Append), 2),
            [b'=', b':', ..] => (TokenKind::Environment(AppendColon), 2),
            [b'+', b'=', ..] => (TokenKind::Environment(Prepend), 2),
            [b':', b'=', ..] => (TokenKind::Environment(PrependColon), 2),
            [b'!', b'=', ..] => (TokenKind::Relation(NotEqual), 2),
            [b'<', b'=', ..] => (TokenKind::Relation(LessOrEqual), 2),
            [b'>', b'=', ..] => (TokenKind::Relation(GreaterOrEqual), 2),
            [b'=', ..] => (TokenKind::Relation(Equal), 1),
            [b'<', ..] => (TokenKind::Relation(Less), 1),
            [b'>', ..] => (TokenKind::Relation(Greater), 1),
            [b'~', ..] => (TokenKind::Relation(Matches), 1),
            [b':', ..] => (TokenKind::Colon, 1),
            [b'{', ..] => (TokenKind::LeftBrace, 1),
            [b'}', ..] => (TokenKind::RightBrace, 1),
            [b'[', ..] => (TokenKind::LeftBracket, 1),
            [b']', ..] => (TokenKind::RightBracket, 1),
            [b'(', ..] => (TokenKind::LeftParenthesis, 1),
            [b')', ..] => (TokenKind::RightParenthesis, 1),
            [b'&', ..] => (TokenKind::And, 1),
            [b'|', ..] => (TokenKind::Or, 1),
            [b'!', ..] => (TokenKind::Not, 1),
            [b'?', ..] => (TokenKind::Defined, 1),
            _ => {
                let start = self.at;
                self.at += 1;
                // The rest of a character of several bytes, so that the error shows it whole.
                while self.peek(0).is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000) {
                    self.at += 1;
                }
                return Err(self.refuse(start, "a field, a section or a value"));
            }
        };
        self.at += length;
        Ok(kind)
    }
}

/// An offset as a [`Span`] has it.
fn narrow(offset: usize) -> u32 {
    u32::try_from(offset).expect("a file has at most OPAM_BYTES_MAX bytes")
}

/// An offset out of a [`Span`].
pub(super) fn offset(narrow: u32) -> usize {
    usize::try_from(narrow).expect("we run where addresses have at least 32 bits")
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn is_name(word: &[u8]) -> bool {
    word == b"_" || word.iter().any(u8::is_ascii_alphabetic)
}

/// An integer as OCaml reads one: digits with `_` between them.
fn integer(word: &[u8]) -> Option<i64> {
    let digits: Vec<u8> = word.iter().copied().filter(|byte| *byte != b'_').collect();
    std::str::from_utf8(&digits).ok()?.parse().ok()
}

fn hexadecimal(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
