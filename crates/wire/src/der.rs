//! A strict DER reader over a slice (X.690, section 10), with the few liberties that the protocol has: a length of
//! exactly 127 may have the long form, and UTF8String holds any octets. It cannot read past its slice.

use std::fmt;

/// Universal tags, and the context tags, all constructed, as identifier octets.
pub(crate) mod tag {
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const NULL: u8 = 0x05;
    pub(crate) const UTF8_STRING: u8 = 0x0c;
    pub(crate) const UTC_TIME: u8 = 0x17;
    pub(crate) const GENERALIZED_TIME: u8 = 0x18;
    pub(crate) const SEQUENCE: u8 = 0x30;
    /// The identifier octet of `[number]`.
    pub(crate) const fn context(number: u8) -> u8 {
        0xa0 | number
    }
}

/// Bytes that are not what the grammar asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset}: {fault}")]
pub struct DecodeError {
    /// Where, counted in bytes from the start of the outermost element.
    pub offset: u64,
    /// What is wrong there.
    pub fault: Fault,
}

/// What can be wrong with bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The bytes end within an element.
    Truncated,
    /// There are bytes behind the outermost element, or surplus elements in a sequence.
    Surplus,
    /// An element reaches beyond the one around it.
    Overrun,
    /// A length is indefinite, not minimal, or larger than any message.
    Length,
    /// Another element was expected.
    Tag {
        /// What should stand here.
        expected: &'static str,
        /// The identifier octet that does.
        found: u8,
    },
    /// A tag that the protocol knows but reserves: it has no meaning.
    Reserved {
        /// Its number.
        tag: u8,
    },
    /// An INTEGER is empty, not minimal, or beyond 63 bits.
    Integer,
    /// A time is malformed or impossible.
    Time,
    /// A path is empty or contains NUL.
    Path,
    /// A UUID does not have 16 octets.
    Uuid {
        /// How many it has.
        octets: usize,
    },
    /// A SHA-256 with another length than 32 octets.
    Digest {
        /// How many it has.
        octets: usize,
    },
    /// A number beyond what it may be.
    Number {
        /// Which number.
        what: &'static str,
        /// The smallest that is taken.
        least: u64,
        /// The largest that is taken.
        most: u64,
    },
    /// An element is longer than we take.
    Limit {
        /// Which element.
        what: &'static str,
        /// The limit in bytes, or in elements.
        limit: u64,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the data ends here, within an element"),
            Self::Surplus => f.write_str("surplus data"),
            Self::Overrun => f.write_str("the element reaches beyond the one around it"),
            Self::Length => f.write_str("the length is indefinite, not minimal or too large"),
            Self::Tag { expected, found } => write!(f, "expected {expected}, found tag 0x{found:02x}"),
            Self::Reserved { tag } => write!(f, "tag [{tag}] is reserved and has no meaning"),
            Self::Integer => f.write_str("the integer is empty, not minimal or beyond 63 bits"),
            Self::Time => f.write_str("the time is malformed or impossible"),
            Self::Path => f.write_str("the path is empty or contains NUL"),
            Self::Uuid { octets } => write!(f, "a UUID has 16 octets, this one has {octets}"),
            Self::Digest { octets } => write!(f, "a SHA-256 has 32 octets, this one has {octets}"),
            Self::Number { what, least, most } => write!(f, "{what} is not from {least} to {most}"),
            Self::Limit { what, limit } => write!(f, "{what} is over the limit of {limit}"),
        }
    }
}

/// The identifier and length octets at the start of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) tag: u8,
    /// How many octets the header itself has: 2 to 10.
    pub(crate) size: usize,
    /// How many octets the content has.
    pub(crate) length: u64,
}

/// Reads a header; `None` when more bytes are needed to tell.
pub(crate) fn header(bytes: &[u8]) -> Result<Option<Header>, Fault> {
    let (Some(&tag), Some(&first)) = (bytes.first(), bytes.get(1)) else { return Ok(None) };
    if first < 0x80 {
        return Ok(Some(Header { tag, size: 2, length: u64::from(first) }));
    }
    let count = usize::from(first & 0x7f);
    if count == 0 || count > 8 {
        return Err(Fault::Length);
    }
    let Some(octets) = bytes.get(2..2 + count) else { return Ok(None) };
    let length = octets.iter().fold(0_u64, |length, octet| length << 8 | u64::from(*octet));
    if octets.first() == Some(&0) || length < 127 || length > i64::MAX as u64 {
        return Err(Fault::Length);
    }
    Ok(Some(Header { tag, size: 2 + count, length }))
}

/// The size in bytes of the element at the start of `bytes`, as soon as its header is there.
pub fn element_size(bytes: &[u8]) -> Result<Option<u64>, Fault> {
    Ok(header(bytes)?.map(|header| header.size as u64 + header.length))
}

