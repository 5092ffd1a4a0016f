//! Build records, told as text.

use builder_model::{BuildId, Timestamp};
use builder_wire::Record;

/// A record that owns what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Such as `a on p`.
    pub job: String,
    /// What ran.
    pub script: Vec<u8>,
    /// As which build.
    pub build: BuildId,
    /// The lines as they are stored: the newest first.
    pub console: Vec<String>,
    /// Their times, in nanoseconds.
    pub deltas: Vec<i64>,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// How it ended.
    pub outcome: String,
    /// Path and data.
    pub files: Vec<(String, Vec<u8>)>,
}

impl Told {
    /// Reads a record.
    pub fn of(bytes: &[u8]) -> Self {
        let record = Record::decode(bytes).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            job: format!("{} on {}", text(record.job.name), text(record.job.platform)),
            script: record.job.script.to_vec(),
            build: record.build,
            console: record.console.iter().map(|line| text(line.line)).collect(),
            deltas: record.console.iter().map(|line| line.delta).collect(),
            started: record.started,
            finished: record.finished,
            outcome: record.outcome.to_string(),
            files: record.files.iter().map(|file| (text(&file.path), file.data.to_vec())).collect(),
        }
    }

    /// The paths of the files.
    pub fn paths(&self) -> Vec<&str> {
        self.files.iter().map(|(path, _)| path.as_str()).collect()
    }
}
