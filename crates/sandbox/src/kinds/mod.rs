//! The kinds of sandbox: each one makes a plan of a policy, and says what it needs of a host.

mod bubblewrap;
mod container;
mod jail;
mod none;
mod nspawn;

use crate::check::{Finding, check};
use crate::host::Host;
use crate::plan::{Environment, Place, Plan};
use crate::policy::{Kind, Policy};
use crate::root::Digest;
use crate::{ENVIRONMENT, User};
use std::ffi::OsString;
use std::path::PathBuf;

use bubblewrap::ROOT_CAPABILITIES;
pub(crate) use bubblewrap::{TOP_LEVEL, wants_range};
pub use container::{COUNTS_FILE, ContainerFacts, Engine, EngineAnswer, EngineLimits, Image, LABEL};
pub use jail::{JailFacts, Reached, reached};
pub(crate) use jail::{Snapshot, root as jail_root};

/// Programs that any of them starts.
pub(crate) const PROGRAMS: [&str; 4] = ["bwrap", "jail", "unshare", "systemd-nspawn"];

/// How a job is run under this policy on this host.
///
/// # Errors
///
/// Whatever the host lacks: the findings that are not fulfilled.
pub fn plan(policy: &Policy, host: &Host, place: &Place) -> Result<Plan, Vec<Finding>> {
    let findings = check(policy, host);
    if findings.iter().any(|finding| !finding.is_fulfilled()) {
        return Err(findings.into_iter().filter(|finding| !finding.is_fulfilled()).collect());
    }
    match policy.kind {
        Kind::None => Ok(none::plan(policy, host)),
        Kind::Bubblewrap => Ok(bubblewrap::plan(policy, host, place)),
        Kind::Jail => Ok(jail::plan(policy, host, place)),
        Kind::Container => container::plan(policy, host, place).ok_or(findings),
        Kind::Nspawn => nspawn::plan(policy, host, place).ok_or(findings),
    }
}

/// What a job runs in, in words for its console; nothing to say of no sandbox, unless the worker knows its `own` digest.
pub fn description(policy: &Policy, host: &Host, own: Option<&Digest>) -> Option<String> {
    if policy.kind == Kind::None {
        return own.map(|digest| format!("root file system of this worker ({digest})"));
    }
    let root = match (&host.root, &policy.image) {
        (Some(Ok(root)), _) => {
            let name = root.name.display();
            let digest = root.digest.as_ref().map_or(String::new(), |digest| format!(" ({})", digest.as_str()));
            format!("root file system {name}{digest}")
        }
        (_, Some(image)) => {
            let id = host.container.as_ref().and_then(ContainerFacts::image_identity);
            format!("image {image}{}", id.map_or(String::new(), |id| format!(" ({id})")))
        }
        (_, None) => format!("the host's programs{}", own.map_or(String::new(), |digest| format!(" ({digest})"))),
    };
    let network = if policy.has_network { "on" } else { "off" };
    Some(format!("sandbox {}, {root}, network {network}", policy.kind))
}

/// The digest of what a job finds as `/`: the recorded one of its root file system, or the identity of its image. Where that
/// is what the worker is in itself, it is the worker's `own`, which nobody but who made that can know.
pub fn root_digest<'a>(host: &'a Host, own: Option<&'a Digest>) -> Option<&'a str> {
    match (&host.root, &host.container) {
        (Some(root), _) => root.as_ref().ok()?.digest.as_ref().map(Digest::as_str),
        (None, Some(container)) => container.image_identity(),
        (None, None) => own.map(Digest::as_str),
    }
}

/// What the kind of sandbox needs of the host, fulfilled or not.
pub(crate) fn needs(policy: &Policy, host: &Host) -> Vec<Finding> {
    match policy.kind {
        Kind::None => Vec::new(),
        Kind::Bubblewrap => bubblewrap::needs(policy, host),
        Kind::Jail => jail::needs(policy, host),
        Kind::Container => container::needs(policy, host),
        Kind::Nspawn => nspawn::needs(policy, host),
    }
}

/// The paths of the host that are looked for, because they are shown to jobs where they are there.
pub(crate) fn paths_shown(policy: &Policy) -> Vec<PathBuf> {
    let own = policy.read_only.iter().chain(&policy.writable).cloned();
    match policy.kind {
        Kind::Bubblewrap => own.chain(bubblewrap::paths_shown(policy)).collect(),
        Kind::Jail => own.chain(jail::paths_shown(policy)).collect(),
        Kind::None | Kind::Container | Kind::Nspawn => own.collect(),
    }
}

/// The environment of a job that does not begin with the worker's: always the same, but for what the policy passes and
/// sets.
pub(crate) fn environment(policy: &Policy, host: &Host) -> Environment {
    let fixed = ENVIRONMENT.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let user = match policy.user {
        User::Build => crate::accounts::BUILD_NAME,
        User::Root => "root",
    };
    let user = ["USER", "LOGNAME"].map(|name| (OsString::from(name), OsString::from(user)));
    let set = policy.set.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Environment { inherits: false, set: fixed.chain(user).chain(passed(policy, host)).chain(set).collect() }
}

/// What the policy passes of the worker's environment.
fn passed<'a>(policy: &'a Policy, host: &'a Host) -> impl Iterator<Item = (OsString, OsString)> + 'a {
    let names = policy.pass.iter().flatten();
    names.filter_map(|name| host.environment.iter().find(|(other, _)| other == name.as_str()).cloned())
}
