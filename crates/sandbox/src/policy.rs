//! The policy: what a job may see and use, for all kinds of sandbox, read from `builder-worker.toml`.

use crate::kinds::Engine;
use crate::kinds::Snapshot;
use crate::limits::{Limits, LimitsTable};
use crate::size::parse_size;
use crate::{BUILD_FOLDER, HOST_NAME};
/// Where root file systems lie that a policy only names.
pub use builder_rootfs::FOLDER_DEFAULT as ROOTS_FOLDER;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The name of the file in the configuration folder.
pub const FILE: &str = "builder-worker.toml";
/// How much `/tmp` and `/var/tmp` may hold each where the policy does not say, in bytes.
pub const TMP_BYTES_DEFAULT: u64 = 2 << 30;
/// What a sandbox makes anew for each job: nothing of the host is shown there or below,
const OWN_TREES: [&str; 3] = [BUILD_FOLDER, "/dev", "/proc"];
/// or instead of it.
const OWN_FOLDERS: [&str; 3] = ["/run", "/tmp", "/var/tmp"];
/// Longest host name, in bytes.
const HOST_NAME_BYTES_MAX: usize = 64;

/// What keeps a job apart from everything else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Nothing: the job runs as the worker does.
    #[default]
    None,
    /// Namespaces of Linux, made by `bwrap`; no rights and no daemon are needed.
    Bubblewrap,
    /// A container of podman or docker.
    Container,
    /// A container of systemd-nspawn.
    Nspawn,
    /// A jail of FreeBSD.
    Jail,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::None, Self::Bubblewrap, Self::Container, Self::Nspawn, Self::Jail];

    /// The word for it, in files and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bubblewrap => "bubblewrap",
            Self::Container => "container",
            Self::Nspawn => "nspawn",
            Self::Jail => "jail",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|kind| kind.name()).collect();
            PolicyError::value("sandbox", format!("{text:?} is no kind of sandbox; there are {}", names.join(", ")))
        })
    }
}

/// Who a job is, seen from inside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum User {
    /// `build`, without any right.
    #[default]
    Build,
    /// `root`, whose rights end at the sandbox.
    Root,
}

/// An address of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The interface that it is added to as long as a job has it; without one, the host has it already.
    pub interface: Option<String>,
    /// The address.
    pub ip: IpAddr,
}

/// What a job may see and use; every value has been checked, none has been held against a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// What keeps the job apart.
    pub kind: Kind,
    /// The folder of the root file system, or for a jail the name of a ZFS snapshot; the host's own programs without one.
    pub root: Option<PathBuf>,
    /// Whether the job may write everywhere in its root file system, into a layer that is thrown away.
    pub is_root_writable: bool,
    /// The image of a container.
    pub image: Option<String>,
    /// What makes the container; the first that is there without one.
    pub engine: Option<Engine>,
    /// Paths of the host that the job sees, at the same place, and cannot change.
    pub read_only: Vec<PathBuf>,
    /// Folders of the host that the job sees, at the same place, and can change for good.
    pub writable: Vec<PathBuf>,
    /// Whether the job has the host's network.
    pub has_network: bool,
    /// The one address that the jail has of that network; all of them without one.
    pub address: Option<Address>,
    /// Names of variables that are passed from the worker's environment; all of them where there is `None`.
    pub pass: Option<Vec<String>>,
    /// Variables that are set.
    pub set: BTreeMap<String, String>,
    /// Who the job is, inside.
    pub user: User,
    /// The user of the host that jobs run as when the worker is root: a name or a number.
    pub host_user: Option<String>,
    /// The name of the host, inside.
    pub host_name: String,
    /// How much `/tmp` and `/var/tmp` may hold each, in bytes.
    pub tmp_bytes: u64,
    /// How much it may use.
    pub limits: Limits,
}

impl Policy {
    /// Whether a job needs a folder for what it writes into its root file system.
    pub fn needs_layer(&self) -> bool {
        match self.kind {
            Kind::Bubblewrap | Kind::Nspawn => self.is_root_writable,
            Kind::None | Kind::Container | Kind::Jail => false,
        }
    }
}

