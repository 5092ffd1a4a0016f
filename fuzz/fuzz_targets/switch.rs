//! Exports of opam switches: whatever the bytes, an answer in little time, and the same one again.
#![no_main]

use builder_facts::opam::Switch;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let switch = Switch::parse(bytes);
    assert_eq!(switch, Switch::parse(bytes));
});
