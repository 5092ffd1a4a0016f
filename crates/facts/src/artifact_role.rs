//! Which artifact plays which part in a build, chosen by path alone: what is not kept, what is shown as the readme of
//! the job, and what is its main binary.

/// Extensions of files that are a package of some system.
pub const PACKAGE_EXTENSIONS: [&str; 4] = ["deb", "pkg", "rpm", "apk"];

/// What the paths of binaries begin with.
pub const BINARIES: &str = "bin/";

/// Why a build has no main binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoMainBinary {
    /// Neither a file below `bin/` nor a package.
    #[error("no artifact below bin/, and no package")]
    None,
    /// More than one file below `bin/`, and not exactly one is named after the job.
    #[error("{0} artifacts below bin/, and not exactly one of them is named after the job")]
    Several(usize),
    /// Nothing below `bin/`, but more than one package.
    #[error("no artifact below bin/, but {0} packages")]
    SeveralPackages(usize),
}

/// The last segment of a path.
pub fn base_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// What follows the last dot of the base name. A dot that the name begins with does not count.
pub fn extension(path: &str) -> Option<&str> {
    base_name(path).trim_start_matches('.').rsplit_once('.').map(|(_, extension)| extension)
}

/// Whether the artifact at `path` is not kept as one: the readme, which belongs to the job, and lists of hashes.
pub fn is_dropped(path: &str) -> bool {
    base_name(path) == "README.md" || extension(path) == Some("build-hashes")
}

/// The artifact that is the readme of the job: the one at top level, else the first.
pub fn readme<'a>(paths: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut first = None;
    for path in paths {
        if path == "README.md" {
            return Some(path);
        }
        if base_name(path) == "README.md" {
            first = first.or(Some(path));
        }
    }
    first
}

/// The main binary among the artifacts of a build of `job`.
///
/// It is the single artifact below `bin/`. If there are several, it is the single one of them that is named after the
/// job: exactly, or up to a dot. If there are none, it is the single package, or of several the single one that is named
/// after the job. Artifacts that are dropped, and packages of debugging symbols, do not count.
pub fn main_binary<'a>(job: &str, paths: impl IntoIterator<Item = &'a str>) -> Result<&'a str, NoMainBinary> {
    let (mut binaries, mut named) = (Single::default(), Single::default());
    let (mut packages, mut named_packages) = (Single::default(), Single::default());
    for path in paths.into_iter().filter(|path| !is_dropped(path)) {
        if path.starts_with(BINARIES) {
            binaries.see(path);
            if is_named_after(path, job) {
                named.see(path);
            }
        } else if is_package(path) {
            packages.see(path);
            if is_package_of(path, job) {
                named_packages.see(path);
            }
        }
    }
    match (binaries, named, packages, named_packages) {
        (Single::One(path), ..) | (Single::Many(_), Single::One(path), ..) => Ok(path),
        (Single::Many(count), Single::None | Single::Many(_), ..) => Err(NoMainBinary::Several(count)),
        (Single::None, _, Single::One(path), _) | (Single::None, _, Single::Many(_), Single::One(path)) => Ok(path),
        (Single::None, _, Single::Many(count), Single::None | Single::Many(_)) => {
            Err(NoMainBinary::SeveralPackages(count))
        }
        (Single::None, _, Single::None, _) => Err(NoMainBinary::None),
    }
}

/// Whether this is a package that people install; one of debugging symbols is none.
fn is_package(path: &str) -> bool {
    let is_for_debugging = ["-dbgsym_", "-dbg_", "-debuginfo-"].iter().any(|mark| base_name(path).contains(mark));
    !is_for_debugging && extension(path).is_some_and(|extension| PACKAGE_EXTENSIONS.contains(&extension))
}

/// `hello_2.10-3_amd64.deb` and `hello-2.10.pkg` are packages of the job `hello`; `hello-doc_2.10-3_all.deb` is not.
fn is_package_of(path: &str, job: &str) -> bool {
    let Some(rest) = base_name(path).strip_prefix(job) else { return false };
    let version = rest.strip_prefix(['_', '-']).unwrap_or_default();
    rest.starts_with('.') || version.starts_with(|character: char| character.is_ascii_digit())
}

