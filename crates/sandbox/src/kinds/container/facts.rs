//! Which engine for containers there is, and what it can hold a job to: asked of the engine itself, and judged beside.

use super::Engine;
use crate::host::answer;
use crate::policy::Policy;
use builder_rootfs::in_path;
use std::ffi::OsString;
use std::path::PathBuf;

/// Variables by which an engine is found and set up; of the worker's environment it gets no other.
const PASSED: [&str; 12] = [
    "CONTAINERS_CONF",
    "CONTAINERS_STORAGE_CONF",
    "CONTAINER_HOST",
    "DBUS_SESSION_BUS_ADDRESS",
    "DOCKER_CERT_PATH",
    "DOCKER_CONFIG",
    "DOCKER_CONTEXT",
    "DOCKER_HOST",
    "DOCKER_TLS_VERIFY",
    "HOME",
    "PATH",
    "XDG_RUNTIME_DIR",
];
/// What docker is asked: a version, what it stores with, and whether it can limit memory, swap, processors and processes.
const DOCKER_QUESTION: &str = "{{.ServerVersion}} {{.Driver}} {{.MemoryLimit}} {{.SwapLimit}} {{.CPUCfsQuota}} {{.PidsLimit}} {{.SecurityOptions}}";
/// What podman is asked: a version, what it stores with, whether it runs without rights, which version of control groups
/// there is, who makes them, and which of their controllers it has.
const PODMAN_QUESTION: &str = "{{.Version.Version}} {{.Store.GraphDriverName}} {{.Host.Security.Rootless}} \
    {{.Host.CgroupsVersion}} {{.Host.CgroupManager}} {{.Host.CgroupControllers}}";

/// What is asked of an image: its identity, and how many volumes it wants.
const IMAGE_QUESTION: &str = "{{.Id}} {{with .Config}}{{with .Volumes}}{{len .}}{{else}}0{{end}}{{else}}0{{end}}";
/// What the identity of an image begins with, and how many digits follow.
const IDENTITY_PREFIX: &str = "sha256:";
const IDENTITY_DIGITS: usize = 64;

/// The facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerFacts {
    /// Which engine.
    pub engine: Engine,
    /// Its program.
    pub program: PathBuf,
    /// The environment that it needs.
    pub environment: Vec<(OsString, OsString)>,
    /// What it says of itself, or why it does not.
    pub answer: Result<EngineAnswer, String>,
    /// What processes of the worker are held to, as the options of podman have it: it would ask for more, and where a worker
    /// may not have more it would fail.
    pub own_limits: Vec<String>,
    /// The image of the policy, or why there is none.
    pub image: Option<Result<Image, String>>,
}

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineAnswer {
    /// Its version.
    pub version: String,
    /// What keeps the layers of its images and containers: `overlay2`, for instance.
    pub storage: String,
    /// Whether it has no rights of root on the host.
    pub is_rootless: bool,
    /// What it can hold a container to.
    pub limits: EngineLimits,
}

/// An image that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// `sha256:` and the digest of its configuration, which has those of its layers.
    pub identity: String,
    /// How many folders it wants to have on the disk of the host, outside of its layers.
    pub volumes: u64,
}

/// What an engine can hold a container to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "four answers to four questions")]
pub struct EngineLimits {
    /// Memory.
    pub memory: bool,
    /// Swap, so that memory is not exceeded by it.
    pub swap: bool,
    /// Time on processors.
    pub processors: bool,
    /// Processes.
    pub processes: bool,
}

impl ContainerFacts {
    /// Asks the engine of the policy, or the first that answers; nothing where there is none.
    pub(crate) fn gather(policy: &Policy) -> Option<Self> {
        let wanted = Engine::ALL.into_iter().filter(|engine| policy.engine.is_none_or(|wanted| wanted == *engine));
        let found: Vec<_> = wanted.filter_map(|engine| Some((engine, in_path(engine.name())?))).collect();
        let mut asked = found.into_iter().map(|(engine, program)| Self::ask(policy, engine, program));
        let first = asked.next()?;
        if first.answer.is_ok() {
            return Some(first);
        }
        Some(asked.find(|facts| facts.answer.is_ok()).unwrap_or(first))
    }

    fn ask(policy: &Policy, engine: Engine, program: PathBuf) -> Self {
        let name = program.to_string_lossy();
        let answered = match engine {
            Engine::Docker => answer(&name, &["info", "--format", DOCKER_QUESTION]).and_then(|said| docker(&said)),
            Engine::Podman => answer(&name, &["info", "--format", PODMAN_QUESTION]).and_then(|said| podman(&said)),
        };
        let passed = |name: &&str| Some((OsString::from(name), std::env::var_os(name)?));
        let environment = PASSED.iter().filter_map(passed).collect();
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let (own_limits, pid_max) = (read("/proc/self/limits"), read("/proc/sys/kernel/pid_max"));
        let pid_max = pid_max.trim().parse().unwrap_or(u64::MAX);
        let own_limits = match engine {
            Engine::Docker => Vec::new(),
            Engine::Podman => own_limits.lines().filter_map(|line| option(line, pid_max)).collect(),
        };
        let mut facts =
            Self { engine, environment, answer: answered, own_limits, image: None, program: program.clone() };
        facts.look_at_image(policy);
        facts
    }

    /// Asks which image has the name of the policy now.
    pub(crate) fn look_at_image(&mut self, policy: &Policy) {
        let name = self.program.to_string_lossy();
        let image = policy.image.as_deref().filter(|_| self.answer.is_ok());
        let said = image.map(|image| answer(&name, &["image", "inspect", "--format", IMAGE_QUESTION, image]));
        self.image = said.map(|said| said.and_then(|said| Image::parse(&said)));
    }

