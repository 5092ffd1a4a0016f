//! The packages as whoever installs them gets them, made of the real lists and scripts and of programs that are none; and
//! their scripts, run by three shells below another root, with stubs of what changes users and services.

use super::*;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// The packages, made of a tree that has every file that the lists name, in a folder of this name.
fn made(folder: &Path) -> Vec<PathBuf> {
    let freebsd = root().join("packaging/freebsd");
    let tree = folder.join("tree");
    for package in manifest::packages(&read(&freebsd.join("packages.json")).unwrap()).unwrap() {
        let list = read(&freebsd.join(format!("{}.install", package.name))).unwrap();
        let sources = list.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(' ').next());
        for source in sources.filter(|source| !source.starts_with("packaging/")) {
            let text = format!("{source} in /var/lib/builder\n");
            write(&tree.join(source.replace('*', ".1")), text.as_bytes()).unwrap();
        }
    }
    let source = Source {
        version: "1.2.3".into(),
        epoch: "1700000000".into(),
        freebsd,
        roots: vec![tree, root().to_path_buf()],
        stage: folder.join("stage"),
        folder: folder.join("packages"),
    };
    source.packages().unwrap()
}

fn unpacked(package: &Path) -> Vec<u8> {
    output(program("zstd", &["--decompress", "--stdout", "--quiet"]).arg(package)).unwrap()
}

/// What tar says of an archive: a line for each file, and the content of one.
fn tar(archive: &[u8], folder: &Path, arguments: &[&str]) -> String {
    let path = folder.join("archive.tar");
    fs::write(&path, archive).unwrap();
    let text = output(program("tar", &["--absolute-names", "--file"]).arg(&path).args(arguments)).unwrap();
    String::from_utf8(text).unwrap()
}

fn manifest_of(archive: &[u8], folder: &Path) -> Value {
    serde_json::from_str(&tar(archive, folder, &["--extract", "--to-stdout", "+MANIFEST"])).unwrap()
}

