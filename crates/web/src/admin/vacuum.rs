//! `vacuum`: removes old builds by one rule that the command line gives.

use crate::admin::Exit;
use crate::admin::args::{Common, Format};
use crate::admin::folder::Folder;
use crate::admin::screen::{Screen, Unit, bytes_text, count_text};
use crate::database::columns::time_to_columns;
use crate::removal::policy::{Candidate, Rule, candidates};
use crate::removal::{Removal, preview, remove_builds};
use anyhow::bail;
use builder_model::{BuildId, Timestamp};
use clap::{Args, Subcommand};
use rusqlite::{Connection, OptionalExtension};
use serde_json::json;
use std::io;

const AFTER_HELP: &str = "\
Each job and platform counts for itself. Pinned builds stay.

Examples:
  builder-db vacuum older-than 2026-01-01T00:00:00Z --dry-run
  builder-db vacuum except-latest 20
  builder-db vacuum except-latest-successful 3 --job hello --platform freebsd-14";

/// Remove old builds
///
/// In JSON: as `gc`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Vacuum {
    #[command(subcommand)]
    rule: VacuumRule,
}

#[derive(Debug, Subcommand)]
enum VacuumRule {
    /// Remove the builds that ended at a time or before
    OlderThan {
        /// The time, such as 2026-01-01T00:00:00Z
        date: Timestamp,
        #[command(flatten)]
        scope: Scope,
    },
    /// Keep the newest builds of each job and platform, good or failed
    ExceptLatest {
        /// How many
        #[arg(value_parser = clap::value_parser!(u32).range(1..))]
        count: u32,
        #[command(flatten)]
        scope: Scope,
    },
    /// Keep exactly so many of the newest good builds of each job and platform, and the failed ones among them
    ///
    /// A build is good when its script exited with 0. Where a job has fewer good builds on a platform, nothing goes.
    ExceptLatestSuccessful {
        /// How many
        #[arg(value_parser = clap::value_parser!(u32).range(1..))]
        count: u32,
        #[command(flatten)]
        scope: Scope,
    },
}

/// Which builds are looked at.
#[derive(Debug, Args)]
struct Scope {
    /// Only builds of this job; may be given several times [default: all jobs]
    #[arg(long = "job", value_name = "JOB")]
    jobs: Vec<String>,
    /// Only builds of this platform [default: each platform]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    /// Only show what would go
    #[arg(long)]
    dry_run: bool,
}

impl Vacuum {
    pub(crate) fn run(self, common: &Common, screen: &mut Screen) -> anyhow::Result<Exit> {
        let (rule, scope) = match self.rule {
            VacuumRule::OlderThan { date, scope } => (Rule::OlderThan(time_to_columns(date)), scope),
            VacuumRule::ExceptLatest { count, scope } => (Rule::ExceptLatest(count), scope),
            VacuumRule::ExceptLatestSuccessful { count, scope } => (Rule::ExceptLatestGood(count), scope),
        };
        let folder = Folder::open(common)?;
        let chosen = folder.read(|connection| scope.candidates(connection))?;
        let chosen = match chosen {
            Ok(candidates) => rule.choose_rows(&candidates),
            Err(unknown) => bail!("{}; nothing was removed", unknown.join(", ")),
        };
        remove(&folder, &chosen, scope.dry_run, screen)?;
        Ok(Exit::Success)
    }
}

impl Scope {
    /// The builds to look at, or all names that mean nothing.
    fn candidates(&self, connection: &Connection) -> rusqlite::Result<Result<Vec<Candidate>, Vec<String>>> {
        let (mut jobs, mut unknown) = (Vec::new(), Vec::new());
        for name in &self.jobs {
            match connection.query_row("SELECT id FROM job WHERE name = ?1", [name], |row| row.get(0)).optional()? {
                Some(job) if jobs.contains(&job) => {}
                Some(job) => jobs.push(job),
                None => unknown.push(format!("job not found: {name:?}")),
            }
        }
        if let Some(platform) = &self.platform {
            let known = "SELECT EXISTS(SELECT 1 FROM build WHERE platform = ?1)";
            if !connection.query_row(known, [platform], |row| row.get::<_, bool>(0))? {
                unknown.push(format!("no build is of the platform {platform:?}"));
            }
        }
        if !unknown.is_empty() {
            return Ok(Err(unknown));
        }
        candidates(connection, &jobs, self.platform.as_deref()).map(Ok)
    }
}

