//! Bytes of strangers as text that tells all bytes apart.

use std::fmt::Write as _;

/// Bytes as text: valid UTF-8 as it is, each other byte as U+FFFD and its two hexadecimal digits.
///
/// A U+FFFD that was in the bytes is written the same way, as its three bytes. So different bytes give different text:
/// two values that differ never look equal.
pub(crate) fn text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for (index, piece) in chunk.valid().split(char::REPLACEMENT_CHARACTER).enumerate() {
            if index > 0 {
                mark(&mut text, "\u{fffd}".as_bytes());
            }
            text.push_str(piece);
        }
        mark(&mut text, chunk.invalid());
    }
    text
}

fn mark(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        write!(text, "\u{fffd}{byte:02x}").expect("a string takes what is written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_differ_look_different() {
        assert_eq!(text("ünï".as_bytes()), "ünï");
        assert_eq!(text(b"a\xff\xfeb"), "a\u{fffd}ff\u{fffd}feb");
        assert_ne!(text(b"\xff"), text("\u{fffd}ff".as_bytes()));
        assert_ne!(text(b"\xff"), text(b"\xfe"));
    }
}
