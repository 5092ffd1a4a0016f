//! The commands, one file each: what it takes, and what it does.

pub(crate) mod artifacts;
pub(crate) mod builds;
pub(crate) mod completions;
pub(crate) mod decode;
pub(crate) mod drop_platform;
pub(crate) mod execute;
pub(crate) mod info;
pub(crate) mod inspect;
pub(crate) mod log;
pub(crate) mod man;
pub(crate) mod observe;
pub(crate) mod observe_latest;
pub(crate) mod orb_build;
pub(crate) mod reschedule;
pub(crate) mod schedule;
pub(crate) mod schedule_template;
pub(crate) mod template;
pub(crate) mod undrop_platform;
pub(crate) mod unschedule;
pub(crate) mod uploads;
