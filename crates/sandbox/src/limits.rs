//! How much a job may use. Here is only what a policy says; each system has its own ways to hold a job to it.

use crate::policy::PolicyError;
use crate::size::parse_size;
use builder_model::parse_duration;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Most of everything that one job may use; nothing is limited where there is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory of all its processes together, in bytes; swap does not add to it.
    pub memory_bytes: Option<u64>,
    /// Processors that it may keep busy.
    pub processors: Option<Processors>,
    /// Processes and threads at one time.
    pub processes: Option<u64>,
    /// Room that its folder may take, in bytes.
    pub disk_bytes: Option<u64>,
    /// How long it may run.
    pub time: Option<Duration>,
    /// Files that one process may hold open.
    pub open_files: Option<u64>,
}

/// A number of processors, in hundredths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Processors {
    /// 100 is one whole processor.
    pub hundredths: u32,
}

/// The table `[limits]` of a policy, as it stands there.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct LimitsTable {
    /// Such as `"2G"`.
    pub memory: Option<String>,
    /// Such as `2` or `0.5`.
    pub processors: Option<f64>,
    /// Such as `512`.
    pub processes: Option<u64>,
    /// Such as `"20G"`.
    pub disk: Option<String>,
    /// Such as `"2h"`.
    pub time: Option<String>,
    /// Such as `4096`.
    pub open_files: Option<u64>,
}

impl LimitsTable {
    /// This table, and for what it does not say the other one.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            memory: self.memory.or(other.memory),
            processors: self.processors.or(other.processors),
            processes: self.processes.or(other.processes),
            disk: self.disk.or(other.disk),
            time: self.time.or(other.time),
            open_files: self.open_files.or(other.open_files),
        }
    }

    /// The limits that it says.
    ///
    /// # Errors
    ///
    /// Names the key whose value makes no sense.
    pub fn resolve(&self) -> Result<Limits, PolicyError> {
        let bytes = |key, text: &Option<String>| {
            let parsed = text.as_deref().map(parse_size).transpose();
            not_zero(key, parsed.map_err(|error| PolicyError::value(key, error))?)
        };
        let time = self.time.as_deref().map(parse_duration).transpose();
        let time = time.map_err(|error| PolicyError::value("limits.time", error))?;
        if time.is_some_and(|time| time.is_zero()) {
            return Err(PolicyError::value("limits.time", ZERO));
        }
        Ok(Limits {
            memory_bytes: bytes("limits.memory", &self.memory)?,
            processors: self.processors.map(processors).transpose()?,
            processes: not_zero("limits.processes", self.processes)?,
            disk_bytes: bytes("limits.disk", &self.disk)?,
            time,
            open_files: not_zero("limits.open-files", self.open_files)?,
        })
    }
}

const ZERO: &str = "with nothing no job can run; leave the key out for no limit";
/// Most processors that make sense.
const PROCESSORS_MAX: f64 = 100_000.0;

fn not_zero(key: &'static str, value: Option<u64>) -> Result<Option<u64>, PolicyError> {
    if value == Some(0) { Err(PolicyError::value(key, ZERO)) } else { Ok(value) }
}

fn processors(count: f64) -> Result<Processors, PolicyError> {
    let hundredths = (count * 100.0).round();
    if !(1.0..=PROCESSORS_MAX * 100.0).contains(&hundredths) {
        return Err(PolicyError::value("limits.processors", "expected a number of processors, such as 2 or 0.5"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and ten million")]
    let hundredths = hundredths as u32;
    Ok(Processors { hundredths })
}
