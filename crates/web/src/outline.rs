//! The outline of a record: everything of it but the content of the artifacts that lie in the depot. With both, the
//! record comes back byte for byte.
//!
//! A file `outline.gz` beside the console, so that it goes where the build's folder goes. Unpacked it is
//! `builder outline 1`, a newline, and segments:
//!
//! ```text
//! 'L' <length: u32 big endian> <that many bytes>                        bytes of the record as they are
//! 'A' <length: u64 big endian> <SHA-256: 32 bytes>                      content of an artifact
//! 'E'                                                                   the end
//! ```
//!
//! Literal segments are full ([`LITERAL_BYTES_MAX`]) but for the last before another kind, so that one record has one
//! outline, and the digest of the outline tells records apart without hashing their artifacts twice.

use crate::depot::Depot;
use crate::digest::Digest;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

const MAGIC: &[u8] = b"builder outline 1\n";
/// Longest literal segment, in bytes.
const LITERAL_BYTES_MAX: usize = 64 << 10;

/// Writes an outline while a record arrives.
#[derive(Debug)]
pub(crate) struct OutlineWriter<W: Write> {
    to: GzEncoder<W>,
    hash: Sha256,
    literal: Vec<u8>,
    record_bytes: u64,
}

/// What tells a record from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordIdentity {
    /// The digest of its outline.
    pub(crate) outline: Digest,
    /// Its size in bytes.
    pub(crate) bytes: u64,
}

impl<W: Write> OutlineWriter<W> {
    pub(crate) fn new(to: W) -> io::Result<Self> {
        let to = GzEncoder::new(to, flate2::Compression::new(4));
        let mut writer = Self { to, hash: Sha256::new(), literal: Vec::new(), record_bytes: 0 };
        writer.write(MAGIC)?;
        Ok(writer)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.to.write_all(bytes)
    }

    /// Bytes of the record that are kept here.
    pub(crate) fn literal(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.record_bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let (head, rest) = bytes.split_at(bytes.len().min(LITERAL_BYTES_MAX - self.literal.len()));
            self.literal.extend_from_slice(head);
            bytes = rest;
            if self.literal.len() == LITERAL_BYTES_MAX {
                self.flush_literal()?;
            }
        }
        Ok(())
    }

    /// Bytes of the record that are the content of an artifact in the depot.
    pub(crate) fn artifact(&mut self, digest: &Digest, bytes: u64) -> io::Result<()> {
        self.flush_literal()?;
        self.record_bytes += bytes;
        self.write(b"A")?;
        self.write(&bytes.to_be_bytes())?;
        self.write(&digest.0)
    }

    fn flush_literal(&mut self) -> io::Result<()> {
        if self.literal.is_empty() {
            return Ok(());
        }
        let literal = std::mem::take(&mut self.literal);
        let length = u32::try_from(literal.len()).map_err(io::Error::other)?;
        self.write(b"L")?;
        self.write(&length.to_be_bytes())?;
        self.write(&literal)?;
        self.literal = literal;
        self.literal.clear();
        Ok(())
    }

    pub(crate) fn finish(mut self) -> io::Result<(W, RecordIdentity)> {
        self.flush_literal()?;
        self.write(b"E")?;
        let identity = RecordIdentity { outline: Digest::finish(self.hash), bytes: self.record_bytes };
        Ok((self.to.finish()?, identity))
    }
}

/// A record that is put together again while it is read.
#[derive(Debug)]
pub struct RecordReader {
    depot: Depot,
    outline: BufReader<GzDecoder<File>>,
    segment: Segment,
}

/// The digest of an outline that lies somewhere, as [`RecordIdentity`] has it.
pub(crate) fn digest(path: &Path) -> io::Result<Digest> {
    let mut unpacked = BufReader::new(GzDecoder::new(File::open(path)?));
    let mut hash = Sha256::new();
    loop {
        let piece = unpacked.fill_buf()?;
        if piece.is_empty() {
            return Ok(Digest::finish(hash));
        }
        hash.update(piece);
        let count = piece.len();
        unpacked.consume(count);
    }
}

#[derive(Debug)]
enum Segment {
    Next,
    Literal { left: u64 },
    Artifact { file: File, left: u64 },
    End,
}

