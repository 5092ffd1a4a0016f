//! A container of docker or podman, by their command line. The engine makes it and holds its limits; the supervisor on the
//! host starts the engine's client and takes the container away afterwards, whatever happened.

mod facts;
#[cfg(test)]
mod tests;

pub use facts::{ContainerFacts, EngineAnswer, EngineLimits, Image};

use super::{ROOT_CAPABILITIES, environment};
use crate::BUILD_FOLDER;
use crate::accounts::BUILD_ID;
use crate::check::Finding;
use crate::host::Host;
use crate::plan::{Argument, Complaints, Enclosure, HostUser, Inside, Place, Plan, Step};
use crate::policy::{Policy, PolicyError, User};
use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// What runs first inside, and starts the script.
const INIT: &str = include_str!("init.sh");
/// How many processes inside are not the job's own: the first one, two that wait, and a `sleep`.
const OWN_PROCESSES: u64 = 4;
/// The label by which containers of workers are found; their names tell which worker's they are.
pub const LABEL: &str = "builder.worker";
/// The file in the folder of the job that has the kernel's counts of processes, afterwards: hidden, so that it is no
/// artifact.
pub const COUNTS_FILE: &str = ".builder-counts";

/// A program that makes containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Docker, whose daemon makes the containers.
    Docker,
    /// Podman, which makes them itself.
    Podman,
}

impl Engine {
    /// All of them, in the order in which they are looked for.
    pub const ALL: [Self; 2] = [Self::Docker, Self::Podman];

    /// Its program, and the word for it in a policy.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Engine {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let known = Self::ALL.into_iter().find(|engine| engine.name() == text);
        known.ok_or_else(|| PolicyError::value("engine", format!("{text:?} is not known; there are docker, podman")))
    }
}

/// Who the job is, inside and on the host.
struct Users {
    /// Inside.
    inside: HostUser,
    /// Whom the folder belongs to on the host, when that is not the worker.
    owner: Option<HostUser>,
    /// How podman maps the one to the other.
    mapping: Option<String>,
}

impl Users {
    /// `None` where the engine cannot give it.
    fn of(policy: &Policy, host: &Host, answer: &EngineAnswer, engine: Engine) -> Option<Self> {
        let same = |id| HostUser { uid: id, gid: id };
        let named = host.host_user.as_ref().and_then(|user| user.as_ref().ok()).copied();
        let build = named.unwrap_or(same(BUILD_ID));
        match (policy.user, engine, answer.is_rootless) {
            // Who has no rights maps one user of the container to itself.
            (User::Build, Engine::Podman, true) => {
                let mapping = format!("keep-id:uid={BUILD_ID},gid={BUILD_ID}");
                Some(Self { inside: same(BUILD_ID), owner: None, mapping: Some(mapping) })
            }
            (User::Root, Engine::Docker | Engine::Podman, true) => {
                Some(Self { inside: same(0), owner: None, mapping: None })
            }
            (User::Build, Engine::Docker, true) => None,
            (User::Build, Engine::Docker | Engine::Podman, false) if host.is_root => {
                Some(Self { inside: build, owner: Some(build), mapping: None })
            }
            // A member of the group `docker` cannot give its files away, nor remove those of others.
            (User::Build, Engine::Docker | Engine::Podman, false) => {
                Some(Self { inside: same(host.uid), owner: None, mapping: None })
            }
            (User::Root, Engine::Docker | Engine::Podman, false) => {
                host.is_root.then(|| Self { inside: same(0), owner: None, mapping: None })
            }
        }
    }
}

pub(super) fn needs(policy: &Policy, host: &Host) -> Vec<Finding> {
    let Some(facts) = &host.container else {
        let detail = policy
            .engine
            .map_or("neither docker nor podman is in PATH".to_owned(), |engine| format!("{engine} is not in PATH"));
        let mend = format!("apt-get install {}", policy.engine.map_or("podman", package));
        return vec![Finding::missing("engine", detail, mend)];
    };
    let name = facts.engine.name();
    let answer = match &facts.answer {
        Ok(answer) => answer,
        Err(why) => {
            let mend = match facts.engine {
                Engine::Docker => "systemctl start docker; usermod -aG docker USER, for a worker that is not root",
                Engine::Podman => "podman info, as the user of the worker",
            };
            return vec![Finding::missing("engine", format!("{name} does not answer: {why}"), mend)];
        }
    };
    let rights = if answer.is_rootless { ", without rights of root" } else { "" };
    let mut findings = vec![Finding::works("engine", format!("{name} {}{rights}", answer.version))];
    findings.extend(image_finding(policy, facts));
    if Users::of(policy, host, answer, facts.engine).is_none() {
        let (detail, mend) = match policy.user {
            User::Build => ("docker without rights of root has no such user", "use podman, or `user = \"root\"`"),
            User::Root => ("the worker could not remove the files of root", "run the worker as root, or use podman"),
        };
        findings.push(Finding::missing("user", detail, mend));
    }
    let limits = [
        ("memory limit", policy.limits.memory_bytes.is_some(), answer.limits.memory && answer.limits.swap),
        ("processor limit", policy.limits.processors.is_some(), answer.limits.processors),
        ("process limit", policy.limits.processes.is_some(), answer.limits.processes),
    ];
    for (subject, _, _) in limits.into_iter().filter(|(_, is_asked, is_held)| *is_asked && !is_held) {
        let detail = format!("{name} cannot hold it on this host");
        let mend = if answer.is_rootless {
            "loginctl enable-linger USER, and XDG_RUNTIME_DIR and DBUS_SESSION_BUS_ADDRESS of that user for the worker"
        } else {
            "boot Linux with swapaccount=1"
        };
        findings.push(Finding::missing(subject, detail, mend));
    }
    findings.extend(
        uncounted(policy, host, facts, answer).map(|(detail, mend)| Finding::missing("disk limit", detail, mend)),
    );
    findings
}

