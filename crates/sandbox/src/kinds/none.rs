//! No sandbox: the job runs as the worker does, with its environment, unless the policy says what to pass.

use super::passed;
use crate::host::Host;
use crate::plan::{Environment, Plan};
use crate::policy::Policy;
use std::ffi::OsString;

pub(super) fn plan(policy: &Policy, host: &Host) -> Plan {
    let set = policy.set.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Plan::Bare(Environment { inherits: policy.pass.is_none(), set: passed(policy, host).chain(set).collect() })
}
