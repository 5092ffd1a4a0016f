//! FreeBSD from Linux: a compiler of Debian's that comes with the sources of Rust's library, so that the library can be
//! made for another system, and how cargo is told to use it.
//!
//! Nothing here runs what it makes. What is packed, and how, is the business of `dist`.

use crate::command::{cargo, output, program, root, succeeds};
use crate::packages::Packages;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What Rust calls FreeBSD.
pub(crate) const TARGET: &str = "x86_64-unknown-freebsd";
/// The step of the checks that needs the compiler, as components name it.
pub(crate) const CHECK: &str = "freebsd_check";
/// Debian's package of the compiler, and that of the library's sources.
pub(crate) const COMPILER_PACKAGE: &str = "rustc-web";
pub(crate) const SOURCES_PACKAGE: &str = "rust-web-src";
const COMPILER: &str = "/usr/bin/rustc";
const SOURCES: &str = "/usr/lib/rustlib/src/rust/library/Cargo.lock";
/// What is not checked, and why.
const LINUX_ONLY: &str = "builder-faults";
const LINUX_ONLY_BECAUSE: &str = "it breaks programs by mount namespaces, /proc and prctl as Linux has them, \
    and no package has it";

pub(crate) fn has_compiler() -> bool {
    let version = output(&mut program(COMPILER, &["--version"])).unwrap_or_default();
    is_new_enough(&String::from_utf8_lossy(&version), env!("CARGO_PKG_RUST_VERSION"))
}

/// Whether `rustc 1.96.0 (…)` is at least what the workspace asks for.
fn is_new_enough(said: &str, wanted: &str) -> bool {
    let numbers = |text: &str| text.split('.').map_while(|part| part.parse().ok()).collect::<Vec<u32>>();
    let said = said.strip_prefix("rustc ").and_then(|rest| rest.split_whitespace().next());
    said.is_some_and(|said| numbers(said) >= numbers(wanted))
}

pub(crate) fn has_sources() -> bool {
    Path::new(SOURCES).is_file()
}

/// Checks the types of the workspace, with all code that is FreeBSD's own; whether they are right. The C of dependencies
/// is not compiled.
pub(crate) fn check(target: &Path) -> Result<bool> {
    let mut command = cargo(&["check", "--workspace", "--exclude", LINUX_ONLY, "--locked"]);
    println!("not checked for FreeBSD: {LINUX_ONLY}: {LINUX_ONLY_BECAUSE}");
    // What is only checked is never debugged, and half as large without.
    command.env("CARGO_PROFILE_DEV_DEBUG", "false");
    succeeds(configure(&mut command, target, &root().join("xtask/freebsd/no-cc.sh")))
}

/// Tells a command that builds to build for FreeBSD; gives the folder with folders of profiles, where its programs will
/// lie.
pub(crate) fn build_with(command: &mut Command, target: &Path) -> Result<PathBuf> {
    if !has_compiler() || !has_sources() {
        bail!("no compiler for FreeBSD\nhint: apt-get install {COMPILER_PACKAGE} {SOURCES_PACKAGE}");
    }
    if !Packages::Ziglang.are_there() {
        Packages::Ziglang.install()?;
    }
    if !Packages::Ziglang.are_there() {
        bail!("no linker for FreeBSD\nhint: apt-get install python3-venv, and a network that reaches PyPI");
    }
    // Who wants to see where a program broke has the names of its functions; lines would make it four times as large.
    command.env("CARGO_PROFILE_RELEASE_DEBUG", "false").env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo");
    let wrapper = root().join("xtask/freebsd/zig-cc.sh");
    command.env("ZIG_PYTHON", Packages::Ziglang.folder()?.join("bin/python"));
    command.env("CARGO_TARGET_X86_64_UNKNOWN_FREEBSD_LINKER", &wrapper);
    configure(command, target, &wrapper);
    Ok(folder(target).join(TARGET))
}

/// What is made for FreeBSD lies apart: it is another compiler's.
fn folder(target: &Path) -> PathBuf {
    target.join("freebsd")
}

fn configure<'a>(command: &'a mut Command, target: &Path, c_compiler: &Path) -> &'a mut Command {
    command.args(["--target", TARGET, "-Zbuild-std=std,panic_abort"]);
    command.env("CARGO_TARGET_DIR", folder(target));
    // To make the library anew is a feature that Rust still calls unstable.
    command.env("RUSTC", COMPILER).env("RUSTC_BOOTSTRAP", "1");
    command.env_remove("RUSTC_WRAPPER").env_remove("RUSTC_WORKSPACE_WRAPPER");
    command.env("CC_x86_64_unknown_freebsd", c_compiler).env("AR_x86_64_unknown_freebsd", "ar")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_compiler_will_not_do() {
        assert!(is_new_enough("rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)", "1.89"));
        assert!(is_new_enough("rustc 1.89.0 (x)", "1.89") && is_new_enough("rustc 2.0.0", "1.89"));
        assert!(!is_new_enough("rustc 1.63.0 (x)", "1.89") && !is_new_enough("", "1.89"));
    }

    #[test]
    fn cargo_is_told_of_the_other_system_and_kept_apart() {
        let mut command = cargo(&["check"]);
        configure(&mut command, Path::new("/t"), Path::new("/w"));
        let arguments: Vec<_> = command.get_args().collect();
        assert_eq!(arguments, ["check", "--target", TARGET, "-Zbuild-std=std,panic_abort"]);
        let value = |name: &str| command.get_envs().find(|(known, _)| *known == name).and_then(|(_, value)| value);
        assert_eq!(value("CARGO_TARGET_DIR"), Some("/t/freebsd".as_ref()));
        assert_eq!(value("CC_x86_64_unknown_freebsd"), Some("/w".as_ref()));
    }
}
