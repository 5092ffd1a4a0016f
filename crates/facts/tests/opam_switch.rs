//! Exports of real switches (made by opam 2.1) and of a unikernel in the manner of MirageOS 4: read, and compared.

#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]

use builder_facts::compare::{Artifact, Comparison, Input, Part, Side, compare};
use builder_facts::opam::{File, Kind, OpamError, Switch};
use builder_facts::{environment, system_packages};
use std::fmt::Write as _;

const HELLO_ONE: &[u8] = include_bytes!("data/hello-one.opam-switch");
const HELLO_TWO: &[u8] = include_bytes!("data/hello-two.opam-switch");
const UNIKERNEL_LEFT: &[u8] = include_bytes!("data/unikernel-left.opam-switch");
const UNIKERNEL_RIGHT: &[u8] = include_bytes!("data/unikernel-right.opam-switch");

fn switch(bytes: &[u8]) -> Switch {
    Switch::parse(bytes).unwrap()
}

fn side(bytes: &[u8]) -> Side {
    Side { switch: Some(Switch::parse(bytes)), ..Side::default() }
}

fn compare_switches(left: &[u8], right: &[u8]) -> Comparison {
    compare(&side(left), &side(right))
}

/// The opam part as the original's JSON, with diffs as text below it.
fn picture(comparison: &Comparison) -> String {
    let mut legacy = comparison.legacy().opam_diff;
    let mut text = String::new();
    for change in &mut legacy.opam_diff {
        write!(text, "\n{}", change.diff).unwrap();
        change.diff = "below".to_owned();
    }
    format!("{}\n{text}", serde_json::to_string_pretty(&legacy).unwrap())
}

/// One line for each package.
fn inventory(switch: &Switch) -> String {
    let mut text = String::new();
    for package in switch.packages() {
        let flags = [(package.is_root, "root"), (package.is_compiler, "compiler"), (package.is_pinned, "pinned")];
        let flags: Vec<&str> = flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).collect();
        let (url, repo) = (package.source_url().unwrap_or("-"), package.dev_repo().unwrap_or("-"));
        let overlay = if package.overlay.is_some() { "overlay" } else { "no overlay" };
        writeln!(text, "{} {} [{}] {overlay} {url} {repo}", package.name, package.version, flags.join(" ")).unwrap();
    }
    text
}

#[test]
fn a_real_export_is_an_inventory() {
    insta::assert_snapshot!(inventory(&switch(HELLO_ONE)));
    let two = switch(HELLO_TWO);
    insta::assert_snapshot!(inventory(&two));
    assert_eq!(two.root().unwrap().to_string(), "hello.1.1.0");
    assert_eq!(two.kind(), Some(Kind::Package));
    assert_eq!(two.synopsis(), Some("Greets"));
    assert_eq!(two.overlay("astring").unwrap().synopsis(), Some("Alternative String module"));
    let description = "Strings with \"quotes\", and a \\ backslash.\n\nIt has no dependency.";
    assert_eq!(two.overlay("astring").unwrap().description(), Some(description));
    assert_eq!(two.overlay("logs").unwrap().source_checksums().len(), 2);
    assert_eq!(two.overlays().len(), 6);
}

#[test]
fn two_roots_have_no_kind() {
    let one = switch(HELLO_ONE);
    assert_eq!(one.roots().len(), 2);
    assert_eq!((one.root(), one.kind(), one.synopsis()), (None, None, None));
}

#[test]
fn real_exports_are_compared_with_two_roots_and_a_pin() {
    insta::assert_snapshot!(picture(&compare_switches(HELLO_ONE, HELLO_TWO)));
}

#[test]
fn what_only_people_read_is_no_change() {
    let edited = String::from_utf8(HELLO_ONE.to_vec()).unwrap();
    let edited = edited
        .replace("Virtual package for a C compiler", "A C compiler")
        .replace("depends: [\"fmt\" \"astring\"]", "depends: [(\"fmt\") & \"astring\"]")
        .replace("install: \"true\"", "install: [[\"true\"]]")
        .replace("https://example.org/sources/logs", "https://mirror.example.org/sources/logs")
        .replace("maintainer: \"C. Person\"", "x-commit: \"abc\"");
    assert_ne!(edited.as_bytes(), HELLO_ONE);
    let comparison = compare_switches(HELLO_ONE, edited.as_bytes());
    assert!(comparison.opam.compared().unwrap().is_empty(), "{}", picture(&comparison));
}

#[test]
fn what_changes_a_build_is_a_change() {
    let text = String::from_utf8(HELLO_ONE.to_vec()).unwrap();
    for (old, new) in [
        ("depends: [\"fmt\" \"astring\"]", "depends: [\"fmt\" | \"astring\"]"),
        ("flags: light-uninstall", "flags: [light-uninstall plugin]"),
        ("{os = \"linux\"}\n  url", "{os = \"macos\"}\n  url"),
        ("\"md5=", "\"md5=0"),
        ("sha256=d83", "sha256=d84"),
        ("extra-source \"fix.patch\"", "extra-source \"fix2.patch\""),
        ("{with-test}", "{with-doc}"),
        ("PATH += ", "PATH =+ "),
        ("install: \"true\"", "install: \"false\""),
    ] {
        assert!(text.contains(old), "{old}");
        let comparison = compare_switches(text.as_bytes(), text.replacen(old, new, 1).as_bytes());
        assert_eq!(comparison.opam.compared().unwrap().opam_files.len(), 1, "{new}");
    }
}

