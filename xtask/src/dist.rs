//! The package: one tarball with everything to install, the same bytes each time it is made from the same sources.

use crate::command::{cargo, output, program, root, run};
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What is installed into `bin/`.
const PROGRAMS: [&str; 7] =
    ["builder", "builder-server", "builder-worker", "builder-client", "builder-inspect", "builder-web", "builder-db"];
/// What writes completions and man pages, and what else it is told for that.
const COMPLETED: [(&str, &[&str]); 5] = [
    ("builder-client", &["--program", "builder-client"]),
    ("builder-client", &["--program", "builder-inspect"]),
    ("builder-server", &[]),
    ("builder-web", &[]),
    ("builder-db", &[]),
];
/// What goes into `share/doc/builder/`, with the links between the pages intact.
const DOCS: [&str; 6] = ["LICENSE", "README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs"];

/// Builds, gathers and packs.
pub(crate) fn dist() -> Result<bool> {
    let epoch = epoch()?;
    let target = target_folder()?;
    build(&target)?;
    let name = format!("builder-{}-{}-linux", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    let stage = target.join("dist").join(&name);
    if stage.exists() {
        std::fs::remove_dir_all(&stage).with_context(|| format!("empty {}", stage.display()))?;
    }
    gather(&target.join("release"), &stage)?;
    let archive = pack(&stage, &name, &epoch, &root().join("dist"))?;
    let sum = output(program("sha256sum", &[]).arg(archive.strip_prefix(root()).unwrap_or(&archive)))?;
    println!("\n{}", String::from_utf8_lossy(&sum).trim_end());
    Ok(true)
}

/// The time of every file, in seconds since 1970: <https://reproducible-builds.org/specs/source-date-epoch/>.
fn epoch() -> Result<String> {
    let text = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(epoch) => epoch,
        Err(std::env::VarError::NotPresent) => {
            let commit = output(&mut program("git", &["log", "-1", "--format=%ct"]));
            let commit = commit.context("find the time of the last commit; without git, set SOURCE_DATE_EPOCH")?;
            String::from_utf8_lossy(&commit).trim().to_owned()
        }
        Err(error) => return Err(error).context("read SOURCE_DATE_EPOCH"),
    };
    let seconds: u64 =
        text.parse().with_context(|| format!("SOURCE_DATE_EPOCH is {text:?}, not a number of seconds"))?;
    Ok(seconds.to_string())
}

fn target_folder() -> Result<PathBuf> {
    let metadata = output(&mut cargo(&["metadata", "--no-deps", "--format-version=1"]))?;
    let metadata: serde_json::Value = serde_json::from_slice(&metadata).context("read the output of cargo metadata")?;
    let folder = metadata["target_directory"].as_str().context("cargo metadata names no target directory")?;
    Ok(folder.into())
}

/// Builds the programs so that no path of this machine stands in them.
fn build(target: &Path) -> Result<()> {
    let root = root().canonicalize().context("find the folder of the workspace")?;
    let cargo_home =
        std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let cargo_home = cargo_home.context("neither CARGO_HOME nor HOME is set")?;
    let mut rust_flags = std::env::var_os("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let mut c_flags = std::env::var_os("CFLAGS").unwrap_or_default();
    for (from, to) in [(root.as_path(), "/builder"), (target, "/target"), (cargo_home.as_path(), "/cargo")] {
        if !rust_flags.is_empty() {
            rust_flags.push("\u{1f}");
        }
        rust_flags.push(renamed("--remap-path-prefix=", from, to));
        c_flags.push(" ");
        c_flags.push(renamed("-ffile-prefix-map=", from, to));
    }
    let mut command = cargo(&["build", "--release", "--locked", "--workspace"]);
    PROGRAMS.iter().for_each(|program| {
        command.args(["--bin", program]);
    });
    run(command.env("CARGO_ENCODED_RUSTFLAGS", rust_flags).env("CFLAGS", c_flags))
}

fn renamed(flag: &str, from: &Path, to: &str) -> OsString {
    let mut argument = OsString::from(flag);
    argument.push(from);
    argument.push("=");
    argument.push(to);
    argument
}

/// Lays out the package in a folder, as it lies below the prefix where it is installed.
fn gather(binaries: &Path, stage: &Path) -> Result<()> {
    for program in PROGRAMS {
        copy(&binaries.join(program), &stage.join("bin").join(program))?;
    }
    let man = stage.join("share/man/man1");
    std::fs::create_dir_all(&man).with_context(|| format!("make {}", man.display()))?;
    for (documented, arguments) in COMPLETED {
        let path = binaries.join(documented);
        let path = path.to_str().context("the path of the target folder is not UTF-8")?;
        for (shell, place) in completion_places(arguments.last().unwrap_or(&documented)) {
            let text = output(program(path, &["completions", shell]).args(arguments))?;
            if text.is_empty() {
                bail!("`{documented} completions {shell}` printed nothing");
            }
            write(&stage.join(place), &text)?;
        }
        if arguments.is_empty() || arguments.last() == Some(&documented) {
            run(program(path, &["man"]).arg(&man))?;
        }
    }
    for document in DOCS {
        copy(&root().join(document), &stage.join("share/doc/builder").join(document))?;
    }
    copy(&root().join("packaging/hooks"), &stage.join("share/builder-web/hooks"))?;
    let sample = "builder-web.toml.sample";
    copy(&root().join("packaging").join(sample), &stage.join("share/builder-web").join(sample))?;
    copy(&root().join("packaging/systemd"), &stage.join("lib/systemd/system"))
}

/// For each shell, where it looks for the completions of a program.
fn completion_places(program: &str) -> [(&'static str, String); 3] {
    [
        ("bash", format!("share/bash-completion/completions/{program}")),
        ("zsh", format!("share/zsh/site-functions/_{program}")),
        ("fish", format!("share/fish/vendor_completions.d/{program}.fish")),
    ]
}

/// Copies a file, or a folder with all that is in it.
fn copy(from: &Path, to: &Path) -> Result<()> {
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

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let context = || format!("write {}", path.display());
    let folder = path.parent().with_context(context)?;
    std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, bytes)).with_context(context)
}

/// Packs with sorted names, one time, one owner and plain modes; returns the path of the package.
fn pack(stage: &Path, name: &str, epoch: &str, folder: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let archive = folder.join(format!("{name}.tar"));
    let mut tar = program("tar", &["--create", "--format=ustar", "--sort=name", "--owner=0", "--group=0"]);
    tar.args(["--numeric-owner", "--mode=u=rwX,go=rX"]).arg(format!("--mtime=@{epoch}")).arg("--file").arg(&archive);
    let parent = stage.parent().context("the package has no folder around it")?;
    run(tar.arg("--directory").arg(parent).arg(name))?;
    run(program("gzip", &["-n", "-9", "--force"]).arg(&archive))?;
    Ok(archive.with_extension("tar.gz"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_files_make_the_same_package() {
        let folder = std::env::temp_dir().join(format!("xtask-dist-{}", std::process::id()));
        let sum = |round: &str| {
            let stage = folder.join(round).join("builder-test");
            for file in ["b", "a", "sub/c"] {
                write(&stage.join(file), file.as_bytes()).unwrap();
            }
            std::fs::read(pack(&stage, "builder-test", "1700000000", &folder).unwrap()).unwrap()
        };
        let (first, second) = (sum("first"), sum("second"));
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(!first.is_empty());
        assert_eq!(first, second);
    }
}
