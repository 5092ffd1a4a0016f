//! The sources that a MirageOS unikernel vendors: the field `x-opam-monorepo-duniverse-dirs` of its opam file.

use super::ast::{Value, ValueKind};
use super::overlay::Overlay;

const FIELD: &str = "x-opam-monorepo-duniverse-dirs";

/// The kind of a hash that is written without one.
const KIND_UNWRITTEN: &str = "md5";

/// The directories of one or more opam files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Duniverse {
    /// What could be read, ascending by directory; each is there once.
    pub directories: Vec<DuniverseDirectory>,
    /// Entries that could not be read, as they are written.
    pub malformed: Vec<String>,
}

/// One vendored directory: `["url" "directory" ["sha256=…" …]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuniverseDirectory {
    /// The directory below `duniverse`.
    pub directory: String,
    /// Where its content came from.
    pub url: String,
    /// Kind and value of each hash, ascending, as in `("sha256", "0123…")`.
    pub hashes: Vec<(String, String)>,
}

impl Duniverse {
    /// Reads the field of each overlay; one without it adds nothing. A directory that is there twice is the last one.
    pub(super) fn of<'a>(overlays: impl Iterator<Item = &'a Overlay>) -> Self {
        let mut duniverse = Self::default();
        for value in overlays.filter_map(|overlay| overlay.field(FIELD)) {
            // A list of one entry may be written without its own brackets.
            let entry = directory(value).map(|_| std::slice::from_ref(value));
            for entry in entry.unwrap_or_else(|| value.elements()) {
                match directory(entry) {
                    Some(directory) => duniverse.directories.push(directory),
                    None => duniverse.malformed.push(entry.to_string()),
                }
            }
        }
        duniverse.directories.sort_by(|left, right| left.directory.cmp(&right.directory));
        duniverse.directories.reverse();
        duniverse.directories.dedup_by(|later, earlier| later.directory == earlier.directory);
        duniverse.directories.reverse();
        duniverse
    }
}

fn directory(value: &Value) -> Option<DuniverseDirectory> {
    let ValueKind::List(parts) = &value.kind else { return None };
    let (url, directory, hashes) = match parts.as_slice() {
        [url, directory] => (url, directory, &[][..]),
        [url, directory, hashes] => (url, directory, hashes.elements()),
        _ => return None,
    };
    let mut hashes: Vec<_> = hashes.iter().map(hash).collect::<Option<_>>()?;
    hashes.sort();
    Some(DuniverseDirectory { directory: directory.as_string()?.to_owned(), url: url.as_string()?.to_owned(), hashes })
}

fn hash(value: &Value) -> Option<(String, String)> {
    let (kind, value) = match value.as_string()?.split_once('=') {
        Some((kind, value)) => (kind, value),
        None => (KIND_UNWRITTEN, value.as_string()?),
    };
    Some((kind.to_ascii_lowercase(), value.to_ascii_lowercase()))
}
