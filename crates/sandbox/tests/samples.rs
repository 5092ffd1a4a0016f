//! The policies that packages bring as samples: as they are they change nothing, and every key in them is one.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

use builder_sandbox::{Kind, Policy, Table};

const LINUX: &str = include_str!("../../../packaging/etc/builder-worker.toml");
const FREEBSD: &str = include_str!("../../../packaging/freebsd/builder-worker.toml.sample");

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
    for sample in [LINUX, FREEBSD] {
        assert_eq!(Table::parse(sample).unwrap().resolve().unwrap(), Policy::default());
    }
}

#[test]
fn each_key_of_the_sample_is_one() {
    let policy = Table::parse(&without_marks(LINUX)).unwrap().resolve().unwrap();
    assert!(policy.is_root_writable && policy.has_network && !policy.read_only.is_empty());
    assert!(policy.limits.memory_bytes.is_some() && policy.set.contains_key("MAKEFLAGS"));
}

#[test]
fn each_key_of_the_sample_for_jails_is_one() {
    let policy = Table::parse(&without_marks(FREEBSD)).unwrap().resolve().unwrap();
    assert_eq!((policy.kind, policy.address.is_some()), (Kind::Jail, true));
    let limits = policy.limits;
    assert!(limits.memory_bytes.is_some() && limits.processors.is_some() && limits.time.is_some());
}
