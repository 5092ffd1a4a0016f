//! The templates that are shipped in `packaging/templates`: they can be read, what they make is clean, and it runs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

use builder_model::{JobName, PackageName, Platform, TemplateName, TemplatedJob, Values};
use builder_template::Template;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// Values under which a template makes a script, and which have all that a shell could stumble over.
const EXAMPLES: [(&str, &[(&str, &str)]); 4] = [
    ("cargo", &[("path", "/srv/it's \"here\" & there")]),
    ("cmake", &[("git", "https://example.org/x.git"), ("revision", "0123456789012345678901234567890123456789")]),
    ("debian-source-package", &[("package", "hello"), ("options", "nocheck terse")]),
    ("orb", &[("package", "mirage-www.1.0")]),
];
const OF_PACKAGES: [&str; 3] = ["debian", "freebsd", "ubuntu"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/templates")
}

fn platform() -> Platform {
    Platform::parse(b"debian-12").unwrap()
}

fn script(name: &str, values: &[(&str, &str)]) -> String {
    let text = std::fs::read(folder().join(name)).unwrap();
    let template = Template::parse(text.into()).unwrap();
    let values = Values::parse(values.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))).unwrap();
    let name = TemplateName::parse(name.as_bytes()).unwrap();
    String::from_utf8(template.fill(&name, &values, &platform()).unwrap()).unwrap()
}

/// A folder for a job, in which a script can run.
struct Job {
    folder: TempDir,
}

impl Job {
    /// Folders whose names differ in length, too: no build may know in which it ran.
    fn new(number: usize) -> Self {
        let prefix = format!("job{}-", "x".repeat(number * 7));
        Self { folder: tempfile::Builder::new().prefix(&prefix).tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a script as a worker does, with these programs in front of all others.
    fn output(&self, script: &str, programs: Option<&Path>) -> Output {
        std::fs::write(self.path().join("script.sh"), script).unwrap();
        let mut command = Command::new("sh");
        // Cargo's own variables are of the build of this test, not of the job.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO") || name.starts_with("RUST")) {
            if name != "RUSTUP_HOME" {
                command.env_remove(name);
            }
        }
        if let Some(programs) = programs {
            let path = std::env::var_os("PATH").unwrap();
            let folders = [programs.to_owned()].into_iter().chain(std::env::split_paths(&path));
            command.env("PATH", std::env::join_paths(folders).unwrap());
        }
        command.arg("script.sh").current_dir(self.path()).output().unwrap()
    }

    fn run(&self, script: &str, programs: Option<&Path>) -> String {
        let output = self.output(script, programs);
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{}: {said}", output.status);
        said
    }

    /// What a worker would hand in: path and content.
    fn left(&self) -> BTreeMap<String, Vec<u8>> {
        fn visit(folder: &Path, under: &Path, left: &mut BTreeMap<String, Vec<u8>>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let shown = path.strip_prefix(under).unwrap().to_str().unwrap().to_owned();
                if path.file_name().unwrap().to_str().unwrap().starts_with('.') || shown == "script.sh" {
                    continue;
                }
                if path.is_dir() {
                    visit(&path, under, left);
                } else {
                    left.insert(shown, std::fs::read(&path).unwrap());
                }
            }
        }
        let mut left = BTreeMap::new();
        visit(self.path(), self.path(), &mut left);
        left
    }
}

