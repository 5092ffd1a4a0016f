//! Packages of dummy programs, made by the code and the files that make the real ones.

use super::*;
use crate::dist::files::write;
use std::process::Command;

/// A folder that goes away at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Whatever our lists name below the folder of what every format has in it; a program of this system is the dummy.
fn dummy_tree(tree: &Path) {
    for list in std::fs::read_dir(root().join("packaging/debian")).unwrap() {
        let list = list.unwrap().path();
        if list.extension().is_none_or(|extension| extension != "install") {
            continue;
        }
        for line in std::fs::read_to_string(list).unwrap().lines() {
            let from = line.split(' ').next().unwrap().replace('*', ".1");
            if from.starts_with("bin/") {
                write(&tree.join(from), &std::fs::read("/bin/true").unwrap()).unwrap();
            } else if from.starts_with("share/") {
                write(&tree.join(from), b".TH DUMMY 1\n").unwrap();
            }
        }
    }
}

fn packages(folder: &Path) -> Vec<PathBuf> {
    dummy_tree(&folder.join("tree"));
    let source = Source {
        version: "1:1.2.3".into(),
        architecture: text(program("dpkg", &["--print-architecture"])).unwrap(),
        maintainer: maintainer(),
        epoch: "1700000000".into(),
        debian: root().join("packaging/debian"),
        roots: vec![folder.join("tree"), root().to_path_buf()],
        stage: folder.join("stage"),
        folder: folder.join("packages"),
    };
    source.packages().unwrap()
}

fn shown(arguments: &[&str], package: &Path) -> String {
    let output = Command::new("dpkg-deb").args(arguments).arg(package).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn dpkg_deb_makes_equal_packages_in_folders_of_different_names() {
    let (first, second) = (Folder::new("deb-first"), Folder::new("deb-second-and-longer"));
    let (ours, theirs) = (packages(&first.0), packages(&second.0));
    assert_eq!(ours.len(), 5);
    for (one, other) in ours.iter().zip(&theirs) {
        assert_eq!(one.file_name(), other.file_name());
        assert!(std::fs::read(one).unwrap() == std::fs::read(other).unwrap(), "{} differs", one.display());
    }
}

#[test]
fn dpkg_deb_shows_packages_with_what_an_administrator_looks_for() {
    let folder = Folder::new("deb-content");
    let packages = packages(&folder.0);
    let named = |name: &str| packages.iter().find(|path| path.to_string_lossy().contains(name)).unwrap();
    let server = named("builder-server_1.2.3_");
    let fields = shown(&["--field"], server);
    assert!(fields.contains("Version: 1:1.2.3\n"), "{fields}");
    assert!(fields.contains("libc6 (>= "), "{fields}");
    let files = shown(&["--contents"], server);
    for line in files.lines().filter(|line| !line.ends_with('/')) {
        let executable = line.starts_with("-rwxr-xr-x root/root");
        assert_eq!(executable, line.contains("./usr/bin/"), "{line}");
    }
    let control = folder.0.join("control");
    Command::new("dpkg-deb").arg("--control").arg(server).arg(&control).status().unwrap();
    assert_eq!(std::fs::read_to_string(control.join("conffiles")).unwrap(), "/etc/builder/builder-server.toml\n");
    let unit = folder.0.join("stage/builder-server/usr/lib/systemd/system/builder-server.service");
    let unit = std::fs::read_to_string(unit).unwrap();
    assert!(unit.contains("\nExecStart=/usr/bin/builder-server ") && !unit.contains("/usr/local"), "{unit}");
}

#[test]
fn shellcheck_finds_nothing_in_the_scripts_that_dpkg_runs() {
    // And in the job that makes the packages on a farm.
    let mut scripts = vec![root().join("examples/self/job.sh")];
    for file in std::fs::read_dir(root().join("packaging/debian")).unwrap() {
        let path = file.unwrap().path();
        if std::fs::read_to_string(&path).unwrap().starts_with("#!") {
            scripts.push(path);
        }
    }
    assert!(scripts.len() >= 10, "{scripts:?}");
    let output = Command::new("shellcheck").args(["--shell", "sh"]).args(&scripts).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    for script in scripts {
        let text = std::fs::read_to_string(&script).unwrap();
        assert!(text.contains("\nset -e"), "{} goes on after what fails", script.display());
    }
}
