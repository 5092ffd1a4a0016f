//! The rows of runs: which one is due, and how it went. Only the server that has the data folder takes runs; anybody
//! may make them wait again.

use super::{Event, Kind, State};
use crate::app::App;
use crate::error::WebError;
use crate::limits::{
    HOOK_FAILURES_KEPT, HOOK_PAUSE_MAX, HOOK_PAUSE_MIN, HOOK_RUNS_FORGOTTEN_AT_ONCE_MAX, HOOK_RUNS_KEPT, HOOK_TRIES_MAX,
};
use builder_model::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use std::time::Duration;

/// The states that the index of runs that are due holds, in the words of that index.
const OPEN: &str = "state IN ('waiting', 'running')";

/// A run that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) id: i64,
    pub(super) build: i64,
    /// None for a word that this version does not know.
    pub(super) what: Option<(Kind, Event)>,
    pub(super) target: String,
    /// With this one.
    pub(super) tries: i64,
}

/// How a try went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tried {
    /// Well.
    Done { status: Option<i64>, log: String },
    /// It failed, and another try may go better.
    Failed { status: Option<i64>, log: String },
    /// It was ended because the server stops: as if it had not been tried.
    Interrupted,
}

/// The run that is due next, of those targets that are not busy; it is running from then on.
///
/// A run of a target that is not busy and yet stands there as running is one whose end could not be written down.
pub(super) fn take(app: &App, busy: &[&str]) -> Result<Option<Taken>, WebError> {
    let now = Timestamp::from(app.now());
    let Some(run) = app.read(|connection| due(connection, busy, now))? else { return Ok(None) };
    let text = format!(
        "UPDATE repository_hook_run SET state = ?4, tries = ?2, started = ?3, finished = NULL, status = NULL,
            log = NULL WHERE id = ?1 AND {OPEN}"
    );
    let taken = write(app, |transaction| {
        transaction.prepare_cached(&text)?.execute(params![
            run.id,
            run.tries,
            now.milliseconds(),
            State::Running.as_str()
        ])
    })?;
    // It may have been removed just now, with its build.
    Ok((taken > 0).then_some(run))
}

fn due(connection: &Connection, busy: &[&str], now: Timestamp) -> rusqlite::Result<Option<Taken>> {
    let next_target =
        format!("SELECT target FROM repository_hook_run WHERE {OPEN} AND target > ?1 ORDER BY target LIMIT 1");
    let first = format!(
        "SELECT id, build, kind, event, target, tries, next_try FROM repository_hook_run
            WHERE {OPEN} AND target = ?1 ORDER BY next_try, id LIMIT 1"
    );
    let mut best: Option<(i64, Taken)> = None;
    let mut target = String::new();
    loop {
        let next = connection.prepare_cached(&next_target)?.query_row([&target], |row| row.get(0)).optional()?;
        let Some(next) = next else { return Ok(best.map(|(_, run)| run)) };
        target = next;
        if busy.contains(&target.as_str()) {
            continue;
        }
        let run = connection.prepare_cached(&first)?.query_row([&target], |row| Ok((row.get(6)?, taken(row)?)));
        let Some((next_try, run)) = run.optional()? else { continue };
        let is_better = best.as_ref().is_none_or(|(at, known)| (next_try, run.id) < (*at, known.id));
        if is_due(next_try, now) && is_better {
            best = Some((next_try, run));
        }
    }
}

/// No pause is longer than the longest one: where a time lies further ahead, the clock was put back.
fn is_due(next_try: i64, now: Timestamp) -> bool {
    let now = now.milliseconds();
    next_try <= now || next_try > now.saturating_add(milliseconds(HOOK_PAUSE_MAX))
}

fn taken(row: &Row<'_>) -> rusqlite::Result<Taken> {
    let (kind, event): (String, String) = (row.get(2)?, row.get(3)?);
    Ok(Taken {
        id: row.get(0)?,
        build: row.get(1)?,
        what: Kind::parse(&kind).zip(Event::parse(&event)),
        target: row.get(4)?,
        tries: row.get::<_, i64>(5)?.saturating_add(1),
    })
}

