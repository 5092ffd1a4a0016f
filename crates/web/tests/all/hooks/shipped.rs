//! The scripts that are shipped, under the shells that people have, with tools that only say what they were asked.

use crate::site::{Site, Told};
use builder_web::Digest;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

pub(super) const SHELLS: [&[&str]; 2] = [&["dash"], &["bash", "--posix"]];

pub(super) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/hooks").join(name)
}

/// A folder of programs that stand in for those that not everybody has.
pub(super) struct Tools(TempDir);

impl Tools {
    pub(super) fn new(programs: &[(&str, &str)]) -> Self {
        let tools = Self(tempfile::tempdir().unwrap());
        for (name, text) in programs {
            tools.add(name, text);
        }
        tools
    }

    /// What the repository knows of the build that hooks are told of, as far as hooks ask.
    pub(super) fn build_ended_with(&self, result_code: i64) {
        let database = rusqlite::Connection::open(self.file("builder.sqlite3")).unwrap();
        database.execute_batch("DROP TABLE IF EXISTS build; CREATE TABLE build(uuid, result_code)").unwrap();
        let build = Told::new(1).build.to_string();
        database.execute("INSERT INTO build VALUES (?1, ?2)", rusqlite::params![build, result_code]).unwrap();
    }

    fn add(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What they wrote to a file of theirs.
    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    /// Runs a script, where `$tools` names this folder.
    pub(super) fn run(&self, shell: &[&str], name: &str, arguments: &[String]) -> Output {
        let (program, flags) = shell.split_first().unwrap();
        let path = std::env::join_paths(
            std::iter::once(self.0.path().to_owned())
                .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
        );
        let mut command = Command::new(program);
        command.args(flags).arg(script(name)).args(arguments).env("PATH", path.unwrap()).env("tools", self.0.path());
        command.env("REPO", self.file("repo")).env("REPO_KEY", "repo.key").env("REPO_HOME", self.0.path());
        command.env("REPO_KEYID", "repository@example.org").env("TMPDIR", self.0.path()).output().unwrap()
    }

    pub(super) fn runs(&self, shell: &[&str], name: &str, arguments: &[String]) -> String {
        let output = self.run(shell, name, arguments);
        assert!(output.status.success(), "{shell:?}: {output:?}");
        let left = fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let left: Vec<String> = left.filter(|name| name.starts_with("builder-web.")).collect();
        assert_eq!(left, [""; 0], "nothing is left behind");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(super) fn fails(&self, shell: &[&str], name: &str, arguments: &[String]) -> String {
        let output = self.run(shell, name, arguments);
        assert!(!output.status.success(), "{shell:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

/// The names in a folder, sorted; none when it is not there.
fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn digest(content: &str) -> String {
    Digest::of(content.as_bytes()).to_string()
}

const OPAM_GRAPH: &str = "[ \"$1\" = --version ] && exec cat \"$tools/version\"\necho \"graph $1 $(cat \"$2\")\"\n";
const MODULECTOMY: &str = "[ \"$1\" = --version ] && exec cat \"$tools/version\"\necho \"map $1 $2 $(cat \"$3\")\"\n";

/// A repository with builds to draw.
async fn drawn() -> Site {
    let site = Site::new();
    site.upload(&Told::new(1).files(&[
        ("bin/sub/hello.hvt", b"unikernel"),
        ("a.debug", b"another"),
        ("hello.hvt.debug", b"symbols"),
        ("opam-switch", b"switch 1"),
    ]))
    .await;
    site.upload(&Told::new(2).files(&[("bin/x", b"xy"), ("opam-switch", b"switch 1")])).await;
    site.upload(&Told::new(3).files(&[("bin/x", b"xy"), ("opam-switch", b"switch 3")])).await;
    site.upload(&Told::new(4).files(&[("opam-switch", b"no main binary")])).await;
    site
}

fn of_build(site: &Site, told: &Told) -> Vec<String> {
    let data = site.data();
    let data = data.display();
    vec![
        format!("--uuid={}", told.build),
        "--unknown=option".into(),
        format!("--cache-dir={data}/cache=x"),
        format!("--data-dir={data}"),
        "file".into(),
    ]
}

#[tokio::test]
async fn visualizations_are_drawn_with_sqlite3() {
    let site = drawn().await;
    let tools = Tools::new(&[("opam-graph", OPAM_GRAPH), ("modulectomy", MODULECTOMY)]);
    fs::write(tools.file("version"), "7\n").unwrap();
    for shell in SHELLS {
        let cache = site.data().join("cache=x");
        tools.runs(shell, "visualizations.sh", &of_build(&site, &Told::new(1)));
        let dependencies = cache.join("dependencies_7");
        assert_eq!(names(&dependencies), [format!("{}.html", digest("switch 1"))]);
        let graph = fs::read_to_string(dependencies.join(&names(&dependencies)[0])).unwrap();
        assert_eq!(graph, "graph --output-format=html switch 1\n");
        let treemap = cache.join("treemap_7").join(format!("{}.html", digest("symbols")));
        assert_eq!(fs::read_to_string(&treemap).unwrap(), "map --robur-defaults --with-scale=9 symbols\n");
        assert_eq!(names(&cache.join("treemap_7")).len(), 1, "no temporary file stays");

        // What is there is kept.
        fs::write(&treemap, "kept").unwrap();
        tools.runs(shell, "visualizations.sh", &of_build(&site, &Told::new(1)));
        assert_eq!(fs::read_to_string(&treemap).unwrap(), "kept");
        tools.runs(shell, "visualizations.sh", &of_build(&site, &Told::new(3)));
        assert_eq!(names(&dependencies).len(), 2);
        fs::remove_dir_all(&cache).unwrap();
    }
}

#[tokio::test]
async fn visualizations_that_fail_leave_nothing_with_sqlite3() {
    let site = drawn().await;
    let fails = "[ \"$1\" = --version ] && echo 7 && exit\necho half\nexit 3\n";
    let silent = "[ \"$1\" = --version ] && echo 7\nexit 0\n";
    let arguments = of_build(&site, &Told::new(1));
    for shell in SHELLS {
        let tools = Tools::new(&[("opam-graph", fails), ("modulectomy", silent)]);
        let said = tools.fails(shell, "visualizations.sh", &arguments);
        assert_eq!(said.matches("this made nothing").count(), 2, "{said}");
        let cache = site.data().join("cache=x");
        assert_eq!((names(&cache.join("dependencies_7")).len(), names(&cache.join("treemap_7")).len()), (0, 0));
        tools.add("opam-graph", "echo v1.0\n");
        let said = tools.fails(shell, "visualizations.sh", &arguments);
        assert!(said.contains("opam-graph --version gives no plain number: v1.0"), "{said}");

        let data = format!("--data-dir={}", site.data().display());
        for (uuid, why) in [("x' OR 1=1", "no UUID"), ("00000000-0000-4000-8000-000000000000", "there is no build")] {
            let arguments = [format!("--uuid={uuid}"), data.clone(), "--cache-dir=c".into()];
            let said = tools.fails(shell, "visualizations.sh", &arguments);
            assert!(said.contains(why), "{said}");
        }
    }
    site.connection().pragma_update(None, "user_version", 17).unwrap();
    let said = Tools::new(&[]).fails(SHELLS[0], "visualizations.sh", &arguments);
    assert!(said.contains("of version 17, not 18"), "{said}");
}

#[tokio::test]
async fn a_new_version_draws_all_anew_with_sqlite3() {
    let site = drawn().await;
    let tools = Tools::new(&[("opam-graph", OPAM_GRAPH), ("modulectomy", MODULECTOMY)]);
    fs::write(tools.file("version"), "10\n").unwrap();
    let log = format!("echo \"$1\" >> \"$tools/log\"\nexec {} \"$@\"\n", script("visualizations.sh").display());
    tools.add("viz", &log);
    for shell in SHELLS {
        let cache = site.data().join("_cache");
        for old in ["dependencies_9", "treemap_9", "dependencies_11", "treemap_x", "other_9"] {
            fs::create_dir_all(cache.join(old)).unwrap();
        }
        let arguments = [
            format!("--data-dir={}", site.data().display()),
            format!("--viz-script={}", tools.file("viz").display()),
            "--run-me=gently".into(),
        ];
        tools.runs(shell, "batch-viz.sh", &arguments);
        // The newest build with each content; of the second's switch there is none newer.
        let drawn = [3, 2, 1].map(|number| format!("--uuid={}\n", Told::new(number).build)).concat();
        assert_eq!(tools.read("log"), drawn);
        let left = ["dependencies_10", "dependencies_11", "other_9", "treemap_10", "treemap_x"];
        assert_eq!(names(&cache), left);
        let (dependencies, treemap) = (names(&cache.join("dependencies_10")), names(&cache.join("treemap_10")));
        assert_eq!((dependencies.len(), treemap.len()), (3, 2), "and a mark that all is done: {dependencies:?}");
        assert!(dependencies.contains(&".done".to_owned()) && treemap.contains(&".done".to_owned()));

        tools.runs(shell, "batch-viz.sh", &arguments);
        assert_eq!(tools.read("log"), drawn, "it is done");
        tools.runs(shell, "batch-viz.sh", &[&arguments[..], &["--ignore-done".into()]].concat());
        assert_eq!(tools.read("log"), drawn.repeat(2));
        fs::remove_file(tools.file("log")).unwrap();
        fs::remove_dir_all(&cache).unwrap();
    }
    fs::create_dir_all(site.data().join("_cache/dependencies_9")).unwrap();
    tools.add("viz", "exit 1\n");
    let arguments =
        [format!("--data-dir={}", site.data().display()), format!("--viz-script={}", tools.file("viz").display())];
    let said = tools.fails(SHELLS[0], "batch-viz.sh", &arguments);
    assert!(said.contains("3 builds could not be drawn"), "{said}");
    assert_eq!(names(&site.data().join("_cache")), ["dependencies_9"], "old ones are better than none");
}

/// What a hook is told of a package, which lies beside the database.
pub(super) fn of_package(path: &str, sha256: &str, file: &Path) -> Vec<String> {
    vec![
        "--build-time=20260102030405".into(),
        format!("--sha256={sha256}"),
        "--job=hello=world".into(),
        "--platform=debian-12".into(),
        "--new-option".into(),
        format!("--uuid={}", Told::new(1).build),
        format!("--data-dir={}", file.parent().unwrap().display()),
        format!("--main-binary-filepath={path}"),
        file.display().to_string(),
    ]
}

const PKG: &str = r#"
if [ "$1" = repo ] && [ -e "$tools/full" ]; then
    exit 1
fi
echo "$*" >> "$tools/log"
if [ "$1" = create ]; then
    cp "$5" "$tools/manifest"
    (cd "$3" && find . -type f) > "$tools/content"
    : > "$7/$(jq -r .name "$5")-$(jq -r .version "$5").pkg"
fi
"#;

#[test]
fn a_package_of_freebsd_enters_its_repository_with_jq_and_sqlite3() {
    for shell in SHELLS {
        let tools = Tools::new(&[("pkg", PKG)]);
        tools.build_ended_with(0);
        let root = tools.file("unpacked");
        fs::create_dir_all(root.join("usr/local/bin")).unwrap();
        fs::write(root.join("usr/local/bin/hello"), "hello").unwrap();
        fs::write(root.join("+COMPACT_MANIFEST"), "{}").unwrap();
        let package = tools.file("hello.pkg");
        let pack = |name: &str, version: &str| {
            let manifest = serde_json::json!({ "name": name, "version": version, "abi": "FreeBSD:14:amd64", "x": "y" });
            fs::write(root.join("+MANIFEST"), manifest.to_string()).unwrap();
            let mut tar = Command::new("tar");
            tar.arg("-cJf").arg(&package).arg("-C").arg(&root).args(["+MANIFEST", "+COMPACT_MANIFEST", "usr"]);
            assert!(tar.status().unwrap().success());
        };
        pack("hello", "1.2.3");
        let all = tools.file("repo/FreeBSD:14:amd64/All");
        fs::create_dir_all(&all).unwrap();
        for old in ["hello-1.0.0.0.g0000000.2025.aa.pkg", "hello-world-1.0.0.pkg", "hello-2-1.0.0.pkg"] {
            fs::write(all.join(old), "").unwrap();
        }
        tools.runs(shell, "FreeBSD-repo.sh", &of_package("bin/hello", "ab12", &package));
        assert_eq!(tools.read("log"), "", "only packages");
        // It could not tell of the package at first, and does when it is tried again.
        fs::write(tools.file("full"), "").unwrap();
        tools.fails(shell, "FreeBSD-repo.sh", &of_package("bin/hello.pkg", "ab12", &package));
        assert!(!tools.read("log").contains("repo "), "{}", tools.read("log"));
        fs::remove_file(tools.file("full")).unwrap();
        let said = tools.runs(shell, "FreeBSD-repo.sh", &of_package("bin/hello.pkg", "ab12", &package));
        assert!(said.ends_with("is there already\n"), "{said}");
        let new = "hello-1.2.3.0.g0000000.20260102030405.ab12.pkg";
        assert_eq!(names(&all), [new, "hello-2-1.0.0.pkg", "hello-world-1.0.0.pkg"]);
        let manifest: serde_json::Value = serde_json::from_str(&tools.read("manifest")).unwrap();
        assert_eq!(
            (&manifest["version"], &manifest["x"]),
            (&"1.2.3.0.g0000000.20260102030405.ab12".into(), &"y".into())
        );
        assert_eq!(tools.read("content"), "./usr/local/bin/hello\n");
        let repo = format!("repo {} repo.key\n", tools.file("repo/FreeBSD:14:amd64").display());
        assert!(tools.read("log").ends_with(&repo), "{}", tools.read("log"));

        // One that comes late, and one that failed.
        let told = of_package("bin/hello.pkg", "cd34", &package);
        let late = [told.clone(), vec!["--build-time=20260102030404".into()]].concat();
        let said = tools.runs(shell, "FreeBSD-repo.sh", &late);
        assert!(said.ends_with(&format!("{new} is newer, and stays\n")), "{said}");
        tools.build_ended_with(1);
        let said = tools.runs(shell, "FreeBSD-repo.sh", &told);
        assert_eq!(said, "bin/hello.pkg is of a build that failed, and is not published\n");
        assert_eq!(names(&all), [new, "hello-2-1.0.0.pkg", "hello-world-1.0.0.pkg"]);
        tools.build_ended_with(0);
        for (name, version, why) in [("../x", "1.2.3", "no name of a package"), ("x", "1.2.3-4", "neither X.Y.Z nor")] {
            pack(name, version);
            let said = tools.fails(shell, "FreeBSD-repo.sh", &of_package("bin/hello.pkg", "cd34", &package));
            assert!(said.contains(why), "{said}");
        }
    }
}

#[test]
fn the_scripts_are_clean_for_shellcheck() {
    let scripts = ["visualizations.sh", "batch-viz.sh", "dpkg-repo.sh", "FreeBSD-repo.sh"].map(script);
    let output = Command::new("shellcheck").args(["-s", "sh"]).args(scripts).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
