//! Checks of the tree that no compiler makes. A check looks at text and returns findings; this file reads the files.
//!
//! A line that has to break a rule says why on the line before it: `// tidy: <reason>`, or `<!-- tidy: <reason> -->`.

mod arrows;
mod lines;
mod links;

use crate::command::{cargo, output, root};
use anyhow::{Context, Result};
use std::fmt;
use std::path::{Path, PathBuf};

/// Something that is not as it should be, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    /// The file, relative to the workspace.
    path: String,
    /// The line, from 1.
    line: usize,
    /// What was found, and what to do.
    what: String,
    /// Whether it stops a change.
    fatal: bool,
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.into(), line, what: what.into(), fatal: true }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.fatal { "" } else { "warning: " };
        write!(f, "{}:{}: {kind}{}", self.path, self.line, self.what)
    }
}

/// Larger files are data, which nobody reads line by line.
const TEXT_BYTES_MAX: u64 = 1 << 20;

/// Checks the whole tree and prints what it finds; whether nothing stops a change.
pub(crate) fn tidy() -> Result<bool> {
    let mut files = Vec::new();
    walk(root(), Path::new(""), &mut files)?;
    files.sort();
    let mut findings = check_arrows()?;
    for path in &files {
        let full = root().join(path);
        if std::fs::metadata(&full).with_context(|| format!("look at {path}"))?.len() > TEXT_BYTES_MAX {
            continue;
        }
        let bytes = std::fs::read(&full).with_context(|| format!("read {path}"))?;
        let Ok(text) = String::from_utf8(bytes) else { continue };
        findings.extend(lines::check(path, &text));
        if path.ends_with(".md") {
            findings.extend(links::check(path, &text, |target| root().join(target).exists()));
        }
    }
    findings.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    findings.iter().for_each(|finding| println!("{finding}"));
    let fatal = findings.iter().filter(|finding| finding.fatal).count();
    println!("tidy: {} files, {fatal} to mend, {} warnings", files.len(), findings.len() - fatal);
    Ok(fatal == 0)
}

fn check_arrows() -> Result<Vec<Finding>> {
    const PLAN: &str = "ARCHITECTURE.md";
    let plan = std::fs::read_to_string(root().join(PLAN)).with_context(|| format!("read {PLAN}"))?;
    let metadata = output(&mut cargo(&["metadata", "--no-deps", "--format-version=1"]))?;
    let metadata = serde_json::from_slice(&metadata).context("read the output of cargo metadata")?;
    let packages = arrows::packages(&metadata).context("the output of cargo metadata has another shape")?;
    Ok(arrows::check(PLAN, &plan, &packages))
}

/// Collects the files below a folder, but for what was built and what belongs to git.
fn walk(root: &Path, below: &Path, files: &mut Vec<String>) -> Result<()> {
    let folder = root.join(below);
    let context = || format!("list {}", folder.display());
    for entry in std::fs::read_dir(&folder).with_context(context)? {
        let entry = entry.with_context(context)?;
        let path = below.join(entry.file_name());
        let kind = entry.file_type().with_context(context)?;
        // In a second work tree `.git` is a file.
        if is_foreign(&root.join(&path), &path) {
            continue;
        }
        if kind.is_dir() {
            walk(root, &path, files)?;
        } else if kind.is_file() {
            files.extend(path.to_str().map(str::to_owned));
        }
    }
    Ok(())
}

fn is_foreign(full: &Path, path: &Path) -> bool {
    let known: [PathBuf; 3] = [".git".into(), "target".into(), "dist".into()];
    known.iter().any(|name| name == path) || full.join("CACHEDIR.TAG").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_that_editors_can_open() {
        let finding = Finding::new("a/b.rs", 7, "something; do this");
        assert_eq!(finding.to_string(), "a/b.rs:7: something; do this");
        assert_eq!(Finding { fatal: false, ..finding }.to_string(), "a/b.rs:7: warning: something; do this");
    }

    #[test]
    fn the_walk_finds_this_file_and_nothing_built() {
        let mut files = Vec::new();
        walk(root(), Path::new(""), &mut files).unwrap();
        assert!(files.iter().any(|file| file == "xtask/src/tidy/mod.rs"));
        assert!(!files.iter().any(|file| file.starts_with("target/") || file.starts_with(".git/")));
    }
}
