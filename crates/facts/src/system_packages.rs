//! `system-packages`: what the operating system had installed, one package on each line.
//!
//! Debian's tools write `name=version`, FreeBSD's `name-version`, where the name may hold dashes itself.

use crate::key_values::{KeyValues, divide_at};

/// Reads a `system-packages`. A name ends before the first `=`, or, on a line without one, before the last `-`; a line
/// with neither is a name with an empty version.
pub fn parse(bytes: &[u8]) -> KeyValues {
    KeyValues::parse(bytes, |line| {
        let equals = line.iter().position(|byte| *byte == b'=');
        divide_at(line, equals.or_else(|| line.iter().rposition(|byte| *byte == b'-')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_debian_and_of_freebsd() {
        let read = parse(b"libc6=2.36-9+deb12u4\nlibstdc++-12-dev:amd64=12.2.0-14\n");
        assert_eq!(read.value("libc6"), Some("2.36-9+deb12u4"));
        assert_eq!(read.value("libstdc++-12-dev:amd64"), Some("12.2.0-14"));
        let read = parse(b"py39-setuptools-63.1.0_1\npy39-pip-23.0\ngmake-4.3_2\nplain\n");
        assert_eq!(read.value("py39-setuptools"), Some("63.1.0_1"));
        assert_eq!(read.value("py39-pip"), Some("23.0"));
        assert_eq!(read.value("plain"), Some(""));
        assert_eq!(read.len(), 4);
    }
}