/// A text of a manifest as pkg understands it.
fn decoded(text: &Value) -> String {
    let mut parts = text.as_str().unwrap().split('%');
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn packages_for_freebsd_packed_by_zstd_are_what_pkg_expects() {
    let folder = tempfile::tempdir().unwrap();
    let packages = made(folder.path());
    let names: Vec<_> = packages.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(
        names.join(" "),
        "builder-1.2.3.pkg builder-client-1.2.3.pkg builder-server-1.2.3.pkg builder-web-1.2.3.pkg builder-worker-1.2.3.pkg"
    );
    let mut owners = BTreeMap::new();
    for package in &packages {
        let archive = unpacked(package);
        assert_eq!(&archive[257..263], b"ustar\0", "{}", package.display());
        let manifest = manifest_of(&archive, folder.path());
        let compact = tar(&archive, folder.path(), &["--extract", "--to-stdout", "+COMPACT_MANIFEST"]);
        let mut short: Value = serde_json::from_str(&compact).unwrap();
        assert!(short["files"].is_null() && short["scripts"].is_null());
        short["files"] = manifest["files"].clone();
        short["scripts"] = manifest["scripts"].clone();
        assert_eq!(short, manifest, "the short manifest is the long one, but for files and scripts");
        for (key, expected) in [("abi", "FreeBSD:14:amd64"), ("prefix", "/usr/local"), ("version", "1.2.3")] {
            assert_eq!(manifest[key], expected);
        }

        let listed = tar(&archive, folder.path(), &["--list", "--verbose"]);
        let lines: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
        let paths: Vec<&str> = lines.iter().map(|line| line[5]).collect();
        assert_eq!(paths[..2], ["+COMPACT_MANIFEST", "+MANIFEST"]);
        let files = manifest["files"].as_object().unwrap();
        assert_eq!(paths[2..].iter().copied().collect::<BTreeSet<_>>(), files.keys().map(String::as_str).collect());
        let mut size = 0;
        for line in &lines[2..] {
            let (mode, owner, bytes, path) = (line[0], line[1], line[2], line[5]);
            assert!(path.starts_with("/usr/local/") && owner == "root/wheel", "{line:?}");
            let is_run =
                ["/bin/", "/rc.d/", "/libexec/", "/periodic/", "/hooks/"].iter().any(|place| path.contains(place));
            assert_eq!(mode, if is_run { "-rwxr-xr-x" } else { "-rw-r--r--" }, "{path}");
            assert!(path.starts_with("/usr/local/share/man/") == path.ends_with(".gz"), "{path}");
            size += bytes.parse::<u64>().unwrap();
            assert_eq!(owners.insert(path.to_owned(), package.clone()), None, "{path} is in two packages");
        }
        assert_eq!(manifest["flatsize"], size);
        let sums = files.iter().map(|(path, sum)| {
            let content =
                Command::new("tar").args(["-Pxf"]).arg(folder.path().join("archive.tar")).args(["-O", path]).output();
            fs::write(folder.path().join("one"), content.unwrap().stdout).unwrap();
            let sum_of = output(program("sha256sum", &[]).arg(folder.path().join("one"))).unwrap();
            (path, sum.as_str().unwrap().to_owned(), format!("1${}", String::from_utf8_lossy(&sum_of[..64])))
        });
        for (path, said, counted) in sums {
            assert_eq!(said, counted, "{path}");
        }
    }
    for program in super::super::programs::PROGRAMS {
        assert!(owners.contains_key(&format!("/usr/local/bin/{program}")), "{program} is in no package");
    }
    let all = manifest_of(&unpacked(&packages[0]), folder.path());
    let needs: Vec<_> = all["deps"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(needs, ["builder-client", "builder-server", "builder-web", "builder-worker"]);
    assert_eq!(all["deps"]["builder-web"]["version"], "1.2.3");
}

#[test]
fn the_same_files_make_the_same_packages_for_freebsd_by_zstd() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (made(&folder.path().join("one")), made(&folder.path().join("a/longer/name")));
    for (first, second) in first.iter().zip(&second) {
        assert_eq!(fs::read(first).unwrap(), fs::read(second).unwrap(), "{}", first.display());
    }
}

#[test]
fn what_is_in_no_package_for_freebsd_by_zstd_is_a_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    write(&tree.join("bin/forgotten"), b"x").unwrap();
    let mut source = Source {
        version: "1.2.3".into(),
        epoch: "1700000000".into(),
        freebsd: root().join("packaging/freebsd"),
        roots: vec![tree.clone()],
        stage: folder.path().join("stage"),
        folder: folder.path().join("packages"),
    };
    let copied = install::Copy { from: tree.join("bin"), to: "usr/local/bin".into() };
    assert!(source.leave_nothing_out(std::slice::from_ref(&copied)).is_ok());
    let error = source.leave_nothing_out(&[]).unwrap_err().to_string();
    assert!(error.contains("bin/forgotten is in no package"), "{error}");
    // Nor does a list name what is not there.
    source.roots = vec![folder.path().join("nothing")];
    assert!(source.packages().is_err());
}

