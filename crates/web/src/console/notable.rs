//! Which lines of a console a reader looks for: errors, warnings, commands, heads of sections. The others may be folded.

use super::NOTABLE_BYTES_MAX;

/// Parts of words that tell of trouble, in lower case. Each begins with a letter of [`FIRST_LETTERS`].
const TROUBLE: [&[u8]; 8] = [b"error", b"exception", b"warning", b"fail", b"fatal", b"panic", b"denied", b"killed"];
const FIRST_LETTERS: &[u8] = b"ewfpdk";

/// How commands (`set -x`, prompts) and heads of sections begin: those of shells, opam, dpkg-buildpackage's kin and CI.
const HEADS: [&[u8]; 12] =
    [b"+ ", b"++ ", b"$ ", b"# ", b"==", b"--- ", b"***", b">>>", b"<><>", b"##[", b"::group", b"::endgroup"];

/// Whether a line is one that a reader looks for.
pub(super) fn is_notable(line: &[u8]) -> bool {
    let line = line.get(..NOTABLE_BYTES_MAX).unwrap_or(line);
    let line = line.trim_ascii_start();
    HEADS.iter().any(|head| line.starts_with(head)) || tells_of_trouble(line)
}

fn tells_of_trouble(line: &[u8]) -> bool {
    line.iter().enumerate().any(|(at, byte)| {
        FIRST_LETTERS.contains(&byte.to_ascii_lowercase()) && {
            let rest = line.get(at..).unwrap_or_default();
            TROUBLE.iter().any(|word| rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reader_looks_for_is_notable() {
        for line in [
            "main.c:3:1: Error: oops",
            "make: *** [Makefile:3: all] FAILED",
            "  + cc -c main.c",
            "$ ls",
            "<><> Processing actions <><><>",
            "==> Building",
            "##[group]Tests",
            "::group::Tests",
            "sh: permission denied",
        ] {
            assert!(is_notable(line.as_bytes()), "{line}");
        }
        for line in ["", "checking for gcc... gcc", "  CC  main.o", "-> installed dune.3.16.0", "1+ 1", "war"] {
            assert!(!is_notable(line.as_bytes()), "{line}");
        }
        assert!(!is_notable(&[&[b'x'; NOTABLE_BYTES_MAX][..], b"error"].concat()), "far behind");
        assert!(TROUBLE.iter().all(|word| FIRST_LETTERS.contains(&word[0])));
    }
}
