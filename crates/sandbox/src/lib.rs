//! What a job may see and use, and how each kind of sandbox gives it.
//!
//! A [`Policy`] says the first; it is read from one file for all kinds. [`plan`] makes of it, and of the [`Place`] where
//! a job lies, a [`Plan`]: a command with its environment, what has to be made ready before and taken away after. All
//! of that is pure. [`Host`] gathers what this machine can give, at the edge, and [`check`] judges whether that is what
//! the policy asks. Nothing is weakened because a host lacks it: the job is refused, and a finding says what is missing.
//!
//! Starting and ending the processes of a job is the business of the worker's supervisor.

pub mod accounts;
pub mod check;
pub mod host;
mod kinds;
pub mod limits;
pub mod plan;
pub mod policy;
pub mod root;
pub mod seccomp;
pub mod size;

pub use check::{Finding, State, check};
pub use host::Host;
pub use kinds::{COUNTS_FILE, ContainerFacts, Engine, EngineAnswer, EngineLimits, Image, LABEL};
pub use kinds::{JailFacts, Reached as ReachedInJail, description, plan, reached as reached_in_jail, root_digest};
pub use limits::{Limits, Processors};
pub use plan::{
    Argument, Complaints, Enclosure, Environment, HostUser, Inside, Place, Plan, Stage, StageBind, StageRoot, Step,
};
pub use policy::{Address, Kind, Policy, PolicyError, Table, User};
pub use root::{Digest, DigestError, Root, RootError};
pub use size::{SizeError, parse_size};

/// Where a build always lies, seen from inside.
pub const BUILD_FOLDER: &str = "/build";
/// The name of the host, seen from inside, unless the policy has another.
pub const HOST_NAME: &str = "builder";
/// What a build always finds in its environment, and all of it unless the policy adds to it.
pub const ENVIRONMENT: [(&str, &str); 7] = [
    ("HOME", BUILD_FOLDER),
    ("LANG", "C.UTF-8"),
    ("LC_ALL", "C.UTF-8"),
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("SHELL", "/bin/sh"),
    ("TMPDIR", "/tmp"),
    ("TZ", "UTC"),
];