/// Programs in `bin` that write down how they were called, and then do what is said here.
fn stubs(folder: &Path, answers: &[(&str, &str)]) -> PathBuf {
    let bin = folder.join("bin");
    for (name, answer) in answers {
        let text = format!("#!/bin/sh\necho {name} \"$@\" >> {}\n{answer}\n", folder.join("log").display());
        write(&bin.join(name), text.as_bytes()).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    bin
}

/// What was called since it was asked last.
fn calls(folder: &Path) -> String {
    let log = folder.join("log");
    let calls = fs::read_to_string(&log).unwrap_or_default();
    fs::write(&log, "").unwrap();
    calls.replace(&folder.display().to_string(), "")
}

/// Installs, changes, upgrades and removes by the scripts of a package, below another root.
fn a_package_comes_and_goes(shell: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let packages = made(&folder.path().join("made"));
    let server = packages.iter().find(|path| path.to_string_lossy().contains("builder-server-")).unwrap();
    let manifest = manifest_of(&unpacked(server), folder.path());
    let host = folder.path().join("host");
    let bin = stubs(
        folder.path(),
        &[("pw", "case $3 in groupshow|usershow) exit 67; esac"), ("chown", ""), ("service", ""), ("install", INSTALL)],
    );
    let run = |script: &str| {
        let mut command = Command::new(shell[0]);
        // As pkg does it.
        let text = format!("set -- builder-server-1.2.3\n{}", decoded(&manifest["scripts"][script]));
        command.args(&shell[1..]).arg("-c").arg(text);
        command.env("PATH", format!("{}:/usr/bin:/bin", bin.display())).env("PKG_ROOTDIR", &host);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{shell:?} {script}: {}", String::from_utf8_lossy(&output.stderr));
        calls(folder.path())
    };
    let sample = host.join("usr/local/etc/builder/builder-server.toml.sample");
    let settings = sample.with_extension("");
    for file in manifest["files"].as_object().unwrap().keys().filter(|path| path.ends_with(".sample")) {
        write(&host.join(&file[1..]), b"first").unwrap();
    }
    assert_eq!(
        run("pre-install"),
        "pw -R /host groupshow builder\npw -R /host groupadd -n builder\npw -R /host usershow builder\n\
         pw -R /host useradd -n builder -g builder -c builder -d /var/db/builder -s /usr/sbin/nologin\n"
    );
    assert_eq!(
        run("post-install"),
        "install -d -o builder -g builder -m 0750 /host/var/db/builder\n\
         chown root:builder /host/usr/local/etc/builder/builder-server.toml\n"
    );
    assert_eq!(fs::read(&settings).unwrap(), b"first");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&settings), 0o640);

    // What nobody has changed becomes the next version's; what somebody has changed stays, through removal, too.
    run("pre-deinstall");
    fs::write(&sample, "second").unwrap();
    assert_eq!(run("post-install"), "chown root:builder /host/usr/local/etc/builder/builder-server.toml\n");
    assert_eq!(fs::read(&settings).unwrap(), b"second");
    fs::write(&settings, "mine").unwrap();
    run("pre-deinstall");
    fs::write(&sample, "third").unwrap();
    run("post-install");
    run("pre-deinstall");
    assert_eq!(fs::read(&settings).unwrap(), b"mine");

    // pkg names the root also where it is that of the system: there a service that goes is stopped, but for an upgrade.
    let ends = |upgrade: &[(&str, &str)]| {
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).arg("-c").arg(decoded(&manifest["scripts"]["pre-deinstall"]));
        command.env("PATH", format!("{}:/usr/bin:/bin", bin.display())).env("PKG_ROOTDIR", "/");
        assert!(command.envs(upgrade.iter().copied()).status().unwrap().success());
        calls(folder.path())
    };
    assert_eq!(ends(&[]), "service builder onestop\n");
    assert_eq!(ends(&[("PKG_UPGRADE", "true")]), "");
}

