//! Where the parts of a console begin: found in one pass as it is stored, kept beside it, read with every page.
//!
//! As bytes, all numbers little endian: `BCI1`, the length of the console in 8 bytes, the number of its lines in 8,
//! then for each part where it begins in 8, the number of lines before it in 8, and the style at its start in 4.

use super::decode::{Decoder, Piece};
use super::style::Style;
use super::{LINE_SHOWN_BYTES_MAX, PART_BYTES, PART_LINES_MAX, PART_SHOWN_BYTES};

const MAGIC: &[u8] = b"BCI1";
const HEADER_BYTES: usize = 20;
const PART_ENTRY_BYTES: usize = 20;

/// Where the parts of a console begin. Offsets and lines grow from part to part; the first part begins at 0.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConsoleIndex {
    bytes: u64,
    lines: u64,
    parts: Vec<PartStart>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PartStart {
    /// In bytes from the start of the file.
    pub(super) offset: u64,
    /// How many lines lie before it.
    pub(super) lines_before: u64,
    pub(super) style: Style,
}

/// Why bytes are no index.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsoleIndexError {
    /// They do not begin like one, or end within an entry.
    #[error("the index of a console is not one, or is cut")]
    Layout,
    /// What a part says contradicts its neighbours or the whole.
    #[error("part {0} in the index of a console is out of order")]
    Part(usize),
}

/// Makes an index out of the bytes of `console.txt`, as they come.
pub struct ConsoleIndexer {
    decoder: Decoder,
    index: ConsoleIndex,
    /// Where the line that is read begins, in bytes.
    line_start: u64,
    /// How many bytes of the last part are shown, of the lines that were read: of each at most
    /// [`LINE_SHOWN_BYTES_MAX`].
    part_shown: u64,
}

impl Default for ConsoleIndexer {
    fn default() -> Self {
        Self::new()
    }
}

impl ConsoleIndexer {
    /// Before the first byte.
    pub fn new() -> Self {
        Self { decoder: Decoder::new(Style::default()), index: ConsoleIndex::default(), line_start: 0, part_shown: 0 }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            self.begin_part_if_due();
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let (line, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
            self.decoder.push(line, &mut |_: Piece<'_>| {});
            self.index.bytes += line.len() as u64;
            if end.is_some() {
                self.end_line();
            }
            bytes = rest;
        }
    }

    /// The index of all that was pushed.
    pub fn finish(mut self) -> ConsoleIndex {
        if self.decoder.is_within_line() {
            self.end_line();
        }
        self.index
    }

    fn end_line(&mut self) {
        self.index.lines += 1;
        self.part_shown += (self.index.bytes - self.line_start).min(LINE_SHOWN_BYTES_MAX as u64);
        self.line_start = self.index.bytes;
    }

    fn begin_part_if_due(&mut self) {
        let is_line_start = self.line_start == self.index.bytes;
        let is_due = self.index.parts.last().is_none_or(|part| {
            self.index.lines - part.lines_before >= PART_LINES_MAX
                || self.part_shown >= PART_SHOWN_BYTES
                || self.line_start - part.offset >= PART_BYTES
        });
        if is_line_start && is_due {
            let style = self.decoder.style();
            self.part_shown = 0;
            self.index.parts.push(PartStart { offset: self.line_start, lines_before: self.index.lines, style });
        }
    }
}

impl ConsoleIndex {
    /// The length of the console, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many lines it has.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// How many parts it has; none if it is empty.
    pub fn part_count(&self) -> usize {
        self.parts.len()
    }

    /// The part that holds a line, both counted: lines from 1, parts from 0.
    pub fn part_with_line(&self, line: u64) -> Option<usize> {
        if line == 0 || line > self.lines {
            return None;
        }
        self.parts.partition_point(|part| part.lines_before < line).checked_sub(1)
    }

    /// The first and the last line of a part, counted from 1.
    pub fn part_lines(&self, part: usize) -> Option<(u64, u64)> {
        let start = self.parts.get(part)?;
        let end = self.parts.get(part + 1).map_or(self.lines, |next| next.lines_before);
        Some((start.lines_before + 1, end))
    }

    /// Where a part begins, and where in the file it ends.
    pub(super) fn part(&self, part: usize) -> Option<(PartStart, u64)> {
        let start = *self.parts.get(part)?;
        Some((start, self.parts.get(part + 1).map_or(self.bytes, |next| next.offset)))
    }

    /// The index as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + PART_ENTRY_BYTES * self.parts.len());
        bytes.extend(MAGIC);
        bytes.extend(self.bytes.to_le_bytes());
        bytes.extend(self.lines.to_le_bytes());
        for part in &self.parts {
            bytes.extend(part.offset.to_le_bytes());
            bytes.extend(part.lines_before.to_le_bytes());
            bytes.extend(part.style.pack().to_le_bytes());
        }
        bytes
    }