#[test]
fn a_unikernel_tells_its_kind() {
    let left = switch(UNIKERNEL_LEFT);
    assert_eq!(left.kind(), Some(Kind::Unikernel { influx: true }));
    assert_eq!(left.kind().unwrap().section(), "Unikernels (with metrics reported to Influx)");
    assert_eq!(left.synopsis(), Some("Primary DNS server"));
    assert_eq!(left.description(), Some("An authoritative nameserver.\n\nIts zones come from a git repository."));
    assert_eq!(left.compiler().len(), 3);
    assert_eq!(left.pinned().len(), 2);
    let right = switch(UNIKERNEL_RIGHT);
    assert_eq!(right.kind(), Some(Kind::Unikernel { influx: false }));
    assert_eq!(right.kind().unwrap().section(), "Unikernels");
    let depends = br#"roots: "mirage-unikernel-x.1" package "mirage-unikernel-x" {
        depends: ["lwt" ("mirage-monitoring" {with-test} | "other")] description: "  " }"#;
    let named = switch(depends);
    assert_eq!(named.kind(), Some(Kind::Unikernel { influx: true }));
    assert_eq!(named.description(), None);
    assert_eq!(Kind::Package.section(), "Packages");
}

#[test]
fn unikernels_are_compared_with_compiler_pins_and_missing_overlays() {
    let comparison = compare_switches(UNIKERNEL_LEFT, UNIKERNEL_RIGHT);
    insta::assert_snapshot!(picture(&comparison));
    insta::assert_debug_snapshot!(comparison.opam.compared().unwrap().duniverse);
}

#[test]
fn malformed_vendored_sources_are_said_and_the_rest_is_compared() {
    let text = String::from_utf8(UNIKERNEL_LEFT.to_vec()).unwrap().replace("\"ptime\" [", "ptime [");
    let comparison = compare_switches(UNIKERNEL_LEFT, text.as_bytes());
    let duniverse = &comparison.opam.compared().unwrap().duniverse;
    assert_eq!(duniverse.only_left.len(), 1);
    assert_eq!(duniverse.malformed_right, ["[\"https://example.org/ptime-1.1.0.tbz\" ptime [\"md5=3333\"]]"]);
}

#[test]
fn a_side_may_lack_anything() {
    let artifact = Artifact { path: "bin/x".to_owned(), sha256: [1; 32], size: 3 };
    let left = Side {
        switch: Some(Switch::parse(b"installed: 7")),
        environment: Some(environment::parse(b"A=1\nB=2\nC=3")),
        system_packages: Some(system_packages::parse(b"libc-2.1")),
        script: Some(b"make".to_vec()),
        artifacts: vec![artifact.clone()],
    };
    let right = Side { environment: Some(environment::parse(b"B=3\nC=3\nD=4\n")), ..Side::default() };
    let comparison = compare(&left, &right);
    let Part::Lacking { left: Input::Unreadable(error), right: Input::Absent } = &comparison.opam else {
        panic!("{:?}", comparison.opam)
    };
    assert_eq!(error.to_string(), "line 1, column 12: installed holds `7`, expected strings \"name.version\"");
    let lacking = Part::Lacking { left: Input::Readable, right: Input::Absent };
    assert_eq!(comparison.system_packages, lacking);
    assert!(matches!(comparison.script, Part::Lacking { left: Input::Readable, right: Input::Absent }));
    assert_eq!(comparison.artifacts.removed, [artifact]);
    insta::assert_snapshot!(serde_json::to_string_pretty(&comparison.legacy()).unwrap());
}

#[test]
fn exports_of_opam_1_are_read() {
    let switch = switch(b"# a comment\nbase-unix base compiler\ncmdliner 0.9.8 root\n\nfmt 0.8.0 root git git://x#1\nre 1.7.1\nold 1 uninstalled\n");
    let names: Vec<String> = switch.installed().map(ToString::to_string).collect();
    assert_eq!(names, ["base-unix.base", "cmdliner.0.9.8", "fmt.0.8.0", "re.1.7.1"]);
    assert_eq!((switch.compiler().len(), switch.roots().len(), switch.pinned().len()), (1, 2, 1));
}

#[test]
fn pins_of_every_shape_are_read() {
    let switch = switch(br#"pinned: ["a.1" {git} ["b.2" "git" "https://x"] ("c.3") "d"] "#);
    let names: Vec<String> = switch.pinned().map(ToString::to_string).collect();
    assert_eq!(names, ["a.1", "b.2", "c.3", "d"]);
}

#[test]
fn the_normalized_text_of_an_export_is_the_same_tree() {
    for bytes in [HELLO_ONE, HELLO_TWO, UNIKERNEL_LEFT, UNIKERNEL_RIGHT] {
        let file = File::parse(bytes).unwrap();
        let text = file.to_string();
        let again = File::parse(text.as_bytes()).unwrap();
        assert_eq!(again, file, "{text}");
        assert_eq!(again.to_string(), text);
    }
    insta::assert_snapshot!(switch(HELLO_TWO).overlay("fmt").unwrap().to_text());
}

#[test]
fn nothing_is_no_export() {
    assert_eq!(Switch::parse(b""), Err(OpamError::Empty));
    assert_eq!(Switch::parse(b" # nothing\n(* but (* a *) comment *)"), Err(OpamError::Empty));
    assert!(Switch::parse(b"<html>404</html>").is_err());
}
