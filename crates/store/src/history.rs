//! Questions about finished builds, asked beside the engine over a connection that only reads.

pub mod artifacts;

use crate::database::{Store, build_id, job_name, platform, timestamp};
use crate::error::{StoreError, Tried};
use builder_model::state::FinishedBuild;
use builder_model::{BuildId, JobName, Outcome, Platform, Timestamp};
use builder_wire::message::UPLOADS_LISTED_MAX;
use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, Row, params};
use std::path::Path;

/// The finished builds of a server.
#[derive(Debug)]
pub struct History {
    store: Store,
}

/// Which builds a page is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageFilter {
    /// At most this many.
    pub count: usize,
    /// Only those with a lower number than this.
    pub before: Option<i64>,
    /// Only those of this job.
    pub job: Option<JobName>,
    /// Only those on this platform.
    pub platform: Option<Platform>,
    /// Only those that did not exit with status 0.
    pub failed: bool,
}

/// Some finished builds, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The builds.
    pub builds: Vec<PageRow>,
    /// Where to go on, as [`PageFilter::before`]; none where the history ends.
    pub next: Option<i64>,
}

/// A finished build on a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRow {
    /// Its place in the history: later builds have higher numbers.
    pub number: i64,
    /// The build.
    pub build: FinishedBuild,
    /// When the repository took its record.
    pub uploaded: Option<Timestamp>,
}

/// An upload that waits, and how it went so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingUpload {
    /// Which build.
    pub build: BuildId,
    /// Its job.
    pub job: JobName,
    /// How often it was tried.
    pub tries: u32,
    /// Why it failed last.
    pub error: Option<String>,
}

/// Most rows that are looked at for one page: a filter that few builds pass costs no more than this.
pub const PAGE_SCAN_ROWS_MAX: usize = 100_000;
/// Most bytes of texts, such as the reasons of aborted builds, on one page; the build that reaches it is its last.
pub const PAGE_BYTES_MAX: usize = 16 << 20;
/// Where the reason of a failed upload is cut, in characters.
pub const UPLOAD_ERROR_CHARACTERS_MAX: usize = 1024;

const COLUMNS: &str =
    "build, job, platform, attempts, started, finished, outcome, outcome_number, outcome_reason, record_bytes";

impl History {
    /// Opens the history of a data folder.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        Ok(Self { store: Store::open_to_read(root)? })
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// One finished build.
    pub fn find(&self, build: &BuildId) -> Result<Option<FinishedBuild>, StoreError> {
        let query = format!("SELECT {COLUMNS} FROM history WHERE build = ?1");
        let mut statement = self.store.connection().prepare_cached(&query).tried("read", self.store.path())?;
        statement.query_row([build.as_bytes()], finished_build).optional().tried("read", self.store.path())
    }

    /// The newest builds first, at most `count`.
    pub fn newest(&self, count: usize) -> Result<Vec<FinishedBuild>, StoreError> {
        let query = format!("SELECT {COLUMNS} FROM history ORDER BY number DESC LIMIT ?1");
        let mut statement = self.store.connection().prepare_cached(&query).tried("read", self.store.path())?;
        let rows = statement.query_map([i64::try_from(count).unwrap_or(i64::MAX)], finished_build);
        rows.and_then(Iterator::collect).tried("read", self.store.path())
    }

    /// The newest builds first, as many as the filter asks for and [`PAGE_SCAN_ROWS_MAX`] and [`PAGE_BYTES_MAX`] allow.
    pub fn page(&self, filter: &PageFilter) -> Result<Page, StoreError> {
        self.read_page(filter, PAGE_SCAN_ROWS_MAX).tried("read", self.store.path())
    }

    fn read_page(&self, filter: &PageFilter, scan_rows_max: usize) -> rusqlite::Result<Page> {
        let mut statement = self.store.connection().prepare_cached(&page_query(filter))?;
        let before = filter.before.unwrap_or(i64::MAX);
        let mut rows = match &filter.job {
            Some(job) => statement.query(params![before, job.as_bytes()])?,
            None => statement.query(params![before])?,
        };
        let (mut page, mut seen, mut bytes, mut last) = (Page::default(), 0, 0, before);
        while let Some(row) = rows.next()? {
            if page.builds.len() >= filter.count || seen >= scan_rows_max || bytes >= PAGE_BYTES_MAX {
                page.next = Some(last);
                break;
            }
            (seen, last) = (seen + 1, row.get(NUMBER_COLUMN)?);
            if passes(row, filter)? {
                let build = finished_build(row)?;
                bytes += texts_bytes(&build);
                let waits = row.get_ref(UPLOADED_COLUMN)? == ValueRef::Null;
                let uploaded = if waits { None } else { Some(timestamp(row, UPLOADED_COLUMN)?) };
                page.builds.push(PageRow { number: last, build, uploaded });
            }
        }
        Ok(page)
    }

