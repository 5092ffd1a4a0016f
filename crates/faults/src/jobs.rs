//! The jobs of a run: scripts of many manners, and what their records must hold.

use crate::chance::Chance;
use builder_model::Outcome;
use builder_model::state::FinishedBuild;
use builder_wire::Record;

/// The platforms of the farm.
pub(crate) const PLATFORMS: [&str; 2] = ["debian-12", "freebsd-14"];
/// What a server's line for a further attempt begins with.
const ATTEMPT: &[u8] = b"builder-server: attempt ";
/// What a job leaves.
const ARTIFACT: &[u8] = b"made/artifact";

/// How a job behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// It prints and ends.
    Plain,
    /// It takes its time.
    Slow,
    /// It fails.
    Fails,
    /// It prints many lines.
    Talks,
    /// It leaves a large file.
    Large,
    /// It leaves a process running.
    LeavesChild,
    /// It leaves a process that ignores TERM, and ignores it itself.
    IgnoresTerm,
    /// It leaves a process in a session of its own.
    Daemonizes,
}

/// A job, with all that must come out of it.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// Its name.
    pub(crate) name: String,
    /// Where it runs.
    pub(crate) platform: &'static str,
    /// What runs.
    pub(crate) script: String,
    nonce: String,
    lines: u64,
    repeats: usize,
    status: i64,
}

impl Job {
    /// A job of some manner.
    pub(crate) fn new(name: String, chance: &mut Chance) -> Self {
        let manner = match chance.below(20) {
            0..=4 => Manner::Plain,
            5..=9 => Manner::Slow,
            10 => Manner::Fails,
            11 => Manner::Talks,
            12 => Manner::Large,
            13..=15 => Manner::LeavesChild,
            16..=17 => Manner::IgnoresTerm,
            _ => Manner::Daemonizes,
        };
        let platform = PLATFORMS[chance.index(PLATFORMS.len())];
        let nonce = format!("{name}-{:016x}", chance.next());
        let lines = if manner == Manner::Talks { 2000 } else { chance.between(3, 30) };
        let repeats = if manner == Manner::Large { 20_000 } else { chance.index(400) + 1 };
        let status = if manner == Manner::Fails { 3 } else { 0 };
        let script = script(manner, &nonce, lines, repeats, status);
        Self { name, platform, script, nonce, lines, repeats, status }
    }

    /// What is wrong with a record of this job; nothing, if all is as it should be.
    pub(crate) fn fault_of(&self, record: &Record<'_>, row: &FinishedBuild) -> Option<String> {
        if record.job.name != self.name.as_bytes()
            || record.job.platform != self.platform.as_bytes()
            || record.job.script != self.script.as_bytes()
        {
            return Some("another job".to_owned());
        }
        if record.build != row.build || record.outcome != row.outcome {
            let (build, outcome) = (record.build, &record.outcome);
            return Some(format!("build {build}, {outcome}; the history says {}, {}", row.build, row.outcome));
        }
        let ended = record.outcome == Outcome::Exited(self.status);
        self.fault_of_console(record, ended).or_else(|| self.fault_of_files(record, ended))
    }

    /// Each attempt has the lines from the first on without a gap; the last one has all, if the script ended.
    fn fault_of_console(&self, record: &Record<'_>, ended: bool) -> Option<String> {
        let prefix = format!("{} line ", self.nonce);
        let mut next = 1;
        for line in record.console.iter().rev() {
            if line.line.starts_with(ATTEMPT) {
                next = 1;
            } else if let Some(number) = line.line.strip_prefix(prefix.as_bytes()) {
                if number != next.to_string().as_bytes() {
                    let number = String::from_utf8_lossy(number);
                    return Some(format!("line {number} stands in the place of line {next}"));
                }
                next += 1;
            }
        }
        (ended && next != self.lines + 1).then(|| format!("{} lines of {}", next - 1, self.lines))
    }

    fn fault_of_files(&self, record: &Record<'_>, ended: bool) -> Option<String> {
        let expected = format!("{}\n", self.nonce).repeat(self.repeats);
        match record.files.as_slice() {
            [] if !ended => None,
            [file] if *file.path == *ARTIFACT && file.data == expected.as_bytes() => None,
            files => Some(format!("{} files, or one with other contents", files.len())),
        }
    }
}

fn script(manner: Manner, nonce: &str, lines: u64, repeats: usize, status: i64) -> String {
    let before = match manner {
        Manner::LeavesChild => "sleep 1000 &\n",
        Manner::IgnoresTerm => "trap '' TERM\n(trap '' TERM; while :; do sleep 1; done) &\n",
        Manner::Daemonizes => "(setsid sh -c 'sleep 1000 & sleep 1000' >/dev/null 2>&1 </dev/null &)\n",
        Manner::Plain | Manner::Slow | Manner::Fails | Manner::Talks | Manner::Large => "",
    };
    let pause = match manner {
        Manner::Slow => "sleep 0.08",
        Manner::Talks => ":",
        Manner::Plain
        | Manner::Fails
        | Manner::Large
        | Manner::LeavesChild
        | Manner::IgnoresTerm
        | Manner::Daemonizes => "[ $((i % 5)) != 0 ] || sleep 0.02",
    };
    format!(
        "#!/bin/sh\n\
         {before}\
         i=1\n\
         while [ $i -le {lines} ]; do echo \"{nonce} line $i\"; {pause}; i=$((i + 1)); done\n\
         mkdir made\n\
         yes '{nonce}' | head -n {repeats} > made/artifact\n\
         exit {status}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use builder_model::{BuildId, Timestamp};
    use builder_wire::record::ConsoleLine;
    use builder_wire::{File, ScriptJob};

    #[test]
    fn faults_of_records_are_found() {
        let job = Job::new("j".to_owned(), &mut Chance::new(1, 1));
        let row = FinishedBuild {
            build: BuildId::from_bytes([7; 16]),
            job: "j".parse().unwrap(),
            platform: job.platform.parse().unwrap(),
            attempts: 1,
            started: Timestamp::MAX,
            finished: Timestamp::MAX,
            outcome: Outcome::Exited(job.status),
            record_bytes: Some(1),
        };
        let lines: Vec<String> = (1..=job.lines).map(|number| format!("{} line {number}", job.nonce)).collect();
        let data = format!("{}\n", job.nonce).repeat(job.repeats);
        let record = Record {
            job: ScriptJob { name: b"j", platform: job.platform.as_bytes(), script: job.script.as_bytes() },
            build: row.build,
            console: lines.iter().rev().map(|line| ConsoleLine { delta: 0, line: line.as_bytes() }).collect(),
            started: Timestamp::MAX,
            finished: Timestamp::MAX,
            outcome: row.outcome.clone(),
            files: vec![File { path: ARTIFACT.into(), data: data.as_bytes() }],
        };
        assert_eq!(job.fault_of(&record, &row), None);
        let mut gap = record.clone();
        gap.console.remove(1);
        assert!(job.fault_of(&gap, &row).is_some());
        let mut short = record.clone();
        short.console.remove(0);
        assert!(job.fault_of(&short, &row).unwrap().contains("lines of"));
        let mut files = record.clone();
        files.files.clear();
        assert!(job.fault_of(&files, &row).is_some());
        let other = FinishedBuild { outcome: Outcome::Exited(9), ..row };
        assert!(job.fault_of(&record, &other).is_some());
    }
}
