//! Namespaces of Linux, made by `bwrap`. The job sees a list of what is allowed, never the host without a list of what
//! is not.

use super::environment;
use crate::accounts::{self, BUILD_ID};
use crate::check::Finding;
use crate::host::Host;
use crate::plan::{Argument, Enclosure, HostUser, Inside, Place, Plan, STAGE_FOLDER, Stage, StageBind};
use crate::policy::{Policy, User};
use crate::{BUILD_FOLDER, seccomp};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Where programs and libraries lie below `/`; with a merged `/usr` all but one of them are links.
pub(crate) const TOP_LEVEL: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];
/// What a job sees of the host's `/etc` and `/var`: what programs need, and nobody's secret.
const SHOWN: [&str; 18] = [
    "/etc/alternatives",
    "/etc/bash.bashrc",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/debian_version",
    "/etc/dpkg",
    "/etc/fonts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/mime.types",
    "/etc/os-release",
    "/etc/perl",
    "/etc/protocols",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/var/lib/dpkg",
];
/// How addresses of the network are found.
const RESOLVER: &str = "/etc/resolv.conf";
/// The content of `/etc/nsswitch.conf`: names are looked for in files before anybody is asked.
const NAMES: &str = "passwd: files\ngroup: files\nhosts: files dns\n";
/// Folders that a job always finds empty, and its own.
const OWN_FOLDERS: [&str; 6] = ["build", "dev", "proc", "run", "sys", "tmp"];
/// What `/run` may hold, in bytes.
const RUN_BYTES: u64 = 64 << 20;
/// Where this program lies inside.
const PROGRAM_FOLDER: &str = "/run/builder";
/// When the worker is root, jobs run as users of these numbers, one for each that runs at the same time. Nobody has
/// them: distributions and systemd leave them free.
const HOST_USER_FIRST: u32 = 60_800;
/// How many of them there are.
const HOST_USERS: u32 = 256;
/// What `root` may do inside: as in a container of docker, but for what only a network needs.
const ROOT_CAPABILITIES: [&str; 11] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

pub(super) fn paths_shown(policy: &Policy) -> Vec<PathBuf> {
    let system = TOP_LEVEL.iter().chain(&SHOWN).chain([&RESOLVER]).map(PathBuf::from);
    if policy.root.is_none() { system.collect() } else { vec![PathBuf::from(RESOLVER)] }
}

pub(super) fn needs(host: &Host) -> Vec<Finding> {
    let mut findings = vec![match host.programs.get("bwrap") {
        Some(path) => Finding::works("bwrap", path.display().to_string()),
        None => Finding::missing("bwrap", "is not in PATH", "apt-get install bubblewrap"),
    }];
    findings.push(match host.user_namespaces_off {
        None => Finding::works("user namespaces", "may be made"),
        Some(setting) => Finding::missing("user namespaces", "are switched off", format!("sysctl -w {setting}")),
    });
    findings.push(if seccomp::filter().is_some() {
        Finding::works("filter of system calls", "is known for this processor")
    } else {
        Finding::missing("filter of system calls", "is not known for this processor", "use another kind of sandbox")
    });
    if !host.own.libraries.is_empty() && loader(host).is_none() {
        let detail = "cannot be told from the other libraries of this program";
        findings.push(Finding::missing("loader", detail, "use another kind of sandbox"));
    }
    findings
}

/// The library that loads programs.
fn loader(host: &Host) -> Option<&Path> {
    let is_loader = |path: &&PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"ld-"));
    host.own.libraries.iter().find(is_loader).map(PathBuf::as_path)
}

pub(super) fn plan(policy: &Policy, host: &Host, place: &Place) -> Plan {
    let mut command = Command::new(host);
    command.isolate(policy);
    match (&policy.root, &host.root) {
        (Some(_), Some(Ok(root))) => command.given_root(&root.path, &root.entries),
        _ => command.host_root(policy, host),
    }
    command.names(policy, host);
    command.own_folders(policy);
    for (option, paths) in [("--ro-bind", &policy.read_only), ("--bind", &policy.writable)] {
        for path in paths {
            command.bind(option, path, path);
        }
    }
    command.bind("--bind", Path::new(&place.folder), Path::new(BUILD_FOLDER));
    command.run_ourselves(host);
    Plan::Enclosed(Box::new(Enclosure {
        name: "bubblewrap".to_owned(),
        stage: command.stage,
        prepare: Vec::new(),
        command: command.arguments,
        descriptors: command.descriptors,
        host_user: host_user(host, place),
        inside: Inside::Supervisor { folder: BUILD_FOLDER.into(), environment: environment(policy, host) },
        cleanup: Vec::new(),
    }))
}

/// Who the job is on the host: root would be root there, whatever it is called inside.
fn host_user(host: &Host, place: &Place) -> Option<HostUser> {
    let named = host.host_user.as_ref().and_then(|user| user.as_ref().ok()).copied();
    let number = HOST_USER_FIRST + place.slot % HOST_USERS;
    host.is_root.then(|| named.unwrap_or(HostUser { uid: number, gid: number }))
}

/// The content of `/etc/hosts`.
fn hosts(name: &str) -> String {
    format!("127.0.0.1 localhost {name}\n::1 localhost {name}\n")
}

/// The command line of bwrap, as it grows.
struct Command {
    arguments: Vec<Argument>,
    descriptors: Vec<Vec<u8>>,
    /// There when the worker is root: then bwrap runs as somebody who may not even get at the folder of the job.
    stage: Option<Stage>,
}

