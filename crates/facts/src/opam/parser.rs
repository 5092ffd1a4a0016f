//! Tokens as the tree of a file. One token is looked at ahead, and every level of nesting is counted.

use super::ast::{Field, File, Item, LogicOperator, PrefixOperator, Section, Span, Value, ValueKind};
use super::error::{OpamError, position};
use super::lexer::{Lexer, Token, TokenKind, offset};
use super::{OPAM_BYTES_MAX, OPAM_DEPTH_MAX, OPAM_VALUES_MAX};

impl File {
    /// Parses a file in opam's format.
    pub fn parse(bytes: &[u8]) -> Result<Self, OpamError> {
        if bytes.len() > OPAM_BYTES_MAX {
            return Err(OpamError::TooLong { bytes: bytes.len() });
        }
        let mut parser = Parser::new(bytes)?;
        let items = parser.items(0)?;
        parser.expect(&TokenKind::End, "the name of a field or section")?;
        Ok(Self { items })
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    ahead: Token,
    values: usize,
}

impl<'a> Parser<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, OpamError> {
        let mut lexer = Lexer::new(bytes);
        let ahead = lexer.next_token()?;
        Ok(Self { lexer, ahead, values: 0 })
    }

    fn unexpected(&self, expected: &'static str) -> OpamError {
        self.lexer.unexpected(self.ahead.span, expected)
    }

    fn take(&mut self) -> Result<Token, OpamError> {
        let next = self.lexer.next_token()?;
        Ok(std::mem::replace(&mut self.ahead, next))
    }

    fn expect(&mut self, kind: &TokenKind, expected: &'static str) -> Result<Token, OpamError> {
        if self.ahead.kind == *kind { self.take() } else { Err(self.unexpected(expected)) }
    }

    fn position_ahead(&self) -> super::Position {
        position(self.lexer.bytes(), offset(self.ahead.span.start))
    }

    /// Counts one more field, section or value.
    fn count(&mut self) -> Result<(), OpamError> {
        self.values += 1;
        if self.values > OPAM_VALUES_MAX {
            return Err(OpamError::TooManyValues { position: self.position_ahead() });
        }
        Ok(())
    }

    fn check_depth(&self, depth: usize) -> Result<(), OpamError> {
        if depth > OPAM_DEPTH_MAX {
            return Err(OpamError::TooDeep { position: self.position_ahead() });
        }
        Ok(())
    }

    /// Fields and sections, up to what is neither.
    fn items(&mut self, depth: usize) -> Result<Vec<Item>, OpamError> {
        self.check_depth(depth)?;
        let mut items = Vec::new();
        while let TokenKind::Ident(name) = &mut self.ahead.kind {
            let (word, span) = (std::mem::take(name), self.ahead.span);
            self.count()?;
            self.take()?;
            items.push(self.item(word, span, depth)?);
        }
        Ok(items)
    }

    /// A field or section whose first word was taken.
    fn item(&mut self, word: String, span: Span, depth: usize) -> Result<Item, OpamError> {
        if self.ahead.kind == TokenKind::Colon {
            self.take()?;
            return Ok(Item::Field(Field { name: word, value: self.value(depth)?, span }));
        }
        let mut name = None;
        if let TokenKind::String(text) = &mut self.ahead.kind {
            name = Some(std::mem::take(text));
            self.take()?;
        }
        let expected = if name.is_some() { "`{`" } else { "`:` after a field, or `{` or a name after a section" };
        self.expect(&TokenKind::LeftBrace, expected)?;
        let items = self.items(depth + 1)?;
        self.expect(&TokenKind::RightBrace, "a field, a section or `}`")?;
        Ok(Item::Section(Section { kind: word, name, items, span }))
    }

    /// `a | b | c`
    fn value(&mut self, depth: usize) -> Result<Value, OpamError> {
        self.check_depth(depth)?;
        let first = self.conjunction(depth)?;
        self.operands(first, &TokenKind::Or, LogicOperator::Or, |parser| parser.conjunction(depth))
    }

    /// `a & b & c`
    fn conjunction(&mut self, depth: usize) -> Result<Value, OpamError> {
        let first = self.prefixed(depth)?;
        self.operands(first, &TokenKind::And, LogicOperator::And, |parser| parser.prefixed(depth))
    }

    fn operands(
        &mut self,
        first: Value,
        token: &TokenKind,
        operator: LogicOperator,
        operand: impl Fn(&mut Self) -> Result<Value, OpamError>,
    ) -> Result<Value, OpamError> {
        if self.ahead.kind != *token {
            return Ok(first);
        }
        let start = first.span.start;
        let mut operands = vec![first];
        while self.ahead.kind == *token {
            self.take()?;
            operands.push(operand(self)?);
        }
        let end = operands.last().map_or(start, |last| last.span.end);
        Ok(Value { kind: ValueKind::Logic { operator, operands }, span: Span { start, end } })
    }

    /// `!a` or `?a`, which reach over the `{ … }` behind `a`.
    fn prefixed(&mut self, depth: usize) -> Result<Value, OpamError> {
        self.check_depth(depth)?;
        let operator = if self.ahead.kind == TokenKind::Not {
            PrefixOperator::Not
        } else if self.ahead.kind == TokenKind::Defined {
            PrefixOperator::Defined
        } else {
            return self.constrained(depth);
        };
        self.count()?;
        let start = self.take()?.span.start;
        let value = Box::new(self.prefixed(depth + 1)?);
        let span = Span { start, end: value.span.end };
        Ok(Value { kind: ValueKind::Prefix { operator, value }, span })
    }

    /// `a { … }`. opam's grammar has `a { … } { … }` too, but no field takes it; here it is refused, which bounds the depth.
    fn constrained(&mut self, depth: usize) -> Result<Value, OpamError> {
        let value = self.primary(depth)?;
        if self.ahead.kind != TokenKind::LeftBrace {
            return Ok(value);
        }
        self.take()?;
        let constraints = self.values(depth + 1)?;
        let end = self.expect(&TokenKind::RightBrace, "a value or `}`")?.span.end;
        if self.ahead.kind == TokenKind::LeftBrace {
            return Err(self.unexpected("one `{ … }` after a value"));
        }
        let span = Span { start: value.span.start, end };
        Ok(Value { kind: ValueKind::Option { value: Box::new(value), constraints }, span })
    }

    /// Values side by side, up to what begins no value.
    fn values(&mut self, depth: usize) -> Result<Vec<Value>, OpamError> {
        self.check_depth(depth)?;
        let mut values = Vec::new();
        loop {
            match self.ahead.kind {
                TokenKind::Bool(_)
                | TokenKind::Int(_)
                | TokenKind::String(_)
                | TokenKind::Ident(_)
                | TokenKind::LeftBracket
                | TokenKind::LeftParenthesis
                | TokenKind::Not
                | TokenKind::Defined
                | TokenKind::Relation(_) => values.push(self.value(depth)?),
                TokenKind::Colon
                | TokenKind::LeftBrace
                | TokenKind::RightBrace
                | TokenKind::RightBracket
                | TokenKind::RightParenthesis
                | TokenKind::And
                | TokenKind::Or
                | TokenKind::Environment(_)
                | TokenKind::End => return Ok(values),
            }
        }
    }

    fn primary(&mut self, depth: usize) -> Result<Value, OpamError> {
        let start = self.ahead.span.start;
        if self.ahead.kind == TokenKind::LeftBracket {
            let (values, end) = self.enclosed(&TokenKind::RightBracket, "a value or `]`", depth)?;
            return Ok(Value { kind: ValueKind::List(values), span: Span { start, end } });
        }
        if self.ahead.kind == TokenKind::LeftParenthesis {
            let (values, end) = self.enclosed(&TokenKind::RightParenthesis, "a value or `)`", depth)?;
            return Ok(Value { kind: ValueKind::Group(values), span: Span { start, end } });
        }
        if let TokenKind::Relation(operator) = self.ahead.kind {
            self.count()?;
            self.take()?;
            let value = Box::new(self.atom()?);
            let span = Span { start, end: value.span.end };
            return Ok(Value { kind: ValueKind::Constraint { operator, value }, span });
        }
        self.relation()
    }

    /// The values up to a closing token, and where that ends. The opening one is ahead.
    fn enclosed(
        &mut self,
        closing: &TokenKind,
        expected: &'static str,
        depth: usize,
    ) -> Result<(Vec<Value>, u32), OpamError> {
        self.count()?;
        self.take()?;
        let values = self.values(depth + 1)?;
        let end = self.expect(closing, expected)?.span.end;
        Ok((values, end))
    }

    /// An atom, or two with an operator between them.
    fn relation(&mut self) -> Result<Value, OpamError> {
        let left = self.atom()?;
        if let TokenKind::Relation(operator) = self.ahead.kind {
            return self.infix(left, |left, right| ValueKind::Relation { operator, left, right });
        }
        if let TokenKind::Environment(operator) = self.ahead.kind {
            return self.infix(left, |left, right| ValueKind::Environment { operator, left, right });
        }
        Ok(left)
    }

    /// What stands behind `left` and the operator that is ahead.
    fn infix(
        &mut self,
        left: Value,
        join: impl FnOnce(Box<Value>, Box<Value>) -> ValueKind,
    ) -> Result<Value, OpamError> {
        self.take()?;
        let right = self.atom()?;
        let span = Span { start: left.span.start, end: right.span.end };
        Ok(Value { kind: join(Box::new(left), Box::new(right)), span })
    }

    fn atom(&mut self) -> Result<Value, OpamError> {
        self.count()?;
        let token = self.take()?;
        let span = token.span;
        match token.kind {
            TokenKind::Bool(truth) => Ok(Value { kind: ValueKind::Bool(truth), span }),
            TokenKind::Int(number) => Ok(Value { kind: ValueKind::Int(number), span }),
            TokenKind::String(text) => Ok(Value { kind: ValueKind::String(text), span }),
            TokenKind::Ident(name) => Ok(Value { kind: ValueKind::Ident(name), span }),
            TokenKind::Colon
            | TokenKind::LeftBrace
            | TokenKind::RightBrace
            | TokenKind::LeftBracket
            | TokenKind::RightBracket
            | TokenKind::LeftParenthesis
            | TokenKind::RightParenthesis
            | TokenKind::And
            | TokenKind::Or
            | TokenKind::Not
            | TokenKind::Defined
            | TokenKind::Relation(_)
            | TokenKind::Environment(_)
            | TokenKind::End => Err(self.lexer.unexpected(span, "a value")),
        }
    }
}
