//! A container of systemd-nspawn, for hosts that have neither docker nor user namespaces. Only root can make one.
//!
//! What it writes outside of its folder goes into a layer that is thrown away, where the policy lets it. Users are not mapped: number
//! 1000 inside is number 1000 outside, and root would be the host's root, so a job is never root in it.

use super::bubblewrap::loader;
use super::environment;
use crate::BUILD_FOLDER;
use crate::accounts::BUILD_ID;
use crate::check::Finding;
use crate::host::Host;
use crate::plan::{
    Argument, Complaints, Enclosure, HostUser, Inside, Place, Plan, STAGE_ROOT, Stage, StageLayer, StageRoot,
    StageUsers,
};
use crate::policy::{Policy, User};
use std::ffi::OsString;
use std::path::Path;

/// Where this program and its libraries lie inside.
const PROGRAM_FOLDER: &str = "/run/builder";
/// The last steps of root inside: it gives up writing to the root file system, and then all that it is.
const GIVE_UP_WRITING: &str = "mount -o remount,ro / && exec setpriv \"$@\"";
const GIVE_UP: &str = "exec setpriv \"$@\"";

pub(super) fn needs(policy: &Policy, host: &Host) -> Vec<Finding> {
    let mut findings = vec![match host.programs.get("systemd-nspawn") {
        Some(path) => Finding::works("systemd-nspawn", path.display().to_string()),
        None => Finding::missing("systemd-nspawn", "is not in PATH", "apt-get install systemd-container"),
    }];
    if !host.is_root {
        let mend = "run the worker as root, or use `sandbox = \"bubblewrap\"`";
        findings.push(Finding::missing("rights", "only root can make a container of systemd-nspawn", mend));
    }
    if policy.user == User::Root {
        let mend = "use `sandbox = \"bubblewrap\"`, where root inside is nobody outside";
        findings.push(Finding::missing("user", "root inside would be root of the host", mend));
    }
    if let Some(Ok(root)) = &host.root {
        for program in ["usr/bin/setpriv", "usr/bin/mount"] {
            if !root.path.join(program).exists() && !root.path.join("bin").join(program).exists() {
                let mend = "apt-get install util-linux mount, in the root file system";
                findings.push(Finding::missing(program, "is not in the root file system", mend));
            }
        }
    }
    findings
}

pub(super) fn plan(policy: &Policy, host: &Host, place: &Place) -> Option<Plan> {
    let root = host.root.as_ref()?.as_ref().ok()?;
    let build = HostUser { uid: BUILD_ID, gid: BUILD_ID };
    let user = host.host_user.as_ref().and_then(|user| user.as_ref().ok()).copied().unwrap_or(build);
    let mut command = Command::new(host);
    command.add(&["--quiet", "--register=no", "--keep-unit", "--as-pid2", "--console=pipe", "--link-journal=no"]);
    command.option("--machine=", &place.name);
    if policy.is_root_writable {
        command.root_with_layer(&root.path, place);
    } else {
        // In memory: nothing but nspawn itself writes there, and that before the job begins.
        command.option("--directory=", &root.path);
        command.add(&["--volatile=overlay"]);
    }
    command.option("--hostname=", &policy.host_name);
    command.add(&["--timezone=off", "--no-new-privileges=yes"]);
    command.add(if policy.has_network {
        &["--resolv-conf=copy-host"]
    } else {
        &["--private-network", "--resolv-conf=off"]
    });
    for folder in ["/tmp", "/var/tmp"] {
        command.option("--tmpfs=", format!("{folder}:mode=1777,size={}", policy.tmp_bytes));
    }
    command.bind("--bind=", Path::new(&place.folder), Path::new(BUILD_FOLDER));
    policy.read_only.iter().for_each(|path| command.bind("--bind-ro=", path, path));
    policy.writable.iter().for_each(|path| command.bind("--bind=", path, path));
    command.own_program(host, user, policy.is_root_writable)?;
    Some(Plan::Enclosed(Box::new(Enclosure {
        name: "nspawn".to_owned(),
        stage: command.stage,
        prepare: Vec::new(),
        command: command.words.into_iter().map(Argument::Text).collect(),
        descriptors: Vec::new(),
        owner: Some(user),
        host_user: None,
        complaints: Complaints::OnConsole,
        inside: Inside::Supervisor {
            folder: BUILD_FOLDER.into(),
            environment: environment(policy, host),
            writable: None,
            file_bytes: None,
        },
        verdict: None,
        cleanup: Vec::new(),
    })))
}