impl Default for Policy {
    /// What holds where nothing is said: no sandbox, no limit.
    fn default() -> Self {
        Self {
            kind: Kind::None,
            root: None,
            is_root_writable: false,
            image: None,
            engine: None,
            read_only: Vec::new(),
            writable: Vec::new(),
            has_network: true,
            address: None,
            pass: None,
            set: BTreeMap::new(),
            user: User::Build,
            host_user: None,
            host_name: HOST_NAME.to_owned(),
            tmp_bytes: TMP_BYTES_DEFAULT,
            limits: Limits::default(),
        }
    }
}

/// A policy that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// It is no TOML, or has unknown keys; the message has the line.
    #[error("{0}")]
    Syntax(String),
    /// A key has a wrong value.
    #[error("`{key}`: {why}")]
    Value {
        /// The key, with its table.
        key: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The kind of sandbox knows nothing of the key.
    #[error("`{key}` asks for what the sandbox {kind} never gives\nhint: {hint}")]
    NotGiven {
        /// The key.
        key: &'static str,
        /// The kind.
        kind: Kind,
        /// What to do.
        hint: &'static str,
    },
}

impl PolicyError {
    pub(crate) fn value(key: &'static str, why: impl fmt::Display) -> Self {
        Self::Value { key, why: why.to_string() }
    }
}

/// The file, or one of its tables `[platform.NAME]`, as it stands there. What is not said has its default.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Table {
    /// The kind of sandbox, as `--sandbox`.
    pub sandbox: Option<String>,
    /// A path, or the name of a folder below [`ROOTS_FOLDER`].
    pub root: Option<String>,
    /// As [`Policy::is_root_writable`].
    pub root_writable: Option<bool>,
    /// As [`Policy::image`].
    pub image: Option<String>,
    /// As [`Policy::engine`]: `docker` or `podman`.
    pub engine: Option<String>,
    /// As [`Policy::read_only`].
    pub read_only: Option<Vec<PathBuf>>,
    /// As [`Policy::writable`].
    pub writable: Option<Vec<PathBuf>>,
    /// As [`Policy::has_network`]: off, but for the sandbox `none`.
    pub network: Option<bool>,
    /// As [`Policy::address`]: `"127.0.2.2"`, or `"lo1|127.0.2.2"`.
    pub address: Option<String>,
    /// `build` or `root`.
    pub user: Option<String>,
    /// As [`Policy::host_user`].
    pub host_user: Option<String>,
    /// As [`Policy::host_name`].
    pub host_name: Option<String>,
    /// Such as `"4G"`: how much `/tmp` and `/var/tmp` may hold each.
    pub tmp: Option<String>,
    /// Variables of the environment.
    pub environment: EnvironmentTable,
    /// How much a job may use.
    pub limits: LimitsTable,
    /// What is different for single platforms; only in the file itself.
    pub platform: BTreeMap<String, Table>,
}

/// `[environment]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct EnvironmentTable {
    /// As [`Policy::pass`].
    pub pass: Option<Vec<String>>,
    /// As [`Policy::set`].
    pub set: BTreeMap<String, String>,
}

