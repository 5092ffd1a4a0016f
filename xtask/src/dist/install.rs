//! `NAME.install`: which files a package has, as lines of a file, or a pattern for files, and the folder, with a slash at
//! its end, or the path where it goes.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// A file or folder that is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Copy {
    /// What is copied.
    pub(super) from: PathBuf,
    /// Where it goes, below the root of the system.
    pub(super) to: PathBuf,
}

/// Reads the list; what it names is looked for below the roots, in their order. A line that finds nothing is an error.
pub(super) fn copies(text: &str, roots: &[PathBuf]) -> Result<Vec<Copy>> {
    let mut copies = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (from, to) = line.split_once(' ').with_context(|| format!("`{line}` does not say where it goes"))?;
        let found = roots.iter().map(|root| find(root, from)).find(|found| !matches!(found.as_deref(), Ok([])));
        let found = found.with_context(|| format!("nothing is found for `{line}`"))??;
        for path in found {
            let name = path.file_name().with_context(|| format!("`{line}` has no name"))?;
            let to = if to.ends_with('/') { Path::new(to).join(name) } else { to.into() };
            copies.push(Copy { from: path, to });
        }
    }
    Ok(copies)
}

/// The files and folders that a path names whose last part may have one `*`, sorted.
fn find(root: &Path, pattern: &str) -> Result<Vec<PathBuf>> {
    let path = root.join(pattern);
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        bail!("`{pattern}` is no path");
    };
    let Some((before, behind)) = name.split_once('*') else {
        return Ok(if path.exists() { vec![path] } else { Vec::new() });
    };
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry.with_context(|| format!("list {}", folder.display()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.len() >= before.len() + behind.len() && name.starts_with(before) && name.ends_with(behind) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
