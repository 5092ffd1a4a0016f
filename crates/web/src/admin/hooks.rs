//! `hooks`.

use crate::admin::Exit;
use crate::admin::args::{Common, Format};
use crate::admin::folder::Folder;
use crate::admin::screen::Screen;
use anyhow::bail;
use builder_model::Timestamp;
use rusqlite::{Row, params};
use serde_json::json;

/// List what hooks and webhooks did, the newest first
///
/// With the number of one, what it printed or was answered is shown, too. In JSON: `hooks`, a list of `id`, `job`,
/// `build`, `kind`, `event`, `target`, `state`, `tries`, `next_try`, `started`, `finished`, `status` and `log`; what is
/// not set is null.
#[derive(Debug, clap::Args)]
pub(crate) struct Hooks {
    /// Only the one with this number, with what it printed
    id: Option<i64>,
    /// Only those that were given up, or that failed and wait to be tried again
    #[arg(long)]
    failed: bool,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

struct Run {
    id: i64,
    job: String,
    build: String,
    kind: String,
    event: String,
    target: String,
    state: String,
    tries: i64,
    next_try: Option<String>,
    started: Option<String>,
    finished: Option<String>,
    status: Option<i64>,
    log: Option<String>,
}

impl Hooks {
    pub(crate) fn run(self, common: &Common, screen: &mut Screen) -> anyhow::Result<Exit> {
        let text = "SELECT r.id, j.name, b.uuid, r.kind, r.event, r.target, r.state, r.tries, r.next_try, r.started,
                r.finished, r.status, r.log
            FROM repository_hook_run r JOIN build b ON b.id = r.build JOIN job j ON j.id = b.job
            WHERE (?1 IS NULL OR r.id = ?1)
                AND (NOT ?2 OR r.state = 'failed' OR r.state = 'waiting' AND r.tries > 0)
            ORDER BY r.id DESC LIMIT ?3";
        let runs = Folder::open(common)?.read(|connection| {
            connection
                .prepare(text)?
                .query_map(params![self.id, self.failed, self.limit], run)?
                .collect::<rusqlite::Result<Vec<Run>>>()
        })?;
        if let (Some(id), []) = (self.id, runs.as_slice()) {
            bail!("there is no hook run {id}\nhint: `builder-db hooks` lists them; old ones are forgotten");
        }
        match screen.format() {
            Format::Json => screen.json(&json!({ "hooks": runs.iter().map(to_json).collect::<Vec<_>>() }))?,
            Format::Text => {
                let rows: Vec<Vec<String>> = runs.iter().map(row).collect();
                let header = ["ID", "JOB", "BUILD", "EVENT", "HOOK", "STATE", "TRIES", "STATUS", "WHEN"];
                screen.table(&header, &rows)?;
                if let (Some(_), [run]) = (self.id, runs.as_slice()) {
                    for line in run.log.as_deref().unwrap_or_default().lines() {
                        screen.line(line)?;
                    }
                }
            }
        }
        Ok(Exit::Success)
    }
}

fn run(row: &Row<'_>) -> rusqlite::Result<Run> {
    let time = |index: usize| {
        let milliseconds: Option<i64> = row.get(index)?;
        let time = milliseconds.and_then(|time| Timestamp::from_milliseconds(time).ok());
        Ok::<_, rusqlite::Error>(time.map(|time| time.to_string()))
    };
    let state: String = row.get(6)?;
    Ok(Run {
        id: row.get(0)?,
        job: row.get(1)?,
        build: row.get(2)?,
        kind: row.get(3)?,
        event: row.get(4)?,
        target: row.get(5)?,
        tries: row.get(7)?,
        next_try: if state == "waiting" { time(8)? } else { None },
        started: time(9)?,
        finished: time(10)?,
        status: row.get(11)?,
        log: row.get(12)?,
        state,
    })
}

fn to_json(run: &Run) -> serde_json::Value {
    json!({
        "id": run.id,
        "job": run.job,
        "build": run.build,
        "kind": run.kind,
        "event": run.event,
        "target": run.target,
        "state": run.state,
        "tries": run.tries,
        "next_try": run.next_try,
        "started": run.started,
        "finished": run.finished,
        "status": run.status,
        "log": run.log,
    })
}

fn row(run: &Run) -> Vec<String> {
    let when = run.next_try.as_ref().map(|time| format!("from {time}"));
    let when = when.or_else(|| run.finished.clone()).or_else(|| run.started.clone());
    let (status, when) = (run.status.map(|status| status.to_string()), when);
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    vec![
        run.id.to_string(),
        run.job.clone(),
        run.build.clone(),
        run.event.clone(),
        run.target.clone(),
        run.state.clone(),
        run.tries.to_string(),
        or_dash(status),
        or_dash(when),
    ]
}
