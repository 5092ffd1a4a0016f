//! What opam itself writes of a switch, from its export to the pages that show it.

use crate::site::{Site, Told};
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// An opam of its own, with a repository of a few packages in a folder.
struct Opam(TempDir);

impl Opam {
    fn new() -> Self {
        let opam = Self(tempfile::tempdir().unwrap());
        let repository = opam.0.path().join("repository");
        for (name, version, more) in [
            ("base-lib", "1.0", "build: [\"true\"]"),
            ("base-lib", "1.1", "build: [\"true\" name]"),
            ("extra", "0.1", ""),
            (
                "greeter",
                "1.0",
                "depends: [\"base-lib\" \"extra\" {>= \"0.1\"}]\ndescription: \"\"\"Two\nlines <b>\"\"\"",
            ),
        ] {
            let folder = repository.join("packages").join(name).join(format!("{name}.{version}"));
            fs::create_dir_all(&folder).unwrap();
            let text =
                format!("opam-version: \"2.0\"\nsynopsis: \"The {name}\"\nmaintainer: \"a@example.org\"\n{more}\n");
            fs::write(folder.join("opam"), text).unwrap();
        }
        fs::write(repository.join("repo"), "opam-version: \"2.0\"\n").unwrap();
        opam.run(&["init", "--bare", "--disable-sandboxing", "--no-setup", "local", repository.to_str().unwrap()]);
        opam.run(&["switch", "create", "farm", "--empty"]);
        opam
    }

    fn run(&self, arguments: &[&str]) {
        let mut command = Command::new("opam");
        command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.0.path());
        command.env("OPAMROOT", self.0.path().join("root")).env("OPAMROOTISOK", "1").env("OPAMYES", "1");
        let output = command.env("OPAMCOLOR", "never").output().unwrap();
        assert!(output.status.success(), "opam {arguments:?}: {output:?}");
    }

    fn export(&self, name: &str) -> Vec<u8> {
        let file = self.0.path().join(name);
        self.run(&["switch", "export", "--switch=farm", "--full", "--freeze", path(&file)]);
        fs::read(file).unwrap()
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn an_export_by_opam_itself_is_shown_compared_and_found() {
    let opam = Opam::new();
    opam.run(&["install", "--switch=farm", "base-lib.1.0", "greeter"]);
    let left = opam.export("left");
    opam.run(&["install", "--switch=farm", "base-lib.1.1"]);
    opam.run(&["pin", "add", "--switch=farm", "--no-action", "extra", "0.1"]);
    let right = opam.export("right");
    let site = Site::new();
    let told = |number, switch: &[u8]| {
        Told::new(number).files(&[
            ("bin/hello", &[number]),
            ("opam-switch", switch),
            ("build-environment", b"A=1\n"),
            ("system-packages", b"gcc=12.2\n"),
        ])
    };
    let (before, after) = (told(1, &left), told(2, &right));
    for build in [&before, &after] {
        site.upload(build).await;
    }
    let page = site.get(&after.page()).await.text();
    assert!(page.contains("3 packages, 1 pinned") && !page.contains("could not be read"), "{page}");
    assert!(page.contains(">base-lib</a><td>1.1\n") && page.contains("Judged by the opam switch"), "{page}");

    let address = format!("/compare/{}/{}", before.build, after.build);
    let page = site.get(&address).await.text();
    let line = |anchor: &str| {
        let (_, rest) = page.split_once(&format!("id=\"{anchor}\"")).unwrap_or_else(|| panic!("no {anchor} in {page}"));
        rest.split_once("</section>").unwrap().0.to_owned()
    };
    let versions = line("opam-packages-version-diff");
    assert!(versions.contains("base-lib") && versions.contains("1.0") && versions.contains("1.1"), "{versions}");
    assert!(!versions.contains("greeter"), "{versions}");
    let other_way = site.get(&format!("/compare/{}/{}", after.build, before.build)).await.text();
    assert!(other_way.contains("opam-packages-version-diff"), "{other_way}");

    let found = site.get("/search?q=base-lib%201.0").await.text();
    assert!(found.contains(&before.page()) && !found.contains(&after.page()), "{found}");
}