    /// The identity of the image, if the policy names one and it is there.
    pub(crate) fn image_identity(&self) -> Option<&str> {
        Some(self.image.as_ref()?.as_ref().ok()?.identity.as_str())
    }
}

impl Image {
    /// Reads the answer to [`IMAGE_QUESTION`]. Podman says the identity without its first word.
    fn parse(said: &str) -> Result<Self, String> {
        let (identity, volumes) = said.split_once(' ').unwrap_or((said, ""));
        let digits = identity.strip_prefix(IDENTITY_PREFIX).unwrap_or(identity);
        let is_digest = digits.len() == IDENTITY_DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        match volumes.parse() {
            Ok(volumes) if is_digest => Ok(Self { identity: format!("{IDENTITY_PREFIX}{digits}"), volumes }),
            Ok(_) | Err(_) => Err(format!("{said:?} tells of no image")),
        }
    }
}

/// A line of proc_pid_limits(5) that podman has a default for, as an option. There are no more processes than numbers for
/// them; podman may hold itself to that.
fn option(line: &str, pid_max: u64) -> Option<String> {
    let (name, rest, most) = [("nproc", "Max processes", pid_max), ("nofile", "Max open files", u64::MAX)]
        .into_iter()
        .find_map(|(name, title, most)| Some((name, line.strip_prefix(title)?, most)))?;
    let mut values = rest.split_whitespace().map(|value| value.parse().unwrap_or(u64::MAX).min(most));
    Some(format!("{name}={}:{}", values.next()?, values.next()?))
}

/// Reads the answer to [`DOCKER_QUESTION`].
fn docker(said: &str) -> Result<EngineAnswer, String> {
    let mut words = said.split_whitespace();
    let version = words.next().filter(|version| version.starts_with(|c: char| c.is_ascii_digit()));
    // A client without its server answers, too.
    let version = version.ok_or("the docker daemon does not answer")?.to_owned();
    let storage = words.next().unwrap_or_default().to_owned();
    let mut is = || words.next() == Some("true");
    let limits = EngineLimits { memory: is(), swap: is(), processors: is(), processes: is() };
    Ok(EngineAnswer { version, storage, is_rootless: said.contains("name=rootless"), limits })
}

/// Reads the answer to [`PODMAN_QUESTION`].
fn podman(said: &str) -> Result<EngineAnswer, String> {
    let mut words = said.split_whitespace();
    let version = words.next().ok_or("podman says nothing of itself")?.to_owned();
    let storage = words.next().unwrap_or_default().to_owned();
    let is_rootless = words.next() == Some("true");
    let is_unified = words.next() == Some("v2");
    let manager = words.next();
    let controllers: Vec<&str> = words.map(|word| word.trim_matches(['[', ']', ','])).collect();
    // Without rights it has groups only where systemd makes them for it. Where its user has no systemd, it lists the
    // controllers of the host, and then runs containers without any limit.
    let has_groups = !is_rootless || manager == Some("systemd");
    // Of version 1 it lists none, and root has all of them.
    let has = |name| has_groups && if is_unified { controllers.contains(&name) } else { !is_rootless };
    let limits =
        EngineLimits { memory: has("memory"), swap: has("memory"), processors: has("cpu"), processes: has("pids") };
    Ok(EngineAnswer { version, storage, is_rootless, limits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_limits_become_options() {
        let text = "Max cpu time 1 2 seconds\n\
            Max processes             95874                unlimited            processes\n\
            Max open files            1024                 20000                files\n\nMax open files 1";
        let options: Vec<_> = text.lines().filter_map(|line| option(line, 32_768)).collect();
        assert_eq!(options, ["nproc=32768:32768", "nofile=1024:20000"]);
    }

    #[test]
    fn both_engines_know_an_image_by_the_same_identity() {
        let digits = "0123456789abcdef".repeat(4);
        let expected = Image { identity: format!("sha256:{digits}"), volumes: 2 };
        for said in [format!("{digits} 2"), format!("sha256:{digits} 2")] {
            assert_eq!(Image::parse(&said).as_ref(), Ok(&expected));
        }
        for other in ["", "sha256: 0", "debian:12 0", &digits, &format!("{} 0", &digits[1..]), &format!("{digits} x")] {
            assert!(Image::parse(other).is_err(), "{other}");
        }
    }

    #[test]
    fn engines_say_what_they_can_hold() {
        let all = EngineLimits { memory: true, swap: true, processors: true, processes: true };
        let answer = docker("20.10.24+dfsg1 overlay2 true true true true [name=seccomp,profile=default]\n").unwrap();
        assert_eq!((answer.version.as_str(), answer.is_rootless, answer.limits), ("20.10.24+dfsg1", false, all));
        assert_eq!(answer.storage, "overlay2");
        let answer =
            docker("26.1.5 overlayfs true false true true [name=seccomp,profile=builtin name=rootless]").unwrap();
        assert_eq!((answer.is_rootless, answer.limits), (true, EngineLimits { swap: false, ..all }));
        assert!(docker("  false false false false []").is_err() && docker("").is_err());
        let answer = podman("4.3.1 overlay false v1 cgroupfs []").unwrap();
        assert_eq!((answer.is_rootless, answer.limits), (false, all));
        let answer = podman("4.3.1 vfs true v2 systemd [memory pids]").unwrap();
        assert_eq!((answer.is_rootless, answer.limits), (true, EngineLimits { processors: false, ..all }));
        let none = EngineLimits { memory: false, swap: false, processors: false, processes: false };
        let answer = podman("4.3.1 overlay true v2 cgroupfs [cpuset cpu io memory hugetlb pids rdma misc]").unwrap();
        assert_eq!((answer.is_rootless, answer.limits), (true, none));
        assert!(podman("").is_err());
    }
}