    /// The uploads that wait, the one that waits longest first; at most [`UPLOADS_LISTED_MAX`].
    pub fn uploads(&self) -> Result<Vec<WaitingUpload>, StoreError> {
        let query = "SELECT build, job, tries, substr(error, 1, ?1) FROM outbox ORDER BY number LIMIT ?2";
        let limits = params![UPLOAD_ERROR_CHARACTERS_MAX as i64, UPLOADS_LISTED_MAX as i64];
        let mut statement = self.store.connection().prepare_cached(query).tried("read", self.store.path())?;
        let upload = |row: &Row<'_>| {
            let (build, job) = (build_id(row, 0)?, job_name(row, 1)?);
            Ok(WaitingUpload { build, job, tries: row.get(2)?, error: row.get(3)? })
        };
        let rows = statement.query_map(limits, upload);
        rows.and_then(Iterator::collect).tried("read", self.store.path())
    }
}

/// Where the columns that a page has more than [`COLUMNS`] are.
const NUMBER_COLUMN: usize = 10;
const UPLOADED_COLUMN: usize = 11;

/// The rows come by an index in the right order, so that only those that are looked at are read.
fn page_query(filter: &PageFilter) -> String {
    let of_job = if filter.job.is_some() { " AND job = ?2" } else { "" };
    format!("SELECT {COLUMNS}, number, uploaded FROM history WHERE number < ?1{of_job} ORDER BY number DESC")
}

/// Whether a row is one of those that are wanted; what no index helps with.
fn passes(row: &Row<'_>, filter: &PageFilter) -> rusqlite::Result<bool> {
    if let Some(platform) = &filter.platform
        && row.get_ref(2)?.as_blob()? != platform.as_bytes()
    {
        return Ok(false);
    }
    let succeeded = row.get_ref(6)?.as_str()? == "exited" && row.get_ref(7)? == ValueRef::Integer(0);
    Ok(!(filter.failed && succeeded))
}

fn texts_bytes(build: &FinishedBuild) -> usize {
    let reason = match &build.outcome {
        Outcome::Aborted(reason) => reason.len(),
        Outcome::Exited(_) | Outcome::Signalled(_) | Outcome::Stopped(_) => 0,
    };
    build.job.as_bytes().len() + build.platform.as_bytes().len() + reason
}