impl Table {
    /// Reads the text of a file.
    ///
    /// # Errors
    ///
    /// Says in which line it makes no sense, and why.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let table: Self = toml::from_str(text).map_err(|error| PolicyError::Syntax(error.to_string()))?;
        if let Some((name, _)) = table.platform.iter().find(|(_, inner)| !inner.platform.is_empty()) {
            let why = format!("[platform.{name}] cannot hold platforms of its own");
            return Err(PolicyError::value("platform", why));
        }
        Ok(table)
    }

    /// This table, and for what it does not say the other one.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let mut set = other.environment.set;
        set.extend(self.environment.set);
        Self {
            sandbox: self.sandbox.or(other.sandbox),
            root: self.root.or(other.root),
            root_writable: self.root_writable.or(other.root_writable),
            image: self.image.or(other.image),
            engine: self.engine.or(other.engine),
            read_only: self.read_only.or(other.read_only),
            writable: self.writable.or(other.writable),
            network: self.network.or(other.network),
            address: self.address.or(other.address),
            user: self.user.or(other.user),
            host_user: self.host_user.or(other.host_user),
            host_name: self.host_name.or(other.host_name),
            tmp: self.tmp.or(other.tmp),
            environment: EnvironmentTable { pass: self.environment.pass.or(other.environment.pass), set },
            limits: self.limits.or(other.limits),
            platform: if self.platform.is_empty() { other.platform } else { self.platform },
        }
    }

    /// What the file says for this platform: its own table, and for what that does not say the file.
    #[must_use]
    pub fn for_platform(mut self, platform: &str) -> Self {
        let platforms = std::mem::take(&mut self.platform);
        match platforms.into_iter().find(|(name, _)| name == platform) {
            Some((_, table)) => table.or(self),
            None => self,
        }
    }

    /// The policy that it says.
    ///
    /// # Errors
    ///
    /// Names the key whose value makes no sense, or asks for what its kind of sandbox never gives.
    pub fn resolve(self) -> Result<Policy, PolicyError> {
        let kind = self.sandbox.as_deref().map_or(Ok(Kind::default()), str::parse)?;
        self.refuse_what_is_not_given(kind)?;
        let tmp = self.tmp.as_deref().map(parse_size).transpose();
        Ok(Policy {
            kind,
            root: self.root.as_deref().map(|text| root_path(text, kind)).transpose()?,
            is_root_writable: self.root_writable.unwrap_or(false),
            image: self.image.map(image).transpose()?,
            engine: self.engine.as_deref().map(str::parse).transpose()?,
            read_only: places("read-only", self.read_only)?,
            writable: places("writable", self.writable)?,
            has_network: self.network.unwrap_or(kind == Kind::None),
            address: self.address.as_deref().map(address).transpose()?,
            pass: variables(self.environment.pass, &self.environment.set, kind)?,
            set: self.environment.set,
            user: self.user.as_deref().map_or(Ok(User::default()), user)?,
            host_user: self.host_user,
            host_name: self.host_name.map_or(Ok(HOST_NAME.to_owned()), host_name)?,
            tmp_bytes: tmp.map_err(|error| PolicyError::value("tmp", error))?.unwrap_or(TMP_BYTES_DEFAULT),
            limits: self.limits.resolve()?,
        })
    }

    /// A key that would be without effect is an error: whoever wrote it relies on it.
    fn refuse_what_is_not_given(&self, kind: Kind) -> Result<(), PolicyError> {
        let not_given = |key, hint| Err(PolicyError::NotGiven { key, kind, hint });
        let choose = "`sandbox = \"bubblewrap\"`, or another kind, can give it";
        if kind == Kind::None {
            let said = [
                ("root", self.root.is_some()),
                ("root-writable", self.root_writable.is_some()),
                ("image", self.image.is_some()),
                ("engine", self.engine.is_some()),
                ("read-only", self.read_only.is_some()),
                ("writable", self.writable.is_some()),
                ("network", self.network == Some(false)),
                ("user", self.user.is_some()),
                ("host-user", self.host_user.is_some()),
                ("host-name", self.host_name.is_some()),
                ("tmp", self.tmp.is_some()),
            ];
            if let Some((key, _)) = said.into_iter().find(|(_, is_said)| *is_said) {
                return not_given(key, choose);
            }
        }
        if self.image.is_some() && kind != Kind::Container {
            return not_given("image", "only `sandbox = \"container\"` has images; `root` names a root file system");
        }
        if self.engine.is_some() && kind != Kind::Container {
            return not_given("engine", "only `sandbox = \"container\"` has an engine");
        }
        if kind == Kind::Container && self.image.is_none() == self.root.is_none() {
            let why = "a container needs one, or with podman a root file system in `root`, and not both";
            return Err(PolicyError::value("image", why));
        }
        if self.host_user.is_some() && self.user.as_deref() == Some("root") {
            return not_given(
                "host-user",
                "it is who `user = \"build\"` is on the host; `root` needs a range of users",
            );
        }
        if self.root_writable == Some(true) && self.root.is_none() && kind == Kind::Bubblewrap {
            return not_given(
                "root-writable",
                "the host's own files are never writable; name a root file system in `root`",
            );
        }
        if self.address.is_some() && (kind != Kind::Jail || self.network != Some(true)) {
            return not_given("address", "only `sandbox = \"jail\"` with `network = true` has an address of its own");
        }
        if kind == Kind::Jail && self.host_user.is_some() {
            return not_given("host-user", "a number is the same inside and outside of a jail; leave it out");
        }
        if kind == Kind::Nspawn && self.root.is_none() {
            return Err(PolicyError::value("root", "systemd-nspawn needs one: a folder, or the name of one"));
        }
        if kind == Kind::Jail && self.root.is_none() {
            let why = "a jail needs one: a ZFS snapshot such as \"zroot/poudriere/jails/14@clean\", or a folder";
            return Err(PolicyError::value("root", why));
        }
        Ok(())
    }
}

