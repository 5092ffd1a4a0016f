//! Consoles as pages show them: in pieces of any size the same index, every line in one part, no element of a stranger.
#![no_main]

use builder_web::console::{ConsoleIndex, ConsoleIndexer, PlainText, Shown, Times, render_part};
use libfuzzer_sys::fuzz_target;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::OnceLock;

fn file() -> &'static File {
    static FILE: OnceLock<File> = OnceLock::new();
    FILE.get_or_init(|| tempfile::tempfile().expect("a temporary file"))
}

fn index(bytes: &[u8], piece: usize) -> ConsoleIndex {
    let mut indexer = ConsoleIndexer::new();
    bytes.chunks(piece).for_each(|piece| indexer.push(piece));
    indexer.finish()
}

fn plain(bytes: &[u8], piece: usize) -> Vec<u8> {
    let mut plain = PlainText::new(Times::Kept);
    let mut out = Vec::new();
    bytes.chunks(piece).for_each(|piece| plain.push(piece, &mut out));
    plain.finish(&mut out);
    out
}

fuzz_target!(|bytes: &[u8]| {
    let Some((piece, bytes)) = bytes.split_first() else { return };
    let piece = usize::from(*piece).max(1);
    let whole = index(bytes, usize::MAX);
    assert_eq!(index(bytes, piece), whole);
    assert_eq!(ConsoleIndex::from_bytes(&whole.to_bytes()).as_ref(), Ok(&whole));
    let text = plain(bytes, piece);
    assert_eq!(text, plain(bytes, usize::MAX));
    assert!(!text.contains(&0x1b));
    file().set_len(0).expect("empty the file");
    file().write_all_at(bytes, 0).expect("write the file");
    let mut lines = 0;
    for number in 0..whole.part_count() {
        let part = render_part(file(), &whole, number, Shown::default()).expect("read the file").expect("there is such a part");
        assert_eq!(part.first_line, lines + 1);
        lines = part.last_line;
        assert_eq!(Some((part.first_line, part.last_line)), whole.part_lines(number));
        assert!(!part.html.contains("<script") && !part.html.contains('\x1b'));
        assert_eq!(part.html.matches('<').count(), part.html.matches('>').count());
    }
    assert_eq!(lines, whole.lines());
});