fn finished_build(row: &Row<'_>) -> rusqlite::Result<FinishedBuild> {
    let kind: String = row.get(6)?;
    let number = || row.get::<_, i64>(7);
    let outcome = match kind.as_str() {
        "exited" => Outcome::Exited(number()?),
        "signalled" => Outcome::Signalled(number()?),
        "stopped" => Outcome::Stopped(number()?),
        _ => Outcome::Aborted(row.get(8)?),
    };
    Ok(FinishedBuild {
        build: build_id(row, 0)?,
        job: job_name(row, 1)?,
        platform: platform(row, 2)?,
        attempts: row.get(3)?,
        started: timestamp(row, 4)?,
        finished: timestamp(row, 5)?,
        outcome,
        record_bytes: row.get(9)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Folder;
    use crate::database::Outbox;
    use builder_model::state::Change;

    const ALL: PageFilter = PageFilter { count: 10, before: None, job: None, platform: None, failed: false };

    /// Builds 1 to 9: the job is `a` or `b` in turns, the platform `p` or `q` for three each, every fourth fails.
    fn history() -> (tempfile::TempDir, Store, History) {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path()).unwrap();
        let (mut store, _) = Store::open(&folder, Timestamp::MIN).unwrap();
        for number in 1..=9_u8 {
            let outcome = if number % 4 == 0 { Outcome::aborted("timeout") } else { Outcome::Exited(0) };
            let build = FinishedBuild {
                build: BuildId::from_bytes([number; 16]),
                job: JobName::from_history(if number % 2 == 0 { b"b" } else { b"a" }),
                platform: Platform::from_history(if number % 6 < 3 { b"p" } else { b"q" }),
                attempts: 1,
                started: Timestamp::from_milliseconds(1_000).unwrap(),
                finished: Timestamp::from_milliseconds(2_000).unwrap(),
                outcome,
                record_bytes: Some(99),
            };
            store.save(&[Change::Finished(build)], Outbox::Fill).unwrap();
        }
        let history = History::open(root.path()).unwrap();
        (root, store, history)
    }

    fn numbers(page: &Page) -> Vec<i64> {
        page.builds.iter().map(|row| row.number).collect()
    }

    #[test]
    fn pages_follow_one_another() {
        let (_root, _store, history) = history();
        let (mut filter, mut pages) = (PageFilter { count: 4, ..ALL }, Vec::new());
        loop {
            let page = history.page(&filter).unwrap();
            pages.push(numbers(&page));
            filter.before = page.next;
            if page.next.is_none() {
                break;
            }
        }
        assert_eq!(pages, [vec![9, 8, 7, 6], vec![5, 4, 3, 2], vec![1]]);
        let whole = history.page(&PageFilter { count: 9, ..ALL }).unwrap();
        assert_eq!((whole.builds.len(), whole.next), (9, None), "a page that ends with the history says so");
    }

    #[test]
    fn filters_alone_and_together() {
        let (_root, _store, history) = history();
        let (job, platform) = (Some(JobName::from_history(b"b")), Some(Platform::from_history(b"q")));
        let cases = [
            (PageFilter { job: job.clone(), ..ALL }, vec![8, 6, 4, 2]),
            (PageFilter { platform: platform.clone(), ..ALL }, vec![9, 5, 4, 3]),
            (PageFilter { failed: true, ..ALL }, vec![8, 4]),
            (PageFilter { job: job.clone(), platform: platform.clone(), failed: true, ..ALL }, vec![4]),
            (PageFilter { job: job.clone(), before: Some(6), count: 1, ..ALL }, vec![4]),
            (PageFilter { job: Some(JobName::from_history(b"c")), ..ALL }, vec![]),
        ];
        for (filter, expected) in cases {
            assert_eq!(numbers(&history.page(&filter).unwrap()), expected, "{filter:?}");
        }
    }

    #[test]
    fn a_scan_stops_and_says_where() {
        let (_root, _store, history) = history();
        let failed = PageFilter { failed: true, ..ALL };
        let page = history.read_page(&failed, 3).unwrap();
        assert_eq!((numbers(&page), page.next), (vec![8], Some(7)));
        let page = history.read_page(&PageFilter { before: page.next, ..failed }, 3).unwrap();
        assert_eq!((numbers(&page), page.next), (vec![4], Some(4)));
    }

    #[test]
    fn every_query_uses_an_index_and_sorts_nothing() {
        let (_root, _store, history) = history();
        let job = Some(JobName::from_history(b"a"));
        for (filter, index) in [(ALL, "INTEGER PRIMARY KEY"), (PageFilter { job, ..ALL }, "INDEX history_job")] {
            let query = format!("EXPLAIN QUERY PLAN {}", page_query(&filter));
            let mut statement = history.store.connection().prepare(&query).unwrap();
            let parameters = vec![0_i64; statement.parameter_count()];
            let plan: Vec<String> = statement
                .query_map(rusqlite::params_from_iter(parameters), |row| row.get(3))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            assert!(plan.len() == 1 && plan[0].starts_with("SEARCH") && plan[0].contains(index), "{plan:?}");
        }
    }

    #[test]
    fn uploads_with_their_errors() {
        let (_root, mut store, history) = history();
        let (first, second) = (BuildId::from_bytes([1; 16]), BuildId::from_bytes([2; 16]));
        store.uploaded(&first, Timestamp::from_milliseconds(5).unwrap()).unwrap();
        store.upload_failed(&second, &"x".repeat(2_000), Timestamp::MIN).unwrap();
        let uploads = history.uploads().unwrap();
        assert_eq!((uploads.len(), uploads[0].build, uploads[0].tries), (8, second, 1));
        assert_eq!(uploads[0].error.as_ref().map(String::len), Some(UPLOAD_ERROR_CHARACTERS_MAX));
        assert_eq!((uploads[1].tries, &uploads[1].error), (0, &None));
        let page = history.page(&PageFilter { before: Some(2), ..ALL }).unwrap();
        assert_eq!(page.builds[0].uploaded, Timestamp::from_milliseconds(5).ok());
    }
}
