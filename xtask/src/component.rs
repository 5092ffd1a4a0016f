//! Real components that tests run against: found, installed where that is allowed, or their tests skipped by name.

use crate::command::{program, succeeds, works};
use crate::freebsd;
use crate::packages::Packages;
use anyhow::{Result, bail};
use std::path::Path;

/// Something that is not ours and that some tests, or a step of the checks, need.
pub(crate) struct Component {
    /// What people call it.
    pub(crate) name: &'static str,
    /// Whether this machine has it.
    found: fn() -> bool,
    source: Source,
    /// The tests that need it: each whose name contains one of these.
    pub(crate) tests: &'static [&'static str],
}

/// What brings a component.
enum Source {
    /// A package of Debian.
    Debian(&'static str),
    /// A registry of npm or Python, into the target folder: no rights are needed.
    Registry(Packages),
    /// Nothing: it is a right that whoever runs us has or has not.
    Nobody,
}

/// All of them, each after what it needs itself. A new one is a line here, and tests named after it.
const COMPONENTS: &[Component] = &[
    // The demo compiles, tests and packs a C program, and notes are read from what gcc and objcopy make. The C parts of
    // our dependencies need it, too.
    Component {
        name: "C compiler",
        found: || in_path("cc"),
        source: Source::Debian("build-essential"),
        tests: &["demo", "gcc", "cmake", "cargo_project", "dpkg_buildpackage"],
    },
    Component {
        name: "Chromium",
        found: || in_path("chromium"),
        source: Source::Debian("chromium"),
        tests: &["chromium"],
    },
    // Without any, a page is a row of empty boxes; and its width depends on which.
    Component {
        name: "DejaVu fonts",
        found: || Path::new("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf").is_file(),
        source: Source::Debian("fonts-dejavu-core"),
        tests: &["chromium"],
    },
    Component { name: "Node.js", found: || in_path("node"), source: Source::Debian("nodejs"), tests: &["chromium"] },
    Component { name: "npm", found: || in_path("npm"), source: Source::Debian("npm"), tests: &["chromium"] },
    Component {
        name: "browser packages",
        found: || Packages::Browser.are_there(),
        source: Source::Registry(Packages::Browser),
        tests: &["chromium"],
    },
    Component {
        name: "Python's venv",
        found: || works(program("python3", &["-c", "import venv, ensurepip"])),
        source: Source::Debian("python3-venv"),
        tests: &["schemathesis"],
    },
    Component {
        name: "schemathesis",
        found: || Packages::Schemathesis.are_there(),
        source: Source::Registry(Packages::Schemathesis),
        tests: &["schemathesis"],
    },
    // The hook scripts that are shipped read the database with the one and make packages with the others.
    Component { name: "sqlite3", found: || in_path("sqlite3"), source: Source::Debian("sqlite3"), tests: &["sqlite3"] },
    Component { name: "dpkg-deb", found: || in_path("dpkg-deb"), source: Source::Debian("dpkg"), tests: &["dpkg_deb"] },
    // What publishes packages and what fetches them; a machine without apt has nothing that brings either.
    Component {
        name: "aptly",
        found: || ["aptly", "gpg", "apt-get", "dpkg-deb"].iter().all(|name| in_path(name)),
        source: Source::Debian("aptly"),
        tests: &["aptly"],
    },
    Component {
        name: "dpkg-dev",
        found: || in_path("dpkg-buildpackage"),
        source: Source::Debian("dpkg-dev"),
        tests: &["dpkg_buildpackage"],
    },
    Component { name: "CMake", found: || in_path("cmake"), source: Source::Debian("cmake"), tests: &["cmake"] },
    Component { name: "git", found: || in_path("git"), source: Source::Debian("git"), tests: &["from_git"] },
    Component { name: "jq", found: || in_path("jq"), source: Source::Debian("jq"), tests: &["jq"] },
    Component {
        name: "shellcheck",
        found: || in_path("shellcheck"),
        source: Source::Debian("shellcheck"),
        tests: &["shellcheck"],
    },
    Component {
        name: "compiler for FreeBSD",
        found: freebsd::has_compiler,
        source: Source::Debian(freebsd::COMPILER_PACKAGE),
        tests: &[freebsd::CHECK],
    },
    Component {
        name: "sources of Rust's library",
        found: freebsd::has_sources,
        source: Source::Debian(freebsd::SOURCES_PACKAGE),
        tests: &[freebsd::CHECK],
    },
    // Scripts for FreeBSD are run by shells that are as strict as its own.
    Component { name: "dash", found: || in_path("dash"), source: Source::Debian("dash"), tests: &["under_dash"] },
    // The packages of FreeBSD are compressed by it.
    Component { name: "zstd", found: || in_path("zstd"), source: Source::Debian("zstd"), tests: &["by_zstd"] },
    Component { name: "mksh", found: || in_path("mksh"), source: Source::Debian("mksh"), tests: &["under_mksh"] },
    // Packages of Debian are made from what the programs link to; rules for alerts are asked about by whom they are for.
    Component {
        name: "dpkg-dev",
        found: || in_path("dpkg-shlibdeps"),
        source: Source::Debian("dpkg-dev"),
        tests: &["dpkg_deb"],
    },
    Component {
        name: "Prometheus",
        found: || in_path("promtool") && in_path("prometheus"),
        source: Source::Debian("prometheus"),
        tests: &["promtool", "prometheus"],
    },
    // Exports of switches come from it.
    Component { name: "opam", found: || in_path("opam"), source: Source::Debian("opam"), tests: &["opam_itself"] },
    // Programs that people and scripts use a repository with.
    Component {
        name: "curl",
        found: || in_path("curl"),
        source: Source::Debian("curl"),
        tests: &["curl", "cargo_project"],
    },
    Component { name: "wget", found: || in_path("wget"), source: Source::Debian("wget"), tests: &["wget"] },
    // Jobs that do all they can to get out of it.
    Component {
        name: "bubblewrap",
        found: || works(program("bwrap", &["--ro-bind", "/", "/", "--unshare-user", "--unshare-pid", "true"])),
        source: Source::Debian("bubblewrap"),
        tests: &["bubblewrap"],
    },
    Component {
        name: "systemd-nspawn",
        found: || in_path("systemd-nspawn"),
        source: Source::Debian("systemd-container"),
        tests: &["in_nspawn"],
    },
    // A disk that fills up is a small one of its own.
    Component {
        name: "right to limit by control groups",
        found: may_limit,
        source: Source::Nobody,
        tests: &["cgroup"],
    },
    Component { name: "right to mount", found: may_mount, source: Source::Nobody, tests: &["tmpfs", "layer"] },
];

pub(crate) fn in_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

/// Whether we run for a continuous integration, where nothing may be left out.
pub(crate) fn strict() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}

