//! Namespaces of Linux, made by `bwrap`. The job sees a list of what is allowed, never the host without a list of what
//! is not.

use super::environment;
use crate::accounts::{self, BUILD_ID};
use crate::check::Finding;
use crate::host::Host;
use crate::plan::{
    Argument, Complaints, Enclosure, HostUser, Inside, Place, Plan, RANGE_USERS, STAGE_ROOT, Stage, StageLayer,
    StageRoot, StageUsers,
};
use crate::policy::{Policy, User};
use crate::root::{Entry, EntryKind, Root};
use crate::{BUILD_FOLDER, seccomp};
use std::ffi::OsString;
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
/// The same for jobs that are root inside: each has a range of its own, above those that systemd-nspawn takes.
const HOST_RANGE_FIRST: u32 = 0x7000_0000;
/// How many of both there are.
const HOST_USERS: u32 = 256;
/// The first version of Landlock that knows of sockets without a file.
const LANDLOCK_WITH_SOCKETS: u32 = 6;
/// What `root` may do inside: as in a container of docker, but for what only a network needs.
pub(super) const ROOT_CAPABILITIES: [&str; 11] = [
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
    let system = TOP_LEVEL.iter().chain(&SHOWN).map(PathBuf::from);
    if policy.root.is_none() { system.collect() } else { Vec::new() }
}

pub(super) fn needs(policy: &Policy, host: &Host) -> Vec<Finding> {
    let program = |name, package| match host.programs.get(name) {
        Some(path) => Finding::works(name, path.display().to_string()),
        None => Finding::missing(name, "is not in PATH", format!("apt-get install {package}")),
    };
    let mut findings = vec![program("bwrap", "bubblewrap")];
    if host.is_root && wants_range(policy) {
        findings.push(program("unshare", "util-linux"));
    }
    findings.push(match host.user_namespaces_off {
        None => Finding::works("user namespaces", "may be made"),
        Some(setting) => Finding::missing("user namespaces", "are switched off", format!("sysctl -w {setting}")),
    });
    findings.push(if seccomp::filter().is_some() {
        Finding::works("filter of system calls", "is known for this processor")
    } else {
        Finding::missing("filter of system calls", "is not known for this processor", "use another kind of sandbox")
    });
    findings.push(Finding::works("Landlock", landlock(host.landlock)));
    // A file that is there already cannot be covered, and jobs are to find the same users and hosts everywhere.
    let names = names(policy, host);
    for path in policy.read_only.iter().chain(&policy.writable) {
        if names.iter().any(|(name, _)| Path::new("/").join(name) == *path) {
            let detail = "is made anew for each job, and nothing of the host is shown there";
            findings.push(Finding::missing(path.display().to_string(), detail, "take it out of the policy"));
        }
    }
    if !host.own.libraries.is_empty() && loader(host).is_none() {
        let detail = "cannot be told from the other libraries of this program";
        findings.push(Finding::missing("loader", detail, "use another kind of sandbox"));
    }
    if let Some(Ok(root)) = &host.root
        && policy.is_root_writable
        && !host.is_root
        && root.owner != host.uid
    {
        let detail = format!("belongs to user {}, and only root or that user can write over it", root.owner);
        findings.push(Finding::missing(
            "root-writable",
            detail,
            "run the worker as root, or take it out of the policy",
        ));
    }
    findings
}

/// What the second wall is good for: it does not have to be there.
fn landlock(version: Option<u32>) -> String {
    match version {
        None => "is not in this kernel, or switched off: the mounts hold alone".to_owned(),
        Some(version @ ..LANDLOCK_WITH_SOCKETS) => {
            format!("version {version}: a second wall around what may be written")
        }
        Some(version) => {
            format!(
                "version {version}: a second wall around what may be written, and to sockets of the host without a file"
            )
        }
    }
}

