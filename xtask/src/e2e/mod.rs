//! Whole systems: the packages installed and used as they are on a machine of somebody else. A system is a file here and
//! a line in the table.

mod debian;
mod machine;

use anyhow::Result;

/// Runs a system with the arguments behind its name; whether all was as it should be.
type Run = fn(&[&str]) -> Result<bool>;

/// What there is, by the name that the command line has for it.
const SYSTEMS: [(&str, Run); 1] = [("debian", debian::run)];

/// Runs the system that is named; nothing if there is none of that name.
pub(crate) fn e2e(arguments: &[&str]) -> Option<Result<bool>> {
    let (name, rest) = arguments.split_first()?;
    let (_, run) = SYSTEMS.iter().find(|(known, _)| known == name)?;
    Some(run(rest))
}