fn names(left: &BTreeMap<String, Vec<u8>>) -> Vec<&str> {
    left.keys().map(String::as_str).collect()
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn write_program(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    write(path, text);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn shell(folder: &Path, script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn there_are_no_others() {
    let mut found: Vec<String> =
        std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    found.sort();
    let of_packages = OF_PACKAGES.iter().map(|name| format!("orb-build.template.{name}"));
    let mut known: Vec<String> = EXAMPLES.iter().map(|(name, _)| (*name).to_owned()).chain(of_packages).collect();
    known.sort();
    assert_eq!(found, known, "each has an example here, and so is tested");
    let page = std::fs::read_to_string(folder().join("../../docs/templates.md")).unwrap();
    for (name, _) in EXAMPLES {
        let template = Template::parse(std::fs::read(folder().join(name)).unwrap().into()).unwrap();
        assert!(page.contains(&format!("### `{name}`")), "docs/templates.md has a part about {name}");
        for parameter in template.parameters() {
            let named = format!("| `{}` |", parameter.name());
            assert!(page.contains(&named), "docs/templates.md tells of {} of {name}", parameter.name());
        }
    }
}

#[test]
fn what_they_make_is_clean_to_shellcheck() {
    let rendered = EXAMPLES.map(|(name, values)| script(name, values));
    let job = TemplatedJob { name: JobName::parse(b"j").unwrap(), package: PackageName::parse(b"mirage-www").unwrap() };
    let of_packages = OF_PACKAGES.map(|name| {
        let text = std::fs::read(folder().join(format!("orb-build.template.{name}"))).unwrap();
        String::from_utf8(job.render(&text, &platform()).script.to_vec()).unwrap()
    });
    let folder = tempfile::tempdir().unwrap();
    for (number, script) in rendered.iter().chain(&of_packages).enumerate() {
        let path = folder.path().join(format!("{number}.sh"));
        std::fs::write(&path, script).unwrap();
        let output = Command::new("shellcheck").args(["--shell=sh", "--norc"]).arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// A program whose binary would tell where it was built: in its panics, and in what it was told by the compiler.
fn cargo_project(folder: &Path) {
    write(
        &folder.join("Cargo.toml"),
        "[package]\nname = \"hello\"\nversion = \"1.0.0\"\nedition = \"2021\"\n[workspace]\n",
    );
    let main = "fn main() {\n    println!(\"hello from {}\", file!());\n    assert!(std::env::args().count() < 9, \"too many\");\n}\n";
    write(&folder.join("src/main.rs"), main);
    write(&folder.join("Cargo.lock"), "version = 3\n\n[[package]]\nname = \"hello\"\nversion = \"1.0.0\"\n");
}

#[test]
fn a_cargo_project_comes_out_the_same_in_another_folder() {
    let sources = tempfile::tempdir().unwrap();
    cargo_project(&sources.path().join("hello-1.0"));
    shell(sources.path(), "tar -czf hello.tar.gz hello-1.0");
    let digest = shell(sources.path(), "sha256sum hello.tar.gz | cut -d ' ' -f 1");
    let url = format!("file://{}/hello.tar.gz", sources.path().display());
    let path = sources.path().join("hello-1.0");
    let from_url = script("cargo", &[("url", &url), ("sha256", &digest), ("offline", "yes"), ("tests", "yes")]);
    let from_path = script("cargo", &[("path", path.to_str().unwrap()), ("offline", "yes")]);
    let built: Vec<_> = [from_url, from_path]
        .iter()
        .enumerate()
        .map(|(number, script)| {
            let job = Job::new(number);
            job.run(script, None);
            let left = job.left();
            assert_eq!(names(&left), ["bin/hello", "build-inputs"]);
            let said = Command::new(job.path().join("bin/hello")).output().unwrap().stdout;
            assert_eq!(String::from_utf8(said).unwrap(), "hello from src/main.rs\n");
            let binary = left["bin/hello"].clone();
            let place = job.path().to_str().unwrap().as_bytes();
            assert!(
                !binary.windows(place.len()).any(|window| window == place),
                "the binary tells of {job}",
                job = job.path().display()
            );
            let inputs = String::from_utf8(left["build-inputs"].clone()).unwrap();
            assert!(inputs.contains("\nhost: ") && inputs.contains("\ncargo "), "{inputs}");
            (binary, inputs)
        })
        .collect();
    assert!(built[0].0 == built[1].0, "two builds in two folders have the same bytes");
    assert!(built[0].1.starts_with(&format!("sources: archive {digest}\n")), "{}", built[0].1);

    let wrong = script("cargo", &[("url", &url), ("sha256", &"0".repeat(64)), ("offline", "yes")]);
    let said = String::from_utf8(Job::new(0).output(&wrong, None).stderr).unwrap();
    assert_eq!(said, format!("cargo: {url} has the SHA-256 {digest}, not {}\n", "0".repeat(64)));
    for (values, expected) in [
        (vec![], "cargo: give one of url, git and path\n"),
        (vec![("url", url.as_str())], "cargo: url needs sha256, the SHA-256 of the archive\n"),
        (vec![("url", url.as_str()), ("path", "/x")], "cargo: give one of url, git and path\n"),
    ] {
        let output = Job::new(0).output(&script("cargo", &values), None);
        assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(1), expected));
    }
}

#[test]
fn a_cmake_project_from_git_comes_out_the_same_in_another_folder() {
    let sources = tempfile::tempdir().unwrap();
    let lists = "cmake_minimum_required(VERSION 3.13)\nproject(hello C)\nenable_testing()\nadd_executable(hello hello.c)\n\
                 install(TARGETS hello DESTINATION bin)\ninstall(FILES hello.conf DESTINATION /etc)\n\
                 add_test(NAME says COMMAND hello)\n";
    write(&sources.path().join("CMakeLists.txt"), lists);
    write(&sources.path().join("hello.conf"), "greeting = hello\n");
    let program = "#include <stdio.h>\n#include <assert.h>\nint main(int argc, char **argv) {\n    (void)argv;\n\
                       assert(argc < 9);\n    puts(\"hello from \" __FILE__ \", \" __DATE__);\n    return 0;\n}\n";
    write(&sources.path().join("hello.c"), program);
    let git = "git -c init.defaultBranch=main init -q . && git add -A && GIT_COMMITTER_DATE=1700000000 \
               git -c user.name=n -c user.email=e@example.org -c commit.gpgsign=false commit -q -m one && git rev-parse HEAD";
    let revision = shell(sources.path(), git);
    let url = format!("file://{}", sources.path().display());
    let script = script(
        "cmake",
        &[("git", &url), ("revision", &revision), ("build_type", "RelWithDebInfo"), ("options", "-DA=1 -DB=2")],
    );
    let built: Vec<_> = (0..2)
        .map(|number| {
            let job = Job::new(number);
            job.run(&script, None);
            job.left()
        })
        .collect();
    assert_eq!(names(&built[0]), ["bin/hello", "build-inputs", "etc/hello.conf"]);
    assert!(built[0] == built[1], "two builds in two folders have the same bytes");
    let binary = String::from_utf8_lossy(&built[0]["bin/hello"]).into_owned();
    assert!(binary.contains("hello from /build/src/hello.c, Nov 14 2023"), "the time is that of the commit");
    let inputs = String::from_utf8(built[0]["build-inputs"].clone()).unwrap();
    assert!(inputs.starts_with(&format!("sources: commit {revision}\ncmake version ")), "{inputs}");
}

/// A source package that needs nothing but dpkg, and tells of time and place wherever it can.
fn source_package(folder: &Path) -> PathBuf {
    let package = folder.join("greet-1.0");
    let control = "Source: greet\nSection: misc\nPriority: optional\nMaintainer: M <m@example.org>\nStandards-Version: 4.6.2\n\
                   Rules-Requires-Root: no\n\nPackage: greet\nArchitecture: any\nDescription: says hello\n To the world.\n";
    let changelog = "greet (1.0) unstable; urgency=medium\n\n  * First.\n\n -- M <m@example.org>  Tue, 14 Nov 2023 22:13:20 +0000\n";
    let rules = "#!/usr/bin/make -f\nbuild:\n\tcc $$(dpkg-buildflags --get CFLAGS) -o greet greet.c\nbinary-arch: build\n\
                 \tinstall -D greet debian/greet/usr/bin/greet\n\tmkdir -p debian/greet/DEBIAN\n\tdpkg-gencontrol -Pdebian/greet\n\
                 \tdpkg-deb --root-owner-group --build debian/greet ..\nbinary-indep:\nbinary: binary-arch binary-indep\nclean:\n\
                 \trm -rf greet debian/greet debian/files\n.PHONY: build binary binary-arch binary-indep clean\n";
    let program = "#include <stdio.h>\nint main(void) {\n    puts(\"hello from \" __FILE__ \", \" __DATE__ \" \" __TIME__);\n    return 0;\n}\n";
    write(&package.join("debian/control"), control);
    write(&package.join("debian/changelog"), changelog);
    write_program(&package.join("debian/rules"), rules);
    write(&package.join("debian/source/format"), "3.0 (native)\n");
    write(&package.join("greet.c"), program);
    shell(folder, "dpkg-source --build greet-1.0 > log");
    folder.join("greet_1.0.dsc")
}

#[test]
fn a_source_package_is_built_by_dpkg_buildpackage() {
    let sources = tempfile::tempdir().unwrap();
    let dsc = source_package(sources.path());
    let digest = shell(sources.path(), "sha256sum greet_1.0.dsc | cut -d ' ' -f 1");
    let url = format!("file://{}", dsc.display());
    let common = [("package", "greet"), ("version", "1.0"), ("sha256", digest.as_str())];
    let from_path = [&common[..], &[("dsc_path", dsc.to_str().unwrap())]].concat();
    let from_url = [&common[..], &[("dsc_url", url.as_str())]].concat();
    let built: Vec<_> = [from_path, from_url]
        .iter()
        .enumerate()
        .map(|(number, values)| {
            let job = Job::new(number);
            job.run(&script("debian-source-package", values), None);
            job.left()
        })
        .collect();
    let architecture = shell(sources.path(), "dpkg --print-architecture");
    let deb = format!("greet_1.0_{architecture}.deb");
    let expected =
        [format!("greet_1.0_{architecture}.buildinfo"), format!("greet_1.0_{architecture}.changes"), deb.clone()];
    assert_eq!(names(&built[0]), expected);
    assert!(built[0][&deb] == built[1][&deb], "two builds in two folders have the same bytes");
    let buildinfo = String::from_utf8(built[0][&expected[0]].clone()).unwrap();
    assert!(buildinfo.contains("SOURCE_DATE_EPOCH=\"1700000000\""), "{buildinfo}");

    let refused = |values: &[(&str, &str)]| {
        let output = Job::new(0).output(&script("debian-source-package", values), None);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap().lines().last().unwrap_or_default().to_owned()
    };
    let path = dsc.to_str().unwrap();
    let said = |text: &str| format!("debian-source-package: {text}");
    assert_eq!(
        refused(&[("package", "greet"), ("dsc_url", &url)]),
        said("dsc_url needs sha256, the SHA-256 of the .dsc")
    );
    assert_eq!(refused(&[("package", "hello"), ("dsc_path", path)]), said("the source package is greet, not hello"));
    assert_eq!(
        refused(&[("package", "greet"), ("version", "2"), ("dsc_path", path)]),
        said("the version is 1.0, not 2")
    );
    let zeros = "0".repeat(64);
    let other = refused(&[("package", "greet"), ("sha256", &zeros), ("dsc_path", path)]);
    assert_eq!(other, said(&format!("{path} is not what sha256 says")));
}

/// There is no opam here: what is called, and with what, is what can be tried.
#[test]
fn orb_is_called_as_it_should_be() {
    let programs = tempfile::tempdir().unwrap();
    let orb = "#!/bin/sh\necho \"$HOME $OPAMROOT\" > .called\nprintf '%s\\n' \"$@\" >> .called\n\
               mkdir -p bin .opam .switch && echo program > bin/hello\n\
               for file in opam-switch build-environment system-packages hello.build-hashes; do echo x > $file; done\n";
    write_program(&programs.path().join("orb"), orb);
    write_program(&programs.path().join("opam"), "#!/bin/sh\n");
    let named = script("orb", &[("package", "hello"), ("twice", "yes")]);
    let job = TemplatedJob { name: JobName::parse(b"j").unwrap(), package: PackageName::parse(b"hello").unwrap() };
    let of_packages = OF_PACKAGES.map(|name| {
        let text = std::fs::read(folder().join(format!("orb-build.template.{name}"))).unwrap();
        (name, String::from_utf8(job.render(&text, &platform()).script.to_vec()).unwrap())
    });
    for (name, script) in [("named", named)].into_iter().chain(of_packages) {
        let job = Job::new(0);
        job.run(&script, Some(programs.path()));
        let left = ["bin/hello", "build-environment", "hello.build-hashes", "opam-switch", "system-packages"];
        assert_eq!(names(&job.left()), left, "{name}");
        let top = job.path().display();
        let mut expected = format!(
            "{top}/.home {top}/.opam\nbuild\n--date=1704067200\n--repos=default:https://opam.ocaml.org\n\
             --solver-timeout=600\n--switch-name={top}/.switch\n--out={top}\n"
        );
        // FreeBSD has no sandbox of opam that could be left out.
        if name != "freebsd" {
            expected.push_str("--disable-sandboxing\n");
        }
        if name == "named" {
            expected.push_str("--twice\n");
        }
        expected.push_str("hello\n");
        assert_eq!(std::fs::read_to_string(job.path().join(".called")).unwrap(), expected, "{name}");
        assert!(!job.path().join(".opam").exists(), "{name} tidies up");
    }

    write_program(&programs.path().join("orb"), "#!/bin/sh\necho x > opam-switch\n");
    let script = script("orb", &[("package", "hello")]);
    let output = Job::new(0).output(&script, Some(programs.path()));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "orb: orb left no build-environment\n");
    std::fs::remove_file(programs.path().join("orb")).unwrap();
    let output = Job::new(0).output(&script, Some(programs.path()));
    let expected = "orb: there is no orb: it has to be a part of the root file system of this platform\n";
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(1), expected));
}
