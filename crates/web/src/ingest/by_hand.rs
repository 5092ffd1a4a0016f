//! A binary that somebody made by hand and uploads alone: a build with one artifact, and nothing known of its making.
//! It is stored as the record that says just that, so that it goes the way of all others.

use super::receive::{Incoming, ReceiveError, receive as receive_record};
use crate::app::App;
use crate::error::Tried;
use crate::limits::NAME_BYTES_MAX;
use crate::name::Name;
use builder_facts::artifact_role;
use builder_facts::identity::BY_HAND_SCRIPT;
use builder_model::{BuildId, Outcome, Timestamp};
use builder_wire::ScriptJob;
use builder_wire::record::{FileHead, Frame, files_header};
use bytes::Bytes;
use std::io::{Read, Seek, SeekFrom, Write};

/// How much of the spool is read at once, in bytes.
const READ_BYTES: usize = 256 << 10;

/// The file name of the binary: `binary_name`, or the job's with `.bin`. Normalised, it must be a plain file name.
pub(crate) fn file_name(binary_name: Option<&str>, job: &Name) -> Result<String, ReceiveError> {
    let Some(given) = binary_name else { return Ok(format!("{job}.bin")) };
    if given.contains('\0') || given.ends_with('/') {
        return Err(ReceiveError::BinaryName);
    }
    let mut parts = Vec::new();
    for part in given.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or(ReceiveError::BinaryName)?;
            }
            name => parts.push(name),
        }
    }
    match parts.as_slice() {
        // What no build keeps would be acknowledged, and gone.
        [name] if !given.starts_with('/') && name.len() <= NAME_BYTES_MAX && !artifact_role::is_dropped(name) => {
            Ok((*name).to_owned())
        }
        [] | [_] | [_, _, ..] => Err(ReceiveError::BinaryName),
    }
}

/// Receives the binary. Its size is not known before its end, so it is spooled, and then read as a record.
pub(crate) fn receive(
    app: &App,
    job: &Name,
    platform: &Name,
    file: &str,
    next: &mut dyn FnMut() -> Result<Option<Bytes>, ReceiveError>,
) -> Result<Incoming, ReceiveError> {
    let depot = app.depot();
    let stagings = depot.stagings();
    let build = BuildId::from_random(crate::depot::random()?);
    let mut spool = tempfile::tempfile_in(&stagings).tried("create a file in", &stagings)?;
    let mut bytes = 0;
    while let Some(piece) = next()? {
        spool.write_all(&piece).tried("write below", &stagings)?;
        bytes += piece.len() as u64;
    }
    spool.seek(SeekFrom::Start(0)).tried("read below", &stagings)?;
    let now = Timestamp::from(app.now());
    let mut head = Some(Bytes::from(record_head(job, platform, &build, now, file, bytes)));
    let mut buffer = vec![0; READ_BYTES];
    let mut pieces = || {
        if let Some(head) = head.take() {
            return Ok(Some(head));
        }
        let count = spool.read(&mut buffer).tried("read below", &stagings)?;
        let (piece, _) = buffer.split_at(count);
        Ok((count > 0).then(|| Bytes::copy_from_slice(piece)))
    };
    receive_record(depot, &mut pieces, &|_, _, _| Ok(()))
}

/// The record up to the content of its one artifact, which is its end.
fn record_head(job: &Name, platform: &Name, build: &BuildId, now: Timestamp, file: &str, bytes: u64) -> Vec<u8> {
    let artifact = FileHead::new(format!("bin/{file}").as_bytes(), bytes);
    let files = files_header(artifact.size());
    let (name, platform) = (job.as_str().as_bytes(), platform.as_str().as_bytes());
    let script = ScriptJob { name, platform, script: BY_HAND_SCRIPT };
    let files_bytes = files.len() as u64 + artifact.size();
    let frame = Frame::new(script, build, 0, (now, now), &Outcome::Exited(0), files_bytes);
    [frame.before_console, frame.after_console, files, artifact.header].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_plain_file_name() {
        let job = Name::job(b"hello").unwrap();
        let name = |given| file_name(given, &job).ok();
        assert_eq!(name(None).as_deref(), Some("hello.bin"));
        assert_eq!(name(Some("hello.hvt")).as_deref(), Some("hello.hvt"));
        assert_eq!(name(Some("a/../b")).as_deref(), Some("b"));
        for bad in ["", ".", "..", "a/b", "/a", "a/", "../a", "a/..", "a\0b", "README.md", "x.build-hashes"] {
            assert_eq!(name(Some(bad)), None, "{bad:?}");
        }
    }
}
