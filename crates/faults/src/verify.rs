//! The count at the end: what was accepted against what the history and the records say.

use crate::ledger::Books;
use crate::load::Seen;
use builder_model::BuildId;
use builder_model::state::FinishedBuild;
use builder_store::{Folder, History};
use builder_wire::Record;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// More rows than any run has.
const ROWS_MAX: usize = 1_000_000;
/// How many lines of a console are shown from either end.
const TOLD_LINES: usize = 20;

/// What was counted.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Runs that were accepted.
    pub(crate) accepted: u64,
    /// Requests whose answer did not come.
    pub(crate) unknown: u64,
    /// Requests that were refused.
    pub(crate) refused: u64,
    /// Builds in the history.
    pub(crate) finished: u64,
    /// Those of them whose script ended by itself.
    pub(crate) ran_to_end: u64,
    /// Those of them whose record could not be written, as the history says.
    pub(crate) without_record: u64,
    /// Those of them that took more than one attempt.
    pub(crate) tried_again: u64,
    /// Builds that were observed to their end.
    pub(crate) observed: u64,
    /// Accepted runs that are gone.
    pub(crate) lost: Vec<String>,
    /// Builds that are there twice, or that nobody asked for.
    pub(crate) doubled: Vec<String>,
    /// Records that are not what they should be.
    pub(crate) damaged: Vec<String>,
}

/// Counts a data folder.
pub(crate) fn count(data: &Path, books: &Books, seen: &[Seen]) -> anyhow::Result<Counts> {
    let rows = History::open(data)?.newest(ROWS_MAX)?;
    let mut counts = Counts { refused: books.refused, finished: rows.len() as u64, ..Counts::default() };
    count_jobs(books, &mut counts);
    let mut by_build: HashMap<BuildId, &FinishedBuild> = HashMap::new();
    for row in &rows {
        if by_build.insert(row.build, row).is_some() {
            counts.doubled.push(format!("build {} has two rows in the history", row.build));
        }
        counts.tried_again += u64::from(row.attempts > 1);
    }
    let mut records: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for (build, path) in records_below(data)? {
        records.entry(build).or_default().push(path);
    }
    for (build, paths) in &records {
        if paths.len() > 1 {
            counts.doubled.push(format!("build {build} has {} records", paths.len()));
        }
        let row = build.parse().ok().and_then(|build: BuildId| by_build.get(&build));
        if row.is_none_or(|row| row.record_bytes.is_none()) {
            counts.damaged.push(format!("the record of build {build} is not in the history"));
        }
    }
    let seen: HashMap<BuildId, &Vec<(i64, Vec<u8>)>> = seen.iter().map(|(build, lines)| (*build, lines)).collect();
    for row in &rows {
        count_record(data, row, books, seen.get(&row.build).copied(), &mut counts);
    }
    Ok(counts)
}

fn count_jobs(books: &Books, counts: &mut Counts) {
    for (name, entry) in &books.jobs {
        counts.accepted += u64::from(entry.accepted);
        counts.unknown += u64::from(entry.unknown);
        let (accepted, unknown, rows) = (entry.accepted, entry.unknown, entry.rows);
        for _ in 0..entry.missing() {
            counts.lost.push(format!("{name}: {accepted} accepted, {unknown} unknown, {rows} in the history"));
        }
        for _ in 0..entry.surplus() {
            counts.doubled.push(format!("{name}: {accepted} accepted, {unknown} unknown, {rows} in the history"));
        }
    }
    counts.doubled.extend(books.strangers.iter().map(|build| format!("nobody asked for build {build}")));
}

fn count_record(
    data: &Path,
    row: &FinishedBuild,
    books: &Books,
    seen: Option<&Vec<(i64, Vec<u8>)>>,
    counts: &mut Counts,
) {
    let (Some(bytes), Some(entry)) = (row.record_bytes, books.jobs.get(&row.job.to_string())) else {
        counts.without_record += 1;
        return;
    };
    let mut damaged = |what: String| counts.damaged.push(format!("build {} of {}: {what}", row.build, row.job));
    let content = match std::fs::read(Folder::record_of(data, &row.job, &row.build)) {
        Ok(content) => content,
        Err(error) => return damaged(format!("its record cannot be read: {error}")),
    };
    if content.len() as u64 != bytes {
        damaged(format!("its record has {} bytes, the history says {bytes}", content.len()));
    }
    let record = match Record::decode(&content) {
        Ok(record) => record,
        Err(error) => return damaged(format!("its record cannot be decoded: {error}")),
    };
    if let Some(fault) = entry.job.fault_of(&record, row) {
        damaged(fault);
    }
    if let Some(lines) = seen {
        counts.observed += 1;
        let written: Vec<(i64, &[u8])> = record.console.iter().rev().map(|line| (line.delta, line.line)).collect();
        let seen: Vec<(i64, &[u8])> = lines.iter().map(|(delta, line)| (*delta, line.as_slice())).collect();
        if seen != written {
            let (seen, written) = (told(&seen), told(&written));
            counts.damaged.push(format!("build {}: an observer saw{seen}\n  and the record has{written}", row.build));
        }
    }
    counts.ran_to_end += u64::from(matches!(row.outcome, builder_model::Outcome::Exited(_)));
}

/// The first and last lines of a console, for people.
fn told(lines: &[(i64, &[u8])]) -> String {
    let line = |(delta, line): &(i64, &[u8])| format!("\n    {delta:>12} {}", String::from_utf8_lossy(line));
    let (first, rest) = lines.split_at(lines.len().min(TOLD_LINES));
    let last = &rest[rest.len().saturating_sub(TOLD_LINES)..];
    format!(" {} lines:{}", lines.len(), first.iter().chain(last).map(line).collect::<String>())
}

/// The names of the folders with a record in them, which are those of builds.
fn records_below(data: &Path) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for job in std::fs::read_dir(data)? {
        let job = job?;
        let is_own = job.file_name().to_string_lossy().starts_with("builder-server.");
        if is_own || !job.file_type()?.is_dir() {
            continue;
        }
        for build in std::fs::read_dir(job.path())? {
            let build = build?;
            let path = build.path().join("full");
            if path.exists() {
                found.push((build.file_name().to_string_lossy().into_owned(), path));
            }
        }
    }
    Ok(found)
}
