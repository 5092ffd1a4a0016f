//! Console logs: whatever lies in the file, opening it keeps the whole lines at its start, and the log goes on.
#![no_main]

use builder_store::console::{ConsoleReader, ConsoleWriter};
use builder_wire::record::ConsoleLine;
use libfuzzer_sys::fuzz_target;
use std::path::PathBuf;
use std::sync::OnceLock;

fn path() -> &'static PathBuf {
    static FOLDER: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let made = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("console.log");
        (folder, path)
    });
    &made.1
}

/// All lines up to `end`, or an error; never a panic.
fn lines(end: u64) -> std::io::Result<Vec<(i64, Vec<u8>)>> {
    let mut reader = ConsoleReader::open(path()).expect("the log is there");
    let mut lines = Vec::new();
    while let Some(line) = reader.next(end)? {
        lines.push((line.delta, line.line.to_vec()));
    }
    Ok(lines)
}

fuzz_target!(|bytes: &[u8]| {
    std::fs::write(path(), bytes).expect("write the log");
    // As a reader that knows no end would see it: an error is an answer.
    let _raw: std::io::Result<Vec<(i64, Vec<u8>)>> = lines(bytes.len() as u64);
    let mut writer = ConsoleWriter::open(path()).expect("any log can be opened");
    let healed = writer.extent();
    assert!(healed.log_bytes() <= bytes.len() as u64);
    let kept = std::fs::read(path()).expect("read the log");
    assert_eq!(kept, &bytes[..kept.len()], "what is kept is the start of what was there");
    assert_eq!(kept.len() as u64, healed.log_bytes());
    writer.append(ConsoleLine { delta: 7, line: b"next" });
    writer.flush().expect("write the log");
    let extent = writer.extent();
    let all = lines(extent.log_bytes()).expect("a healed log can be read");
    assert_eq!(all.len() as u64, extent.lines);
    assert_eq!(all.last(), Some(&(7, b"next".to_vec())));
    let mut backwards = Vec::new();
    writer.copy_newest_first(&mut backwards).expect("a healed log can be copied");
    assert_eq!(backwards.len() as u64, extent.der_bytes);
    assert_eq!(ConsoleWriter::open(path()).expect("open it again").extent(), extent);
});
