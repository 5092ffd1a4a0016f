//! How many tests passed, read from the lines of the test runners.

use std::fmt;

/// The counts of one or more runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Counts {
    /// Adds what a line of a test runner says, if it is the one that says it.
    pub(crate) fn add(&mut self, line: &str) {
        let line = without_colours(line);
        let line = line.trim_start();
        if line.starts_with("test result: ") {
            self.passed += number_before(line, "passed");
            self.failed += number_before(line, "failed");
            self.skipped += number_before(line, "ignored");
        } else if line.starts_with("Summary [") {
            self.passed += number_before(line, "passed");
            self.failed += number_before(line, "failed") + number_before(line, "timed");
            self.skipped += number_before(line, "skipped");
        }
    }

    /// Whether a test failed.
    pub(crate) fn has_failures(self) -> bool {
        self.failed > 0
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, skipped } = self;
        write!(f, "{} tests run: {passed} passed, {failed} failed, {skipped} skipped", passed + failed)
    }
}

fn number_before(line: &str, word: &str) -> u64 {
    let words: Vec<&str> = line.split([' ', ',', ';', '.']).filter(|word| !word.is_empty()).collect();
    let at = words.iter().position(|candidate| *candidate == word).unwrap_or(0);
    at.checked_sub(1).and_then(|before| words.get(before)).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Leaves out the escape sequences that set colours: `ESC [ … m`.
fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    for (index, part) in line.split("\u{1b}[").enumerate() {
        plain.push_str(if index == 0 { part } else { part.split_once('m').map_or(part, |(_, text)| text) });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_both_runners_are_added() {
        let mut counts = Counts::default();
        for line in [
            "running 3 tests",
            "test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.01s",
            "     Summary [   0.005s] 12 tests run: 9 passed (1 slow), 2 failed, 1 timed out, 4 skipped",
            "\u{1b}[32;1m     Summary\u{1b}[0m [   0.1s] \u{1b}[1m1\u{1b}[0m test run: \u{1b}[1m1\u{1b}[0m \u{1b}[32mpassed\u{1b}[0m, 0 skipped",
            "a test may print that 5 passed",
        ] {
            counts.add(line);
        }
        assert_eq!(counts, Counts { passed: 12, failed: 4, skipped: 5 });
        assert_eq!(counts.to_string(), "16 tests run: 12 passed, 4 failed, 5 skipped");
        assert!(counts.has_failures());
    }
}
