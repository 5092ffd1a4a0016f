//! How two texts differ, line by line: as hunks for a page, as a unified diff for tools.

use similar::{Algorithm, DiffOp, DiffTag, capture_diff_slices, group_diff_ops};
use std::collections::HashMap;
use std::fmt::Write as _;

/// Steps that all diffs of one comparison may take together, counted as lines on the left times lines on the right. What
/// comes after is shown as all lines removed and all lines added. Hundreds of opam files of 100 lines stay far below.
pub const DIFF_WORK_MAX: u64 = 50_000_000;

/// Lines of each text that are looked at, less those that the diffs of the same comparison already show. This bounds the
/// memory of a comparison; an opam file of a real package has less than a thousand.
pub const DIFF_LINES_MAX: usize = 100_000;

/// Lines around a change that are shown with it.
const CONTEXT_LINES: usize = 3;

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineKind {
    /// It is on both sides.
    Context,
    /// It is only on the left.
    Removed,
    /// It is only on the right.
    Added,
}

/// A line of a hunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffLine {
    /// What became of it.
    pub kind: LineKind,
    /// The line without its newline.
    pub text: String,
}

/// Changes that lie near each other, with some lines around them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunk {
    /// The first line of the hunk on the left, counted from 1; if there is none, the line before it.
    pub left_start: usize,
    /// Lines of the hunk on the left.
    pub left_lines: usize,
    /// The first line of the hunk on the right, counted from 1; if there is none, the line before it.
    pub right_start: usize,
    /// Lines of the hunk on the right.
    pub right_lines: usize,
    /// The lines, those removed before those added.
    pub lines: Vec<DiffLine>,
}

/// How two texts differ. Equal texts have no hunks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextDiff {
    /// The changes, from top to bottom.
    pub hunks: Vec<Hunk>,
    /// Whether [`DIFF_WORK_MAX`] was reached, so that lines may be shown as removed and added that are on both sides.
    pub is_coarse: bool,
    /// Whether [`DIFF_LINES_MAX`] was reached, so that later lines are missing.
    pub is_cut: bool,
}

/// What remains of [`DIFF_WORK_MAX`] and [`DIFF_LINES_MAX`].
#[derive(Debug)]
pub(super) struct Budget {
    steps: u64,
    lines: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { steps: DIFF_WORK_MAX, lines: DIFF_LINES_MAX }
    }
}

impl Budget {
    /// Takes the steps of a diff of so many lines, if they are left.
    fn take_steps(&mut self, left_lines: usize, right_lines: usize) -> bool {
        let steps = u64::try_from(left_lines.saturating_mul(right_lines)).unwrap_or(u64::MAX);
        let rest = self.steps.checked_sub(steps);
        self.steps = rest.unwrap_or(self.steps);
        rest.is_some()
    }
}

impl Hunk {
    /// The line that opens the hunk in a unified diff: `@@ -1,3 +1,4 @@`.
    pub fn header(&self) -> String {
        let range =
            |start: usize, lines: usize| if lines == 1 { format!("{start}") } else { format!("{start},{lines}") };
        format!("@@ -{} +{} @@", range(self.left_start, self.left_lines), range(self.right_start, self.right_lines))
    }
}

impl TextDiff {
    pub(super) fn of(left: &str, right: &str, budget: &mut Budget) -> Self {
        let is_cut = [left, right].iter().any(|text| text.lines().nth(budget.lines).is_some());
        let left: Vec<&str> = left.lines().take(budget.lines).collect();
        let right: Vec<&str> = right.lines().take(budget.lines).collect();
        let (operations, is_coarse) = operations(&left, &right, budget);
        let groups = group_diff_ops(operations, CONTEXT_LINES);
        let hunks: Vec<Hunk> = groups.iter().filter_map(|group| hunk(group, &left, &right)).collect();
        let shown: usize = hunks.iter().map(|hunk| hunk.lines.len()).sum();
        budget.lines = budget.lines.saturating_sub(shown);
        Self { hunks, is_coarse, is_cut }
    }

    /// The diff as `diff -u` writes it, ending with a newline; empty if nothing differs.
    pub fn unified(&self, left_label: &str, right_label: &str) -> String {
        let mut text = String::new();
        if self.hunks.is_empty() {
            return text;
        }
        writeln!(text, "--- {left_label}\n+++ {right_label}").expect("a string takes what is written");
        for hunk in &self.hunks {
            text.push_str(&hunk.header());
            text.push('\n');
            for line in &hunk.lines {
                text.push(match line.kind {
                    LineKind::Context => ' ',
                    LineKind::Removed => '-',
                    LineKind::Added => '+',
                });
                text.push_str(&line.text);
                text.push('\n');
            }
        }
        text
    }
}

