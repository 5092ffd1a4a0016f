//! Jails of FreeBSD. The root file system is a clone of a ZFS snapshot, made for one job and destroyed after it, or a
//! folder, which the job sees read-only. Limits are rules of rctl.
//!
//! A plan is a list of commands of FreeBSD's base system; what a list cannot say is in `jail.sh`.

mod facts;
mod rctl;

pub use facts::JailFacts;
pub(crate) use facts::root;
pub use rctl::{Reached, reached};

use super::environment;
use crate::accounts::{BUILD_ID, BUILD_NAME};
use crate::check::Finding;
use crate::host::Host;
use crate::plan::{Argument, Complaints, Enclosure, HostUser, Inside, Place, Plan, Step};
use crate::policy::{Policy, User};
use crate::{BUILD_FOLDER, policy};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where each job of this host has a folder for its jail.
const JAILS_FOLDER: &str = "/var/db/builder-worker/jails";
/// Below the pool of a snapshot: the dataset that its clones are made in.
const CLONES_DATASET: &str = "builder/jobs";
/// The rules for the devices of a jail, as FreeBSD has them in `/etc/defaults/devfs.rules`.
const DEVICE_RULES: &str = "4";
/// Where this program lies inside. Every root file system of FreeBSD has the folder, and nothing in it.
const PROGRAM_FOLDER: &str = "/mnt";
/// What that may hold, in bytes.
const PROGRAM_FOLDER_BYTES: u64 = 256 << 20;
/// Folders that a root file system has to have: something is mounted there.
const OWN_FOLDERS: [&str; 5] = [BUILD_FOLDER, "/dev", PROGRAM_FOLDER, "/tmp", "/var/tmp"];
/// What is done before and after a job.
const SCRIPT: &str = include_str!("jail.sh");
/// What no build needs, of what a jail may allow. Two things that a new jail allows are left: `allow.unprivileged_proc_debug`,
/// because tests and debuggers look into processes of their own (the supervisor inside forbids it for itself), and
/// `allow.suser`, without which nobody in there is root, so that jail(8) could not become `build` either.
const FORBIDDEN: [&str; 9] = [
    "allow.nochflags",
    "allow.nomlock",
    "allow.nomount",
    "allow.noquotas",
    "allow.noraw_sockets",
    "allow.noread_msgbuf",
    "allow.noreserved_ports",
    "allow.noset_hostname",
    "allow.nosocket_af",
];

/// The name of a ZFS snapshot, `POOL/DATASET@NAME`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Snapshot<'a>(&'a str);

impl<'a> Snapshot<'a> {
    /// Takes a name, if it is one.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (dataset, name) = text.split_once('@')?;
        let is_part = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
        };
        (dataset.contains('/') && dataset.split('/').chain([name]).all(is_part)).then_some(Self(text))
    }

    fn pool(self) -> &'a str {
        self.0.split('/').next().unwrap_or(self.0)
    }

    /// Clones lie in the pool of their snapshot.
    fn clones_dataset(self) -> String {
        format!("{}/{CLONES_DATASET}", self.pool())
    }
}

/// The snapshot that the policy names as its root file system, if that is one.
fn snapshot(policy: &Policy) -> Option<Snapshot<'_>> {
    Snapshot::parse(policy.root.as_deref()?.to_str()?)
}

pub(super) fn needs(policy: &Policy, host: &Host) -> Vec<Finding> {
    let facts = &host.jail;
    let missing = |subject: &str, detail: &str, mend: &str| Finding::missing(subject, detail, mend);
    if !host.programs.contains_key("jail") {
        return vec![missing("jail", "is not in PATH", "jails are FreeBSD's; choose another kind of sandbox")];
    }
    let or = |is_there: bool, subject: &str, fine: &str, detail: &str, mend: &str| {
        if is_there { Finding::works(subject, fine) } else { missing(subject, detail, mend) }
    };
    let mut findings = vec![
        or(host.is_root, "jail", "may be made", "may be made by root only", "sysrc builder_worker_user=root"),
        or(
            facts.has_device_rules,
            "devices of jails",
            "have rules",
            "have no rules",
            "sysrc devfs_load_rulesets=YES && service devfs restart",
        ),
        or(facts.has_folder, JAILS_FOLDER, "is there", "cannot be made", "see to its rights"),
    ];
    match snapshot(policy) {
        Some(snapshot) => {
            let dataset = snapshot.clones_dataset();
            let mend = format!("zfs create -p -o mountpoint=none {dataset}");
            findings.push(or(facts.has_clones_dataset, &dataset, "is there", "there is no such dataset", &mend));
        }
        None => findings.extend(policy.root.as_deref().into_iter().flat_map(|root| of_folder(root, policy, host))),
    }
    if rctl::is_needed(&policy.limits) {
        findings.push(or(
            facts.counts_resources,
            "limits by rctl",
            "may be set",
            "the kernel does not count what a jail uses",
            "echo kern.racct.enable=1 >> /boot/loader.conf && reboot",
        ));
    }
    if host.own.program.is_none() {
        let detail = "was replaced since it was started";
        findings.push(Finding::missing("this program", detail, "start the worker again"));
    }
    findings
}