/// The command line of systemd-nspawn, as it grows.
struct Command {
    words: Vec<OsString>,
    /// There when the root file system has a layer on the disk, which counts as what the job takes.
    stage: Option<Stage>,
}

impl Command {
    fn new(host: &Host) -> Self {
        // It looks for programs of its own.
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let program = host.programs.get("systemd-nspawn").map_or_else(|| "systemd-nspawn".into(), OsString::from);
        Self { words: vec!["/usr/bin/env".into(), path.into(), program], stage: None }
    }

    fn add(&mut self, words: &[&str]) {
        self.words.extend(words.iter().map(OsString::from));
    }

    fn option(&mut self, name: &str, value: impl Into<OsString>) {
        let mut option = OsString::from(name);
        option.push(value.into());
        self.words.push(option);
    }

    /// A path of the host at a place inside; colons and backslashes would be read as more than a part of it.
    fn bind(&mut self, option: &str, source: &Path, target: &Path) {
        let escaped = |path: &Path| path.to_string_lossy().replace('\\', "\\\\").replace(':', "\\:");
        let source = self.stage.as_mut().map_or_else(|| source.to_owned(), |stage| stage.bind(source));
        self.option(option, format!("{}:{}", escaped(&source), escaped(target)));
    }

    /// A root file system with a layer over it. It belongs to root, as what is below does.
    fn root_with_layer(&mut self, root: &Path, place: &Place) {
        let source = place.layer.clone().unwrap_or_default();
        let layer = StageLayer { source, owner: None, folders: Vec::new(), files: Vec::new() };
        let mut stage = Stage::empty(StageUsers::Host);
        stage.root = Some(StageRoot { source: root.into(), layer: Some(layer) });
        self.stage = Some(stage);
        self.option("--directory=", STAGE_ROOT);
    }

