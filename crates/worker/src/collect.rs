//! Which files a job hands back: every regular file below its folder that is not hidden, but for the script.
//!
//! Links are followed as long as they stay inside the folder. What is left out without being hidden is said, because
//! a job that misses an artifact should not have to guess why. Nothing runs any more when this looks around.

use crate::folder::SCRIPT;
use builder_model::limits::ARTIFACTS_MAX;
use builder_model::{ArtifactPath, Shown};
use std::ffi::OsString;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Most folders that are looked into; links make it easy to have many more folders than there are.
const FOLDERS_MAX: usize = ARTIFACTS_MAX;
/// Most remarks; each is a line of the console.
const REMARKS_MAX: usize = 1000;

/// A file to hand back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    /// Its path below the folder, as the server will know it.
    pub(crate) path: ArtifactPath,
    /// Where its content is.
    pub(crate) source: Source,
    /// Its size in bytes.
    pub(crate) bytes: u64,
}

/// Where the content of a file is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// On disk, where it can be opened with all links resolved.
    Disk(PathBuf),
    /// Here: the worker adds it.
    Memory(Vec<u8>),
}

impl Found {
    /// A file that the worker adds to those of the job.
    pub(crate) fn added(path: ArtifactPath, content: Vec<u8>) -> Self {
        Self { path, bytes: content.len() as u64, source: Source::Memory(content) }
    }
}

/// All that was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Collection {
    /// The files, by path.
    pub(crate) files: Vec<Found>,
    /// What was left out and why, one line each.
    pub(crate) remarks: Vec<String>,
}

/// More than a build may hand back.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the build left more than {ARTIFACTS_MAX} files or folders")]
pub(crate) struct TooMany;

/// Opens a file, if it is a regular one: never waits for a FIFO's other end, never follows a last link.
pub(crate) fn open_regular(place: &Path) -> io::Result<(File, u64)> {
    let flags = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK | nix::fcntl::OFlag::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(place)?;
    let metadata = file.metadata()?;
    if metadata.is_file() { Ok((file, metadata.len())) } else { Err(io::Error::other("it is not a regular file")) }
}

impl Collection {
    /// Adds a file of the worker, unless the job has left one of that name.
    pub(crate) fn add(&mut self, file: Found) {
        if let Err(at) = self.files.binary_search_by(|other| other.path.cmp(&file.path)) {
            self.files.insert(at, file);
        }
    }
}

/// Looks at everything below the folder.
pub(crate) fn collect(folder: &Path) -> Result<Collection, TooMany> {
    let mut walk = Walk { collection: Collection::default(), waiting: Vec::new(), folders: 0, suppressed: 0 };
    match folder.canonicalize() {
        Ok(root) => walk.run(&root)?,
        Err(error) => walk.leave_out(Path::new("."), &format!("cannot be read: {error}")),
    }
    let mut collection = walk.collection;
    collection.files.sort();
    collection.remarks.sort();
    if walk.suppressed > 0 {
        collection.remarks.push(format!("not collected: {} more", walk.suppressed));
    }
    Ok(collection)
}

struct Walk {
    collection: Collection,
    waiting: Vec<Subfolder>,
    folders: usize,
    suppressed: usize,
}

/// A folder that is still to be looked into.
struct Subfolder {
    /// Its path below the root; empty for the root.
    path: PathBuf,
    /// Where it is, with all links resolved.
    place: PathBuf,
    /// Where the links lie that were followed to get here: they must not lead around in circles.
    links: Rc<Vec<PathBuf>>,
}

