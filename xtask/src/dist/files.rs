//! Files in a stage, the folder that is packed: copied, or written.

use anyhow::{Context, Result};
use std::path::Path;

/// Copies a file, or a folder with all that is in it.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    let context = || format!("copy {} to {}", from.display(), to.display());
    if from.is_dir() {
        for entry in std::fs::read_dir(from).with_context(context)? {
            let name = entry.with_context(context)?.file_name();
            copy(&from.join(&name), &to.join(&name))?;
        }
        return Ok(());
    }
    let folder = to.parent().with_context(context)?;
    std::fs::create_dir_all(folder).and_then(|()| std::fs::copy(from, to)).with_context(context)?;
    Ok(())
}

pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let context = || format!("write {}", path.display());
    let folder = path.parent().with_context(context)?;
    std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, bytes)).with_context(context)
}
