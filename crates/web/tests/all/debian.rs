//! Debian packages as dpkg-buildpackage makes them: what their `.buildinfo` tells is shown, found and compared, and a
//! build is reproduced when each of its packages is.

use crate::site::{Site, Told};
use std::path::Path;
use std::process::Command;

const CONTROL: &str = "Source: greet\nMaintainer: M <m@example.org>\nStandards-Version: 4.6.2\nRules-Requires-Root: no\n\n\
    Package: greet\nArchitecture: all\nDescription: says hello\n To the world.\n\n\
    Package: greet-doc\nArchitecture: all\nDescription: says how\n It says it.\n";
const CHANGELOG: &str =
    "greet (1.0) unstable; urgency=medium\n\n  * First.\n\n -- M <m@example.org>  Tue, 14 Nov 2023 22:13:20 +0000\n";
const RULES: &str = "#!/usr/bin/make -f
build build-arch build-indep binary-arch clean:
binary: binary-indep
binary-indep:
\tfor name in greet greet-doc; do \\
\t    mkdir -p debian/$$name/DEBIAN debian/$$name/usr/share/$$name && \\
\t    cp $$name debian/$$name/usr/share/$$name/ && \\
\t    dpkg-gencontrol -p$$name -Pdebian/$$name && \\
\t    dpkg-deb --root-owner-group --build debian/$$name .. || exit 1; \\
\tdone
.PHONY: build build-arch build-indep binary binary-arch binary-indep clean
";

/// Builds both packages, the second with this text in it, with these flags in the environment.
fn build(number: u8, doc: &str, flags: &str) -> Told {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("greet-1.0");
    std::fs::create_dir_all(source.join("debian/source")).unwrap();
    for (path, content) in [
        ("debian/control", CONTROL),
        ("debian/changelog", CHANGELOG),
        ("debian/rules", RULES),
        ("debian/source/format", "3.0 (native)\n"),
        ("greet", "hello\n"),
        ("greet-doc", doc),
    ] {
        std::fs::write(source.join(path), content).unwrap();
    }
    let mut command = Command::new("sh");
    command.args(["-c", "chmod +x debian/rules && dpkg-buildpackage -b -us -uc -d >../build.log 2>&1"]);
    command.current_dir(&source).env("CFLAGS", flags).env("LC_ALL", "C.UTF-8");
    let status = command.status().unwrap();
    let log = std::fs::read_to_string(folder.path().join("build.log")).unwrap();
    assert!(status.success(), "{log}");
    let files = left(folder.path());
    let files: Vec<(&str, &[u8])> = files.iter().map(|(path, content)| (path.as_str(), content.as_slice())).collect();
    Told::new(number).job("greet").files(&files)
}

fn left(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn packages_by_dpkg_buildpackage_are_judged_by_their_buildinfo() {
    let site = Site::new();
    let (one, same) = (build(1, "how\n", "-DNAME=\"a b\""), build(2, "how\n", "-DNAME=\"a b\""));
    for told in [&one, &same] {
        site.upload(told).await;
    }
    let shown = site.get(&one.page()).await.text();
    assert!(shown.contains("Judged by the .buildinfo: ") && shown.contains("reproduced by 1 build<"), "{shown}");
    // The log says where and when.
    assert!(shown.contains("both artifacts the same"), "{shown}");
    assert!(shown.contains(".buildinfo tells them") && shown.contains(">base-files</a><td>"), "{shown}");
    assert!(shown.contains("<code>CFLAGS</code></td><td><code>-DNAME=&#34;a b&#34;</code>"), "{shown}");

    let other = build(3, "how else\n", "-DNAME=\"a b\"");
    site.upload(&other).await;
    let shown = site.get(&other.page()).await.text();
    let verdict =
        "not reproducible: the same input gave different output (main binary the same, 1 of 2 artifacts differs)";
    assert!(shown.contains(verdict), "{shown}");

    let found = site.get("/search?q=base-files").await.text();
    assert!(found.contains("greet") && found.contains("base-files"), "{found}");
    let found = site.get_json("/api/v1/search/packages?package=base-files").await;
    assert_eq!(found["packages"][0]["newest"]["uuid"], other.build.to_string(), "{found}");

    let flags = build(4, "how\n", "-DNAME=\"c\"");
    site.upload(&flags).await;
    let compared = format!("/compare/{}/{}", one.build, flags.build);
    let shown = site.get(&compared).await.text();
    assert!(
        shown.contains("environment variables changed") && shown.contains("<ins>-DNAME=&#34;c&#34;</ins>"),
        "{shown}"
    );
    let json = site.get_json(&format!("/api/v1{compared}")).await;
    assert_eq!(json["environment"]["changed"][0]["left"], "-DNAME=\"a b\"");
    assert_eq!(json["system_packages"]["changed"], serde_json::json!([]));
    let lacking: Vec<_> = json["lacking"].as_array().unwrap().iter().map(|part| part["input"].clone()).collect();
    assert_eq!(lacking, ["opam-switch"]);
}

#[tokio::test]
async fn a_buildinfo_that_an_earlier_version_only_digested_is_read_by_dpkg_buildpackage() {
    let site = Site::new();
    let told = build(1, "how\n", "-O2");
    site.upload(&told).await;
    let older =
        "DELETE FROM repository_inventory; DROP TABLE repository_stale; UPDATE repository_version SET version = 2";
    site.connection().execute_batch(older).unwrap();
    let app = builder_web::App::open(site.app.settings().clone()).unwrap();
    builder_web::start::derive_facts(&app).unwrap();
    assert!(site.get("/search?q=base-files").await.text().contains(&told.page()));
}