/// Reads elements one after the other from a slice.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// The place of `rest` in the outermost element.
    offset: u64,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self::at(bytes, 0)
    }

    /// A reader for bytes that stand at `offset` in something larger.
    pub(crate) fn at(bytes: &'a [u8], offset: u64) -> Self {
        Self { rest: bytes, offset }
    }

    pub(crate) fn error<T>(&self, fault: Fault) -> Result<T, DecodeError> {
        Err(DecodeError { offset: self.offset, fault })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The identifier octet of the next element.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Nothing may be left.
    pub(crate) fn end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { self.error(Fault::Surplus) }
    }

    /// The content of the next element, which must have this tag.
    fn content(&mut self, tag: u8, expected: &'static str) -> Result<Self, DecodeError> {
        let Some(found) = self.peek() else { return self.error(Fault::Truncated) };
        if found != tag {
            return self.error(Fault::Tag { expected, found });
        }
        let header = match header(self.rest) {
            Ok(Some(header)) => header,
            Ok(None) => return self.error(Fault::Truncated),
            Err(fault) => return self.error(fault),
        };
        let end = usize::try_from(header.length).ok().and_then(|length| length.checked_add(header.size));
        let Some(element) = end.and_then(|end| self.rest.get(..end)) else { return self.error(Fault::Truncated) };
        let content = Self { rest: &element[header.size..], offset: self.offset + header.size as u64 };
        self.rest = &self.rest[element.len()..];
        self.offset += element.len() as u64;
        Ok(content)
    }

    /// Reads an element whose content is read by `read`, and nothing else.
    fn nested<T>(
        &mut self,
        tag: u8,
        expected: &'static str,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let mut content = self.content(tag, expected)?;
        let value = read(&mut content)?;
        content.end()?;
        Ok(value)
    }

    pub(crate) fn sequence<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        self.nested(tag::SEQUENCE, "SEQUENCE", read)
    }

    pub(crate) fn sequence_of<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        self.sequence(|content| {
            let mut elements = Vec::new();
            while !content.is_empty() {
                elements.push(read(content)?);
            }
            Ok(elements)
        })
    }

    /// An explicit context tag around exactly one element.
    pub(crate) fn explicit<T>(
        &mut self,
        number: u8,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        self.nested(tag::context(number), "a context tag", read)
    }

    /// The number of the explicit context tag that comes next, for a CHOICE.
    pub(crate) fn choice(&self, expected: &'static str) -> Result<u8, DecodeError> {
        match self.peek() {
            None => self.error(Fault::Truncated),
            Some(found) if found & 0xe0 == 0xa0 && found & 0x1f != 0x1f => Ok(found & 0x1f),
            Some(found) => self.error(Fault::Tag { expected, found }),
        }
    }

    /// What a CHOICE answers to a tag it does not have.
    pub(crate) fn no_such_choice<T>(&self, expected: &'static str) -> Result<T, DecodeError> {
        self.error(Fault::Tag { expected, found: self.peek().unwrap_or(0) })
    }

    pub(crate) fn null(&mut self) -> Result<(), DecodeError> {
        self.nested(tag::NULL, "NULL", |_| Ok(()))
    }

    /// A UTF8String, which holds any octets.
    pub(crate) fn octets(&mut self) -> Result<&'a [u8], DecodeError> {
        Ok(self.content(tag::UTF8_STRING, "UTF8String")?.rest)
    }

    /// An INTEGER of at most 63 bits, which is what the original's readers hold.
    pub(crate) fn integer(&mut self) -> Result<i64, DecodeError> {
        let content = self.content(tag::INTEGER, "INTEGER")?;
        integer(content.rest).ok_or(DecodeError { offset: content.offset, fault: Fault::Integer })
    }

    /// A UTCTime or a GeneralizedTime: which, and the text.
    pub(crate) fn time_text(&mut self) -> Result<(u8, &'a [u8], u64), DecodeError> {
        let tag = if self.peek() == Some(tag::UTC_TIME) { tag::UTC_TIME } else { tag::GENERALIZED_TIME };
        let content = self.content(tag, "UTCTime or GeneralizedTime")?;
        Ok((tag, content.rest, content.offset))
    }
}

/// Smallest and largest INTEGER: 63 bits, signed.
pub(crate) const INTEGER_MIN: i64 = -(1 << 62);
pub(crate) const INTEGER_MAX: i64 = (1 << 62) - 1;

fn integer(octets: &[u8]) -> Option<i64> {
    let (&first, rest) = octets.split_first()?;
    let redundant = rest.first().is_some_and(|next| (first == 0 && *next < 0x80) || (first == 0xff && *next >= 0x80));
    if redundant || octets.len() > 8 {
        return None;
    }
    let sign = if first >= 0x80 { -1 } else { 0 };
    let value = octets.iter().fold(sign, |value: i64, octet| value << 8 | i64::from(*octet));
    (INTEGER_MIN..=INTEGER_MAX).contains(&value).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_minimal() {
        assert_eq!(header(&[0x30]), Ok(None));
        assert_eq!(header(&[0x30, 0x81]), Ok(None));
        assert_eq!(header(&[0x30, 0x05]), Ok(Some(Header { tag: 0x30, size: 2, length: 5 })));
        assert_eq!(header(&[0x30, 0x81, 0x7f]), Ok(Some(Header { tag: 0x30, size: 3, length: 127 })));
        for bad in [&[0x30, 0x80][..], &[0x30, 0x81, 0x7e], &[0x30, 0x82, 0x00, 0xc8], &[0x30, 0x89]] {
            assert_eq!(header(bad), Err(Fault::Length), "{bad:?}");
        }
        assert_eq!(header(&[0x30, 0x88, 0x80, 0, 0, 0, 0, 0, 0, 0]), Err(Fault::Length));
    }

    #[test]
    fn integers_have_63_bits() {
        assert_eq!(integer(&[0xff]), Some(-1));
        assert_eq!(integer(&[0x00, 0x80]), Some(128));
        assert_eq!(integer(&[0xc0, 0, 0, 0, 0, 0, 0, 0]), Some(INTEGER_MIN));
        for bad in [&[][..], &[0, 0x7f], &[0xff, 0x80], &[0x40, 0, 0, 0, 0, 0, 0, 0], &[0x7f; 9]] {
            assert_eq!(integer(bad), None, "{bad:?}");
        }
    }
}
