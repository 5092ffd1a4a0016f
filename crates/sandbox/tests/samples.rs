//! The policies that packages bring as samples: as they are they change nothing, and every key in them is one.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

use builder_sandbox::{Policy, Table};

const LINUX: &str = include_str!("../../../packaging/etc/builder-worker.toml");

/// The sample with the mark taken off every key.
fn without_marks(sample: &str) -> String {
    let mut text = String::new();
    for line in sample.lines() {
        let key = line.strip_prefix('#').filter(|rest| rest.starts_with(|first: char| first.is_ascii_lowercase()));
        text.push_str(key.unwrap_or(line));
        text.push('\n');
    }
    text
}

#[test]
fn the_sample_changes_nothing_until_it_is_edited() {
    assert_eq!(Table::parse(LINUX).unwrap().resolve().unwrap(), Policy::default());
}

#[test]
fn each_key_of_the_sample_is_one() {
    let policy = Table::parse(&without_marks(LINUX)).unwrap().resolve().unwrap();
    assert!(policy.is_root_writable && policy.has_network && !policy.read_only.is_empty());
    assert!(policy.limits.memory_bytes.is_some() && policy.set.contains_key("MAKEFLAGS"));
}
