//! How the original prints console lines: durations beside them, and their text as an OCaml string.

use std::io::{self, Write};

/// `54.321μs`, `87.067ms`, `1.049s`, `1m00s`, `1h00m`, `1d01h`; a negative one has a minus in front.
pub fn nanoseconds_text(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let all = nanoseconds.unsigned_abs();
    let (micro, milli, seconds) = (all / 1_000, all / 1_000_000, all / 1_000_000_000);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    if days > 0 {
        format!("{sign}{days}d{:02}h", hours % 24)
    } else if hours > 0 {
        format!("{sign}{hours}h{:02}m", minutes % 60)
    } else if minutes > 0 {
        format!("{sign}{minutes}m{:02}s", seconds % 60)
    } else if seconds > 0 {
        format!("{sign}{seconds}.{:03}s", milli % 1_000)
    } else if milli > 0 {
        format!("{sign}{milli}.{:03}ms", micro % 1_000)
    } else {
        format!("{sign}{micro}.{:03}μs", all % 1_000)
    }
}

/// Writes a line in double quotes, escaped as OCaml does it: a byte that is not printable ASCII is `\\ddd` in decimal.
pub(crate) fn ocaml_string(out: &mut impl Write, line: &[u8]) -> io::Result<()> {
    out.write_all(b"\"")?;
    let mut rest = line;
    while let Some((&byte, tail)) = rest.split_first() {
        let plain = rest.iter().take_while(|byte| is_plain(**byte)).count();
        if plain > 0 {
            out.write_all(&rest[..plain])?;
            rest = &rest[plain..];
            continue;
        }
        match byte {
            b'"' => out.write_all(b"\\\"")?,
            b'\\' => out.write_all(b"\\\\")?,
            b'\n' => out.write_all(b"\\n")?,
            b'\t' => out.write_all(b"\\t")?,
            b'\r' => out.write_all(b"\\r")?,
            0x08 => out.write_all(b"\\b")?,
            _ => write!(out, "\\{byte:03}")?,
        }
        rest = tail;
    }
    out.write_all(b"\"")
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_escaped_as_in_ocaml() {
        let escaped = |line: &[u8]| {
            let mut out = Vec::new();
            ocaml_string(&mut out, line).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(escaped("ün \"q\" \\".as_bytes()), r#""\195\188n \"q\" \\""#);
        assert_eq!(escaped(b"\0\x08\t\n\r\x1b\x7f\xff~"), r#""\000\b\t\n\r\027\127\255~""#);
        assert_eq!(escaped(b""), r#""""#);
    }

    #[test]
    fn shapes_of_the_original() {
        let second = 1_000_000_000;
        for (nanoseconds, text) in [
            (0, "0.000μs"),
            (32_767, "32.767μs"),
            (616_531_684, "616.531ms"),
            (1_049_000_000, "1.049s"),
            (60 * second, "1m00s"),
            (3_600 * second, "1h00m"),
            (90_000 * second, "1d01h"),
            (-1, "-0.001μs"),
            (i64::MIN, "-106751d23h"),
        ] {
            assert_eq!(nanoseconds_text(nanoseconds), text);
        }
    }
}
