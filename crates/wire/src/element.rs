//! The encoder: a tree of elements that borrows its payloads, and its bytes as a list of pieces that still do.

use crate::der::{INTEGER_MAX, INTEGER_MIN, tag};
use std::borrow::Cow;

/// One DER element to be written. Its length is known from the start, so bytes are written once, front to back.
#[derive(Debug, Clone)]
pub(crate) struct Element<'a> {
    tag: u8,
    /// The length of the content in octets.
    length: u64,
    content: Content<'a>,
}

#[derive(Debug, Clone)]
enum Content<'a> {
    Octets(Cow<'a, [u8]>),
    Elements(Vec<Element<'a>>),
}

/// Payloads up to this many bytes are copied: a piece of their own would cost more.
const PIECE_BYTES_MIN: usize = 256;

impl<'a> Element<'a> {
    fn primitive(tag: u8, octets: impl Into<Cow<'a, [u8]>>) -> Self {
        let octets = octets.into();
        Self { tag, length: octets.len() as u64, content: Content::Octets(octets) }
    }

    fn constructed(tag: u8, elements: Vec<Self>) -> Self {
        let length = elements.iter().map(Self::size).sum();
        Self { tag, length, content: Content::Elements(elements) }
    }

    pub(crate) fn sequence(elements: Vec<Self>) -> Self {
        Self::constructed(tag::SEQUENCE, elements)
    }

    pub(crate) fn explicit(number: u8, element: Self) -> Self {
        Self::constructed(tag::context(number), vec![element])
    }

    pub(crate) fn null() -> Self {
        Self::primitive(tag::NULL, &[][..])
    }

    pub(crate) fn octets(octets: impl Into<Cow<'a, [u8]>>) -> Self {
        Self::primitive(tag::UTF8_STRING, octets)
    }

    /// A minimal INTEGER. What does not fit 63 bits, which only a mistake of ours can bring here, is held at the border.
    pub(crate) fn integer(value: i64) -> Self {
        let octets = value.clamp(INTEGER_MIN, INTEGER_MAX).to_be_bytes();
        let redundant = |pair: &[u8]| (pair[0] == 0 && pair[1] < 0x80) || (pair[0] == 0xff && pair[1] >= 0x80);
        let skip = octets.windows(2).take_while(|pair| redundant(pair)).count();
        Self::primitive(tag::INTEGER, octets[skip..].to_vec())
    }

    pub(crate) fn generalized_time(text: String) -> Self {
        Self::primitive(tag::GENERALIZED_TIME, text.into_bytes())
    }

    /// How many octets header and content have together.
    pub(crate) fn size(&self) -> u64 {
        header_size(self.length) + self.length
    }

    fn write(&self, encoded: &mut Encoded<'a>) {
        write_header(&mut encoded.own, self.tag, self.length);
        match &self.content {
            Content::Elements(elements) => elements.iter().for_each(|element| element.write(encoded)),
            Content::Octets(Cow::Borrowed(payload)) if payload.len() >= PIECE_BYTES_MIN => {
                encoded.borrowed.push((encoded.own.len(), payload));
            }
            Content::Octets(octets) => encoded.own.extend_from_slice(octets),
        }
    }

    pub(crate) fn encode(&self) -> Encoded<'a> {
        self.encode_after(Vec::new())
    }

    /// Encodes behind bytes that are there already, such as a frame header.
    pub(crate) fn encode_after(&self, before: Vec<u8>) -> Encoded<'a> {
        let mut encoded = Encoded { own: before, borrowed: Vec::new() };
        self.write(&mut encoded);
        encoded
    }
}

/// The size in octets of the header of an element with this much content.
pub(crate) const fn header_size(length: u64) -> u64 {
    if length < 0x80 { 2 } else { 2 + (71 - length.leading_zeros() as u64) / 8 }
}

/// The size in octets of an element with this much content.
pub(crate) const fn element_size(length: u64) -> u64 {
    header_size(length) + length
}

pub(crate) fn write_header(out: &mut Vec<u8>, tag: u8, length: u64) {
    out.push(tag);
    let octets = length.to_be_bytes();
    if length < 0x80 {
        out.push(octets[7]);
    } else {
        let skip = (length.leading_zeros() / 8) as usize;
        out.push(0x80 | (8 - skip) as u8);
        out.extend_from_slice(&octets[skip..]);
    }
}

/// Encoded bytes: our own, with large payloads borrowed from where they lie.
#[derive(Debug, Clone, Default)]
pub struct Encoded<'a> {
    own: Vec<u8>,
    /// Payloads, each with the place in `own` that it is written before.
    borrowed: Vec<(usize, &'a [u8])>,
}

impl<'a> Encoded<'a> {
    /// The bytes in order, in pieces, for vectored writing.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.borrowed.iter().map(|(at, _)| *at));
        let ends = self.borrowed.iter().map(|(at, _)| *at).chain(std::iter::once(self.own.len()));
        let payloads = self.borrowed.iter().map(|(_, payload)| *payload).chain(std::iter::once(&[][..]));
        starts
            .zip(ends)
            .zip(payloads)
            .flat_map(|((start, end), payload)| [&self.own[start..end], payload])
            .filter(|piece| !piece.is_empty())
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.own.len() + self.borrowed.iter().map(|(_, payload)| payload.len()).sum::<usize>()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All bytes in one piece: copies payloads, so this is for small messages and tests.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len());
        self.pieces().for_each(|piece| bytes.extend_from_slice(piece));
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_agree_with_bytes() {
        for length in [0, 1, 127, 128, 255, 256, 65_535, 65_536, 1 << 24, 1 << 32, (1 << 40) + 5] {
            let mut header = Vec::new();
            write_header(&mut header, 0x30, length);
            assert_eq!(header.len() as u64, header_size(length), "{length}");
            assert_eq!(crate::der::header(&header).unwrap().unwrap().length, length);
        }
    }

    #[test]
    fn large_payloads_are_borrowed() {
        let payload = vec![7; 100_000];
        let element = Element::sequence(vec![Element::integer(1), Element::octets(&payload[..]), Element::null()]);
        let encoded = element.encode();
        let pieces: Vec<&[u8]> = encoded.pieces().collect();
        assert_eq!(pieces.iter().map(|piece| piece.len()).collect::<Vec<_>>(), [13, 100_000, 2]);
        assert!(std::ptr::eq(pieces[1], &payload[..]));
        assert_eq!(encoded.len() as u64, element.size());
        assert_eq!(encoded.to_vec().len(), encoded.len());
    }
}
