//! What this machine can give, as far as sandboxes ask: gathered here, at the edge, and judged elsewhere.

use crate::kinds;
use crate::policy::{Kind, Policy};
use crate::root::{Root, RootError};
use builder_rootfs::in_path;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How addresses of the network are found.
const RESOLVER: &str = "/etc/resolv.conf";
/// What the kernel writes behind the name of a file that is gone.
const DELETED: &str = " (deleted)";

/// The facts; all of them are readings of one moment.
#[derive(Debug)]
pub struct Host {
    /// Whether the worker is root.
    pub is_root: bool,
    /// The number of its user.
    pub uid: u32,
    /// The user and group that jobs run as when the worker is root and the policy names a user.
    pub host_user: Option<Result<crate::HostUser, String>>,
    /// Programs that were found, by name.
    pub programs: std::collections::BTreeMap<&'static str, PathBuf>,
    /// The root file system of the policy.
    pub root: Option<Result<Root, RootError>>,
    /// `/etc/passwd` and `/etc/group` of that root file system.
    pub accounts: Accounts,
    /// Names below `/` that are links of the host, as of a merged `/usr`, with where they lead to.
    pub links: Vec<(PathBuf, PathBuf)>,
    /// Which of the paths that a policy or a kind would show are there.
    pub present: BTreeSet<PathBuf>,
    /// This program and the libraries it has loaded, by which it can run inside.
    pub own: OwnProgram,
    /// What only a host with jails has.
    pub jail: kinds::JailFacts,
    /// The engine that makes containers, if the policy asks for one and there is one.
    pub container: Option<kinds::ContainerFacts>,
    /// `/etc/resolv.conf`: how addresses of the network are found.
    pub resolver: Option<Vec<u8>>,
    /// The environment of the worker.
    pub environment: Vec<(OsString, OsString)>,
    /// Which version of Landlock the kernel has switched on; only the kernel itself can be asked, which is for the caller to do.
    pub landlock: Option<u32>,
    /// Whether user namespaces are switched off for users without rights, and by which setting.
    pub user_namespaces_off: Option<&'static str>,
}

/// What a root file system says of its users.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Accounts {
    /// `/etc/passwd`
    pub passwd: Option<String>,
    /// `/etc/group`
    pub group: Option<String>,
}

/// A program and what it has loaded.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct OwnProgram {
    /// Its file; none when that has been removed or replaced since it was started.
    pub program: Option<PathBuf>,
    /// The loader and the libraries; none for a static program.
    pub libraries: Vec<PathBuf>,
}

impl Host {
    /// Looks around, for what this policy asks. The program is the one that becomes a supervisor; whose user this
    /// process is, is for the caller to know.
    pub fn gather(policy: &Policy, own_program: Option<&Path>, uid: u32) -> Self {
        let is_root = uid == 0;
        let mut root = read_root(policy);
        let accounts = Accounts::of(root.as_ref());
        if let Some(Ok(root)) = &mut root {
            root.release();
        }
        let shown = kinds::paths_shown(policy);
        Self {
            is_root,
            uid,
            resolver: fs::read(RESOLVER).ok(),
            host_user: policy.host_user.as_deref().map(host_user),
            programs: kinds::PROGRAMS.iter().filter_map(|name| Some((*name, in_path(name)?))).collect(),
            accounts,
            root,
            links: kinds::TOP_LEVEL.iter().filter_map(|name| link(Path::new(name))).collect(),
            present: shown.into_iter().filter(|path| path.exists()).collect(),
            own: OwnProgram::of(own_program),
            jail: match policy.kind {
                Kind::Jail => kinds::JailFacts::gather(policy),
                Kind::None | Kind::Bubblewrap | Kind::Container | Kind::Nspawn => kinds::JailFacts::default(),
            },
            container: match policy.kind {
                Kind::Container => kinds::ContainerFacts::gather(policy),
                Kind::None | Kind::Bubblewrap | Kind::Nspawn | Kind::Jail => None,
            },
            environment: std::env::vars_os().collect(),
            landlock: None,
            user_namespaces_off: match policy.kind {
                // Root makes one with its own rights for a range of users, and else becomes somebody without any.
                Kind::Bubblewrap => user_namespaces_off(is_root && kinds::wants_range(policy)),
                Kind::None | Kind::Container | Kind::Nspawn | Kind::Jail => None,
            },
        }
    }

    /// Looks at the root file system or the image again, as it is now, and holds the former as long as this value lives: for
    /// a job that is about to run. A worker that only waits holds none, so that it can be removed.
    pub fn hold_root(&mut self, policy: &Policy) {
        self.root = read_root(policy);
        self.accounts = Accounts::of(self.root.as_ref());
        if let Some(container) = &mut self.container {
            container.look_at_image(policy);
        }
    }
}

fn read_root(policy: &Policy) -> Option<Result<Root, RootError>> {
    let read = if policy.kind == Kind::Jail { kinds::jail_root } else { Root::read };
    policy.root.as_deref().map(read)
}

