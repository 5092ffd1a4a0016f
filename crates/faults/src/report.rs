//! The table at the end of a run.

use crate::inject::Injected;
use crate::verify::Counts;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What came of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// What the faults followed from.
    pub(crate) seed: u64,
    /// How many rounds there were.
    pub(crate) rounds: usize,
    /// How long they took.
    pub(crate) took: Duration,
    /// How often each kind of fault happened, and how often there was nobody whom it could have hit.
    pub(crate) faults: BTreeMap<&'static str, (u64, u64)>,
    /// Faults that cannot be made here, and why.
    pub(crate) skipped: Vec<String>,
    /// What was counted.
    pub(crate) counts: Counts,
    /// What did not come to its end.
    pub(crate) stuck: Vec<String>,
    /// Processes that outlived their build.
    pub(crate) orphans: Vec<String>,
    /// Programs that ended by themselves, did not start, did not stop, or were not refused.
    pub(crate) misbehaved: Vec<String>,
}

impl Report {
    /// Counts a fault.
    pub(crate) fn fault(&mut self, kind: &'static str, injected: Injected) {
        let (happened, nobody) = self.faults.entry(kind).or_default();
        match injected {
            Injected::Yes => *happened += 1,
            Injected::Nobody => *nobody += 1,
        }
    }

    /// Whether nothing happened that must never happen.
    pub(crate) fn is_good(&self) -> bool {
        self.bad().iter().all(|(_, list)| list.is_empty())
    }

    fn bad(&self) -> [(&'static str, &[String]); 6] {
        [
            ("damaged", &self.counts.damaged),
            ("misbehaved", &self.misbehaved),
            ("lost", &self.counts.lost),
            ("doubled", &self.counts.doubled),
            ("stuck", &self.stuck),
            ("orphans", &self.orphans),
        ]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, list) in self.bad() {
            for line in list {
                writeln!(f, "{what}: {line}")?;
            }
        }
        writeln!(f, "\n  {:<36} {:>8}", "seed", self.seed)?;
        writeln!(f, "  {:<36} {:>8}", "rounds", self.rounds)?;
        writeln!(f, "  {:<36} {:>8}", "seconds", self.took.as_secs())?;
        for (kind, (happened, nobody)) in &self.faults {
            let note = if *nobody > 0 { format!("   ({nobody} more found nobody)") } else { String::new() };
            writeln!(f, "  {kind:<36} {happened:>8}{note}")?;
        }
        for what in &self.skipped {
            writeln!(f, "  skipped: {what}")?;
        }
        let all: u64 = self.faults.values().map(|(happened, _)| happened).sum();
        let counts = &self.counts;
        for (what, count) in [
            ("faults injected", all),
            ("requests refused", counts.refused),
            ("requests without an answer", counts.unknown),
            ("runs accepted", counts.accepted),
            ("builds finished", counts.finished),
            ("  whose script ended by itself", counts.ran_to_end),
            ("  after more than one attempt", counts.tried_again),
            ("  observed to the end", counts.observed),
            ("  without a record, as recorded", counts.without_record),
        ] {
            writeln!(f, "  {what:<36} {count:>8}")?;
        }
        for (what, list) in self.bad() {
            writeln!(f, "  {what:<36} {:>8}", list.len())?;
        }
        Ok(())
    }
}