/// A path as it is, or a name below the folder of root file systems.
fn root_path(text: &str, kind: Kind) -> Result<PathBuf, PolicyError> {
    if text.starts_with('/') || (kind == Kind::Jail && Snapshot::parse(text).is_some()) {
        return Ok(PathBuf::from(text));
    }
    let is_name = !text.is_empty() && !text.starts_with('.') && !text.contains('/');
    // For a jail, an `@` makes it a snapshot or a mistake.
    let is_name = is_name && !(kind == Kind::Jail && text.contains('@'));
    let why = match kind {
        Kind::Jail => {
            "expected a ZFS snapshot such as \"zroot/poudriere/jails/14@clean\", an absolute path, or the name of a root \
             file system"
        }
        Kind::None | Kind::Bubblewrap | Kind::Container | Kind::Nspawn => {
            "expected an absolute path, or the name of a root file system"
        }
    };
    if is_name { Ok(Path::new(ROOTS_FOLDER).join(text)) } else { Err(PolicyError::value("root", why)) }
}

/// The name of an image is a word on the command line of an engine.
fn image(name: String) -> Result<String, PolicyError> {
    let is_name = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte));
    if is_name { Ok(name) } else { Err(PolicyError::value("image", format!("{name:?} is no name of an image"))) }
}

fn address(text: &str) -> Result<Address, PolicyError> {
    let (interface, ip) = text.split_once('|').map_or((None, text), |(name, ip)| (Some(name), ip));
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match (interface.is_none_or(is_name), ip.parse()) {
        (true, Ok(ip)) => Ok(Address { interface: interface.map(str::to_owned), ip }),
        (false, _) | (_, Err(_)) => {
            Err(PolicyError::value("address", "expected one such as \"127.0.2.2\" or \"lo1|127.0.2.2\""))
        }
    }
}

fn places(key: &'static str, paths: Option<Vec<PathBuf>>) -> Result<Vec<PathBuf>, PolicyError> {
    let paths = paths.unwrap_or_default();
    for path in &paths {
        let is_plain = path.is_absolute() && path.components().all(|part| part != std::path::Component::ParentDir);
        if !is_plain || path.parent().is_none() {
            let why = format!("{} is no absolute path below /", path.display());
            return Err(PolicyError::value(key, why));
        }
        let is_own =
            OWN_TREES.iter().any(|own| path.starts_with(own)) || OWN_FOLDERS.iter().any(|own| path == Path::new(own));
        if is_own {
            let why = format!("{} is made anew for each job, and nothing of the host is shown there", path.display());
            return Err(PolicyError::value(key, why));
        }
    }
    Ok(paths)
}

fn variables(
    pass: Option<Vec<String>>,
    set: &BTreeMap<String, String>,
    kind: Kind,
) -> Result<Option<Vec<String>>, PolicyError> {
    let is_bad = |name: &&String| name.is_empty() || name.contains(['=', '\0']);
    if let Some(name) = pass.iter().flatten().find(is_bad) {
        return Err(PolicyError::value("environment.pass", format!("{name:?} is no name of a variable")));
    }
    if let Some(name) = set.keys().find(is_bad) {
        return Err(PolicyError::value("environment.set", format!("{name:?} is no name of a variable")));
    }
    if let Some((name, _)) = set.iter().find(|(_, value)| value.contains('\0')) {
        return Err(PolicyError::value("environment.set", format!("the value of {name} has a zero byte")));
    }
    Ok(if kind == Kind::None { pass } else { Some(pass.unwrap_or_default()) })
}

fn user(text: &str) -> Result<User, PolicyError> {
    match text {
        "build" => Ok(User::Build),
        "root" => Ok(User::Root),
        other => Err(PolicyError::value("user", format!("{other:?} is not known inside; there are build, root"))),
    }
}