/// Whether a job is root in a root file system of its own: for that it needs all users of a system.
pub(crate) fn wants_range(policy: &Policy) -> bool {
    policy.root.is_some() && policy.user == User::Root
}

/// The library that loads programs.
pub(super) fn loader(host: &Host) -> Option<&Path> {
    let is_loader = |path: &&PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"ld-"));
    host.own.libraries.iter().find(is_loader).map(PathBuf::as_path)
}

pub(super) fn plan(policy: &Policy, host: &Host, place: &Place) -> Plan {
    let users = Users::of(policy, host, place);
    let names = names(policy, host);
    let mut command = Command::new(host, &users, policy.is_root_writable);
    command.isolate(policy, &users);
    match &host.root {
        Some(Ok(root)) if policy.is_root_writable => command.writable_root(root, place, users.owner(), names),
        Some(Ok(root)) => {
            command.given_root(root, &names);
            command.names(names);
        }
        Some(Err(_)) | None => {
            command.host_root(host);
            command.names(names);
        }
    }
    command.own_folders(policy);
    for (option, paths) in [("--ro-bind", &policy.read_only), ("--bind", &policy.writable)] {
        for path in paths {
            command.bind(option, path, path);
        }
    }
    command.bind("--bind", Path::new(&place.folder), Path::new(BUILD_FOLDER));
    command.run_ourselves(host, !policy.is_root_writable);
    Plan::Enclosed(Box::new(Enclosure {
        name: "bubblewrap".to_owned(),
        stage: command.stage,
        prepare: Vec::new(),
        command: command.arguments,
        descriptors: command.descriptors,
        owner: users.owner(),
        host_user: users.host_user(),
        complaints: Complaints::ToSupervisor,
        inside: Inside::Supervisor {
            folder: BUILD_FOLDER.into(),
            environment: environment(policy, host),
            writable: Some(writable(policy)),
            file_bytes: None,
        },
        verdict: None,
        cleanup: Vec::new(),
    }))
}

/// Where a job may write. Devices and files of processes have walls of their own.
fn writable(policy: &Policy) -> Vec<OsString> {
    if policy.is_root_writable {
        return vec!["/".into()];
    }
    let own = [BUILD_FOLDER, "/dev", "/proc", "/run", "/tmp", "/var/tmp"].map(OsString::from);
    own.into_iter().chain(policy.writable.iter().map(OsString::from)).collect()
}

/// Who a job is on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Users {
    /// The worker, who is not root.
    Worker,
    /// Somebody else, because the worker is root, and would be root on the host whatever it is called inside.
    Other(HostUser),
    /// A whole range of users, of whom the first is root inside.
    Range(HostUser),
}

impl Users {
    fn of(policy: &Policy, host: &Host, place: &Place) -> Self {
        let slot = place.slot % HOST_USERS;
        let same = |number| HostUser { uid: number, gid: number };
        if !host.is_root {
            Self::Worker
        } else if wants_range(policy) {
            Self::Range(same(HOST_RANGE_FIRST + slot * RANGE_USERS))
        } else {
            let named = host.host_user.as_ref().and_then(|user| user.as_ref().ok()).copied();
            Self::Other(named.unwrap_or(same(HOST_USER_FIRST + slot)))
        }
    }

    /// Whom files of the job belong to.
    fn owner(&self) -> Option<HostUser> {
        match *self {
            Self::Worker => None,
            Self::Other(user) | Self::Range(user) => Some(user),
        }
    }

    /// Who bwrap has to become before it begins.
    fn host_user(&self) -> Option<HostUser> {
        match *self {
            Self::Worker | Self::Range(_) => None,
            Self::Other(user) => Some(user),
        }
    }

    /// Which users its stage has, if it needs one.
    fn on_stage(&self, is_root_writable: bool) -> Option<StageUsers> {
        match *self {
            Self::Worker => is_root_writable.then_some(StageUsers::Own),
            Self::Other(_) => Some(StageUsers::Host),
            Self::Range(first) => Some(StageUsers::Range { first: first.uid }),
        }
    }
}

