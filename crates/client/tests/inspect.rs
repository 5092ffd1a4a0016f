//! `builder-inspect FILE`: what it shows, and what it does with records that are broken or hostile.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

mod support;

use builder_model::{BuildId, Outcome};
use builder_wire::record::ConsoleLine;
use builder_wire::{File, Record, ScriptJob};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use support::{Ran, inspect, ran, run, unhex, vectors};
use tempfile::TempDir;

fn file<'a>(path: &'a [u8], data: &'a [u8]) -> File<'a> {
    File { path: path.into(), data }
}

fn record<'a>(lines: &[(i64, &'a [u8])], files: Vec<File<'a>>) -> Record<'a> {
    Record {
        job: ScriptJob { name: b"hello", platform: b"debian-12", script: b"make\nmake test" },
        build: BuildId::from_bytes([0x11; 16]),
        console: lines.iter().rev().map(|(delta, line)| ConsoleLine { delta: *delta, line }).collect(),
        started: "2024-09-04T12:34:56.789Z".parse().unwrap(),
        finished: "2024-09-04T12:35:57Z".parse().unwrap(),
        outcome: Outcome::Signalled(-7),
        files,
    }
}

struct Folder(TempDir);

impl Folder {
    fn with(bytes: &[u8]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::write(folder.path("full"), bytes).unwrap();
        fs::create_dir(folder.path("out")).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs in the folder, so that messages do not depend on its name.
    fn run(&self, arguments: &[&str]) -> Ran {
        run(inspect(arguments).current_dir(self.0.path()))
    }

    /// Everything in it, with the contents of files; the record is left out.
    fn contents(&self) -> Vec<String> {
        let mut found = Vec::new();
        list(self.0.path(), self.0.path(), &mut found);
        found.sort();
        found.retain(|entry| !entry.starts_with("full"));
        found
    }
}

fn list(root: &Path, folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        let kind = fs::symlink_metadata(&path).unwrap();
        if kind.is_dir() {
            found.push(format!("{name}/"));
            list(root, &path, found);
        } else if kind.is_symlink() {
            found.push(format!("{name}@"));
        } else {
            found.push(format!("{name}={}", String::from_utf8_lossy(&fs::read(&path).unwrap())));
        }
    }
}

#[test]
fn parts_in_the_order_of_the_original() {
    let lines: [(i64, &[u8]); 3] = [(0, b"first"), (54_999_999, "\"ü\\\t\x1b".as_bytes()), (61_000_000_000, b"")];
    let folder = Folder::with(&record(&lines, vec![file(b"bin/a", b"x")]).encode().to_vec());
    let expected = "hello on debian-12
started at 2024-09-04T12:34:56.789Z
0ms: \"first\"
54ms: \"\\\"\\195\\188\\\\\\t\\027\"
61000ms: \"\"
signalled -7
stopped at 2024-09-04T12:35:57Z
make
make test
2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881             1  bin/a
";
    assert_eq!(folder.run(&["full", "--script", "--list", "--console", "--job"]), ran(0, expected, ""));
    assert_eq!(folder.run(&["full", "--job"]), ran(0, "hello on debian-12\n", ""));
    let hint = "builder-inspect: the record is complete\nhint: --job, --console, --script and --list show what is in \
                it, --output DIR extracts its artifacts\n";
    assert_eq!(folder.run(&["full"]), ran(0, "", hint));
}

