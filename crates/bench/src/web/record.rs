//! A build record of any size without its contents in memory: all files hold the same block over and over, but for
//! their first octets, so that no two are alike.

use crate::finished::BLOCK_BYTES;
use anyhow::Result;
use builder_model::{BuildId, Outcome, Timestamp};
use builder_wire::ScriptJob;
use builder_wire::record::{FileHead, Frame, files_header};

/// A record to upload.
#[derive(Debug)]
pub(crate) struct BigRecord {
    pub(crate) build: BuildId,
    pub(crate) job: String,
    /// How many files.
    pub(crate) files: u64,
    /// How many bytes each of them has, eight at least.
    pub(crate) file_bytes: u64,
}

impl BigRecord {
    /// The bytes of all files.
    pub(crate) fn total_bytes(&self) -> u64 {
        self.files * self.file_bytes
    }

    fn head(&self, number: u64) -> FileHead {
        FileHead::new(format!("files/{number:06}.bin").as_bytes(), self.file_bytes)
    }

    /// What stands before the first file, and how many bytes the whole has.
    pub(crate) fn opening(&self) -> Result<(Vec<u8>, u64)> {
        let content = (0..self.files).map(|number| self.head(number).size()).sum();
        let files = files_header(content);
        let job = ScriptJob { name: self.job.as_bytes(), platform: b"debian-12", script: b"#!/bin/sh\n" };
        let times = (Timestamp::from_milliseconds(0)?, Timestamp::from_milliseconds(1000)?);
        let all = files.len() as u64 + content;
        let frame = Frame::new(job, &self.build, 0, times, &Outcome::Exited(0), all);
        let opening = [frame.before_console, frame.after_console, files].concat();
        Ok((opening, frame.record_bytes))
    }

    /// The files of the record, each with what stands before it, in pieces.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Piece> {
        (0..self.files).flat_map(|number| {
            let mut head = self.head(number).header;
            head.extend_from_slice(&self.tag(number));
            std::iter::once(Piece::Own(head)).chain(self.rest_of_file())
        })
    }

    /// The contents of the files alone, in pieces.
    pub(crate) fn contents(&self) -> impl Iterator<Item = Piece> {
        (0..self.files)
            .flat_map(|number| std::iter::once(Piece::Own(self.tag(number).to_vec())).chain(self.rest_of_file()))
    }

    fn rest_of_file(&self) -> impl Iterator<Item = Piece> + use<> {
        let (rest, block) = (self.file_bytes - TAG_BYTES, BLOCK_BYTES as u64);
        (0..rest.div_ceil(block)).map(move |place| Piece::Block(block.min(rest - place * block) as usize))
    }

    /// What a file begins with, so that it is no other one.
    fn tag(&self, number: u64) -> [u8; TAG_BYTES as usize] {
        let id = self.build.as_bytes();
        let salt = u64::from_be_bytes([id[0], id[1], id[2], id[3], id[4], id[5], id[10], id[11]]);
        (salt ^ number).to_be_bytes()
    }
}

/// The octets that a file begins with, of its own.
const TAG_BYTES: u64 = 8;

/// A piece of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// These octets.
    Own(Vec<u8>),
    /// So many octets of the block.
    Block(usize),
}

impl Piece {
    /// Its octets; `block` is what [`crate::finished::block`] gives.
    pub(crate) fn bytes<'a>(&'a self, block: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Block(count) => &block[..*count],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finished::block;
    use builder_wire::Record;

    #[test]
    fn the_record_is_one() {
        for (files, file_bytes) in [(1, 8), (1, 600_000), (20, 300)] {
            let build = BuildId::from_random([7; 16]);
            let record = BigRecord { build, job: "a-job".into(), files, file_bytes };
            let (mut bytes, size) = record.opening().unwrap();
            let block = block();
            record.pieces().for_each(|piece| bytes.extend_from_slice(piece.bytes(&block)));
            assert_eq!(bytes.len() as u64, size);
            let read = Record::decode(&bytes).unwrap();
            assert_eq!((read.build, read.files.len() as u64), (build, files));
            let contents: Vec<u8> = record.contents().flat_map(|piece| piece.bytes(&block).to_vec()).collect();
            assert!(read.files.iter().flat_map(|file| file.data).eq(&contents));
            let different: std::collections::BTreeSet<&[u8]> = read.files.iter().map(|file| file.data).collect();
            assert_eq!(different.len() as u64, files);
        }
    }
}