    /// Reads back what [`Self::to_bytes`] made.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ConsoleIndexError> {
        let body = bytes.strip_prefix(MAGIC).ok_or(ConsoleIndexError::Layout)?;
        let (length, body) = number(body)?;
        let (lines, body) = number(body)?;
        let entries = body.chunks_exact(PART_ENTRY_BYTES);
        if !entries.remainder().is_empty() {
            return Err(ConsoleIndexError::Layout);
        }
        let mut parts: Vec<PartStart> = Vec::with_capacity(entries.len());
        for (position, entry) in entries.enumerate() {
            let (offset, rest) = number(entry)?;
            let (lines_before, rest) = number(rest)?;
            let packed = rest.first_chunk().copied().map(u32::from_le_bytes);
            let style = packed.and_then(Style::unpack).ok_or(ConsoleIndexError::Part(position))?;
            let follows = match parts.last() {
                None => offset == 0 && lines_before == 0,
                Some(before) => offset > before.offset && lines_before > before.lines_before,
            };
            if !follows || offset >= length || lines_before >= lines {
                return Err(ConsoleIndexError::Part(position));
            }
            parts.push(PartStart { offset, lines_before, style });
        }
        if parts.is_empty() != (lines == 0) || (lines == 0) != (length == 0) {
            return Err(ConsoleIndexError::Layout);
        }
        Ok(Self { bytes: length, lines, parts })
    }
}

fn number(bytes: &[u8]) -> Result<(u64, &[u8]), ConsoleIndexError> {
    let (number, rest) = bytes.split_first_chunk().ok_or(ConsoleIndexError::Layout)?;
    Ok((u64::from_le_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn index(bytes: &[u8], piece: usize) -> ConsoleIndex {
        let mut indexer = ConsoleIndexer::new();
        bytes.chunks(piece).for_each(|piece| indexer.push(piece));
        indexer.finish()
    }

    #[test]
    fn parts_begin_at_every_thousandth_line() {
        let console = "0.000s:hello\n".repeat(2_500) + "0.000s:no newline";
        for piece in [1, 7, 4096, usize::MAX] {
            let index = index(console.as_bytes(), piece);
            assert_eq!((index.bytes(), index.lines(), index.part_count()), (console.len() as u64, 2_501, 3));
            assert_eq!(index.part(1).unwrap().0.offset, 13_000);
            assert_eq!(index.part_lines(0), Some((1, 1_000)));
            assert_eq!(index.part_lines(2), Some((2_001, 2_501)));
            assert_eq!(index.part_lines(3), None);
            let with = [0, 1, 1_000, 1_001, 2_501, 2_502].map(|line| index.part_with_line(line));
            assert_eq!(with, [None, Some(0), Some(0), Some(1), Some(2), None]);
        }
    }

    #[test]
    fn a_part_ends_by_what_is_shown_of_it() {
        let line = |bytes: usize| [b"0.000s:".to_vec(), vec![b'x'; bytes], b"\n".to_vec()].concat();
        let parts = |console: &[u8]| -> Vec<_> {
            let index = index(console, 1 << 20);
            (0..index.part_count()).filter_map(|part| index.part_lines(part)).collect()
        };
        assert_eq!(parts(&line(10 << 10).repeat(70)), [(1, 52), (53, 70)], "half a megabyte");
        let long = [line(5), line(2 << 20), line(5).repeat(900)].concat();
        assert_eq!(parts(&long), [(1, 902)], "of a long line little is shown");
        assert_eq!(parts(&line(2 << 20).repeat(5)), [(1, 2), (3, 4), (5, 5)], "and not too much of the file is read");
    }

    #[test]
    fn a_part_knows_the_colour_that_is_on() {
        let console = "0.000s:\x1b[31mred\n".to_owned() + &"0.000s:still\n".repeat(1_000);
        let index = index(console.as_bytes(), 100);
        let mut red = Style::default();
        red.apply(b"31");
        assert_eq!(index.part(1).unwrap().0.style, red);
        assert_eq!(ConsoleIndex::from_bytes(&index.to_bytes()), Ok(index));
    }

    #[test]
    fn an_empty_console_has_no_parts() {
        let empty = index(b"", 1);
        assert_eq!((empty.lines(), empty.part_count(), empty.part_with_line(1)), (0, 0, None));
        assert_eq!(ConsoleIndex::from_bytes(&empty.to_bytes()), Ok(empty));
    }

    #[test]
    fn broken_indices_are_refused() {
        let good = index("a\n".repeat(2_500).as_bytes(), 100).to_bytes();
        assert_eq!(ConsoleIndex::from_bytes(b""), Err(ConsoleIndexError::Layout));
        assert_eq!(ConsoleIndex::from_bytes(&good[..good.len() - 1]), Err(ConsoleIndexError::Layout));
        assert_eq!(ConsoleIndex::from_bytes(&good[..HEADER_BYTES]), Err(ConsoleIndexError::Layout));
        let mut second_at_zero = good.clone();
        second_at_zero[HEADER_BYTES + PART_ENTRY_BYTES..][..8].fill(0);
        assert_eq!(ConsoleIndex::from_bytes(&second_at_zero), Err(ConsoleIndexError::Part(1)));
        let mut beyond = good;
        beyond[HEADER_BYTES + 2 * PART_ENTRY_BYTES + 5] = 1;
        assert_eq!(ConsoleIndex::from_bytes(&beyond), Err(ConsoleIndexError::Part(2)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_indexed_alike_in_any_pieces(bytes in prop::collection::vec(any::<u8>(), 0..300), piece in 1_usize..50) {
            let whole = index(&bytes, usize::MAX);
            prop_assert_eq!(&index(&bytes, piece), &whole);
            prop_assert_eq!(whole.lines(), bytes.split_inclusive(|byte| *byte == b'\n').count() as u64);
            prop_assert_eq!(ConsoleIndex::from_bytes(&whole.to_bytes()), Ok(whole));
        }

        #[test]
        fn any_bytes_are_answered_as_an_index(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let bytes = [MAGIC, &bytes].concat();
            if let Ok(index) = ConsoleIndex::from_bytes(&bytes) {
                prop_assert_eq!(index.to_bytes(), bytes);
            }
        }
    }
}
