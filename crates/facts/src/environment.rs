//! `build-environment`: the variables of the environment that a job ran in, one `NAME=value` on each line.

use crate::key_values::{KeyValues, divide_at};

/// Reads a `build-environment`. The name ends before the first `=`; a line without one is a name with an empty value.
pub fn parse(bytes: &[u8]) -> KeyValues {
    KeyValues::parse(bytes, |line| divide_at(line, line.iter().position(|byte| *byte == b'=')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_ends_before_the_first_equals_sign() {
        let read = parse(b"PATH=/bin\nEMPTY=\n\nFLAGS=-O=2\nodd\nPATH=/usr/bin\nBAD=\xff\nBAD\xfe=x\n=none\n");
        let shown: Vec<_> = read.iter().map(|(name, value)| format!("{name} -> {value}")).collect();
        assert_eq!(
            shown,
            [
                " -> none",
                "BAD -> \u{fffd}ff",
                "BAD\u{fffd}fe -> x",
                "EMPTY -> ",
                "FLAGS -> -O=2",
                "PATH -> /usr/bin",
                "odd -> "
            ]
        );
    }
}