/// What a folder has to have that nobody may write to.
fn of_folder<'a>(root: &'a Path, policy: &'a Policy, host: &'a Host) -> impl Iterator<Item = Finding> + 'a {
    let folders = mount_points(policy).map(|folder| below(root, folder));
    let absent = folders.filter(|folder| !host.present.contains(folder));
    let has_build = host
        .accounts
        .passwd
        .as_deref()
        .is_some_and(|users| users.lines().any(|line| line.starts_with(&format!("{BUILD_NAME}:*:{BUILD_ID}:"))));
    let user = (!has_build).then(|| {
        let mend = format!("pw -R {} useradd -n {BUILD_NAME} -u {BUILD_ID} -d {BUILD_FOLDER}", root.display());
        Finding::missing("user build", format!("is not in {}", root.display()), mend)
    });
    absent
        .map(|folder| {
            let (subject, mend) = (folder.display().to_string(), format!("mkdir -p {}", folder.display()));
            Finding::missing(subject, "is not there", mend)
        })
        .chain(user)
}

/// Where something is mounted in the root file system, seen from inside.
fn mount_points(policy: &Policy) -> impl Iterator<Item = &Path> {
    let shown = policy.read_only.iter().chain(&policy.writable);
    OWN_FOLDERS.iter().map(Path::new).chain(shown.map(PathBuf::as_path))
}

/// The paths of the host that are looked for.
pub(super) fn paths_shown(policy: &Policy) -> Vec<PathBuf> {
    let folder = policy.root.as_deref().filter(|root| root.is_absolute());
    folder.map_or_else(Vec::new, |root| mount_points(policy).map(|folder| below(root, folder)).collect())
}

/// A path that is seen inside, from outside.
fn below(root: &Path, inside: &Path) -> PathBuf {
    root.join(inside.strip_prefix("/").unwrap_or(inside))
}

pub(super) fn plan(policy: &Policy, host: &Host, place: &Place) -> Plan {
    let making = Making::new(policy, place);
    Plan::Enclosed(Box::new(Enclosure {
        name: "jail".to_owned(),
        stage: None,
        prepare: making.prepare(policy, host, place),
        command: making.command(policy),
        descriptors: Vec::new(),
        owner: Some(owner(policy)),
        host_user: None,
        complaints: Complaints::OnConsole,
        inside: Inside::Supervisor {
            folder: BUILD_FOLDER.into(),
            environment: environment(policy, host),
            writable: None,
            // jail(8) gives the job the limits of its user's login class.
            file_bytes: policy.limits.disk_bytes,
        },
        verdict: None,
        cleanup: vec![making.script("end", &[JAILS_FOLDER, &making.name, &making.dataset])],
    }))
}

/// The names that a jail is made of.
struct Making {
    name: String,
    /// Its clone, or `-`.
    dataset: String,
    /// Where its `/` lies.
    root: PathBuf,
}

impl Making {
    fn new(policy: &Policy, place: &Place) -> Self {
        let dataset = snapshot(policy).map(|snapshot| format!("{}/{}", snapshot.clones_dataset(), place.name));
        Self {
            name: place.name.clone(),
            dataset: dataset.unwrap_or_else(|| "-".to_owned()),
            root: Path::new(JAILS_FOLDER).join(&place.name).join("root"),
        }
    }

    fn script(&self, act: &str, arguments: &[&str]) -> Step {
        let command = ["/bin/sh", "-c", SCRIPT, "jail.sh", act].into_iter().chain(arguments.iter().copied());
        Step { command: command.map(OsString::from).collect() }
    }

    fn prepare(&self, policy: &Policy, host: &Host, place: &Place) -> Vec<Step> {
        let mut steps = vec![self.script("begin", &[JAILS_FOLDER, &self.name, &self.dataset, &added_address(policy)])];
        self.root_file_system(policy, &mut steps);
        let folder = |inside: &str| below(&self.root, Path::new(inside)).into_os_string();
        let tmp = |mode: &str, bytes: u64| format!("size={bytes},mode={mode},nosuid");
        let mount = |kind: &str, options: &str, source: OsString, target: OsString| {
            step(["/sbin/mount", "-t", kind, "-o", options], [source, target])
        };
        let rules = format!("ruleset={DEVICE_RULES}");
        steps.push(mount("devfs", &rules, "devfs".into(), folder("/dev")));
        for inside in ["/tmp", "/var/tmp"] {
            steps.push(mount("tmpfs", &tmp("1777", policy.tmp_bytes), "tmpfs".into(), folder(inside)));
        }
        for (options, paths) in [("ro,nosuid", &policy.read_only), ("rw,nosuid", &policy.writable)] {
            for path in paths {
                steps.push(mount("nullfs", options, path.into(), below(&self.root, path).into()));
            }
        }
        steps.push(mount("nullfs", "rw,nosuid", place.folder.clone(), folder(BUILD_FOLDER)));
        steps.push(mount("tmpfs", &tmp("755", PROGRAM_FOLDER_BYTES), "tmpfs".into(), folder(PROGRAM_FOLDER)));
        let program = below(&self.root, &program()).into_os_string();
        steps.push(step(["/bin/cp"], [host.own.program.clone().unwrap_or_default().into(), program]));
        steps.push(step(["/sbin/mount", "-u", "-o", "ro,nosuid"], [folder(PROGRAM_FOLDER)]));
        if self.dataset != "-" && !policy.is_root_writable {
            steps.push(step(["/sbin/zfs", "set", "readonly=on", &self.dataset], []));
        }
        let rules = rctl::rules(&self.name, &policy.limits);
        steps.extend(rules.iter().map(|rule| step(["/usr/bin/rctl", "-a", rule], [])));
        steps
    }

