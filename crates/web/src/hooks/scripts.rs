//! The scripts in the folder of hooks that run for an upload. What is in them is looked at when they run.

use crate::limits::HOOK_SCRIPTS_MAX;
use crate::settings::Settings;
use nix::unistd::AccessFlags;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The folder, in the configuration folder.
const FOLDER: &str = "upload-hooks";
/// A script may be executed by everybody, as the original has it.
const EXECUTABLE: u32 = 0o111;

/// The names of the scripts, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scripts(Vec<String>);

impl Scripts {
    /// Lists the folder. An upload is never refused because of what lies there: what cannot be used is passed over.
    pub(crate) fn list(settings: &Settings) -> Self {
        let folder = settings.configdir.join(FOLDER);
        match list(&folder) {
            Ok(names) => Self(names),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::default(),
            Err(error) => {
                tracing::warn!("no hook runs: cannot list {}: {error}", folder.display());
                Self::default()
            }
        }
    }

    pub(super) fn names(&self) -> &[String] {
        &self.0
    }

    /// Where the script with this name lies.
    pub(super) fn path(settings: &Settings, name: &str) -> PathBuf {
        settings.configdir.join(FOLDER).join(name)
    }
}

fn list(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let path = folder.join(&name);
        if !name.as_encoded_bytes().ends_with(b".sh") {
            continue;
        }
        match (name.into_string(), is_usable(&path)) {
            (Ok(name), Ok(true)) => names.push(name),
            (Ok(_) | Err(_), Ok(false)) => {}
            (Err(_), Ok(true)) => tracing::warn!("the hook {} does not run: its name is no UTF-8", path.display()),
            (_, Err(error)) => tracing::warn!("the hook {} does not run: {error}", path.display()),
        }
    }
    names.sort_unstable();
    if names.len() > HOOK_SCRIPTS_MAX {
        let passed_over = names.split_off(HOOK_SCRIPTS_MAX).len();
        tracing::warn!(
            "{passed_over} hooks in {} do not run: there are more than {HOOK_SCRIPTS_MAX}",
            folder.display()
        );
    }
    Ok(names)
}

/// Whether it is a regular file, or a link to one, that may be executed. One that is not meant to run is no error.
fn is_usable(path: &Path) -> io::Result<bool> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() || metadata.permissions().mode() & EXECUTABLE != EXECUTABLE {
        return Ok(false);
    }
    nix::unistd::access(path, AccessFlags::R_OK | AccessFlags::X_OK)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_scripts_that_can_run_are_hooks() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings::new("/nowhere".into(), folder.path().into());
        assert_eq!(Scripts::list(&settings), Scripts::default(), "a missing folder is fine");
        let hooks = folder.path().join(FOLDER);
        fs::create_dir(&hooks).unwrap();
        let script = |name: &str, mode: u32| {
            fs::write(hooks.join(name), "#!/bin/sh\n").unwrap();
            fs::set_permissions(hooks.join(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        for name in ["b.sh", "a.sh", "with space.sh", "sample.sh.sample", "sh", "C.SH"] {
            script(name, 0o755);
        }
        for (name, mode) in [("plain.sh", 0o644), ("mine.sh", 0o744)] {
            script(name, mode);
        }
        fs::create_dir(hooks.join("folder.sh")).unwrap();
        std::os::unix::fs::symlink("nowhere", hooks.join("dangling.sh")).unwrap();
        std::os::unix::fs::symlink("a.sh", hooks.join("link.sh")).unwrap();
        assert_eq!(Scripts::list(&settings).names(), ["a.sh", "b.sh", "link.sh", "with space.sh"]);
        for number in 0..HOOK_SCRIPTS_MAX {
            script(&format!("n{number:03}.sh"), 0o755);
        }
        assert_eq!(Scripts::list(&settings).names().len(), HOOK_SCRIPTS_MAX);
    }
}