/// The components that are missing after all that could be done about it.
pub(crate) fn missing() -> Result<Vec<&'static Component>> {
    let absent = || COMPONENTS.iter().filter(|component| !(component.found)());
    let packages: Vec<&str> = absent().filter_map(Component::debian_package).collect();
    if !packages.is_empty() && may_install() {
        install(&packages)?;
    }
    for component in absent() {
        if let Source::Registry(packages) = component.source {
            packages.install()?;
        }
    }
    Ok(absent().collect())
}

impl Component {
    fn debian_package(&self) -> Option<&'static str> {
        match self.source {
            Source::Debian(package) => Some(package),
            Source::Registry(_) | Source::Nobody => None,
        }
    }

    /// Whether its lack is a failure where nothing may be left out: not where nothing could have brought it.
    pub(crate) fn is_owed(&self) -> bool {
        match self.source {
            Source::Debian(_) | Source::Registry(_) => strict(),
            Source::Nobody => false,
        }
    }
}

/// Makes sure that programs are there, each with the package of Debian that brings it; installs them where that is allowed.
pub(crate) fn require(programs: &[(&str, &str)]) -> Result<()> {
    let absent = || programs.iter().filter(|(name, _)| !in_path(name));
    let packages: Vec<&str> = absent().map(|(_, package)| *package).collect();
    if !packages.is_empty() && may_install() {
        install(&packages)?;
    }
    match absent().next() {
        None => Ok(()),
        Some((name, package)) => bail!("{name} is not here; as root: apt-get install {package}"),
    }
}

fn is_root() -> bool {
    works(program("sh", &["-c", "test \"$(id -u)\" = 0"]))
}

fn may_install() -> bool {
    in_path("apt-get") && (is_root() || strict())
}

/// Root may, but in many a container.
fn may_mount() -> bool {
    is_root() && works(program("unshare", &["--mount", "true"]))
}

/// Root may where the kernel has the controllers, in a tree of either version that we can write to.
fn may_limit() -> bool {
    let makes = |parent: &str| {
        let group = Path::new(parent).join(format!("builder-xtask-{}", std::process::id()));
        std::fs::create_dir(&group).and_then(|()| std::fs::remove_dir(&group)).is_ok()
    };
    let controllers = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    let has_all = |names: &[&str]| names.iter().all(|name| controllers.split_whitespace().any(|word| word == *name));
    match (Path::new("/sys/fs/cgroup/memory").is_dir(), has_all(&["memory", "pids", "cpu"])) {
        (true, _) => ["memory", "pids", "cpu"].iter().all(|name| makes(&format!("/sys/fs/cgroup/{name}"))),
        (false, true) => is_root() && makes("/sys/fs/cgroup"),
        (false, false) => false,
    }
}

/// What fails here shows as a component that is still missing.
fn install(packages: &[&str]) -> Result<()> {
    let apt = |arguments: &[&str]| {
        let mut command = program("apt-get", arguments);
        command.env("DEBIAN_FRONTEND", "noninteractive");
        succeeds(&mut command)
    };
    // What is on this machine stays: some packages would take others away.
    let install =
        |packages: &[&str]| apt(&[&["install", "--yes", "--no-install-recommends", "--no-remove"], packages].concat());
    if apt(&["update"])? && install(packages)? {
        return Ok(());
    }
    for package in packages {
        if !install(&[package])? {
            eprintln!("xtask: apt-get could not install {package}");
        }
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
            assert!(!component.tests.is_empty() && component.debian_package() != Some(""), "{}", component.name);
        }
    }
}