impl Walk {
    fn run(&mut self, root: &Path) -> Result<(), TooMany> {
        self.waiting.push(Subfolder { path: PathBuf::new(), place: root.to_owned(), links: Rc::default() });
        while let Some(folder) = self.waiting.pop() {
            self.folders += 1;
            if self.folders > FOLDERS_MAX {
                return Err(TooMany);
            }
            match std::fs::read_dir(&folder.place) {
                Ok(entries) => {
                    for entry in entries {
                        match entry {
                            Ok(entry) => self.entry(root, &folder, entry.file_name())?,
                            Err(error) => self.leave_out(&folder.path, &format!("cannot be read to its end: {error}")),
                        }
                    }
                }
                Err(error) => self.leave_out(&folder.path, &format!("cannot be read: {error}")),
            }
        }
        Ok(())
    }

    fn entry(&mut self, root: &Path, folder: &Subfolder, name: OsString) -> Result<(), TooMany> {
        let (path, place) = (folder.path.join(&name), folder.place.join(&name));
        if name.as_bytes().starts_with(b".") || path == Path::new(SCRIPT) {
            return Ok(());
        }
        match place.symlink_metadata() {
            Ok(metadata) if metadata.is_symlink() => self.link(root, folder, path, &place),
            Ok(metadata) => self.thing(&folder.links, path, place, &metadata),
            Err(error) => {
                self.leave_out(&path, &format!("cannot be read: {error}"));
                Ok(())
            }
        }
    }

    /// A link is what it leads to, if that is inside the folder.
    fn link(&mut self, root: &Path, folder: &Subfolder, path: PathBuf, place: &Path) -> Result<(), TooMany> {
        let target = std::fs::read_link(place).unwrap_or_default();
        let target = Shown(target.as_os_str().as_bytes());
        let resolved = place.canonicalize().and_then(|resolved| Ok((resolved.metadata()?, resolved)));
        match resolved {
            Ok((_, resolved)) if !resolved.starts_with(root) => {
                self.leave_out(&path, &format!("is a link to {target}, outside the build's folder"));
            }
            Ok((metadata, resolved)) => {
                let mut links = folder.links.to_vec();
                links.push(folder.place.clone());
                // What holds a link on our way here would be found in itself again.
                if !metadata.is_dir() || !links.iter().any(|place| place.starts_with(&resolved)) {
                    return self.thing(&Rc::new(links), path, resolved, &metadata);
                }
                self.leave_out(&path, &format!("is a link to {target}, a folder that holds it"));
            }
            Err(error) => self.leave_out(&path, &format!("is a link to {target}, which cannot be followed: {error}")),
        }
        Ok(())
    }

    fn thing(
        &mut self,
        links: &Rc<Vec<PathBuf>>,
        path: PathBuf,
        place: PathBuf,
        metadata: &Metadata,
    ) -> Result<(), TooMany> {
        let kind = metadata.file_type();
        if kind.is_file() {
            return self.file(&path, place);
        }
        if kind.is_dir() {
            // Folders that hold links to each other have no end; their paths have.
            match ArtifactPath::parse(path.as_os_str().as_bytes()) {
                Ok(_) => self.waiting.push(Subfolder { path, place, links: Rc::clone(links) }),
                Err(error) => self.leave_out(&path, error.why),
            }
            return Ok(());
        }
        let what = if kind.is_fifo() {
            "is a FIFO"
        } else if kind.is_socket() {
            "is a socket"
        } else {
            "is a device"
        };
        self.leave_out(&path, what);
        Ok(())
    }

    fn file(&mut self, path: &Path, place: PathBuf) -> Result<(), TooMany> {
        let checked = match ArtifactPath::parse(path.as_os_str().as_bytes()) {
            Ok(checked) => checked,
            Err(error) => {
                self.leave_out(path, error.why);
                return Ok(());
            }
        };
        match open_regular(&place) {
            Ok((_, _)) if self.collection.files.len() == ARTIFACTS_MAX => return Err(TooMany),
            Ok((_, bytes)) => self.collection.files.push(Found { path: checked, source: Source::Disk(place), bytes }),
            Err(error) => self.leave_out(path, &format!("cannot be read: {error}")),
        }
        Ok(())
    }