/// Writes down how a try went; gives when there is another one.
pub(super) fn end(app: &App, run: &Taken, tried: &Tried) -> Result<Option<Duration>, WebError> {
    let now = Timestamp::from(app.now());
    let pause = match tried {
        Tried::Failed { .. } if run.tries < HOOK_TRIES_MAX => Some(pause_after(run.tries)),
        Tried::Interrupted => Some(Duration::ZERO),
        Tried::Failed { .. } | Tried::Done { .. } => None,
    };
    let (state, tries, status, log) = match tried {
        Tried::Done { status, log } => (State::Done, run.tries, *status, Some(log)),
        Tried::Failed { status, log } if pause.is_some() => (State::Waiting, run.tries, *status, Some(log)),
        Tried::Failed { status, log } => (State::Failed, run.tries, *status, Some(log)),
        Tried::Interrupted => (State::Waiting, run.tries - 1, None, None),
    };
    let next_try = now.plus_milliseconds(milliseconds(pause.unwrap_or_default())).milliseconds();
    let text =
        "UPDATE repository_hook_run SET state = ?2, tries = ?3, next_try = ?4, finished = ?5, status = ?6, log = ?7
        WHERE id = ?1";
    let now = now.milliseconds();
    write(app, |transaction| {
        transaction.prepare_cached(text)?.execute(params![run.id, state.as_str(), tries, next_try, now, status, log])
    })?;
    Ok(pause)
}

/// The pause after so many tries that failed.
fn pause_after(tries: i64) -> Duration {
    let doublings = u32::try_from(tries.saturating_sub(1)).unwrap_or(u32::MAX).saturating_mul(2).min(16);
    HOOK_PAUSE_MIN.saturating_mul(1 << doublings).min(HOOK_PAUSE_MAX)
}

/// What a crash left running is tried again, unless it has been tried too often: it may be why the server crashed.
/// Gives how many runs that are.
pub(super) fn recover(app: &App) -> Result<usize, WebError> {
    let text = "UPDATE repository_hook_run SET state = CASE WHEN tries < ?1 THEN 'waiting' ELSE 'failed' END,
        log = 'the server ended while this ran' || char(10) WHERE state IN ('waiting', 'running') AND state = 'running'";
    write(app, |transaction| transaction.execute(text, [HOOK_TRIES_MAX]))
}

/// Forgets runs that ended long ago, a bounded number of them; gives whether there may be more.
pub(super) fn forget(app: &App) -> Result<bool, WebError> {
    let now = Timestamp::from(app.now());
    let before = |kept: Duration| now.plus_milliseconds(-milliseconds(kept)).milliseconds();
    let text = "DELETE FROM repository_hook_run WHERE id IN (SELECT id FROM repository_hook_run
        WHERE state = 'done' AND finished < ?1 OR state = 'failed' AND finished < ?2 LIMIT ?3)";
    let most = HOOK_RUNS_FORGOTTEN_AT_ONCE_MAX;
    let bounds = params![before(HOOK_RUNS_KEPT), before(HOOK_FAILURES_KEPT), most];
    let forgotten = write(app, |transaction| transaction.execute(text, bounds))?;
    Ok(i64::try_from(forgotten).is_ok_and(|forgotten| forgotten >= most))
}

/// Makes a run wait for its turn, as if it had never been tried; gives whether there is one that does not run.
pub(crate) fn retry(transaction: &Transaction<'_>, id: i64, now: Timestamp) -> rusqlite::Result<bool> {
    let text = "UPDATE repository_hook_run SET state = 'waiting', tries = 0, next_try = ?2
        WHERE id = ?1 AND state <> 'running'";
    Ok(transaction.execute(text, params![id, now.milliseconds()])? > 0)
}

fn write<T>(app: &App, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T, WebError> {
    let database = app.database();
    database.write(|transaction| work(transaction).map_err(|error| database.failed(error)))
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit() {
        let seconds: Vec<u64> = (1..=6).map(|tries| pause_after(tries).as_secs()).collect();
        assert_eq!(seconds, [30, 120, 480, 1920, 3600, 3600]);
        assert_eq!(pause_after(i64::MAX), HOOK_PAUSE_MAX);
    }

    #[test]
    fn a_clock_that_is_put_back_holds_nothing_up() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let at = |seconds: i64| is_due(now.plus_milliseconds(seconds * 1000).milliseconds(), now);
        assert!(at(0) && at(-1) && !at(1) && !at(3600) && at(3601));
    }
}