/// Removes builds and says what went, or only says what would go.
pub(super) fn remove(folder: &Folder, builds: &[i64], dry_run: bool, screen: &mut Screen) -> anyhow::Result<()> {
    if dry_run {
        let (removal, shown) = folder
            .read(|connection| Ok((preview(&folder.depot, connection, builds)?, describe(connection, builds)?)))?;
        return report_dry(&removal, &shown, screen);
    }
    let bar = screen.progress(builds.len() as u64, Unit::Builds);
    let removal = remove_builds(&folder.depot, &folder.database, builds, |count| bar.inc(count))?;
    bar.finish_and_clear();
    Ok(report(&removal, screen)?)
}

/// Says what went.
pub(super) fn report(removal: &Removal, screen: &mut Screen) -> io::Result<()> {
    screen.done(&text_of(removal, "removed"), &json_of(removal, false))
}

fn text_of(removal: &Removal, verb: &str) -> String {
    let mut text = format!(
        "{verb} {} and {}, {}",
        count_text(removal.builds, "build"),
        count_text(removal.artifacts, "artifact"),
        bytes_text(removal.bytes)
    );
    if removal.pinned > 0 {
        let stay = if removal.pinned == 1 { "stays" } else { "stay" };
        text.push_str(&format!("; {} {stay}, being pinned", count_text(removal.pinned, "build")));
    }
    text
}

pub(super) fn json_of(removal: &Removal, dry_run: bool) -> serde_json::Value {
    json!({
        "dry_run": dry_run,
        "builds": removal.builds,
        "artifacts": removal.artifacts,
        "bytes": removal.bytes,
        "pinned": removal.pinned,
    })
}

/// A build that would go.
struct Doomed {
    job: String,
    platform: String,
    uuid: String,
    start: Timestamp,
    good: bool,
    bytes: u64,
}

fn report_dry(removal: &Removal, doomed: &[Doomed], screen: &mut Screen) -> anyhow::Result<()> {
    match screen.format() {
        Format::Json => {
            let mut json = json_of(removal, true);
            let builds = doomed.iter().map(|build| {
                json!({
                    "job": build.job,
                    "platform": build.platform,
                    "uuid": build.uuid,
                    "start": build.start.to_string(),
                    "good": build.good,
                    "artifact_bytes": build.bytes,
                })
            });
            json["list"] = builds.collect();
            screen.json(&json)?;
        }
        Format::Text => {
            let row = |build: &Doomed| {
                let result = if build.good { "good" } else { "failed" };
                vec![
                    build.job.clone(),
                    build.platform.clone(),
                    build.uuid.clone(),
                    build.start.to_string(),
                    result.to_owned(),
                    bytes_text(build.bytes),
                ]
            };
            let rows: Vec<Vec<String>> = doomed.iter().map(row).collect();
            if !rows.is_empty() {
                screen.table(&["JOB", "PLATFORM", "BUILD", "STARTED", "RESULT", "ARTIFACTS"], &rows)?;
            }
            screen.line(&text_of(removal, "would remove"))?;
        }
    }
    Ok(())
}

fn describe(connection: &Connection, builds: &[i64]) -> rusqlite::Result<Vec<Doomed>> {
    let mut statement = connection.prepare(
        "SELECT coalesce(job.name, '?'), platform, uuid, start_d, start_ps, result_code = 0,
             (SELECT coalesce(sum(size), 0) FROM build_artifact WHERE build_artifact.build = build.id)
         FROM build LEFT JOIN job ON job.id = build.job
         WHERE build.id = ?1 AND build.id NOT IN (SELECT build FROM repository_pin)",
    )?;
    let mut doomed = Vec::new();
    for build in builds {
        let read = statement.query_row([build], |row| {
            let uuid: String = row.get(2)?;
            Ok(Doomed {
                job: row.get(0)?,
                platform: row.get(1)?,
                uuid: uuid.parse::<BuildId>().map_or(uuid, |build| build.to_string()),
                start: crate::database::columns::time_from_columns(row.get(3)?, row.get(4)?),
                good: row.get(5)?,
                bytes: row.get(6)?,
            })
        });
        doomed.extend(read.optional()?);
    }
    Ok(doomed)
}