    fn leave_out(&mut self, path: &Path, why: &str) {
        if self.collection.remarks.len() == REMARKS_MAX {
            self.suppressed += 1;
            return;
        }
        let bytes = path.as_os_str().as_bytes();
        let path = Shown(if bytes.is_empty() { b"." } else { bytes });
        self.collection.remarks.push(format!("not collected: {path} {why}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    fn shown(folder: &Path) -> (Vec<String>, Vec<String>) {
        let collection = collect(folder).unwrap();
        let file = |found: &Found| format!("{} {}", found.path, found.bytes);
        (collection.files.iter().map(file).collect(), collection.remarks)
    }

    #[test]
    fn what_is_handed_back_and_what_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for path in ["b/sub", "b/.hidden", ".git", "empty"] {
            std::fs::create_dir_all(at(path)).unwrap();
        }
        for path in ["a", "b/sub/file", "b/.hidden/x", "b/.dot", ".git/x", "script.sh", "b/script.sh", "new\nline"] {
            std::fs::write(at(path), path).unwrap();
        }
        std::fs::write(folder.path().join(std::ffi::OsStr::from_bytes(b"bad\xff")), "").unwrap();
        nix::unistd::mkfifo(&at("b/fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _listener = UnixListener::bind(at("socket")).unwrap();
        let (files, remarks) = shown(folder.path());
        assert_eq!(files, ["a 1", "b/script.sh 11", "b/sub/file 10", "new\nline 8"]);
        assert_eq!(
            remarks,
            [
                "not collected: b/fifo is a FIFO",
                "not collected: bad\\xff is not UTF-8",
                "not collected: socket is a socket"
            ]
        );
    }

    #[test]
    fn links_are_followed_inside_only_and_not_in_circles() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for path in ["d", "x", "y"] {
            std::fs::create_dir(at(path)).unwrap();
        }
        std::fs::write(at("d/file"), "123").unwrap();
        for (target, path) in [
            ("d/file", "to-file"),
            ("d", "to-folder"),
            (".", "d/here"),
            ("..", "d/up"),
            ("/etc/passwd", "outside"),
            ("/etc", "outside-folder"),
            ("d/nothing", "broken"),
            ("to-self", "to-self"),
            ("../y", "x/y"),
            ("../x", "y/x"),
        ] {
            symlink(target, at(path)).unwrap();
        }
        let (files, remarks) = shown(folder.path());
        assert_eq!(files, ["d/file 3", "to-file 3", "to-folder/file 3"]);
        let expected = [
            "broken is a link to d/nothing, which cannot be followed: No such file or directory (os error 2)",
            "d/here is a link to ., a folder that holds it",
            "d/up is a link to .., a folder that holds it",
            "outside is a link to /etc/passwd, outside the build's folder",
            "outside-folder is a link to /etc, outside the build's folder",
            "to-folder/here is a link to ., a folder that holds it",
            "to-folder/up is a link to .., a folder that holds it",
            "to-self is a link to to-self, which cannot be followed: Too many levels of symbolic links (os error 40)",
            "x/y/x is a link to ../x, a folder that holds it",
            "y/x/y is a link to ../y, a folder that holds it",
        ];
        assert_eq!(remarks, expected.map(|remark| format!("not collected: {remark}")));
    }

    #[test]
    fn what_the_worker_adds_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("b"), "its own").unwrap();
        let mut collection = collect(folder.path()).unwrap();
        for name in ["b", "c", "a"] {
            collection.add(Found::added(ArtifactPath::parse(name.as_bytes()).unwrap(), vec![1, 2]));
        }
        let files: Vec<_> = collection.files.iter().map(|file| format!("{} {}", file.path, file.bytes)).collect();
        assert_eq!(files, ["a 2", "b 7", "c 2"]);
    }

    #[test]
    fn a_folder_that_is_gone_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let (files, remarks) = shown(&folder.path().join("gone"));
        assert_eq!(files, [""; 0]);
        assert_eq!(remarks, ["not collected: . cannot be read: No such file or directory (os error 2)"]);
    }
}