impl RecordReader {
    /// Opens an outline; the artifacts are opened as they are reached.
    pub fn open(depot: &Depot, outline: &Path) -> io::Result<Self> {
        let mut outline = BufReader::new(GzDecoder::new(File::open(outline)?));
        let mut magic = [0; MAGIC.len()];
        outline.read_exact(&mut magic)?;
        if magic != MAGIC {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the outline is of another version"));
        }
        Ok(Self { depot: depot.clone(), outline, segment: Segment::Next })
    }

    fn next_segment(&mut self) -> io::Result<Segment> {
        let mut kind = [0];
        self.outline.read_exact(&mut kind)?;
        match kind {
            [b'L'] => {
                let mut length = [0; 4];
                self.outline.read_exact(&mut length)?;
                Ok(Segment::Literal { left: u32::from_be_bytes(length).into() })
            }
            [b'A'] => {
                let (mut length, mut digest) = ([0; 8], Digest([0; 32]));
                self.outline.read_exact(&mut length)?;
                self.outline.read_exact(&mut digest.0)?;
                let (left, path) = (u64::from_be_bytes(length), self.depot.artifact(&digest));
                let file = File::open(&path)
                    .map_err(|error| io::Error::new(error.kind(), format!("artifact {digest}: {error}")))?;
                if file.metadata()?.len() != left {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        format!("artifact {digest} has another size"),
                    ));
                }
                Ok(Segment::Artifact { file, left })
            }
            [b'E'] => Ok(Segment::End),
            [_] => Err(io::Error::new(io::ErrorKind::InvalidData, "the outline is damaged")),
        }
    }
}

impl Read for RecordReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let (count, left) = match &mut self.segment {
                Segment::End => return Ok(0),
                Segment::Next => (0, 0),
                Segment::Literal { left } => (read_some(&mut self.outline, buffer, left)?, *left),
                Segment::Artifact { file, left } => (read_some(file, buffer, left)?, *left),
            };
            if left == 0 {
                self.segment = self.next_segment()?;
            }
            if count > 0 {
                return Ok(count);
            }
        }
    }
}

/// Reads at most `left` bytes, which must be there.
fn read_some(from: &mut impl Read, buffer: &mut [u8], left: &mut u64) -> io::Result<usize> {
    let most = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
    let Some(part) = buffer.get_mut(..most) else { return Ok(0) };
    let count = from.read(part)?;
    if count == 0 && most > 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    *left -= count as u64;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_from_its_outline_and_its_artifacts() {
        let folder = tempfile::tempdir().unwrap();
        let depot = Depot::open(folder.path()).unwrap();
        let artifact = vec![7_u8; 200_000];
        let digest = Digest::of(&artifact);
        std::fs::create_dir(depot.artifact(&digest).parent().unwrap()).unwrap();
        std::fs::write(depot.artifact(&digest), &artifact).unwrap();
        let (head, tail) = (vec![1_u8; 150_000], b"tail".to_vec());
        let write = |pieces: usize| {
            let mut writer = OutlineWriter::new(Vec::new()).unwrap();
            head.chunks(pieces).for_each(|piece| writer.literal(piece).unwrap());
            writer.artifact(&digest, artifact.len() as u64).unwrap();
            writer.artifact(&Digest::of(b""), 0).unwrap();
            writer.literal(&tail).unwrap();
            writer.finish().unwrap()
        };
        let (outline, identity) = write(1000);
        assert_eq!(write(70_000).1, identity, "however the record arrived");
        assert_eq!(identity.bytes, 350_004);
        let path = folder.path().join("outline.gz");
        std::fs::write(&path, &outline).unwrap();
        let empty = depot.artifact(&Digest::of(b""));
        std::fs::create_dir_all(empty.parent().unwrap()).unwrap();
        std::fs::write(&empty, b"").unwrap();
        let mut record = Vec::new();
        RecordReader::open(&depot, &path).unwrap().read_to_end(&mut record).unwrap();
        assert_eq!(record, [head, artifact, tail].concat());
        assert_eq!(super::digest(&path).unwrap(), identity.outline);
        std::fs::write(&path, outline.split_at(outline.len() / 2).0).unwrap();
        assert_eq!(super::digest(&path).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        std::fs::write(&path, &outline).unwrap();
        std::fs::remove_file(empty).unwrap();
        let error = RecordReader::open(&depot, &path).unwrap().read_to_end(&mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("artifact e3b0c442"), "{error}");
    }
}