fn host_name(name: String) -> Result<String, PolicyError> {
    let is_name = (1..=HOST_NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
    if is_name { Ok(name) } else { Err(PolicyError::value("host-name", format!("{name:?} is no host name"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str) -> Result<Policy, PolicyError> {
        Table::parse(text)?.for_platform("debian-12").resolve()
    }

    #[test]
    fn without_a_word_nothing_is_different() {
        assert_eq!(resolve("").unwrap(), Policy::default());
    }

    #[test]
    fn a_sandbox_gives_little_unless_told() {
        let policy = resolve("sandbox = 'bubblewrap'").unwrap();
        assert_eq!((policy.has_network, policy.pass, policy.user), (false, Some(vec![]), User::Build));
        assert_eq!((policy.host_name.as_str(), policy.root), ("builder", None));
    }

    #[test]
    fn a_platform_wins_over_the_file() {
        let text = "sandbox = 'bubblewrap'\nnetwork = true\n[limits]\nmemory = '2G'\nprocessors = 0.5\n\
            [environment]\nset = { A = '1', B = '2' }\n\
            [platform.debian-12]\nroot = 'bookworm'\nuser = 'root'\nlimits = { memory = '4G', time = '1h' }\n\
            environment.set = { B = '3' }\n[platform.other]\nnetwork = false";
        let policy = resolve(text).unwrap();
        assert_eq!(policy.root, Some(Path::new(ROOTS_FOLDER).join("bookworm")));
        assert_eq!((policy.has_network, policy.user), (true, User::Root));
        let limits = policy.limits;
        assert_eq!((limits.memory_bytes, limits.time), (Some(4 << 30), Some(std::time::Duration::from_secs(3600))));
        assert_eq!(limits.processors.map(|count| count.hundredths), Some(50));
        assert_eq!(policy.set.into_iter().map(|(k, v)| k + &v).collect::<Vec<_>>(), ["A1", "B3"]);
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (text, expected) in [
            ("\nfoo = 1", "line 2"),
            ("[limits]\nmemory = 5", "line 2"),
            ("limits.memory = '5 G'", "`limits.memory`: expected a whole number of bytes"),
            ("limits.memory = '0'", "`limits.memory`: with nothing no job can run"),
            ("limits.processors = 0.001", "`limits.processors`"),
            ("limits.processors = nan", "`limits.processors`"),
            ("limits.time = '5'", "`limits.time`: expected a whole number with a unit"),
            ("sandbox = 'docker'", "there are none, bubblewrap, container, nspawn, jail"),
            ("network = false", "`network` asks for what the sandbox none never gives"),
            ("root = 'x'", "`root` asks for what the sandbox none never gives"),
            ("sandbox = 'bubblewrap'\nroot = '../x'", "`root`: expected an absolute path"),
            ("sandbox = 'bubblewrap'\nroot-writable = true", "name a root file system"),
            ("sandbox = 'bubblewrap'\nimage = 'x'", "has images"),
            ("sandbox = 'bubblewrap'\nread-only = ['x']", "x is no absolute path"),
            ("sandbox = 'bubblewrap'\nwritable = ['/build/x']", "/build/x is made anew for each job"),
            ("sandbox = 'bubblewrap'\nread-only = ['/proc']", "/proc is made anew for each job"),
            ("sandbox = 'bubblewrap'\nread-only = ['/dev/kvm']", "/dev/kvm is made anew for each job"),
            ("sandbox = 'bubblewrap'\nwritable = ['/tmp/']", "/tmp/ is made anew for each job"),
            ("sandbox = 'bubblewrap'\nwritable = ['/a/../etc']", "is no absolute path"),
            ("sandbox = 'bubblewrap'\nuser = 'me'", "there are build, root"),
            ("sandbox = 'bubblewrap'\nhost-name = 'a b'", "is no host name"),
            ("sandbox = 'bubblewrap'\nuser = 'root'\nhost-user = 'me'", "`host-user`"),
            ("sandbox = 'jail'", "a jail needs one"),
            ("sandbox = 'jail'\nroot = 'z/a@b'\nhost-user = 'me'", "`host-user` asks for what the sandbox jail never"),
            ("sandbox = 'jail'\nroot = 'zroot@clean'", "expected a ZFS snapshot"),
            ("sandbox = 'bubblewrap'\nroot = 'z/a@clean'", "expected an absolute path"),
            ("sandbox = 'jail'\nroot = 'z/a@b'\naddress = '127.0.2.2'", "with `network = true`"),
            ("sandbox = 'jail'\nroot = 'z/a@b'\nnetwork = true\naddress = 'lo 1|127.0.2.2'", "expected one such as"),
            ("environment.pass = ['A=B']", "is no name of a variable"),
            ("platform.a.platform.b.network = true", "cannot hold platforms"),
        ] {
            let error = resolve(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