    /// This program, which runs the script as a user without any right; with its own libraries, whatever the root file
    /// system has.
    fn own_program(&mut self, host: &Host, user: HostUser, is_root_writable: bool) -> Option<()> {
        let folder = Path::new(PROGRAM_FOLDER);
        let program = folder.join("builder-worker");
        self.bind("--bind-ro=", host.own.program.as_deref()?, &program);
        for library in &host.own.libraries {
            self.bind("--bind-ro=", library, &folder.join(library.file_name()?));
        }
        let last_steps = if is_root_writable { GIVE_UP } else { GIVE_UP_WRITING };
        self.add(&["--chdir=/", "/bin/sh", "-c", last_steps, "sh"]);
        self.add(&["--reuid", &user.uid.to_string(), "--regid", &user.gid.to_string(), "--clear-groups"]);
        self.add(&["--inh-caps=-all", "--bounding-set=-all", "--"]);
        if let Some(loader) = loader(host).and_then(Path::file_name) {
            self.words.extend([folder.join(loader).into(), "--library-path".into(), folder.into()]);
        }
        self.words.push(program.into());
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Kind;
    use std::path::PathBuf;

    fn host(policy: &Policy, root: &Path, uid: u32) -> Host {
        let policy = Policy { root: Some(root.to_owned()), ..policy.clone() };
        let mut host = Host::gather(&policy, Some(Path::new("/opt/builder-worker")), uid);
        host.programs.insert("systemd-nspawn", PathBuf::from("/usr/bin/systemd-nspawn"));
        host.own.libraries = vec![PathBuf::from("/lib64/ld-linux-x86-64.so.2"), PathBuf::from("/lib/libc.so.6")];
        host
    }

    #[test]
    fn nspawn_is_asked_for_all_that_the_policy_says() {
        let folder = tempfile::tempdir().unwrap();
        let read_only = vec![PathBuf::from("/srv/a:b")];
        let policy =
            Policy { kind: Kind::Nspawn, has_network: false, read_only, tmp_bytes: 1 << 20, ..Policy::default() };
        let mut host = host(&policy, folder.path(), 0);
        host.own.program = Some(PathBuf::from("/opt/builder-worker"));
        let place = Place { folder: "/w/builder-1".into(), name: "builder-1-2-3-1".into(), layer: None, slot: 0 };
        let Some(Plan::Enclosed(enclosure)) = plan(&policy, &host, &place) else { panic!("no plan") };
        let text = |argument: &Argument| match argument {
            Argument::Text(text) => text.clone().into_string().unwrap(),
            Argument::Descriptor(_) | Argument::OwnProgram => String::new(),
        };
        let command: Vec<String> = enclosure.command.iter().map(text).collect();
        let command = command.join(" ").replace(folder.path().to_str().unwrap(), "ROOT");
        assert_eq!(
            command,
            "/usr/bin/env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /usr/bin/systemd-nspawn \
             --quiet --register=no --keep-unit --as-pid2 --console=pipe --link-journal=no --machine=builder-1-2-3-1 \
             --directory=ROOT --volatile=overlay --hostname=builder --timezone=off --no-new-privileges=yes \
             --private-network --resolv-conf=off --tmpfs=/tmp:mode=1777,size=1048576 \
             --tmpfs=/var/tmp:mode=1777,size=1048576 --bind=/w/builder-1:/build --bind-ro=/srv/a\\:b:/srv/a\\:b \
             --bind-ro=/opt/builder-worker:/run/builder/builder-worker \
             --bind-ro=/lib64/ld-linux-x86-64.so.2:/run/builder/ld-linux-x86-64.so.2 \
             --bind-ro=/lib/libc.so.6:/run/builder/libc.so.6 --chdir=/ /bin/sh -c mount -o remount,ro / && exec \
             setpriv \"$@\" sh --reuid 1000 --regid 1000 --clear-groups --inh-caps=-all --bounding-set=-all -- \
             /run/builder/ld-linux-x86-64.so.2 --library-path /run/builder /run/builder/builder-worker"
        );
        assert_eq!(enclosure.owner, Some(HostUser { uid: 1000, gid: 1000 }));
    }

    #[test]
    fn what_is_written_into_the_root_file_system_of_nspawn_goes_into_the_layer_that_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let policy = Policy { kind: Kind::Nspawn, is_root_writable: true, ..Policy::default() };
        let mut host = host(&policy, folder.path(), 0);
        host.own.program = Some(PathBuf::from("/opt/builder-worker"));
        let layer = Some("/w/builder-2".into());
        let place = Place { folder: "/w/builder-1".into(), name: "builder-1-2-3-1".into(), layer, slot: 0 };
        let Some(Plan::Enclosed(enclosure)) = plan(&policy, &host, &place) else { panic!("no plan") };
        let has = |word: &str| enclosure.command.contains(&Argument::Text(word.into()));
        assert!(has("--directory=/tmp/root") && has("--bind=/tmp/bind-0:/build") && !has("--volatile=overlay"));
        let stage = enclosure.stage.unwrap();
        assert_eq!(stage.binds[0].source, "/w/builder-1");
        let root = stage.root.unwrap();
        assert_eq!(
            (root.source.as_os_str(), root.layer.unwrap().source),
            (folder.path().as_os_str(), "/w/builder-2".into())
        );
    }

    #[test]
    fn what_nspawn_cannot_hold_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let policy = Policy { kind: Kind::Nspawn, user: User::Root, ..Policy::default() };
        let findings = needs(&policy, &host(&policy, folder.path(), 1001));
        let missing = findings.iter().filter(|finding| !finding.is_fulfilled());
        let missing: Vec<&str> = missing.map(|finding| finding.subject.as_str()).collect();
        assert_eq!(missing, ["rights", "user", "usr/bin/setpriv", "usr/bin/mount"]);
    }
}