    fn root_file_system(&self, policy: &Policy, steps: &mut Vec<Step>) {
        let Some(root) = policy.root.as_deref() else { return };
        if self.dataset == "-" {
            let paths = [root.as_os_str().to_owned(), self.root.clone().into()];
            steps.push(step(["/sbin/mount", "-t", "nullfs", "-o", "ro,nosuid"], paths));
            return;
        }
        let mut clone = vec!["/sbin/zfs".to_owned(), "clone".to_owned()];
        let mut options = vec![format!("mountpoint={}", self.root.display()), "atime=off".to_owned()];
        // Who is root already gains nothing by it, and may have to make packages of such programs.
        options.extend((policy.user == User::Build).then(|| "setuid=off".to_owned()));
        options.extend(policy.limits.disk_bytes.map(|bytes| format!("quota={bytes}")));
        clone.extend(options.into_iter().flat_map(|option| ["-o".to_owned(), option]));
        let names = [root.as_os_str().to_owned(), OsString::from(&self.dataset)];
        steps.push(step(clone.iter().map(String::as_str), names));
        steps.push(step(
            ["/bin/mkdir", "-p"],
            mount_points(policy).map(|folder| below(&self.root, folder).into_os_string()),
        ));
        let network = if policy.has_network { "on" } else { "off" };
        steps.push(self.script("furnish", &[&self.root.display().to_string(), &policy.host_name, network]));
    }

    /// The jail ends with its last process; nobody has to see to that.
    fn command(&self, policy: &Policy) -> Vec<Argument> {
        // Some versions of jail(8) take it for granted that there is a kind of terminal.
        let words = ["/usr/bin/env", "TERM=dumb", "/usr/sbin/jail", "-q", "-c"];
        let mut arguments: Vec<OsString> = words.map(OsString::from).into();
        let mut path = OsString::from("path=");
        path.push(&self.root);
        let user = match policy.user {
            User::Build => BUILD_NAME,
            User::Root => "root",
        };
        arguments.extend([format!("name={}", self.name).into(), path]);
        arguments.push(format!("host.hostname={}", policy.host_name).into());
        arguments.extend(network(policy).map(OsString::from));
        arguments.extend(["children.max=0", "enforce_statfs=2"].map(OsString::from));
        arguments.push(format!("devfs_ruleset={DEVICE_RULES}").into());
        arguments.extend(["sysvmsg=new", "sysvsem=new", "sysvshm=new"].map(OsString::from));
        arguments.extend(FORBIDDEN.map(OsString::from));
        arguments.extend(["exec.clean".into(), format!("exec.jail_user={user}").into()]);
        let mut command = OsString::from("command=");
        command.push(program());
        arguments.push(command);
        arguments.into_iter().map(Argument::from).collect()
    }
}

/// The folder belongs to whoever the job is: a number inside is the same outside.
fn owner(policy: &Policy) -> HostUser {
    match policy.user {
        User::Build => HostUser { uid: BUILD_ID, gid: BUILD_ID },
        User::Root => HostUser { uid: 0, gid: 0 },
    }
}

/// The address that jail(8) adds to an interface of the host, or `-`.
fn added_address(policy: &Policy) -> String {
    let address = policy.address.as_ref();
    let added = address.and_then(|address| Some(format!("{}/{}", address.interface.as_ref()?, address.ip)));
    added.unwrap_or_else(|| "-".to_owned())
}

/// The addresses of a jail: none, one of the host's, or all of them.
fn network(policy: &Policy) -> [String; 2] {
    match &policy.address {
        Some(policy::Address { interface, ip }) => {
            let interface = interface.as_ref().map_or(String::new(), |name| format!("{name}|"));
            if ip.is_ipv4() {
                [format!("ip4.addr={interface}{ip}"), "ip6=disable".to_owned()]
            } else {
                ["ip4=disable".to_owned(), format!("ip6.addr={interface}{ip}")]
            }
        }
        None => {
            let word = if policy.has_network { "inherit" } else { "disable" };
            [format!("ip4={word}"), format!("ip6={word}")]
        }
    }
}

fn program() -> PathBuf {
    Path::new(PROGRAM_FOLDER).join("builder-worker")
}

fn step<'a>(words: impl IntoIterator<Item = &'a str>, rest: impl IntoIterator<Item = OsString>) -> Step {
    Step { command: words.into_iter().map(OsString::from).chain(rest).collect() }
}

#[cfg(test)]
mod tests;