/// `hello`, `hello.hvt` and `hello.hvt.bin` are named after the job `hello`.
fn is_named_after(path: &str, job: &str) -> bool {
    base_name(path).strip_prefix(job).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// None, one, or how many.
#[derive(Default, Clone, Copy)]
enum Single<'a> {
    #[default]
    None,
    One(&'a str),
    Many(usize),
}

impl<'a> Single<'a> {
    fn see(&mut self, path: &'a str) {
        *self = match *self {
            Self::None => Self::One(path),
            Self::One(_) => Self::Many(2),
            Self::Many(count) => Self::Many(count + 1),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readmes_and_lists_of_hashes_are_dropped() {
        for dropped in ["README.md", "doc/README.md", "x.build-hashes", "bin/x.hvt.build-hashes"] {
            assert!(is_dropped(dropped), "{dropped}");
        }
        for kept in ["README", "readme.md", "README.md/x", ".build-hashes", "x.build-hashes.gz", "build-hashes"] {
            assert!(!is_dropped(kept), "{kept}");
        }
    }

    #[test]
    fn the_readme_at_top_level_comes_first() {
        assert_eq!(readme(["a/README.md", "README.md"]), Some("README.md"));
        assert_eq!(readme(["x", "b/README.md", "a/README.md"]), Some("b/README.md"));
        assert_eq!(readme(["README", "xREADME.md"]), None);
    }

    #[test]
    fn the_main_binary_is_the_only_one_or_named_after_the_job() {
        let choose = |paths: &[&'static str]| main_binary("hello", paths.iter().copied());
        assert_eq!(choose(&["bin/x.hvt", "hello.deb", "lib/y"]), Ok("bin/x.hvt"));
        assert_eq!(choose(&["bin/deep/x", "bin/README.md", "bin/x.build-hashes"]), Ok("bin/deep/x"));
        assert_eq!(choose(&["bin/tool", "bin/hello.hvt"]), Ok("bin/hello.hvt"));
        assert_eq!(choose(&["bin/tool", "bin/hello", "bin/hello-debug"]), Ok("bin/hello"));
        assert_eq!(choose(&["bin/tool", "bin/hello.hvt", "bin/hello.spt"]), Err(NoMainBinary::Several(3)));
        assert_eq!(choose(&["bin/a", "bin/b", "hello.deb"]), Err(NoMainBinary::Several(2)));
    }

    #[test]
    fn of_several_packages_the_one_of_the_job_is_taken() {
        let debs = ["hello-dbgsym_2.10-3_amd64.deb", "hello-doc_2.10-3_all.deb", "hello_2.10-3_amd64.deb"];
        assert_eq!(main_binary("hello", debs), Ok(debs[2]));
        assert_eq!(main_binary("other", debs), Err(NoMainBinary::SeveralPackages(2)));
        assert_eq!(main_binary("other", [debs[0], debs[1]]), Ok(debs[1]));
        assert_eq!(main_binary("hello", ["hello-2.10.pkg", "hello-data-2.10.pkg"]), Ok("hello-2.10.pkg"));
    }

    #[test]
    fn without_a_binary_the_only_package_is_taken() {
        let choose = |paths: &[&'static str]| main_binary("hello", paths.iter().copied());
        assert_eq!(choose(&["hello_1.0_amd64.deb", "hello_1.0.buildinfo"]), Ok("hello_1.0_amd64.deb"));
        assert_eq!(choose(&["All/hello-1.0.pkg"]), Ok("All/hello-1.0.pkg"));
        assert_eq!(choose(&["a.deb", "a.rpm"]), Err(NoMainBinary::SeveralPackages(2)));
        assert_eq!(choose(&["./bin/x", "/bin/x", "sbin/x", "bin"]), Err(NoMainBinary::None));
        assert_eq!(choose(&[]), Err(NoMainBinary::None));
    }

    #[test]
    fn the_reason_can_be_read() {
        assert_eq!(
            NoMainBinary::Several(2).to_string(),
            "2 artifacts below bin/, and not exactly one of them is named after the job"
        );
        assert_eq!(NoMainBinary::None.to_string(), "no artifact below bin/, and no package");
    }
}