/// Why a job could take room on the disk that nobody counts, and what to do about it.
fn uncounted(
    policy: &Policy,
    host: &Host,
    facts: &ContainerFacts,
    answer: &EngineAnswer,
) -> Option<(String, &'static str)> {
    policy.limits.disk_bytes?;
    let image = facts.image.as_ref().and_then(|image| image.as_ref().ok());
    if let Some(Image { volumes: 1.., .. }) = image {
        let detail = "the image has volumes, and what is written there is not counted";
        return Some((detail.to_owned(), "make an image without VOLUME, or take the limit out of the policy"));
    }
    if !policy.is_root_writable {
        return None;
    }
    if !host.is_root || answer.is_rootless {
        let detail =
            "what is written into the root file system is counted by a worker that is root, with an engine that is";
        return Some((detail.to_owned(), "take `root-writable` or the limit out of the policy"));
    }
    // For a root file system, podman makes an overlay of its own.
    if policy.image.is_some() && !answer.storage.starts_with("overlay") {
        let detail = format!("what is written into the root file system is not counted: it lies in {}", answer.storage);
        return Some((
            detail,
            "have the engine store with overlay, or take `root-writable` or the limit out of the policy",
        ));
    }
    None
}

const fn package(engine: Engine) -> &'static str {
    match engine {
        Engine::Docker => "docker.io",
        Engine::Podman => "podman",
    }
}

fn image_finding(policy: &Policy, facts: &ContainerFacts) -> Option<Finding> {
    let name = facts.engine.name();
    match (&policy.image, &facts.image, facts.engine) {
        (Some(name), Some(Ok(image)), _) => Some(Finding::works("image", format!("{name} ({})", image.identity))),
        (Some(image), Some(Err(why)), _) => {
            Some(Finding::missing("image", format!("{name} has no {image}: {why}"), format!("{name} pull {image}")))
        }
        (Some(_), None, _) => None,
        (None, _, Engine::Podman) => None,
        // A policy names one or the other; without either, it is only asked whether there is an engine.
        (None, _, Engine::Docker) if policy.root.is_none() => None,
        (None, _, Engine::Docker) => Some(Finding::missing(
            "image",
            "docker takes only images, and no root file systems",
            "tar -C ROOT -cf - . | docker import - NAME, and `image = \"NAME\"` for `root`; or use podman",
        )),
    }
}

pub(super) fn plan(policy: &Policy, host: &Host, place: &Place) -> Option<Plan> {
    let facts = host.container.as_ref()?;
    let answer = facts.answer.as_ref().ok()?;
    let users = Users::of(policy, host, answer, facts.engine)?;
    let mut client = Client { facts, arguments: Vec::new() };
    client.run(place);
    client.isolate(policy, &users);
    client.limits(policy);
    client.places(policy, place);
    client.environment(policy, host);
    client.inside(host);
    let step = |words: &[&str]| Step { command: facts.command(words) };
    Some(Plan::Enclosed(Box::new(Enclosure {
        name: format!("container ({})", facts.engine),
        stage: None,
        prepare: Vec::new(),
        command: client.arguments.into_iter().map(Argument::Text).collect(),
        descriptors: Vec::new(),
        owner: users.owner,
        host_user: None,
        complaints: Complaints::OnConsole,
        inside: Inside::Script,
        verdict: Some(step(&["inspect", "--format", "{{.State.Status}} {{.State.OOMKilled}}", &place.name])),
        cleanup: vec![step(&["rm", "--force", "--volumes", &place.name])],
    })))
}

impl ContainerFacts {
    /// Asks for a process of the container of this name, as the host counts: 0 as long as it does not run.
    pub fn process_question(&self, name: &str) -> Step {
        Step { command: self.command(&["inspect", "--format", "{{.State.Pid}}", name]) }
    }

    /// The engine's client with these arguments, and the environment that it needs.
    pub fn command(&self, words: &[&str]) -> Vec<OsString> {
        let mut command: Vec<OsString> = vec!["/usr/bin/env".into(), "-i".into()];
        for (name, value) in &self.environment {
            let mut word = name.clone();
            word.push("=");
            word.push(value);
            command.push(word);
        }
        command.push(self.program.clone().into());
        command.extend(words.iter().map(OsString::from));
        command
    }
}

