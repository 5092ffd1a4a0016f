//! As much of ELF as finding a note takes: header, section headers, their names. Either byte order, 64 bit only.
//!
//! Every offset and length in the file is taken as a claim: what is read is bounded first, and a claim that lies
//! beyond the end of the file is a value, not an error of reading.

use super::Solo5Error;
use std::io::{ErrorKind, Read, Seek, SeekFrom};

/// Longest table of section headers, in bytes: as many as 16 bits can count.
const SECTION_HEADERS_BYTES_MAX: usize = SECTION_HEADER_BYTES * u16::MAX as usize;
/// Longest table of section names, in bytes. A linked program has a few dozen sections.
const SECTION_NAMES_BYTES_MAX: u64 = 4 << 20;

const HEADER_BYTES: usize = 64;
const SECTION_HEADER_BYTES: usize = 64;
const NOTE_HEADER_BYTES: usize = 12;
/// The owner of a note of Solo5, as it lies in the file before it is padded.
const OWNER: &[u8] = b"Solo5\0";

/// How numbers lie in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

/// What of the header of an ELF file leads to its sections.
pub(super) struct Header {
    pub(super) order: ByteOrder,
    section_headers_at: u64,
    section_count: u16,
    names_index: u16,
}

/// The section headers, with their names.
pub(super) struct Sections {
    order: ByteOrder,
    headers: Vec<u8>,
    names: Vec<u8>,
}

/// Where a section lies in the file, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    offset: u64,
    length: u64,
}

/// A note that is looked for.
pub(super) struct Note {
    /// The section, for what an error says.
    pub(super) section: &'static str,
    /// The type of the note.
    pub(super) kind: u32,
    /// Longest descriptor, in bytes.
    pub(super) descriptor_max: usize,
}

impl Header {
    pub(super) fn read(file: &mut (impl Read + Seek)) -> Result<Self, Solo5Error> {
        let mut bytes = [0; HEADER_BYTES];
        fill(file, 0, &mut bytes, Solo5Error::Elf("it ends within its header"))?;
        if !bytes.starts_with(b"\x7fELF\x02") {
            return Err(Solo5Error::Elf("it does not begin like one"));
        }
        let order = match bytes[5] {
            1 => ByteOrder::Little,
            2 => ByteOrder::Big,
            _ => return Err(Solo5Error::Elf("it has no known byte order")),
        };
        if bytes[9..16].iter().any(|byte| *byte != 0) {
            return Err(Solo5Error::Elf("its identification is not padded with zeros"));
        }
        if u16_at(&bytes, 58, order) != Some(SECTION_HEADER_BYTES as u16) {
            return Err(Solo5Error::Elf("its section headers have another size"));
        }
        let number = |at| u16_at(&bytes, at, order).unwrap_or_default();
        // The original looks at the low half of the offset only, so a file of 4 GiB has the same answer there and here.
        let section_headers_at = u64_at(&bytes, 40, order).unwrap_or_default() & u64::from(u32::MAX);
        Ok(Self { order, section_headers_at, section_count: number(60), names_index: number(62) })
    }
}

impl Sections {
    pub(super) fn read(file: &mut (impl Read + Seek), header: &Header) -> Result<Self, Solo5Error> {
        let length = SECTION_HEADER_BYTES * usize::from(header.section_count);
        debug_assert!(length <= SECTION_HEADERS_BYTES_MAX, "a count has 16 bits");
        let short = Solo5Error::Elf("it ends within its section headers");
        let headers = read_up_to(file, header.section_headers_at, length, short)?;
        let mut sections = Self { order: header.order, headers, names: Vec::new() };
        let Some(names) = sections.extent(usize::from(header.names_index)) else {
            return Err(Solo5Error::Elf("its sections have no names"));
        };
        if names.length > SECTION_NAMES_BYTES_MAX {
            return Err(Solo5Error::Elf("the names of its sections are too long"));
        }
        let short = Solo5Error::Elf("it ends within the names of its sections");
        sections.names = read_up_to(file, names.offset, names.length as usize, short)?;
        Ok(sections)
    }

    fn header(&self, index: usize) -> Option<&[u8]> {
        self.headers.chunks_exact(SECTION_HEADER_BYTES).nth(index)
    }

