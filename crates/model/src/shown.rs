//! Bytes from elsewhere, made safe to show on one line of a terminal or a log.

use std::fmt::{self, Write as _};

/// Shows bytes as text: valid UTF-8 as it is, everything else and all control characters as `\xNN`.
#[derive(Clone, Copy)]
pub struct Shown<'a>(pub &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                if character.is_control() {
                    let mut bytes = [0; 4];
                    for byte in character.encode_utf8(&mut bytes).bytes() {
                        write!(f, "\\x{byte:02x}")?;
                    }
                } else {
                    f.write_char(character)?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_bytes_cannot_steer_a_terminal() {
        let shown = Shown("ünï\x1b[31m\u{9b}x\n".as_bytes()).to_string();
        assert_eq!(shown, "ünï\\x1b[31m\\xc2\\x9bx\\x0a");
        assert_eq!(Shown(b"a\xffb").to_string(), "a\\xffb");
    }
}
