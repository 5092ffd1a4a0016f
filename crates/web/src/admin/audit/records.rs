//! What brings the records of builds back against their rows: the outline of each, and the size of its console. Builds
//! that the original received have no outline, and what it stored of them cannot be told right from wrong.

use super::artifacts::{DAMAGED, below};
use super::{Kind, Mode, Report};
use crate::admin::folder::Folder;
use crate::depot::{Depot, make_folder};
use crate::digest::Digest;
use crate::error::{Tried, WebError};
use crate::outline;
use rusqlite::OptionalExtension;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

/// What the rows of a build say of its files.
struct Received {
    id: i64,
    uuid: String,
    console: String,
    outline: Digest,
    console_bytes: u64,
}

/// What is wrong with a file.
struct Fault {
    kind: Kind,
    path: PathBuf,
    what: String,
    /// Whether nothing is lost by setting it aside: it says nothing that is right.
    is_worthless: bool,
}

/// Looks at the outline and the console of each build that was received here.
pub(super) fn audit(folder: &Folder, mode: Mode, report: &mut Report) -> Result<(), WebError> {
    let builds = folder.read(|connection| {
        let text = "SELECT b.id, b.uuid, b.console, r.outline_sha256, max(r.console_bytes, 0) FROM repository_build r
            JOIN build b ON b.id = r.build WHERE length(r.outline_sha256) = 32";
        let received = |row: &rusqlite::Row<'_>| {
            let (id, uuid, console) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(Received { id, uuid, console, outline: row.get(3)?, console_bytes: row.get(4)? })
        };
        connection.prepare(text)?.query_map([], received)?.collect::<rusqlite::Result<Vec<_>>>()
    })?;
    for build in builds {
        if faults(&folder.depot, &build).is_empty() {
            continue;
        }
        // A build that was removed meanwhile took its files along.
        let _lock = folder.depot.lock_removal()?;
        let is_there = folder.read(|connection| {
            let row = connection.query_row("SELECT 1 FROM build WHERE id = ?1", [build.id], |_| Ok(()));
            row.optional().map(|row| row.is_some())
        })?;
        for fault in faults(&folder.depot, &build).into_iter().filter(|_| is_there) {
            tell(&folder.depot, mode, &build, fault, report)?;
        }
    }
    Ok(())
}

fn faults(depot: &Depot, build: &Received) -> Vec<Fault> {
    let mut faults = Vec::new();
    // One that is missing is told of with the others of its folder; of one without an index nothing is known.
    if let Some(path) = depot.file_of_row(&build.console)
        && let Ok(metadata) = fs::metadata(&path)
        && ![0, metadata.len()].contains(&build.console_bytes)
    {
        let what = format!("it has {} bytes instead of {}", metadata.len(), build.console_bytes);
        faults.push(Fault { kind: Kind::BuildFileDamaged, path, what, is_worthless: false });
    }
    if let Some(path) = depot.outline_of_row(&build.console) {
        let mut find =
            |kind, what: String, is_worthless| faults.push(Fault { kind, path: path.clone(), what, is_worthless });
        match outline::digest(&path) {
            Ok(digest) if digest == build.outline => {}
            Ok(digest) => find(Kind::BuildFileDamaged, format!("its SHA-256, unpacked, is {digest}"), true),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                find(Kind::BuildFileMissing, "the record of its build comes back in other octets".into(), false);
            }
            Err(error) => {
                let is_broken = [ErrorKind::InvalidData, ErrorKind::InvalidInput, ErrorKind::UnexpectedEof];
                let is_worthless = is_broken.contains(&error.kind());
                find(Kind::BuildFileDamaged, format!("cannot unpack it: {error}"), is_worthless);
            }
        }
    }
    faults
}

/// Tells of a fault. A damaged outline is set aside, so that its build's record is put together without it, and another
/// upload of that record brings it back.
fn tell(depot: &Depot, mode: Mode, build: &Received, fault: Fault, report: &mut Report) -> Result<(), WebError> {
    let Fault { kind, path, mut what, is_worthless } = fault;
    if mode == Mode::Repair && is_worthless {
        let aside = depot.root().join(DAMAGED);
        make_folder(&aside)?;
        fs::rename(&path, aside.join(format!("{}.outline.gz", build.uuid))).tried("move", &path)?;
        what.push_str(&format!("; moved to {DAMAGED}"));
    }
    report.find(kind, below(depot, &path), what, false);
    Ok(())
}