impl Command {
    fn new(host: &Host) -> Self {
        let program = host.programs.get("bwrap").map_or_else(|| OsString::from("bwrap"), OsString::from);
        let stage = host.is_root.then(Stage::default);
        Self { arguments: vec![program.into()], descriptors: Vec::new(), stage }
    }

    fn add(&mut self, arguments: &[&str]) {
        self.arguments.extend(arguments.iter().map(Argument::from));
    }

    /// A path of the host at a place inside.
    fn bind(&mut self, option: &str, source: &Path, target: &Path) {
        let source = match &mut self.stage {
            None => source.to_owned(),
            Some(stage) => {
                let name = format!("bind-{}", stage.binds.len());
                let place = Path::new(STAGE_FOLDER).join(&name);
                stage.binds.push(StageBind { source: source.into(), name });
                place
            }
        };
        self.arguments.extend([option.into(), source.into(), target.into()]);
    }

    /// The content of a file that nobody else can change.
    fn data(&mut self, option: &str, content: Vec<u8>) {
        self.arguments.extend([option.into(), Argument::Descriptor(self.descriptors.len())]);
        self.descriptors.push(content);
    }

    fn isolate(&mut self, policy: &Policy) {
        self.add(&["--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try"]);
        if !policy.has_network {
            self.add(&["--unshare-net"]);
        }
        self.add(&["--disable-userns", "--die-with-parent", "--new-session", "--as-pid-1", "--clearenv"]);
        let id = match policy.user {
            User::Build => BUILD_ID.to_string(),
            User::Root => "0".to_owned(),
        };
        self.add(&["--uid", &id, "--gid", &id, "--hostname", &policy.host_name]);
        match policy.user {
            User::Build => {}
            User::Root => ROOT_CAPABILITIES.iter().for_each(|name| self.add(&["--cap-add", name])),
        }
        if let Some(filter) = seccomp::filter() {
            self.data("--seccomp", filter);
        }
    }

    /// Programs and libraries of the host, and little more.
    fn host_root(&mut self, policy: &Policy, host: &Host) {
        for name in TOP_LEVEL.map(Path::new) {
            match host.links.iter().find(|(link, _)| link == name) {
                Some((_, target)) => self.arguments.extend(["--symlink".into(), target.into(), name.into()]),
                None if host.present.contains(name) => self.add_bind(name),
                None => {}
            }
        }
        let resolver = policy.has_network.then_some(RESOLVER);
        for path in SHOWN.into_iter().chain(resolver).map(Path::new) {
            if host.present.contains(path) {
                self.add_bind(path);
            }
        }
        self.add(&["--dir", "/var/tmp"]);
    }

    /// A file of the system, which every user of the host can read, at the same place.
    fn add_bind(&mut self, path: &Path) {
        self.arguments.extend(["--ro-bind".into(), path.into(), path.into()]);
    }

    /// All that lies in a root file system. It is not bound as a whole, because places for our own folders could not be
    /// made in it.
    fn given_root(&mut self, path: &Path, entries: &[crate::root::Entry]) {
        for entry in entries {
            let inside = Path::new("/").join(&entry.name);
            if OWN_FOLDERS.iter().any(|own| entry.name == OsStr::new(own)) {
                continue;
            }
            match &entry.link {
                Some(target) => self.arguments.extend(["--symlink".into(), target.into(), inside.into()]),
                None => self.bind("--ro-bind", &path.join(&entry.name), &inside),
            }
        }
    }

    /// Users and names: the same, whatever the host has.
    fn names(&mut self, policy: &Policy, host: &Host) {
        let files = [
            ("/etc/passwd", accounts::passwd(host.accounts.passwd.as_deref())),
            ("/etc/group", accounts::group(host.accounts.group.as_deref())),
        ];
        let names = [("/etc/hosts", hosts(&policy.host_name)), ("/etc/nsswitch.conf", NAMES.to_owned())];
        for (place, content) in files.into_iter().chain(names) {
            self.add(&["--perms", "0644"]);
            self.data("--ro-bind-data", content.into_bytes());
            self.add(&[place]);
        }
    }

    fn own_folders(&mut self, policy: &Policy) {
        self.add(&["--proc", "/proc", "--dev", "/dev"]);
        let tmp = policy.tmp_bytes.to_string();
        for (place, size, mode) in [
            ("/dev/shm", tmp.as_str(), "1777"),
            ("/tmp", &tmp, "1777"),
            ("/var/tmp", &tmp, "1777"),
            ("/run", &RUN_BYTES.to_string(), "0755"),
        ] {
            self.add(&["--perms", mode, "--size", size, "--tmpfs", place]);
        }
        self.add(&["--remount-ro", "/dev"]);
    }

    /// This program, which runs the script; with its own libraries, whatever the root file system has.
    fn run_ourselves(&mut self, host: &Host) {
        let folder = Path::new(PROGRAM_FOLDER);
        let program = folder.join("builder-worker");
        self.bind("--ro-bind", &host.own.program, &program);
        for library in &host.own.libraries {
            self.bind("--ro-bind", library, &folder.join(library.file_name().unwrap_or_default()));
        }
        self.add(&["--remount-ro", "/", "--chdir", BUILD_FOLDER, "--"]);
        if let Some(loader) = loader(host).and_then(Path::file_name) {
            self.arguments.extend([folder.join(loader).into(), "--library-path".into(), folder.into()]);
        }
        self.arguments.push(program.into());
    }
}
