//! An ordered map of names and values, as `build-environment` and `system-packages` hold one on each line.

use crate::text::text;
use std::collections::BTreeMap;
use std::collections::btree_map::Iter;

/// Bytes of a file of names and values that are read; what follows is left out.
pub const KEY_VALUES_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Lines of a file of names and values that are read; what follows is left out.
pub const KEY_VALUES_LINES_MAX: usize = 100_000;

/// Names and values, ascending by name. Each name is there once: a later line wins over an earlier one.
///
/// Bytes that are not UTF-8 are shown as U+FFFD and two hexadecimal digits, so that different bytes stay different.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyValues {
    entries: BTreeMap<String, String>,
    cut: bool,
}

impl KeyValues {
    /// Reads lines, each divided into name and value by `divide`. Empty lines are passed over.
    pub(crate) fn parse(bytes: &[u8], divide: impl Fn(&[u8]) -> (&[u8], &[u8])) -> Self {
        let read = &bytes[..bytes.len().min(KEY_VALUES_BYTES_MAX)];
        let mut lines = read.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let mut entries = BTreeMap::new();
        for line in lines.by_ref().take(KEY_VALUES_LINES_MAX) {
            let (name, value) = divide(line);
            entries.insert(text(name), text(value));
        }
        let cut = read.len() < bytes.len() || lines.next().is_some();
        Self { entries, cut }
    }

    /// Names and values that were read elsewhere.
    pub(crate) fn of(entries: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { entries: entries.into_iter().collect(), cut: false }
    }

    /// Names and values, ascending by name.
    pub fn iter(&self) -> Iter<'_, String, String> {
        self.entries.iter()
    }

    /// The value of a name.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.entries.get(name).map(String::as_str)
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no name at all.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the file was longer than [`KEY_VALUES_BYTES_MAX`] or [`KEY_VALUES_LINES_MAX`], and its end left out.
    pub fn is_cut(&self) -> bool {
        self.cut
    }
}

impl<'a> IntoIterator for &'a KeyValues {
    type Item = (&'a String, &'a String);
    type IntoIter = Iter<'a, String, String>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Divides at the byte `index`, which belongs to neither half.
pub(crate) fn divide_at(line: &[u8], index: Option<usize>) -> (&[u8], &[u8]) {
    match index {
        Some(index) => (&line[..index], &line[index + 1..]),
        None => (line, b""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_cut_and_says_so() {
        let whole = "a\n".repeat(KEY_VALUES_LINES_MAX);
        assert!(!KeyValues::parse(whole.as_bytes(), |line| (line, b"")).is_cut());
        let more = whole + "b";
        let read = KeyValues::parse(more.as_bytes(), |line| (line, b""));
        assert!(read.is_cut());
        assert_eq!(read.value("b"), None);
        assert!(KeyValues::parse(&vec![b'x'; KEY_VALUES_BYTES_MAX + 1], |line| (line, b"")).is_cut());
    }
}