#[test]
fn json_for_scripts() {
    let lines: [(i64, &[u8]); 2] = [(0, b"a\xff"), (5, "ü\"".as_bytes())];
    let folder = Folder::with(&record(&lines, vec![file(b"bin/a", b"x"), file(b"b\xff", b"")]).encode().to_vec());
    let result = folder.run(&["full", "--format", "json"]);
    assert_eq!((result.status, result.stderr.as_str()), (0, ""));
    let mut expected = serde_json::json!({
        "job": "hello", "platform": "debian-12", "uuid": "11111111-1111-1111-1111-111111111111",
        "started": "2024-09-04T12:34:56.789Z", "finished": "2024-09-04T12:35:57Z",
        "outcome": "signalled -7", "success": false, "console_lines": 2,
        "artifacts": [
            {"path": "bin/a", "size": 1, "sha256": "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"},
            {"path": "b\\xff", "size": 0, "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        ],
    });
    assert_eq!(serde_json::from_str::<Value>(&result.stdout).unwrap(), expected);
    let result = folder.run(&["full", "--format", "json", "--console", "--script"]);
    expected["script"] = "make\nmake test".into();
    expected["console"] = serde_json::json!([{"delta_ns": 0, "line": "a\\xff"}, {"delta_ns": 5, "line": "ü\""}]);
    assert_eq!(serde_json::from_str::<Value>(&result.stdout).unwrap(), expected);
}

#[test]
fn every_golden_record() {
    for vector in vectors().iter().filter(|vector| vector["type"] == "exec") {
        let folder = Folder::with(&unhex(vector["hex"].as_str().unwrap()));
        let result = folder.run(&["full", "--format", "json", "--console"]);
        if vector["accept"] == false {
            assert_eq!((result.status, result.stdout.as_str()), (124, ""), "{vector}");
            assert!(result.stderr.starts_with("builder-inspect: full: "), "{}", result.stderr);
            continue;
        }
        assert_eq!(result.status, 0, "{vector} {}", result.stderr);
        let (shown, value): (Value, _) = (serde_json::from_str(&result.stdout).unwrap(), &vector["value"]);
        assert_eq!(shown["uuid"], value["uuid"]);
        let deltas: Vec<&Value> = shown["console"].as_array().unwrap().iter().map(|line| &line["delta_ns"]).collect();
        let expected: Vec<&Value> =
            value["console"].as_array().unwrap().iter().map(|line| &line["delta"]).rev().collect();
        assert_eq!(deltas, expected, "{vector}");
        let sizes: Vec<u64> =
            shown["artifacts"].as_array().unwrap().iter().map(|file| file["size"].as_u64().unwrap()).collect();
        let expected: Vec<u64> = value["output"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| file["data"].as_str().unwrap().len() as u64 / 2)
            .collect();
        assert_eq!(sizes, expected);
    }
}

#[test]
fn broken_files_are_told_with_the_place() {
    let whole = record(&[(0, b"a")], vec![file(b"bin/a", b"x")]).encode().to_vec();
    let folder = Folder::with(&whole[..60]);
    let expected = "builder-inspect: full: the record is cut off: the file ends at byte 60, within the record\n\
                    hint: the file was copied in part, or is still being copied\n";
    assert_eq!(folder.run(&["full", "--job", "--output", "out"]), ran(124, "", expected));

    let mut surplus = whole.clone();
    surplus.push(0);
    let folder = Folder::with(&surplus);
    let expected = format!(
        "builder-inspect: full: not a build record: byte {}: surplus data\nhint: records are the files named `full` \
         below the data folder of a server\n",
        whole.len()
    );
    assert_eq!(folder.run(&["full", "--job", "--output", "out"]), ran(124, "", &expected));
    assert_eq!(folder.contents(), ["out/"]);

    for bytes in [&b""[..], b"#!/bin/sh\n"] {
        assert_eq!(Folder::with(bytes).run(&["full"]).status, 124);
    }
    let missing = "builder-inspect: none: cannot read: No such file or directory (os error 2)\n";
    assert_eq!(folder.run(&["none"]), ran(124, "", missing));
}

#[test]
fn a_record_cut_at_any_byte_is_an_error() {
    let whole = record(&[(0, b"a"), (1, b"b")], vec![file(b"bin/a", b"x")]).encode().to_vec();
    let folder = Folder::with(&whole);
    for size in 0..whole.len() {
        fs::write(folder.path("full"), &whole[..size]).unwrap();
        let mut record = builder_client::inspect::RecordFile::open(&folder.path("full")).unwrap();
        assert!(record.scan(&mut |_| Ok(())).is_err(), "{size}");
    }
}

#[test]
fn long_consoles_come_out_in_order() {
    let texts: Vec<Vec<u8>> = (0..20_000_usize)
        .map(|number| {
            let mut text = number.to_string().into_bytes();
            // A few lines are longer than a block of the console, and some need each size of a length.
            let more = match number {
                9_000 | 13_000 => 1_500_000,
                _ if number.is_multiple_of(1_000) => 70_000,
                _ => [0, 130, 300][number % 3],
            };
            text.resize(text.len() + more, b'.');
            text
        })
        .collect();
    let lines: Vec<(i64, &[u8])> = texts.iter().map(|text| (7_000_000, &text[..])).collect();
    for count in [0, 1, 4095, 4096, 4097, 20_000] {
        let folder = Folder::with(&record(&lines[..count], Vec::new()).encode().to_vec());
        let result = folder.run(&["full", "--console"]);
        assert_eq!((result.status, result.stderr.as_str()), (0, ""));
        let mut shown = result.stdout.lines().skip(1);
        for text in &texts[..count] {
            assert_eq!(shown.next().unwrap(), format!("7ms: \"{}\"", String::from_utf8_lossy(text)));
        }
        assert_eq!(shown.next(), Some("signalled -7"));
    }
}

#[test]
fn hostile_paths_are_refused_and_the_others_extracted() {
    let files = vec![
        file(b"bin/hello", b"1"),
        file(b"../evil", b"2"),
        file(b"/evil", b"3"),
        file(b"bin/../../evil", b"4"),
        file(b"bin/hello", b"5"),
        file(b"bin/hello/below", b"6"),
        file(b"link/evil", b"7"),
        file(b"dangling", b"8"),
        file(b"old", b"9"),
        file(b"bin\xff", b"10"),
        file(b"a/b/c d", b"11"),
    ];
    let folder = Folder::with(&record(&[], files).encode().to_vec());
    fs::create_dir(folder.path("outside")).unwrap();
    std::os::unix::fs::symlink("../outside", folder.path("out/link")).unwrap();
    std::os::unix::fs::symlink("../evil", folder.path("out/dangling")).unwrap();
    fs::write(folder.path("out/old"), "old").unwrap();
    let stderr = "\
builder-inspect: artifact path \"../evil\" has a . or .. segment
builder-inspect: artifact path \"/evil\" is absolute
builder-inspect: artifact path \"bin/../../evil\" has a . or .. segment
builder-inspect: artifact \"bin/hello\": out/bin/hello exists already
builder-inspect: artifact \"bin/hello/below\": out/bin/hello is not a folder
builder-inspect: artifact \"link/evil\": out/link is not a folder
builder-inspect: artifact \"dangling\": out/dangling exists already
builder-inspect: artifact \"old\": out/old exists already
builder-inspect: artifact path \"bin\\xff\" is not UTF-8
builder-inspect: 9 of the artifacts were not extracted to out
";
    assert_eq!(folder.run(&["full", "--output", "out"]), ran(124, "", stderr));
    let expected = [
        "out/",
        "out/a/",
        "out/a/b/",
        "out/a/b/c d=11",
        "out/bin/",
        "out/bin/hello=1",
        "out/dangling@",
        "out/link@",
        "out/old=old",
        "outside/",
    ];
    assert_eq!(folder.contents(), expected);
}

#[test]
fn the_folder_must_be_one() {
    let folder = Folder::with(&record(&[], Vec::new()).encode().to_vec());
    let stderr = "builder-inspect: cannot extract to none: No such file or directory (os error 2)\n\
                  hint: the folder must exist\n";
    assert_eq!(folder.run(&["full", "--output", "none"]), ran(124, "", stderr));
    let stderr = "builder-inspect: cannot extract to full: not a directory\n";
    assert_eq!(folder.run(&["full", "--output", "full"]), ran(124, "", stderr));
    assert_eq!(folder.run(&["full", "--output", "out"]), ran(0, "", ""));
}

#[test]
fn a_record_named_decode() {
    let folder = Folder::with(&record(&[], Vec::new()).encode().to_vec());
    fs::rename(folder.path("full"), folder.path("decode")).unwrap();
    assert_eq!(folder.run(&["./decode", "--job"]), ran(0, "hello on debian-12\n", ""));
}

mod anywhere {
    use super::{Folder, file, record};
    use builder_client::inspect::{Extractor, RecordFile};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

        /// Whatever the paths and whatever links lie in the folder: nothing outside it is made, changed or removed.
        #[test]
        fn extraction_stays_in_its_folder(
            paths in prop::collection::vec(
                prop::collection::vec(prop::sample::select(vec!["..", ".", "", "a", "b", "link", "x\0", "ü"]), 1..5),
                1..12,
            ),
        ) {
            let paths: Vec<String> = paths.iter().map(|parts| parts.join("/")).collect();
            // The codec itself refuses empty paths and those with NUL.
            let readable = |path: &&String| !path.is_empty() && !path.contains('\0');
            let files = paths.iter().filter(readable).map(|path| file(path.as_bytes(), b"data")).collect();
            let folder = Folder::with(&record(&[], files).encode().to_vec());
            std::fs::create_dir(folder.path("outside")).unwrap();
            std::fs::write(folder.path("outside/a"), "kept").unwrap();
            std::os::unix::fs::symlink("../outside", folder.path("out/link")).unwrap();
            std::os::unix::fs::symlink("../outside/a", folder.path("out/b")).unwrap();

            let mut extractor = Extractor::new(&folder.path("out")).unwrap();
            let mut reader = RecordFile::open(&folder.path("full")).unwrap();
            let mut refused = 0;
            let scanned = reader.scan(&mut |event| {
                refused += usize::from(extractor.take(&event).is_err());
                Ok(())
            });
            prop_assert!(scanned.is_ok() && refused <= paths.len());

            let contents = folder.contents();
            let outside: Vec<&str> =
                contents.iter().map(String::as_str).filter(|entry| !entry.starts_with("out/")).collect();
            prop_assert_eq!(outside, ["outside/", "outside/a=kept"]);
            prop_assert!(contents.iter().any(|entry| entry == "out/link@"));
            prop_assert!(contents.iter().any(|entry| entry == "out/b@"));
        }
    }
}
