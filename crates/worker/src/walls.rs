//! A second wall around a job in a sandbox, by Landlock: what is not to be written stays as it is even if a mount shows
//! it as writable, and sockets of the host that have no file cannot be reached even if the network is the host's.
//!
//! It is put up inside, because nobody behind it can mount any more. Where the kernel has none, or an older one that
//! knows less, what it lacks is left to the mounts and namespaces alone; `builder-worker check` tells.

use landlock::{
    ABI, Access, AccessFs, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, Scope, path_beneath_rules,
};
use std::ffi::OsString;
use std::io;

/// The newest that we know, of Linux 6.12.
const KNOWN: ABI = ABI::V6;

/// Puts it up around this process and all that it starts, for good.
pub(crate) fn put_up(writable: &[OsString]) -> io::Result<()> {
    restrict(writable).map_err(|error| io::Error::other(format!("cannot use Landlock: {error}")))
}

fn restrict(writable: &[OsString]) -> Result<(), RulesetError> {
    Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        .scope(Scope::AbstractUnixSocket)?
        .create()?
        .add_rules(path_beneath_rules(["/"], AccessFs::from_read(KNOWN)))?
        .add_rules(path_beneath_rules(writable, AccessFs::from_all(KNOWN)))?
        .restrict_self()?;
    Ok(())
}
