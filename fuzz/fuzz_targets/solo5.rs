//! Notes in ELF files: whatever the bytes, an answer; reading from memory cannot fail, and JSON is read back.
#![no_main]

use builder_facts::solo5::{self, Solo5Error};
use libfuzzer_sys::fuzz_target;
use std::io::Cursor;

fuzz_target!(|bytes: &[u8]| match solo5::read(&mut Cursor::new(bytes)) {
    Ok(notes) => assert!(notes.manifest.devices.len() < solo5::MANIFEST_ENTRIES_MAX as usize),
    Err(Solo5Error::Read(error)) => panic!("memory cannot be read: {error}"),
    Err(Solo5Error::Elf(_) | Solo5Error::Missing(_) | Solo5Error::Note { .. }) => {}
});