/// What the service finds in its data folder when the package has come: nothing, what an original left, its own of before,
/// and below another root, where nobody can run its programs.
fn a_data_folder_is_made_ready(shell: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let packages = made(&folder.path().join("made"));
    let bin = stubs(folder.path(), &[("chown", ""), ("find", ""), ("su", ""), ("install", INSTALL)]);
    let installed = |name: &str, environment: &[(&str, &str)]| {
        let package = packages.iter().find(|path| path.to_string_lossy().contains(&format!("{name}-1.2.3"))).unwrap();
        let manifest = manifest_of(&unpacked(package), folder.path());
        // Where no other root is named, the folder of this test stands for it.
        let mut text = decoded(&manifest["scripts"]["post-install"]);
        for behind in ["/", "$sample", "${sample"] {
            let root = format!("${{host:-{}}}{behind}", folder.path().display());
            text = text.replace(&format!("$host{behind}"), &root);
        }
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).arg("-c").arg(text).envs(environment.iter().copied());
        command.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{shell:?} {name}: {}", String::from_utf8_lossy(&output.stderr));
        calls(folder.path())
    };
    let data = |name: &str| folder.path().join("var/db").join(name);
    let (server, web) = (data("builder"), data("builder-web"));
    for sample in ["builder/builder-server.toml.sample", "builder-web/builder-web.toml.sample"] {
        write(&folder.path().join("usr/local/etc").join(sample), b"").unwrap();
    }

    let find = |name: &str| {
        format!("find /var/db/{name} ( ! -user builder -o ! -group builder ) -exec chown -h builder:builder {{}} +\n")
    };
    let migrate = "su -m builder -c /usr/local/bin/builder-db migrate --datadir '/var/db/builder-web'\n";
    let new = installed("builder-web", &[]);
    assert!(new.contains("install -d -o builder -g builder -m 0755 /var/db/builder-web\n"), "{new}");
    assert!(new.ends_with(migrate) && !new.contains("find"), "{new}");
    assert!(!installed("builder-server", &[("PKG_ROOTDIR", "/")]).contains("find"));

    // Of the original, or of ours that was removed meanwhile.
    fs::write(web.join("builder.sqlite3"), "").unwrap();
    fs::write(server.join("state"), "").unwrap();
    let taken_over = installed("builder-web", &[("PKG_ROOTDIR", "/")]);
    assert!(taken_over.starts_with(&find("builder-web")) && !taken_over.contains("su -m"), "{taken_over}");
    assert!(installed("builder-server", &[]).starts_with(&find("builder")));
    for name in ["builder-web", "builder-server"] {
        let upgraded = installed(name, &[("PKG_UPGRADE", "true")]);
        assert!(!upgraded.contains("find") && !upgraded.contains("su -m"), "{upgraded}");
    }

    let other = folder.path().join("other").display().to_string();
    fs::create_dir_all(format!("{other}/var/db/builder-web")).unwrap();
    let elsewhere = installed("builder-web", &[("PKG_ROOTDIR", &other)]);
    assert!(!elsewhere.contains("find") && !elsewhere.contains("su -m"), "{elsewhere}");
}

const INSTALL: &str = "for last; do :; done\nmkdir -p \"$last\"";

#[test]
fn packages_for_freebsd_made_by_zstd_come_and_go_under_dash() {
    a_package_comes_and_goes(&["dash"]);
    a_data_folder_is_made_ready(&["dash"]);
}

#[test]
fn packages_for_freebsd_made_by_zstd_come_and_go_under_bash_as_posix() {
    a_package_comes_and_goes(&["bash", "--posix"]);
    a_data_folder_is_made_ready(&["bash", "--posix"]);
}

#[test]
fn packages_for_freebsd_made_by_zstd_come_and_go_under_mksh() {
    a_package_comes_and_goes(&["mksh"]);
    a_data_folder_is_made_ready(&["mksh"]);
}

#[test]
fn scripts_of_packages_for_freebsd_are_clean_for_shellcheck() {
    let freebsd = root().join("packaging/freebsd");
    let folder = tempfile::tempdir().unwrap();
    let sample = PathBuf::from("usr/local/etc/a.sample");
    let mut count = 0;
    for package in manifest::packages(&read(&freebsd.join("packages.json")).unwrap()).unwrap() {
        let scripts = manifest::scripts(&freebsd, &package.name, std::slice::from_ref(&sample)).unwrap();
        for (kind, text) in &scripts {
            let path = folder.path().join(format!("{}.{kind}", package.name));
            fs::write(&path, decoded(text)).unwrap();
            count += 1;
        }
    }
    assert!(count > 10, "{count}");
    let mut command = Command::new("shellcheck");
    // One sample is no list, and a user's name is no word to quote.
    command
        .args(["-s", "sh", "-e", "SC2066,SC2015,SC2043"])
        .args(fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn a_program_made_by_gcc_for_this_machine_is_refused() {
    let shown =
        "  OS/ABI:  UNIX - FreeBSD\n 0x01 (NEEDED)  Shared library: [libthr.so.3]\n 0x01 (NEEDED) x: [libc.so.7]\n";
    assert_eq!(needed(shown), ["libthr.so.3", "libc.so.7"]);
    // The shell of this machine is none of FreeBSD's.
    let error = examine(&fs::canonicalize("/bin/sh").unwrap()).unwrap_err();
    assert!(error.to_string().contains("is no program of FreeBSD"), "{error}");
}
