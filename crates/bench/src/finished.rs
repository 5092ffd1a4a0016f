//! A `jobFinished` of any size without its contents in memory: all files hold the same block, over and over.
//!
//! The codec in `wire` borrows contents from memory, which 4 GB do not have; so the headers are written here.

use crate::peer::Peer;
use anyhow::Result;
use builder_model::BuildId;

const INTEGER: u8 = 0x02;
const UTF8_STRING: u8 = 0x0c;
const SEQUENCE: u8 = 0x30;
const EXITED: u8 = 0xa0;
const JOB_FINISHED: u8 = 0xa3;

/// How much of the block is handed to the socket at once, in bytes.
pub(crate) const BLOCK_BYTES: usize = 256 << 10;

/// Artifacts to hand in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Artifacts {
    /// How many files.
    pub(crate) files: u64,
    /// How many bytes each of them has.
    pub(crate) file_bytes: u64,
}

impl Artifacts {
    /// The bytes of all files.
    pub(crate) fn total_bytes(self) -> u64 {
        self.files * self.file_bytes
    }

    /// The frame up to the first file.
    fn opening(self, build: &BuildId) -> Vec<u8> {
        let outcome = [EXITED, 3, INTEGER, 1, 0];
        let files: u64 = (0..self.files).map(|number| element_size(self.file_content_size(number))).sum();
        let content = element_size(16) + outcome.len() as u64 + element_size(files);
        let message = element_size(element_size(content));
        let mut bytes = message.to_be_bytes().to_vec();
        header(&mut bytes, JOB_FINISHED, element_size(content));
        header(&mut bytes, SEQUENCE, content);
        header(&mut bytes, UTF8_STRING, 16);
        bytes.extend_from_slice(build.as_bytes());
        bytes.extend_from_slice(&outcome);
        header(&mut bytes, SEQUENCE, files);
        bytes
    }

    fn file_content_size(self, number: u64) -> u64 {
        element_size(path(number).len() as u64) + element_size(self.file_bytes)
    }

    /// What stands before the contents of a file.
    fn file_opening(self, number: u64) -> Vec<u8> {
        let (path, mut bytes) = (path(number), Vec::new());
        header(&mut bytes, SEQUENCE, self.file_content_size(number));
        header(&mut bytes, UTF8_STRING, path.len() as u64);
        bytes.extend_from_slice(path.as_bytes());
        header(&mut bytes, UTF8_STRING, self.file_bytes);
        bytes
    }

    /// Sends the whole message; the server has not acknowledged it yet.
    pub(crate) async fn send(self, worker: &mut Peer, build: &BuildId) -> Result<()> {
        let block = block();
        worker.write(&self.opening(build)).await?;
        for number in 0..self.files {
            worker.write(&self.file_opening(number)).await?;
            let mut rest = self.file_bytes;
            while rest > 0 {
                let piece = &block[..BLOCK_BYTES.min(usize::try_from(rest).unwrap_or(BLOCK_BYTES))];
                worker.write(piece).await?;
                rest -= piece.len() as u64;
            }
        }
        Ok(())
    }
}

/// Contents that no layer below can make smaller: the numbers of a simple generator.
pub(crate) fn block() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(BLOCK_BYTES).collect()
}

fn path(number: u64) -> String {
    format!("files/{number:06}.bin")
}

fn element_size(length: u64) -> u64 {
    let mut bytes = Vec::new();
    header(&mut bytes, SEQUENCE, length);
    bytes.len() as u64 + length
}

fn header(out: &mut Vec<u8>, tag: u8, length: u64) {
    out.push(tag);
    let octets = length.to_be_bytes();
    if length < 0x80 {
        out.push(octets[7]);
    } else {
        let skip = octets.iter().take_while(|octet| **octet == 0).count();
        out.push(0x80 | (octets.len() - skip) as u8);
        out.extend_from_slice(&octets[skip..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use builder_model::Outcome;
    use builder_wire::{File, Message};

    #[test]
    fn the_frame_is_that_of_the_codec() {
        let build = BuildId::from_bytes([7; 16]);
        for (files, size) in [(0, 0), (1, 0), (1, 127), (3, 128), (1, 70_000), (1000, 300)] {
            let artifacts = Artifacts { files, file_bytes: size };
            let data = vec![1; usize::try_from(size).unwrap()];
            let mut bytes = artifacts.opening(&build);
            for number in 0..files {
                bytes.extend(artifacts.file_opening(number));
                bytes.extend_from_slice(&data);
            }
            let paths: Vec<String> = (0..files).map(path).collect();
            let files = paths.iter().map(|path| File { path: path.as_bytes().into(), data: &data }).collect();
            let expected = Message::JobFinished { build, outcome: Outcome::Exited(0), files }.frame().to_vec();
            assert!(bytes == expected, "{artifacts:?}");
        }
    }

    #[test]
    fn the_block_is_not_a_pattern() {
        let block = block();
        let distinct: std::collections::HashSet<&[u8]> = block.chunks(8).collect();
        assert_eq!((block.len(), distinct.len()), (BLOCK_BYTES, BLOCK_BYTES / 8));
    }
}