/// The command line of the engine's client, as it grows.
struct Client<'a> {
    facts: &'a ContainerFacts,
    arguments: Vec<OsString>,
}

impl Client<'_> {
    fn add(&mut self, words: &[&str]) {
        self.arguments.extend(words.iter().map(OsString::from));
    }

    fn run(&mut self, place: &Place) {
        self.arguments = self.facts.command(&["run", "--interactive", "--pull", "never"]);
        self.add(&["--name", &place.name, "--label", LABEL, "--log-driver", "none"]);
    }

    fn isolate(&mut self, policy: &Policy, users: &Users) {
        self.add(&["--security-opt", "no-new-privileges", "--cap-drop", "ALL"]);
        match policy.user {
            User::Build => {}
            User::Root => ROOT_CAPABILITIES.iter().for_each(|name| self.add(&["--cap-add", name])),
        }
        self.add(&["--user", &format!("{}:{}", users.inside.uid, users.inside.gid)]);
        if let Some(mapping) = &users.mapping {
            self.add(&["--userns", mapping]);
        }
        self.add(&["--hostname", &policy.host_name]);
        if !policy.has_network {
            self.add(&["--network", "none"]);
        }
        if !policy.is_root_writable {
            self.add(&["--read-only"]);
        }
        let tmp = policy.tmp_bytes;
        for folder in ["/tmp", "/var/tmp"] {
            self.add(&["--tmpfs", &format!("{folder}:rw,exec,nosuid,nodev,size={tmp},mode=1777")]);
        }
        self.add(&["--shm-size", &tmp.to_string(), "--ulimit", "core=0:0"]);
    }

    fn limits(&mut self, policy: &Policy) {
        let limits = &policy.limits;
        if let Some(bytes) = limits.memory_bytes {
            let bytes = bytes.to_string();
            self.add(&["--memory", &bytes, "--memory-swap", &bytes]);
        }
        if let Some(processors) = limits.processors {
            let count = format!("{}.{:02}", processors.hundredths / 100, processors.hundredths % 100);
            self.add(&["--cpus", &count]);
        }
        // Without a word, podman has a limit of its own.
        let processes =
            limits.processes.map_or("-1".to_owned(), |count| count.saturating_add(OWN_PROCESSES).to_string());
        self.add(&["--pids-limit", &processes]);
        let open_files = limits.open_files.map(|count| format!("nofile={count}:{count}"));
        let facts = self.facts;
        let own = facts.own_limits.iter().filter(|own| open_files.is_none() || !own.starts_with("nofile"));
        own.chain(&open_files).for_each(|option| self.add(&["--ulimit", option]));
        if let Some(bytes) = limits.disk_bytes {
            self.add(&["--ulimit", &format!("fsize={bytes}:{bytes}")]);
        }
    }

    fn places(&mut self, policy: &Policy, place: &Place) {
        self.mount(Path::new(&place.folder), Path::new(BUILD_FOLDER), "");
        for path in &policy.read_only {
            self.mount(path, path, ",readonly");
        }
        for path in &policy.writable {
            self.mount(path, path, "");
        }
        self.add(&["--workdir", BUILD_FOLDER]);
    }

    /// A mount, as one line of comma-separated values.
    fn mount(&mut self, source: &Path, target: &Path, options: &str) {
        let quoted = |key: &str, path: &Path| {
            let mut field = OsString::from(format!("\"{key}="));
            field.push(OsString::from(path.to_string_lossy().replace('"', "\"\"")));
            field.push("\"");
            field
        };
        let mut mount = OsString::from("type=bind,");
        mount.push(quoted("src", source));
        mount.push(",");
        mount.push(quoted("dst", target));
        mount.push(options);
        self.arguments.extend(["--mount".into(), mount]);
    }

    fn environment(&mut self, policy: &Policy, host: &Host) {
        for (name, value) in environment(policy, host).set {
            let mut variable = name;
            variable.push("=");
            variable.push(value);
            self.arguments.extend(["--env".into(), variable]);
        }
    }

    fn inside(&mut self, host: &Host) {
        self.add(&["--entrypoint", "/bin/sh"]);
        match (self.facts.image_identity(), &host.root) {
            // By its name it could be another one by now.
            (Some(image), _) => self.add(&[image]),
            (None, Some(Ok(root))) => {
                // A layer over it takes what is written, and is thrown away.
                let mut root = root.path.clone().into_os_string();
                root.push(":O");
                self.arguments.extend(["--rootfs".into(), root]);
            }
            (None, Some(Err(_)) | None) => {}
        }
        let script = format!("{BUILD_FOLDER}/script.sh");
        self.add(&["-c", INIT, "builder", &script, &format!("{BUILD_FOLDER}/{COUNTS_FILE}")]);
    }
}
