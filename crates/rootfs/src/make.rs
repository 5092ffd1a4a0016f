//! Making a tree by the program that the distribution has for that.

use crate::error::{Error, Tried};
use crate::recipe::{Recipe, Tool};
use crate::strip::strip;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Longest line of a program that is shown or kept, in bytes.
const LINE_BYTES_MAX: usize = 4096;
/// The time that programs are told, in seconds since 1970, so that what they make is the same on another day.
const EPOCH: &str = "1";

/// Where debootstrap has a script for each suite that it knows.
const SCRIPTS: &str = "/usr/share/debootstrap/scripts";

/// Makes a tree in an empty folder, and tells each line that the program says.
///
/// # Errors
///
/// A program that is not there or fails, a file system that does not do what it should.
pub fn make(recipe: &Recipe, root: &Path, log: &Path, line: &mut dyn FnMut(&str)) -> Result<(), Error> {
    recipe.check()?;
    let tool = recipe.tool;
    if in_path(tool.program()).is_none() {
        return Err(Error::NoProgram { program: tool.program().to_owned(), hint: hint(tool) });
    }
    check_keyring(recipe)?;
    let words = recipe.command(root, script(recipe, Path::new(SCRIPTS)));
    let mut file = File::create(log).tried("create", log)?;
    let mut last = String::new();
    // What it mounts goes with its namespace, whatever ends it.
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "--kill-child", "--fork", "--pid", "--"]).args(&words);
    command.env("SOURCE_DATE_EPOCH", EPOCH).env("LC_ALL", "C.UTF-8").env("DEBIAN_FRONTEND", "noninteractive");
    let status = run(&mut command, &mut |text| {
        last = text.to_owned();
        line(text);
        writeln!(file, "{text}").tried("write", log)
    })?;
    if !status.success() {
        let (program, status) = (tool.program().to_owned(), status.to_string());
        return Err(Error::Program { program, status, last, log: log.to_owned() });
    }
    strip(root, recipe)
}

/// The script that debootstrap is told to take, where it has none for the suite.
fn script(recipe: &Recipe, scripts: &Path) -> Option<&'static str> {
    (!scripts.join(&recipe.suite).exists()).then(|| recipe.distribution.script())
}

/// Whether there are keys: without them, the programs ask the archive first, and then say little.
fn check_keyring(recipe: &Recipe) -> Result<(), Error> {
    let path = Path::new(recipe.keyring());
    if path.is_file() {
        return Ok(());
    }
    let hint = match &recipe.keyring {
        Some(_) => "name a file of keys with --keyring".to_owned(),
        None => format!(
            "apt-get install {}; where there is no such package, copy the file from a host that has it, or name another \
             one with --keyring",
            recipe.distribution.keyring_package()
        ),
    };
    Err(Error::NoKeyring { path: path.to_owned(), distribution: recipe.distribution, hint })
}

fn hint(tool: Tool) -> &'static str {
    match tool {
        Tool::Mmdebstrap => "apt-get install mmdebstrap, or take --tool debootstrap",
        Tool::Debootstrap => "apt-get install debootstrap",
    }
}

/// Whether we may make the files of all users.
pub fn may_make() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Where a program lies.
pub fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}

/// Runs a program and gives on all that it says, line by line, errors included.
fn run(
    command: &mut Command,
    line: &mut dyn FnMut(&str) -> Result<(), Error>,
) -> Result<std::process::ExitStatus, Error> {
    let program = PathBuf::from(command.get_program());
    let (said, says) = std::io::pipe().tried("make a pipe for", &program)?;
    let errors = says.try_clone().tried("make a pipe for", &program)?;
    let mut child = command.stdin(Stdio::null()).stdout(says).stderr(errors).spawn().tried("start", &program)?;
    // The command holds the ends that are written to: with them, the pipe would never end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut told = Ok(());
    let mut bytes = Vec::new();
    let mut said = BufReader::new(said);
    loop {
        bytes.clear();
        match said.read_until(b'\n', &mut bytes) {
            Ok(0) => break,
            Ok(_) => {
                bytes.truncate(LINE_BYTES_MAX);
                // Once nobody can be told any more, the program is still listened to, so that it ends.
                if told.is_ok() {
                    told = line(String::from_utf8_lossy(&bytes).trim_end());
                }
            }
            Err(source) => {
                told = Err(source).tried("listen to", &program);
                break;
            }
        }
    }
    let status = child.wait().tried("wait for", &program)?;
    told.map(|()| status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Distribution;

    fn recipe(suite: &str) -> Recipe {
        Recipe::new(Distribution::Ubuntu, suite, Tool::Debootstrap)
    }

    #[test]
    fn a_suite_without_a_script_has_that_of_its_distribution() {
        let scripts = tempfile::tempdir().unwrap();
        std::fs::write(scripts.path().join("jammy"), "").unwrap();
        assert_eq!(script(&recipe("jammy"), scripts.path()), None);
        assert_eq!(script(&recipe("noble"), scripts.path()), Some("gutsy"));
    }

    #[test]
    fn keys_that_are_not_there_are_named_with_what_brings_them() {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys.gpg");
        let named = |keys: &Path| Recipe { keyring: Some(keys.display().to_string()), ..recipe("noble") };
        let error = check_keyring(&named(&keys)).unwrap_err().to_string();
        assert!(error.contains("keys.gpg") && error.contains("hint: name a file"), "{error}");
        std::fs::write(&keys, "").unwrap();
        check_keyring(&named(&keys)).unwrap();
        // This host may have them.
        if let Err(error) = check_keyring(&recipe("noble")) {
            assert!(error.to_string().contains("apt-get install ubuntu-keyring"), "{error}");
        }
    }

    #[test]
    fn all_that_a_program_says_is_heard() {
        let mut heard = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; exit 3"]);
        let status = run(&mut command, &mut |line| {
            heard.push(line.to_owned());
            Ok(())
        });
        assert_eq!(status.unwrap().code(), Some(3));
        assert_eq!(heard, ["one", "two"]);
    }
}