/// Files with the names of users and hosts: the same, whatever the host has.
fn names(policy: &Policy, host: &Host) -> Vec<(String, Vec<u8>)> {
    let mut files = vec![
        ("etc/passwd".to_owned(), accounts::passwd(host.accounts.passwd.as_deref()).into_bytes()),
        ("etc/group".to_owned(), accounts::group(host.accounts.group.as_deref()).into_bytes()),
        ("etc/hosts".to_owned(), hosts(&policy.host_name).into_bytes()),
        ("etc/nsswitch.conf".to_owned(), NAMES.as_bytes().to_vec()),
    ];
    // How addresses of the network are found.
    if let Some(resolver) = host.resolver.as_ref().filter(|_| policy.has_network) {
        files.push(("etc/resolv.conf".to_owned(), resolver.clone()));
    }
    files
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
    fn new(host: &Host, users: &Users, is_root_writable: bool) -> Self {
        let program = host.programs.get("bwrap").map_or_else(|| OsString::from("bwrap"), OsString::from);
        let stage = users.on_stage(is_root_writable);
        let stage = stage.map(Stage::empty);
        Self { arguments: vec![program.into()], descriptors: Vec::new(), stage }
    }

    fn add(&mut self, arguments: &[&str]) {
        self.arguments.extend(arguments.iter().map(Argument::from));
    }

    /// A path of the host at a place inside.
    fn bind(&mut self, option: &str, source: &Path, target: &Path) {
        let source = match &mut self.stage {
            None => source.to_owned(),
            Some(stage) => stage.bind(source),
        };
        self.arguments.extend([option.into(), source.into(), target.into()]);
    }

    /// The content of a file that nobody else can change.
    fn data(&mut self, option: &str, content: Vec<u8>) {
        self.arguments.extend([option.into(), Argument::Descriptor(self.descriptors.len())]);
        self.descriptors.push(content);
    }

    fn isolate(&mut self, policy: &Policy, users: &Users) {
        self.add(&["--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try"]);
        if !policy.has_network {
            self.add(&["--unshare-net"]);
        }
        self.add(&["--die-with-parent", "--new-session", "--as-pid-1", "--clearenv"]);
        self.add(&["--hostname", &policy.host_name]);
        match users {
            // The stage has made a user namespace already, and forbidden others.
            Users::Range(_) => {}
            Users::Worker | Users::Other(_) => {
                let id = match policy.user {
                    User::Build => BUILD_ID.to_string(),
                    User::Root => "0".to_owned(),
                };
                self.add(&["--unshare-user", "--disable-userns", "--uid", &id, "--gid", &id]);
            }
        }
        match policy.user {
            User::Build => {}
            User::Root => {
                self.add(&["--cap-drop", "ALL"]);
                ROOT_CAPABILITIES.iter().for_each(|name| self.add(&["--cap-add", name]));
            }
        }
        if let Some(filter) = seccomp::filter() {
            self.data("--seccomp", filter);
        }
    }

    /// Programs and libraries of the host, and little more.
    fn host_root(&mut self, host: &Host) {
        for name in TOP_LEVEL.map(Path::new) {
            match host.links.iter().find(|(link, _)| link == name) {
                Some((_, target)) => self.arguments.extend(["--symlink".into(), target.into(), name.into()]),
                None if host.present.contains(name) => self.add_bind(name),
                None => {}
            }
        }
        for path in SHOWN.map(Path::new) {
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
    fn given_root(&mut self, root: &Root, names: &[(String, Vec<u8>)]) {
        let path = self.staged_root(root, None);
        let is_file = |name: &str| {
            let entry = root.etc.iter().find(|entry| Path::new("etc").join(&entry.name) == Path::new(name));
            entry.is_some_and(|entry| entry.kind == EntryKind::File)
        };
        let has_all_names = names.iter().all(|(name, _)| is_file(name));
        for entry in &root.entries {
            if OWN_FOLDERS.iter().any(|own| entry.name == *own) {
                continue;
            }
            if entry.name == "etc" && !has_all_names {
                // Nor could the files that it lacks.
                let is_ours =
                    |entry: &&Entry| names.iter().any(|(name, _)| Path::new("etc").join(&entry.name) == *name);
                self.entries(&path.join("etc"), Path::new("/etc"), root.etc.iter().filter(|entry| !is_ours(entry)));
            } else {
                self.entries(&path, Path::new("/"), std::iter::once(entry));
            }
        }
    }

    /// The same entries as a folder of a root file system has.
    fn entries<'a>(&mut self, source: &Path, target: &Path, entries: impl Iterator<Item = &'a Entry>) {
        for entry in entries {
            let target = target.join(&entry.name);
            match &entry.kind {
                EntryKind::Link(to) => self.arguments.extend(["--symlink".into(), to.into(), target.into()]),
                EntryKind::Folder | EntryKind::File => {
                    self.arguments.extend(["--ro-bind".into(), source.join(&entry.name).into(), target.into()]);
                }
            }
        }
    }

    /// A root file system with a layer over it.
    fn writable_root(&mut self, root: &Root, place: &Place, owner: Option<HostUser>, files: Vec<(String, Vec<u8>)>) {
        let source = place.layer.clone().unwrap_or_default();
        let folders = OWN_FOLDERS.iter().chain(&["var/tmp"]).map(|name| (*name).to_owned()).collect();
        let path = self.staged_root(root, Some(StageLayer { source, owner, folders, files }));
        self.arguments.extend(["--bind".into(), path.into(), "/".into()]);
    }

    /// Where bwrap finds the root file system.
    fn staged_root(&mut self, root: &Root, layer: Option<StageLayer>) -> PathBuf {
        match &mut self.stage {
            None => root.path.clone(),
            Some(stage) => {
                stage.root = Some(StageRoot { source: root.path.clone().into(), layer });
                PathBuf::from(STAGE_ROOT)
            }
        }
    }

    fn names(&mut self, files: Vec<(String, Vec<u8>)>) {
        for (place, content) in files {
            self.add(&["--perms", "0644"]);
            self.data("--ro-bind-data", content);
            self.arguments.push(Path::new("/").join(place).into());
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
    fn run_ourselves(&mut self, host: &Host, is_root_fixed: bool) {
        let folder = Path::new(PROGRAM_FOLDER);
        let program = folder.join("builder-worker");
        match &host.own.program {
            Some(own) => self.bind("--ro-bind", own, &program),
            None => {
                self.add(&["--perms", "0555", "--ro-bind-data"]);
                self.arguments.extend([Argument::OwnProgram, program.clone().into()]);
            }
        }
        for library in &host.own.libraries {
            self.bind("--ro-bind", library, &folder.join(library.file_name().unwrap_or_default()));
        }
        if is_root_fixed {
            self.add(&["--remount-ro", "/"]);
        }
        self.add(&["--chdir", BUILD_FOLDER, "--"]);
        if let Some(loader) = loader(host).and_then(Path::file_name) {
            self.arguments.extend([folder.join(loader).into(), "--library-path".into(), folder.into()]);
        }
        self.arguments.push(program.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Table;
    use std::collections::BTreeMap;

    /// A host of our own making, as far as plans depend on it.
    fn host(uid: u32) -> Host {
        let program = Path::new("/usr/bin/builder-worker");
        let mut host = Host::gather(&Policy::default(), Some(program), uid);
        host.programs = BTreeMap::from([("bwrap", "/usr/bin/bwrap".into()), ("unshare", "/usr/bin/unshare".into())]);
        host.links = vec![("/bin".into(), "usr/bin".into())];
        host.present = ["/usr", "/etc/ssl/certs", "/opt/tool"].map(PathBuf::from).into();
        host.own.libraries = ["/lib/libc.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from).into();
        host.resolver = Some(b"nameserver 192.0.2.1\n".to_vec());
        host.user_namespaces_off = None;
        host
    }

    fn enclosure(policy: &str, host: &Host) -> Enclosure {
        let policy = Table::parse(&format!("sandbox = 'bubblewrap'\n{policy}")).unwrap().resolve().unwrap();
        let (folder, layer) = ("/srv/jobs/builder-1".into(), Some("/srv/jobs/builder-2".into()));
        let place = Place { folder, layer, name: "builder-1".into(), slot: 3 };
        match plan(&policy, host, &place) {
            Plan::Enclosed(enclosure) => *enclosure,
            Plan::Bare(environment) => panic!("{environment:?}"),
        }
    }

    /// The command, with what its descriptors hold.
    fn text(enclosure: &Enclosure) -> String {
        let word = |argument: &Argument| match argument {
            Argument::Text(text) => text.display().to_string(),
            Argument::Descriptor(index) => {
                format!("<{}>", String::from_utf8_lossy(&enclosure.descriptors[*index]).lines().next().unwrap_or(""))
            }
            Argument::OwnProgram => "<own program>".to_owned(),
        };
        enclosure.command.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    #[cfg(target_os = "linux")]
    fn root() -> (tempfile::TempDir, Root) {
        let folder = tempfile::tempdir().unwrap();
        for name in ["usr", "etc", "tmp", "root"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        std::fs::create_dir(folder.path().join("usr/bin")).unwrap();
        std::fs::write(folder.path().join("usr/bin/sh"), "").unwrap();
        std::fs::write(folder.path().join("etc/passwd"), "").unwrap();
        std::fs::write(folder.path().join("etc/shells"), "").unwrap();
        let root = Root::read(folder.path()).unwrap();
        (folder, root)
    }

    #[test]
    fn a_worker_without_rights_shows_a_list_and_nothing_else() {
        let enclosure = enclosure("read-only = ['/opt/tool']", &host(1000));
        let text = text(&enclosure);
        assert_eq!((&enclosure.stage, enclosure.owner, enclosure.host_user), (&None, None, None));
        for expected in [
            "--unshare-net",
            "--unshare-user --disable-userns --uid 1000 --gid 1000",
            "--symlink usr/bin /bin",
            "--ro-bind /usr /usr",
            "--ro-bind /etc/ssl/certs /etc/ssl/certs",
            "--ro-bind /opt/tool /opt/tool --bind /srv/jobs/builder-1 /build",
            "--ro-bind-data <127.0.0.1 localhost builder> /etc/hosts",
            "--size 2147483648 --tmpfs /tmp",
            "--remount-ro / --chdir /build -- /run/builder/ld-linux-x86-64.so.2 --library-path /run/builder /run/builder/builder-worker",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        for hidden in ["resolv.conf", "/etc/shadow", "/home", " /root", "/var/lib/builder", "--cap-add", "--share-net"]
        {
            assert!(!text.contains(hidden), "{hidden}: {text}");
        }
    }

    #[test]
    fn with_the_network_come_its_names() {
        let text = text(&enclosure("network = true", &host(1000)));
        assert!(!text.contains("--unshare-net"), "{text}");
        assert!(text.contains("<nameserver 192.0.2.1> /etc/resolv.conf"), "{text}");
    }

    #[test]
    fn a_worker_that_is_root_gives_jobs_to_somebody_else() {
        let enclosure = enclosure("", &host(0));
        let user = HostUser { uid: 60_803, gid: 60_803 };
        assert_eq!((enclosure.owner, enclosure.host_user), (Some(user), Some(user)));
        let stage = enclosure.stage.as_ref().unwrap();
        assert_eq!((stage.users, stage.binds[0].source.to_str()), (StageUsers::Host, Some("/srv/jobs/builder-1")));
        assert!(text(&enclosure).contains("--bind /tmp/bind-0 /build"), "{}", text(&enclosure));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_root_file_system_is_shown_entry_by_entry() {
        let (folder, root) = root();
        let at = folder.path().display().to_string();
        let mut host = host(1000);
        host.root = Some(Ok(root));
        let text = text(&enclosure(&format!("root = '{at}'"), &host));
        for expected in [format!("--ro-bind {at}/usr /usr"), format!("--ro-bind {at}/etc/shells /etc/shells")] {
            assert!(text.contains(&expected), "{expected}: {text}");
        }
        // Its own, and those that are replaced.
        for absent in [format!("{at}/tmp"), format!("{at}/etc/passwd"), format!("{at}/etc ")] {
            assert!(!text.contains(&absent), "{absent}: {text}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn root_inside_has_users_and_a_layer_of_its_own() {
        let (folder, root) = root();
        let mut host = host(0);
        host.root = Some(Ok(root));
        let policy = format!("root = '{}'\nuser = 'root'\nroot-writable = true", folder.path().display());
        let enclosure = enclosure(&policy, &host);
        let first = HOST_RANGE_FIRST + 3 * RANGE_USERS;
        assert_eq!((enclosure.owner, enclosure.host_user), (Some(HostUser { uid: first, gid: first }), None));
        let stage = enclosure.stage.as_ref().unwrap();
        assert_eq!(stage.users, StageUsers::Range { first });
        let layer = stage.root.as_ref().unwrap().layer.as_ref().unwrap();
        assert_eq!(layer.source, "/srv/jobs/builder-2");
        assert!(layer.files.iter().any(|(name, _)| name == "etc/passwd"));
        let text = text(&enclosure);
        assert!(text.contains("--bind /tmp/root /") && !text.contains("--unshare-user"), "{text}");
        assert!(text.contains("--cap-drop ALL --cap-add CAP_CHOWN") && !text.contains("CAP_SYS_ADMIN"), "{text}");
    }

    #[test]
    fn a_file_that_is_made_for_each_job_cannot_be_shown() {
        let missing = |policy: &str| {
            let policy = Table::parse(&format!("sandbox = 'bubblewrap'\n{policy}")).unwrap().resolve().unwrap();
            let missing = needs(&policy, &host(1000)).into_iter().filter(|finding| !finding.is_fulfilled());
            missing.map(|finding| finding.subject).collect::<Vec<_>>()
        };
        assert_eq!(
            missing("writable = ['/etc/passwd']\nread-only = ['/etc/hosts', '/etc/ssl']"),
            ["/etc/hosts", "/etc/passwd"]
        );
        // Without the network nobody makes that one.
        assert_eq!(missing("read-only = ['/etc/resolv.conf']"), Vec::<String>::new());
        assert_eq!(missing("read-only = ['/etc/resolv.conf']\nnetwork = true"), ["/etc/resolv.conf"]);
    }

    #[test]
    fn the_second_wall_is_told_by_its_version() {
        let words = |version| landlock(version).split(':').next().unwrap().to_owned();
        assert_eq!(
            [None, Some(1), Some(6)].map(words),
            ["is not in this kernel, or switched off", "version 1", "version 6"]
        );
        assert!(landlock(Some(6)).contains("sockets") && !landlock(Some(5)).contains("sockets"));
    }

    #[test]
    fn a_host_that_lacks_something_is_told_what() {
        let mut host = host(1000);
        host.programs.clear();
        host.user_namespaces_off = Some("user.max_user_namespaces=10000");
        let policy = Table::parse("sandbox = 'bubblewrap'").unwrap().resolve().unwrap();
        let missing = needs(&policy, &host).into_iter().filter(|finding| !finding.is_fulfilled());
        let mends: Vec<_> = missing.filter_map(|finding| finding.mend).collect();
        assert_eq!(mends, ["apt-get install bubblewrap", "sysctl -w user.max_user_namespaces=10000"]);
    }
}
