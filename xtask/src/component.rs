//! Real components that tests run against: found, installed where that is allowed, or their tests skipped by name.

use crate::command::{program, succeeds, works};
use anyhow::Result;

/// Something that is not ours and that some tests need.
pub(crate) struct Component {
    /// What people call it.
    pub(crate) name: &'static str,
    /// Whether this machine has it.
    found: fn() -> bool,
    /// The Debian package that brings it.
    package: &'static str,
    /// The tests that need it: each whose name contains one of these.
    pub(crate) tests: &'static [&'static str],
}

/// All of them. A new one is a line here, and tests named after it.
const COMPONENTS: &[Component] = &[
    // The demo compiles, tests and packs a C program, and notes are read from what gcc and objcopy make. The C parts of
    // our dependencies need it, too.
    Component { name: "C compiler", found: || in_path("cc"), package: "build-essential", tests: &["demo", "gcc"] },
];

fn in_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

/// Whether we run for a continuous integration, where nothing may be left out.
pub(crate) fn strict() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}

/// The components that are missing after all that could be done about it.
pub(crate) fn missing() -> Result<Vec<&'static Component>> {
    let absent: Vec<&Component> = COMPONENTS.iter().filter(|component| !(component.found)()).collect();
    let packages: Vec<&str> = absent.iter().map(|component| component.package).collect();
    if !packages.is_empty() && may_install() {
        install(&packages)?;
    }
    Ok(absent.into_iter().filter(|component| !(component.found)()).collect())
}

fn may_install() -> bool {
    let root = works(program("sh", &["-c", "test \"$(id -u)\" = 0"]));
    in_path("apt-get") && (root || strict())
}

/// What fails here shows as a component that is still missing.
fn install(packages: &[&str]) -> Result<()> {
    let apt = |arguments: &[&str]| {
        let mut command = program("apt-get", arguments);
        command.env("DEBIAN_FRONTEND", "noninteractive");
        succeeds(&mut command)
    };
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(packages);
    if !apt(&["update"])? || !apt(&arguments)? {
        eprintln!("xtask: apt-get could not install {}", packages.join(" "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_looked_for_in_the_path() {
        assert!(in_path("sh"));
        assert!(!in_path("a-program-that-nobody-has"));
    }

    #[test]
    fn every_component_says_which_tests_need_it() {
        for component in COMPONENTS {
            assert!(!component.tests.is_empty() && !component.package.is_empty(), "{}", component.name);
        }
    }
}