/// Which lines are equal, removed, added. Lines are numbered first, so that comparing two of them costs the same however
/// long they are.
fn operations(left: &[&str], right: &[&str], budget: &mut Budget) -> (Vec<DiffOp>, bool) {
    let mut numbers = HashMap::new();
    let mut number = |line| -> usize {
        let next = numbers.len();
        *numbers.entry(line).or_insert(next)
    };
    let left: Vec<usize> = left.iter().map(|line| number(*line)).collect();
    let right: Vec<usize> = right.iter().map(|line| number(*line)).collect();
    let before = left.iter().zip(&right).take_while(|(left, right)| left == right).count();
    let pairs_behind = left[before..].iter().rev().zip(right[before..].iter().rev());
    let behind = pairs_behind.take_while(|(left, right)| left == right).count();
    let (left_changed, right_changed) = (left.len() - before - behind, right.len() - before - behind);
    if budget.take_steps(left_changed, right_changed) {
        return (capture_diff_slices(Algorithm::Myers, &left, &right), false);
    }
    let equal = |old_index, new_index, len| DiffOp::Equal { old_index, new_index, len };
    let replace =
        DiffOp::Replace { old_index: before, old_len: left_changed, new_index: before, new_len: right_changed };
    let operations = vec![equal(0, 0, before), replace, equal(before + left_changed, before + right_changed, behind)];
    (operations, true)
}

fn hunk(group: &[DiffOp], left: &[&str], right: &[&str]) -> Option<Hunk> {
    let (first, last) = (group.first()?, group.last()?);
    let left_range = first.old_range().start..last.old_range().end;
    let right_range = first.new_range().start..last.new_range().end;
    let mut lines = Vec::new();
    let mut push = |kind, texts: &[&str]| {
        lines.extend(texts.iter().map(|text| DiffLine { kind, text: (*text).to_owned() }));
    };
    for operation in group {
        if operation.tag() == DiffTag::Equal {
            push(LineKind::Context, &left[operation.old_range()]);
        } else {
            push(LineKind::Removed, &left[operation.old_range()]);
            push(LineKind::Added, &right[operation.new_range()]);
        }
    }
    let start = |range: &std::ops::Range<usize>| if range.is_empty() { range.start } else { range.start + 1 };
    Some(Hunk {
        left_start: start(&left_range),
        left_lines: left_range.len(),
        right_start: start(&right_range),
        right_lines: right_range.len(),
        lines,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_reads_like_that_of_diff() {
        let left = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\n";
        let right = "a\nB\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\n";
        let diff = TextDiff::of(left, right, &mut Budget::default());
        let unified = "--- l\n+++ r\n@@ -1,5 +1,5 @@\n a\n-b\n+B\n c\n d\n e\n@@ -9,3 +9,4 @@\n i\n j\n k\n+l\n";
        assert_eq!(diff.unified("l", "r"), unified);
        assert!(!diff.is_coarse);
        assert_eq!(TextDiff::of(left, left, &mut Budget::default()), TextDiff::default());
    }

    #[test]
    fn an_empty_side_begins_at_line_zero() {
        let added = TextDiff::of("", "x\ny\n", &mut Budget::default());
        assert_eq!(added.unified("l", "r"), "--- l\n+++ r\n@@ -0,0 +1,2 @@\n+x\n+y\n");
        let removed = TextDiff::of("x\n", "", &mut Budget::default());
        assert_eq!(removed.unified("l", "r"), "--- l\n+++ r\n@@ -1 +0,0 @@\n-x\n");
    }

    #[test]
    fn too_much_work_is_shown_coarsely() {
        let text = |prefix: &str, lines: usize| -> String {
            let middle: String = (0..lines).map(|line| format!("{prefix}{line}\n")).collect();
            format!("top\n{middle}end\n")
        };
        let mut budget = Budget { steps: 100, ..Budget::default() };
        assert!(!TextDiff::of(&text("l", 9), &text("r", 9), &mut budget).is_coarse);
        let diff = TextDiff::of(&text("l", 5), &text("r", 5), &mut budget);
        assert!(diff.is_coarse);
        assert_eq!(diff.hunks[0].lines.len(), 12);
        assert_eq!(diff.hunks[0].header(), "@@ -1,7 +1,7 @@");
    }

    #[test]
    fn too_many_lines_are_cut() {
        let mut budget = Budget { lines: 3, ..Budget::default() };
        let diff = TextDiff::of("a\nb\nc\nd\n", "a\nb\nx\n", &mut budget);
        assert!(diff.is_cut);
        assert_eq!(diff.unified("l", "r"), "--- l\n+++ r\n@@ -1,3 +1,3 @@\n a\n b\n-c\n+x\n");
        assert_eq!(budget.lines, 0);
        let next = TextDiff::of("a\n", "b\n", &mut budget);
        assert_eq!((next.hunks.len(), next.is_cut), (0, true));
    }
}
