//! What a build left, as its record tells: paths, sizes and digests, read front to back in bounded memory.

use crate::error::{StoreError, Tried};
use crate::small::RecordPlace;
use builder_wire::stream::{FileEvent, RecordEvent, RecordParser};
use sha2::{Digest, Sha256};
use std::io::Read;

/// How much is read at once, in bytes.
const BUFFER_BYTES: usize = 256 << 10;

/// An artifact in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its path, as the worker gave it.
    pub path: Vec<u8>,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: [u8; 32],
}

/// Gives each artifact of a record, in the record's order. `go_on` is asked all the time, and `take` of each artifact:
/// when one of them says false, the rest is left unread. Says whether the record was read to its end.
pub fn list(
    place: &RecordPlace,
    go_on: impl Fn() -> bool,
    mut take: impl FnMut(Artifact) -> bool,
) -> Result<bool, StoreError> {
    let path = place.path();
    let damaged = |reason: String| StoreError::Record { path: path.to_owned(), reason };
    let mut file = place.open()?;
    let (mut parser, mut hash, mut current) = (RecordParser::new(), Sha256::new(), None);
    let mut block = vec![0; BUFFER_BYTES];
    while !parser.is_done() {
        if !go_on() {
            return Ok(false);
        }
        let count = file.read(&mut block).tried("read", path)?;
        if count == 0 {
            return Err(damaged("it ends too early".to_owned()));
        }
        let mut input = &block[..count];
        while let Some(event) = parser.next(&mut input).map_err(|error| damaged(error.to_string()))? {
            let RecordEvent::File(event) = event else { continue };
            match event {
                FileEvent::Start { path, data_bytes } => current = Some((path, data_bytes)),
                FileEvent::Data(data) => hash.update(data),
                FileEvent::End => {
                    let sha256 = hash.finalize_reset().into();
                    if let Some((path, bytes)) = current.take()
                        && !take(Artifact { path, bytes, sha256 })
                    {
                        return Ok(false);
                    }
                }
                FileEvent::ListEnd => {}
            }
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use builder_model::{BuildId, Outcome, Timestamp};
    use builder_wire::{File as WireFile, Record, ScriptJob};

    fn record(files: &[(&'static str, &[u8])]) -> Vec<u8> {
        let files = files.iter().map(|(path, data)| WireFile { path: path.as_bytes().into(), data }).collect();
        let job = ScriptJob { name: b"j", platform: b"p", script: b"s" };
        let (started, finished) = (Timestamp::MIN, Timestamp::MIN);
        let (build, outcome) = (BuildId::from_bytes([7; 16]), Outcome::Exited(0));
        Record { job, build, console: Vec::new(), started, finished, outcome, files }.encode().to_vec()
    }

    #[test]
    fn every_artifact_with_its_digest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("full");
        let large = vec![7; BUFFER_BYTES * 2 + 5];
        std::fs::write(&path, record(&[("empty", b""), ("large", &large), ("abc", b"abc")])).unwrap();
        let mut seen = Vec::new();
        let whole = list(
            &path.as_path().into(),
            || true,
            |artifact| {
                seen.push(artifact);
                true
            },
        );
        assert!(whole.unwrap());
        let expected = [("empty", &b""[..]), ("large", &large), ("abc", b"abc")].map(|(path, data)| Artifact {
            path: path.into(),
            bytes: data.len() as u64,
            sha256: Sha256::digest(data).into(),
        });
        assert_eq!(seen, expected);
        assert_eq!(seen[2].sha256[..4], [0xba, 0x78, 0x16, 0xbf], "the example of FIPS 180-4");

        assert!(!list(&path.as_path().into(), || false, |_| true).unwrap(), "nobody wants to go on");
        let mut taken = 0;
        let whole = list(
            &path.as_path().into(),
            || true,
            |_| {
                taken += 1;
                taken < 2
            },
        );
        assert_eq!((whole.unwrap(), taken), (false, 2));
    }

    #[test]
    fn damage_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("full");
        let bytes = record(&[("abc", b"abc")]);
        for damaged in [&bytes[..bytes.len() - 1], b"", b"garbage"] {
            std::fs::write(&path, damaged).unwrap();
            assert!(matches!(list(&path.as_path().into(), || true, |_| true), Err(StoreError::Record { .. })));
        }
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(list(&path.as_path().into(), || true, |_| true), Err(StoreError::Io { .. })));
    }
}
