//! The digest of a tree of files: the same wherever and whenever the tree was made.

use crate::error::{Error, Tried};
use sha2::{Digest, Sha256};
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// What the digest begins with, so that it is never that of something else.
const DOMAIN: &[u8] = b"builder rootfs 1\n";
/// How much of a file is read at once, in bytes.
const BLOCK_BYTES: usize = 256 << 10;
/// How deep folders may lie in each other.
const DEPTH_MAX: usize = 200;
/// The bits of a mode that say who may do what.
const PERMISSIONS: u32 = 0o7777;

/// The SHA-256 of what is in a folder, as 64 hexadecimal digits: of each entry, in the order of their paths by octets,
/// kind, permissions, owner, path and content. Times count as little as links between files.
///
/// # Errors
///
/// Whatever cannot be read.
pub fn digest(root: &Path) -> Result<String, Error> {
    let mut hash = Sha256::new_with_prefix(DOMAIN);
    let mut block = vec![0; BLOCK_BYTES];
    add_folder(&mut hash, root, b"", &mut block, 0)?;
    Ok(hexadecimal(&hash.finalize()))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn add_folder(hash: &mut Sha256, folder: &Path, below: &[u8], block: &mut [u8], depth: usize) -> Result<(), Error> {
    if depth > DEPTH_MAX {
        return Err(Error::argument(format_args!("{} lies too deep", folder.display())));
    }
    let names: std::io::Result<Vec<_>> = fs::read_dir(folder)
        .tried("read the folder", folder)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect();
    let mut names = names.tried("read the folder", folder)?;
    names.sort_unstable_by(|left, right| left.as_bytes().cmp(right.as_bytes()));
    for name in names {
        let path = folder.join(&name);
        let metadata = fs::symlink_metadata(&path).tried("look at", &path)?;
        let inside = [below, b"/", name.as_bytes()].concat();
        add_head(hash, &metadata, &inside);
        let kind = metadata.file_type();
        if kind.is_dir() {
            add_folder(hash, &path, &inside, block, depth + 1)?;
        } else if kind.is_symlink() {
            let target = fs::read_link(&path).tried("read the link", &path)?;
            hash.update(target.as_os_str().as_bytes());
        } else if kind.is_file() {
            add_content(hash, &path, block)?;
        } else if kind.is_block_device() || kind.is_char_device() {
            hash.update(metadata.rdev().to_string());
        }
        hash.update(b"\0");
    }
    Ok(())
}

/// Kind, permissions, owner, length and path. A path has no zero octet, so no two trees give the same octets.
fn add_head(hash: &mut Sha256, metadata: &Metadata, path: &[u8]) {
    let kind = metadata.file_type();
    let letter = match () {
        () if kind.is_dir() => 'd',
        () if kind.is_symlink() => 'l',
        () if kind.is_file() => 'f',
        () if kind.is_block_device() => 'b',
        () if kind.is_char_device() => 'c',
        () if kind.is_fifo() => 'p',
        () => 's',
    };
    // Systems differ in the permissions of a link, and nobody heeds them.
    let mode = if kind.is_symlink() { 0 } else { metadata.mode() & PERMISSIONS };
    let length = if kind.is_file() { metadata.len() } else { 0 };
    hash.update(format!("{letter} {mode:o} {} {} {length} ", metadata.uid(), metadata.gid()));
    hash.update(path);
    hash.update(b"\0");
}

fn add_content(hash: &mut Sha256, path: &Path, block: &mut [u8]) -> Result<(), Error> {
    let mut file = File::open(path).tried("open", path)?;
    loop {
        match file.read(block).tried("read", path)? {
            0 => return Ok(()),
            count => hash.update(&block[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn tree(root: &Path) {
        fs::create_dir_all(root.join("etc/a")).unwrap();
        fs::write(root.join("etc/a/file"), "text").unwrap();
        fs::write(root.join("etc/a.conf"), "").unwrap();
        symlink("a/file", root.join("etc/link")).unwrap();
        for folder in ["etc", "etc/a"] {
            fs::set_permissions(root.join(folder), fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    #[test]
    fn equal_trees_have_equal_digests_and_each_change_shows() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        tree(&one);
        tree(&two);
        let first = digest(&one).unwrap();
        assert_eq!(first.len(), 64);
        let file = File::options().write(true).open(two.join("etc/a/file")).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(digest(&two).unwrap(), first, "times do not count");

        let mut seen = vec![first];
        let mut changed = |what: &str| {
            let now = digest(&two).unwrap();
            assert!(!seen.contains(&now), "{what}");
            seen.push(now);
        };
        fs::write(two.join("etc/a/file"), "texu").unwrap();
        changed("content");
        fs::set_permissions(two.join("etc/a/file"), fs::Permissions::from_mode(0o600)).unwrap();
        changed("permissions");
        fs::rename(two.join("etc/a.conf"), two.join("etc/b.conf")).unwrap();
        changed("a name");
        fs::remove_file(two.join("etc/link")).unwrap();
        changed("a link less");
        symlink("a/fil", two.join("etc/link")).unwrap();
        changed("where a link leads");
        fs::create_dir(two.join("new")).unwrap();
        changed("an empty folder");
    }
}