impl Accounts {
    fn of(root: Option<&Result<Root, RootError>>) -> Self {
        let file = |name: &str| fs::read_to_string(root?.as_ref().ok()?.path.join("etc").join(name)).ok();
        Self { passwd: file("passwd"), group: file("group") }
    }
}

fn link(path: &Path) -> Option<(PathBuf, PathBuf)> {
    Some((path.to_owned(), fs::read_link(path).ok()?))
}

/// A user of the host, by number or name: whose numbers are root's is root, whatever it is called.
fn host_user(name: &str) -> Result<crate::HostUser, String> {
    let user = user_of_host(name)?;
    if user.uid == 0 || user.gid == 0 {
        return Err(format!("{name} is root of the host, or in the group of root, and no job is to be that"));
    }
    Ok(user)
}

fn user_of_host(name: &str) -> Result<crate::HostUser, String> {
    if let Ok(uid) = name.parse() {
        return Ok(crate::HostUser { uid, gid: uid });
    }
    let passwd = fs::read_to_string("/etc/passwd").map_err(|error| format!("cannot read /etc/passwd: {error}"))?;
    let line = passwd.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let mut numbers = line.into_iter().flat_map(|line| line.split(':').skip(1)).map_while(|field| field.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(uid), Some(gid)) => Ok(crate::HostUser { uid, gid }),
        _ => Err(format!("/etc/passwd has no user {name:?}")),
    }
}

/// Settings of Linux and its distributions that forbid user namespaces to users without rights.
fn user_namespaces_off(by_root: bool) -> Option<&'static str> {
    let value = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    if value("/proc/sys/user/max_user_namespaces").as_deref() == Some("0") {
        return Some("user.max_user_namespaces=10000");
    }
    if !by_root && value("/proc/sys/kernel/unprivileged_userns_clone").as_deref() == Some("0") {
        return Some("kernel.unprivileged_userns_clone=1");
    }
    None
}

impl OwnProgram {
    /// Reads from the map of this process which loader and libraries it has; the program itself is given.
    fn of(program: Option<&Path>) -> Self {
        let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let exe = fs::read_link("/proc/self/exe").unwrap_or_default();
        let exe = PathBuf::from(exe.to_string_lossy().trim_end_matches(DELETED));
        Self { program: program.map(Path::to_owned), libraries: libraries(&maps, &exe) }
    }
}

/// The files of a map of memory that hold code, but for the program itself.
fn libraries(maps: &str, program: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for line in maps.lines() {
        let fields: Vec<&str> = line.splitn(6, ' ').collect();
        let [_, rights, _, _, _, path] = fields[..] else { continue };
        // A library that was replaced while we run has a successor of the same name.
        let path = Path::new(path.trim_start().trim_end_matches(DELETED));
        if rights.contains('x') && path.is_absolute() && path != program && !found.iter().any(|other| other == path) {
            found.push(path.to_owned());
        }
    }
    found
}

/// What a program says, or why it does not, on one line.
pub(crate) fn answer(program: &str, arguments: &[&str]) -> Result<String, String> {
    let told = |error: io::Error| format!("{program}: {error}");
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().map_err(told)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr).replace('\n', "; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_a_map() {
        let maps = "\
            55d0-55d1 r--p 00000000 08:01 12 /usr/bin/builder-worker\n\
            55d1-55d2 r-xp 00001000 08:01 12 /usr/bin/builder-worker\n\
            7f00-7f01 r-xp 00001000 08:01 13    /usr/lib/x86_64-linux-gnu/libc.so.6\n\
            7f01-7f02 r--p 00001000 08:01 14    /usr/lib/locale/C.utf8/LC_CTYPE\n\
            7f02-7f03 r-xp 00001000 08:01 15    /usr/lib/ld-linux-x86-64.so.2 (deleted)\n\
            7ffc-7ffd r-xp 00000000 00:00 0 [vdso]\n\
            7ffd-7ffe rw-p 00000000 00:00 0\n";
        let found = libraries(maps, Path::new("/usr/bin/builder-worker"));
        let expected = ["/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/ld-linux-x86-64.so.2"];
        assert_eq!(found, expected.map(PathBuf::from));
    }

    #[test]
    fn a_user_of_the_host_is_a_number_or_a_name() {
        assert_eq!(host_user("1234"), Ok(crate::HostUser { uid: 1234, gid: 1234 }));
        assert_eq!(host_user("daemon"), Ok(crate::HostUser { uid: 1, gid: 1 }));
        assert!(host_user("nobody-has-this-name").is_err());
    }

    #[test]
    fn no_job_is_root_of_the_host() {
        for name in ["root", "0", "+0", "00"] {
            let why = host_user(name).unwrap_err();
            assert!(why.contains("is root of the host"), "{name}: {why}");
        }
    }
}
