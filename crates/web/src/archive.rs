//! All artifacts of a build as one archive: `all.tar.gz`, the same bytes each time, written as it is read.

use crate::database::artifact::Artifact;
use crate::depot::Depot;
use builder_model::Timestamp;
use flate2::{Compression, GzBuilder};
use std::fs::File;
use std::io::{self, Write};

/// Changes when the same artifacts make other bytes than before.
pub const VERSION: u32 = 1;
/// The operating system in the header of the compression, as RFC 1952 numbers them: Unix.
const UNIX: u8 = 3;
/// What the archive says of itself.
const COMMENT: &str = "builder-web";

/// Writes the archive: a POSIX tar, sorted by path, executable below `bin/`, every time that of the end of the build.
pub fn write(depot: &Depot, finished: Timestamp, artifacts: &[Artifact], to: &mut dyn Write) -> io::Result<()> {
    let seconds = u64::try_from(finished.milliseconds() / 1000).unwrap_or(0);
    let to = GzBuilder::new()
        .operating_system(UNIX)
        .mtime(u32::try_from(seconds).unwrap_or(0))
        .write(to, Compression::default());
    let mut archive = tar::Builder::new(to);
    let mut sorted: Vec<&Artifact> = artifacts.iter().collect();
    sorted.sort_by(|one, other| one.path.cmp(&other.path));
    write_comment(&mut archive, seconds)?;
    for artifact in sorted {
        let mut header = tar::Header::new_ustar();
        header.set_size(artifact.size);
        header.set_mtime(seconds);
        header.set_mode(if artifact.path.starts_with("bin/") { 0o755 } else { 0o644 });
        header.set_entry_type(tar::EntryType::Regular);
        let file = File::open(depot.artifact(&artifact.sha256))?;
        archive.append_data(&mut header, inside(&artifact.path), io::Read::take(file, artifact.size))?;
    }
    archive.into_inner()?.finish()?.flush()
}

/// A global header of pax, with one comment.
fn write_comment<W: Write>(archive: &mut tar::Builder<W>, seconds: u64) -> io::Result<()> {
    // A record of pax begins with its own length, which counts its own digits.
    let rest = format!(" comment={COMMENT}\n");
    let length = (1..).find(|digits| (rest.len() + digits).to_string().len() == *digits).unwrap_or(2) + rest.len();
    let record = format!("{length}{rest}");
    let mut header = tar::Header::new_ustar();
    header.set_path("pax_global_header")?;
    header.set_size(record.len() as u64);
    header.set_mtime(seconds);
    header.set_mode(0o644);
    header.set_entry_type(tar::EntryType::XGlobalHeader);
    header.set_cksum();
    archive.append(&header, record.as_bytes())
}

/// A path that stays below the folder where the archive is unpacked, whatever the build called it.
fn inside(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | "." | "..")).collect();
    if parts.is_empty() { "_".into() } else { parts.join("/") }
}
