//! A small root file system out of a few programs of this host.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAMS: [&str; 15] = [
    "sh", "cat", "chown", "env", "head", "id", "ls", "mkdir", "mount", "rm", "setpriv", "sleep", "stat", "touch",
    "readlink",
];

/// Makes one, with a digest beside it.
pub fn make(path: &Path) {
    for folder in ["usr/bin", "usr/lib", "usr/lib64", "etc", "var/tmp", "var/log", "root", "srv"] {
        std::fs::create_dir_all(path.join(folder)).unwrap();
    }
    for (target, link) in [("usr/bin", "bin"), ("usr/lib", "lib"), ("usr/lib64", "lib64")] {
        symlink(target, path.join(link)).unwrap();
    }
    let mut files = BTreeSet::new();
    for program in PROGRAMS {
        let place = Path::new("/usr/bin").join(program);
        std::fs::copy(&place, path.join("usr/bin").join(program)).unwrap();
        let output = Command::new("ldd").arg(&place).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        files.extend(text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from));
    }
    for file in files {
        let place = path.join(file.strip_prefix("/").unwrap());
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::copy(&file, place).unwrap();
    }
    std::fs::write(path.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
    std::fs::write(path.join("etc/only-here"), "of the root\n").unwrap();
    std::fs::write(path.join("srv/file"), "of the root\n").unwrap();
    let mut beside = path.as_os_str().to_owned();
    beside.push(".digest");
    std::fs::write(beside, "sha256:0123\n").unwrap();
}