    fn extent(&self, index: usize) -> Option<Extent> {
        let header = self.header(index)?;
        Some(Extent { offset: u64_at(header, 24, self.order)?, length: u64_at(header, 32, self.order)? })
    }

    /// The first section by that name.
    pub(super) fn find(&self, name: &str) -> Option<Extent> {
        let is_named = |header: &[u8]| {
            let tail = u32_at(header, 0, self.order).and_then(|at| self.names.get(at as usize..));
            tail.and_then(|tail| tail.strip_prefix(name.as_bytes())).is_some_and(|rest| rest.first() == Some(&0))
        };
        let index = self.headers.chunks_exact(SECTION_HEADER_BYTES).position(is_named)?;
        self.extent(index)
    }
}

impl Note {
    /// The descriptor of the note that the section begins with.
    pub(super) fn read(
        &self,
        file: &mut (impl Read + Seek),
        order: ByteOrder,
        extent: Extent,
    ) -> Result<Vec<u8>, Solo5Error> {
        let refuse = |why| Solo5Error::note(self.section, why);
        let bytes_max = NOTE_HEADER_BYTES + OWNER.len().next_multiple_of(4) + self.descriptor_max;
        // What follows the note is padding, so a long section is read as far as its note may reach.
        let length = extent.length.min(bytes_max as u64) as usize;
        let bytes = read_up_to(file, extent.offset, length, refuse("lies beyond the end of the file"))?;
        let number = |at| u32_at(&bytes, at, order).ok_or(refuse("ends within the header of its note"));
        let (owner_length, descriptor_length, kind) = (number(0)?, number(4)?, number(8)?);
        if owner_length as usize != OWNER.len() || !bytes[NOTE_HEADER_BYTES..].starts_with(OWNER) || kind != self.kind {
            return Err(refuse("holds another note"));
        }
        let owner_end = extent.offset.saturating_add((NOTE_HEADER_BYTES + OWNER.len()) as u64);
        // Names are padded so that the descriptor is aligned in the file, wherever the section begins.
        let padding = (4 - owner_end % 4) as usize % 4;
        let start = NOTE_HEADER_BYTES + OWNER.len() + padding;
        let end = start.saturating_add(descriptor_length as usize);
        bytes.get(start..end).map(<[u8]>::to_vec).ok_or(refuse("holds a note of the wrong length"))
    }
}

/// Reads `length` bytes, which the caller has bounded; memory grows only as the file has them.
fn read_up_to(
    file: &mut (impl Read + Seek),
    offset: u64,
    length: usize,
    short: Solo5Error,
) -> Result<Vec<u8>, Solo5Error> {
    seek(file, offset)?;
    let mut bytes = Vec::new();
    file.take(length as u64).read_to_end(&mut bytes).map_err(Solo5Error::Read)?;
    if bytes.len() < length { Err(short) } else { Ok(bytes) }
}

fn fill(file: &mut (impl Read + Seek), offset: u64, bytes: &mut [u8], short: Solo5Error) -> Result<(), Solo5Error> {
    seek(file, offset)?;
    file.read_exact(bytes)
        .map_err(|error| if error.kind() == ErrorKind::UnexpectedEof { short } else { Solo5Error::Read(error) })
}

/// A file cannot be sought beyond `i64::MAX`; nothing lies there, so that reading finds its end.
fn seek(file: &mut impl Seek, offset: u64) -> Result<(), Solo5Error> {
    let offset = offset.min(i64::MAX as u64);
    file.seek(SeekFrom::Start(offset)).map_err(Solo5Error::Read)?;
    Ok(())
}

macro_rules! number_at {
    ($name:ident, $type:ty) => {
        pub(super) fn $name(bytes: &[u8], at: usize, order: ByteOrder) -> Option<$type> {
            let bytes = *bytes.get(at..)?.first_chunk()?;
            Some(match order {
                ByteOrder::Little => <$type>::from_le_bytes(bytes),
                ByteOrder::Big => <$type>::from_be_bytes(bytes),
            })
        }
    };
}

number_at!(u16_at, u16);
number_at!(u32_at, u32);
number_at!(u64_at, u64);
